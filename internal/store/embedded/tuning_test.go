package embedded

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"tidemark/internal/store"
)

// If this fails, memory tables take all of the cache from reading, so that each block
// is read and decompressed anew once a server has taken in some mail.
func TestMemTablesLeaveTheCache(t *testing.T) {
	const table = 1 << 20
	e, err := Open("store", Options{
		FS: vfs.NewMem(), Logger: quiet(), CacheSize: 2 * table, MemTableSize: table, MinFree: -1, Ballast: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	const values = 64
	for i := range values {
		err := e.Update(t.Context(), 1, func(tx store.Tx) error {
			tx.Set(fmt.Append(nil, i), make([]byte, table/8))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := e.db.Flush(); err != nil {
		t.Fatal(err)
	}
	var m *pebble.Metrics
	for range 100 { // a compaction that ends after the reading takes the blocks of its tables with it
		for range 2 {
			err := e.View(t.Context(), 1, func(r store.Reader) error {
				_, err := r.Get(fmt.Append(nil, values/2))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if m = e.db.Metrics(); m.BlockCache.Size >= table/8 {
			return
		}
	}
	t.Errorf("the cache holds %d bytes beside %d of memory tables", m.BlockCache.Size, m.MemTable.Size+m.MemTable.ZombieSize)
}
