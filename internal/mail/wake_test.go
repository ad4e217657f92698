package mail

import "testing"

// If this fails, sessions that are woken wait for a lock until the last of them has been
// told, and so does everybody who changes the mailbox.
func TestWakeHoldsNoLock(t *testing.T) {
	_, a := newAccount(t)
	m := openMailbox(t, a, "INBOX")
	woken := 0
	defer m.Watch(func() {
		woken++
		defer m.Watch(func() {})() // takes the lock
		m.ClaimRecent(m.View())
	})()
	appendOne(t, a, "INBOX", 1)
	if woken != 1 {
		t.Errorf("woken %d times", woken)
	}
}
