package clienttest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tidemark/internal/transcript"
)

const (
	crashCycles  = 10
	crashWorkers = 6
	crashUsers   = 2
)

var crashBoxes = []string{"INBOX", "One", "Two"}

// place is where a message is and how; the zero place is nowhere.
type place struct {
	box   string
	uid   string // as the server told it; empty if not told
	flags string
}

// entry is the ledger's line for one message.
type entry struct {
	token string
	place place  // as acknowledged
	next  *place // as it will be if the command in flight was carried out
}

// worker is one client with a ledger of its messages.
type worker struct {
	srv    *server
	user   string
	id     int
	rng    *rand.Rand
	conn   *transcript.Conn
	box    string // selected
	ledger []*entry
	made   int
}

// errRefused is a NO or BAD where an OK was due.
var errRefused = errors.New("refused")

// If this fails, mail that was acknowledged is lost, or is there twice, after the
// machine stopped in the middle of the work.
func TestKill(t *testing.T) {
	var users []string
	for i := range crashUsers {
		users = append(users, fmt.Sprintf("user%d", i))
	}
	s := startServer(t, users...)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	var workers []*worker
	for i := range crashWorkers {
		workers = append(workers, &worker{srv: s, user: users[i%crashUsers], id: i, rng: rand.New(rand.NewPCG(seed, uint64(i+1)))})
	}
	for _, u := range users {
		s.imap(u, do("CREATE One"), do("CREATE Two"))
	}
	seen := &history{}
	for cycle := range crashCycles {
		load(t, s, workers, time.Duration(100+rng.IntN(500))*time.Millisecond)
		s.start()
		for _, u := range users {
			audit(t, s, seen, u, workers)
		}
		s.run("", "check")
		if t.Failed() {
			t.Fatalf("after cycle %d", cycle)
		}
	}
	total := 0
	for _, w := range workers {
		total += w.made
	}
	t.Logf("%d messages over %d kills", total, crashCycles)
}

