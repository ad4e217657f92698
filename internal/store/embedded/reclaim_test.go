package embedded

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"tidemark/internal/store"
	"tidemark/internal/store/storetest"
	"tidemark/internal/testbed"
)

// fillDisk adds messages to an account until there is no room, and returns their blobs.
func fillDisk(t *testing.T, e *Engine, id store.AccountID, size int) (blobs []store.BlobID) {
	body := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(id)})
	for range 100_000 {
		rng.Read(body)
		ref, err := storetest.WriteBlob(t.Context(), e, id, body)
		if err == nil {
			err = e.Update(t.Context(), id, func(tx store.Tx) error { tx.Adopt(ref); return nil })
		}
		if errors.Is(err, store.ErrFull) {
			return blobs
		}
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, ref.Info().ID)
	}
	t.Fatal("the disk does not fill")
	return nil
}

// drop removes blobs, some in each transaction.
func drop(t *testing.T, e *Engine, id store.AccountID, blobs []store.BlobID) {
	for len(blobs) > 0 {
		n := min(len(blobs), 100)
		err := e.Update(t.Context(), id, func(tx store.Tx) error {
			for _, b := range blobs[:n] {
				tx.DropBlob(b)
			}
			return nil
		})
		if err != nil {
			t.Fatalf("removing messages: %v", err)
		}
		blobs = blobs[n:]
	}
}

// awaitFree fails the test if so much does not become free while somebody tries to add
// messages.
func awaitFree(t *testing.T, e *Engine, disk *smallDisk, want int64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(testbed.Patience)
	for disk.free() < want {
		if _, err := e.NewBlob(t.Context(), 1, 0); err != nil && !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d MiB are free, and not %d: %+v", disk.free()>>20, want>>20, disk.large())
		}
	}
}

// openSmall opens a store on a disk of 64 MiB with the defaults for its size.
func openSmall(t *testing.T) (*Engine, *smallDisk) {
	disk := newSmallDisk(64<<20, true)
	disk.total = 64 << 20
	e, err := Open("a/store", Options{FS: disk, Logger: quiet(), Failed: func(err error) { t.Errorf("failed: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e, disk
}

// If this fails, a disk that is full of mail stays full when the mail is deleted.
func TestReclaim(t *testing.T) {
	for name, size := range map[string]int{"small messages": 3_000, "messages": 60_000, "in files": 500_000} {
		t.Run(name, func(t *testing.T) {
			e, disk := openSmall(t)
			for range 2 {
				awaitRoom(t, e)
				blobs := fillDisk(t, e, 1, size)
				if n := len(blobs) * size; n < 40<<20 {
					t.Errorf("only %d MiB of mail fit on the disk: %+v", n>>20, disk.large())
				}
				drop(t, e, 1, blobs)
				awaitFree(t, e, disk, 52<<20)
			}
		})
	}
}

// If this fails, deleting some of the mail that arrived together with other mail makes
// no room.
func TestReclaimHalf(t *testing.T) {
	e, disk := openSmall(t)
	var odd []store.BlobID
	blobs := fillDisk(t, e, 1, 30_000)
	for i := 1; i < len(blobs); i += 2 {
		odd = append(odd, blobs[i])
	}
	drop(t, e, 1, odd)
	awaitFree(t, e, disk, 20<<20)
}

// If this fails, users cannot delete when another program has filled the disk.
func TestDeleteOnFullDisk(t *testing.T) {
	e, disk := openSmall(t)
	blobs := fillDisk(t, e, 1, 60_000)
	rest := disk.free()
	disk.addRoom(-rest)
	err := e.Update(t.Context(), 1, func(tx store.Tx) error { tx.Set([]byte("flags"), []byte("deleted")); return nil })
	if err != nil {
		t.Errorf("flagging messages: %v", err)
	}
	drop(t, e, 1, blobs)
	awaitFree(t, e, disk, 40<<20)
	awaitRoom(t, e)
}