// load lets the workers work and kills the server under them.
func load(t *testing.T, s *server, workers []*worker, d time.Duration) {
	var wg sync.WaitGroup
	for _, w := range workers {
		wg.Go(func() {
			if err := w.work(); errors.Is(err, errRefused) {
				t.Errorf("worker %d: %v", w.id, err)
			}
		})
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
	s.kill()
	wg.Wait()
}

// work runs random commands until the connection breaks.
func (w *worker) work() error {
	conn, err := w.srv.login(w.user)
	if err != nil {
		return err
	}
	defer conn.Close()
	w.conn, w.box = conn, ""
	for {
		if err := w.step(); err != nil {
			return err
		}
	}
}

func (w *worker) step() error {
	var live []*entry
	for _, e := range w.ledger {
		if e.place.box != "" {
			live = append(live, e)
		}
	}
	if len(live) < 5 || w.rng.IntN(3) == 0 {
		return w.append()
	}
	e := live[w.rng.IntN(len(live))]
	if w.box != e.place.box {
		w.box = ""
		if _, err := w.command("SELECT " + e.place.box); err != nil {
			return err
		}
		w.box = e.place.box
	}
	switch w.rng.IntN(4) {
	case 0:
		return w.move(e)
	case 1:
		return w.expunge(e)
	}
	return w.store(e)
}

// command runs one command and returns the response code COPYUID or APPENDUID.
func (w *worker) command(text string, literals ...string) ([]transcript.Node, error) {
	untagged, done, err := w.conn.Command(text, literals...)
	if err != nil {
		return nil, err
	}
	if done.Status != "OK" {
		return nil, fmt.Errorf("%w: %q: %s", errRefused, text, done.Raw)
	}
	for _, r := range append(untagged, done) {
		if r.CodeIs("COPYUID") || r.CodeIs("APPENDUID") {
			return r.Code, nil
		}
	}
	return nil, nil
}

// settle writes down that the command in flight was acknowledged.
func (e *entry) settle(uid string) {
	if uid != "" {
		e.next.uid = uid
	}
	e.place, e.next = *e.next, nil
}

func (w *worker) append() error {
	w.made++
	e := &entry{token: fmt.Sprintf("w%d-%d", w.id, w.made)}
	e.next = &place{box: crashBoxes[w.rng.IntN(len(crashBoxes))], flags: `\Seen`}
	w.ledger = append(w.ledger, e)
	code, err := w.command("APPEND "+e.next.box+` (\Seen) `+transcript.LiteralMark, tokenText(e.token))
	if err != nil {
		return err
	}
	if len(code) != 3 {
		return fmt.Errorf("%w: no APPENDUID", errRefused)
	}
	e.settle(code[2].Text)
	return nil
}

// tokenText is a message that can be told from all others; some are large.
func tokenText(token string) string {
	n := len(token) * len(token)
	if strings.HasSuffix(token, "7") {
		n *= 400
	}
	return "Subject: " + token + "\r\n\r\n" + strings.Repeat(token+"\r\n", n)
}

func (w *worker) store(e *entry) error {
	flags := []string{``, `\Flagged`, `\Answered`, `\Flagged \Seen`, `kw`}[w.rng.IntN(5)]
	next := e.place
	next.flags = flags
	e.next = &next
	if _, err := w.command("UID STORE " + e.place.uid + " FLAGS.SILENT (" + flags + ")"); err != nil {
		return err
	}
	e.settle("")
	return nil
}

func (w *worker) move(e *entry) error {
	to := crashBoxes[w.rng.IntN(len(crashBoxes))]
	if to == e.place.box {
		return nil
	}
	e.next = &place{box: to, flags: e.place.flags}
	code, err := w.command("UID MOVE " + e.place.uid + " " + to)
	if err != nil {
		return err
	}
	if len(code) != 4 || code[2].Text != e.place.uid {
		return fmt.Errorf("%w: COPYUID %v for %s", errRefused, code, e.place.uid)
	}
	e.settle(code[3].Text)
	return nil
}

// expunge is two commands, after each of which the server may die.
func (w *worker) expunge(e *entry) error {
	next := e.place
	next.flags = `\Deleted`
	e.next = &next
	if _, err := w.command("UID STORE " + e.place.uid + ` FLAGS.SILENT (\Deleted)`); err != nil {
		return err
	}
	e.settle("")
	e.next = &place{}
	if _, err := w.command("UID EXPUNGE " + e.place.uid); err != nil {
		return err
	}
	e.settle("")
	return nil
}

// history is what has ever been seen, to find what is used twice or goes back.
type history struct {
	tokens  map[string]string // user, box, UIDVALIDITY and UID to token
	highest map[string]uint64 // user, box and name of a counter to its value
}

func (h *history) assign(t *testing.T, key, token string) {
	if h.tokens == nil {
		h.tokens = map[string]string{}
	}
	if was, ok := h.tokens[key]; ok && was != token {
		t.Errorf("the UID %s was %s and is %s", key, was, token)
	}
	h.tokens[key] = token
}

func (h *history) notBack(t *testing.T, key, value string) {
	n, err := strconv.ParseUint(value, 10, 64)
	if h.highest == nil {
		h.highest = map[string]uint64{}
	}
	if err != nil || n < h.highest[key] {
		t.Errorf("%s goes back from %d to %s", key, h.highest[key], value)
	}
	h.highest[key] = n
}

// audit compares an account with the ledgers of its workers.
func audit(t *testing.T, s *server, seen *history, user string, workers []*worker) {
	found := map[string][]place{}
	for _, box := range crashBoxes {
		for _, r := range s.imap(user, do("STATUS "+box+" (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")) {
			if r.Name() == "STATUS" {
				kids := r.Data[2].Kids
				for i := 0; i+1 < len(kids); i += 2 {
					seen.notBack(t, user+" "+box+" "+kids[i].Text, kids[i+1].Text)
				}
			}
		}
		for _, m := range s.messages(user, box) {
			token := strings.TrimPrefix(strings.SplitN(m.text, "\r\n", 2)[0], "Subject: ")
			if m.text != tokenText(token) {
				t.Errorf("%s %s: content of UID %s is damaged", user, box, m.uid)
			}
			found[token] = append(found[token], place{box, m.uid, m.flags})
			seen.assign(t, user+" "+box+" "+m.uid, token)
		}
	}
	for _, w := range workers {
		if w.user == user {
			for _, e := range w.ledger {
				e.audit(t, found[e.token])
				delete(found, e.token)
			}
		}
	}
	for token, places := range found {
		t.Errorf("%s: %v was never sent: %q", user, places, token)
	}
}

// audit compares one message with where it was found, and writes down what the
// command in flight came to.
func (e *entry) audit(t *testing.T, found []place) {
	possible := []place{e.place}
	if e.next != nil {
		possible = append(possible, *e.next)
	}
	var is place
	switch len(found) {
	case 0:
	case 1:
		is = found[0]
	default:
		t.Errorf("%s is there %d times: %v", e.token, len(found), found)
	}
	ok := slices.ContainsFunc(possible, func(p place) bool {
		return p.box == is.box && (p.uid == "" || p.uid == is.uid) && p.flags == is.flags
	})
	if !ok {
		t.Errorf("%s is %+v; acknowledged %+v, in flight %+v", e.token, is, e.place, e.next)
	}
	e.place, e.next = is, nil
}
