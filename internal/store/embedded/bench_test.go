package embedded

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"tidemark/internal/store"
)

func benchEngine(b *testing.B) *Engine {
	e, err := Open(b.TempDir(), Options{Logger: quiet(), Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(); err != nil {
			b.Error(err)
		}
	})
	return e
}

// inParallel runs b.N calls of fn in n goroutines.
func inParallel(b *testing.B, n int, fn func(goroutine, i int) error) {
	var next atomic.Int64
	var running sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for g := range n {
		running.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := fn(g, int(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	running.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tx/s")
}

// BenchmarkUpdate measures durable transactions of one small key.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := benchEngine(b)
			inParallel(b, n, func(g, i int) error {
				return e.Update(b.Context(), store.AccountID(g), func(tx store.Tx) error {
					tx.Set(fmt.Appendf(nil, "key%d", i), make([]byte, 100))
					return nil
				})
			})
		})
	}
	b.Run("8, one account", func(b *testing.B) {
		e := benchEngine(b)
		inParallel(b, 8, func(_, i int) error {
			return e.Update(b.Context(), 1, func(tx store.Tx) error {
				tx.Set(fmt.Appendf(nil, "key%d", i), make([]byte, 100))
				return nil
			})
		})
	})
}

// BenchmarkAdopt measures durable deliveries: a body, a summary and a log record.
func BenchmarkAdopt(b *testing.B) {
	for _, size := range []int{2 << 10, 24 << 10, 256 << 10, 300 << 10, 1 << 20} {
		for _, n := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("%dK/%d", size>>10, n), func(b *testing.B) {
				e := benchEngine(b)
				body := mailText(size)
				b.SetBytes(int64(size))
				inParallel(b, n, func(g, i int) error { return deliver(b, e, store.AccountID(g), i, body) })
			})
		}
	}
}

func deliver(b *testing.B, e *Engine, id store.AccountID, i int, body []byte) error {
	w, err := e.NewBlob(b.Context(), id, int64(len(body)))
	if err != nil {
		return err
	}
	for rest := body; len(rest) > 0; {
		n, err := w.Write(rest[:min(len(rest), 16<<10)])
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	ref, err := w.Finish()
	if err != nil {
		return err
	}
	return e.Update(b.Context(), id, func(tx store.Tx) error {
		if _, err := tx.Get([]byte("meta")); err != nil && i < 0 {
			return err
		}
		tx.Set([]byte("meta"), make([]byte, 60))
		tx.Set(fmt.Appendf(nil, "log%08d", i), make([]byte, 50))
		tx.Set(fmt.Appendf(nil, "sum%08d", i), body[:1000])
		tx.Adopt(ref)
		return nil
	})
}

// mailText makes text that compresses like mail: base64 of random bytes and words.
func mailText(n int) []byte {
	text := make([]byte, 0, n+80)
	x := uint32(1)
	for len(text) < n {
		for range 76 {
			x = x*1664525 + 1013904223
			text = append(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x>>26])
		}
		text = append(text, "\r\nthe quick brown fox jumps over the lazy dog\r\n"...)
	}
	return text[:n]
}

// BenchmarkBulk measures 100 messages of 2 KB in one transaction.
func BenchmarkBulk(b *testing.B) {
	e := benchEngine(b)
	body := mailText(2 << 10)
	inParallel(b, 1, func(_, i int) error {
		var refs []store.BlobRef
		for range 100 {
			w, err := e.NewBlob(b.Context(), 1, int64(len(body)))
			if err != nil {
				return err
			}
			if _, err := w.Write(body); err != nil {
				return err
			}
			ref, err := w.Finish()
			if err != nil {
				return err
			}
			refs = append(refs, ref)
		}
		return e.Update(b.Context(), 1, func(tx store.Tx) error {
			for j, ref := range refs {
				tx.Adopt(ref)
				tx.Set(fmt.Appendf(nil, "sum%08d", i*100+j), body[:1000])
			}
			return nil
		})
	})
}

// BenchmarkView measures reading: one key, and 1,000 summaries.
func BenchmarkView(b *testing.B) {
	e := benchEngine(b)
	for i := range 5000 {
		if err := deliver(b, e, 1, i, mailText(8<<10)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("get", func(b *testing.B) {
		inParallel(b, 1, func(_, _ int) error {
			return e.View(b.Context(), 1, func(r store.Reader) error {
				_, err := r.Get([]byte("meta"))
				return err
			})
		})
	})
	b.Run("scan 1000", func(b *testing.B) {
		inParallel(b, 1, func(_, _ int) error {
			return e.View(b.Context(), 1, func(r store.Reader) error {
				it := r.Scan([]byte("sum00000500"), []byte("sum00001500"), false)
				defer it.Close()
				for it.Next() {
					if _, err := it.Value(); err != nil {
						return err
					}
				}
				return nil
			})
		})
	})
	var ids []store.BlobID
	if err := e.Blobs(b.Context(), 1, func(i store.BlobInfo) error { ids = append(ids, i.ID); return nil }); err != nil {
		b.Fatal(err)
	}
	b.Run("blob 8K", func(b *testing.B) {
		b.SetBytes(8 << 10)
		inParallel(b, 1, func(_, i int) error {
			blob, err := e.OpenBlob(b.Context(), 1, ids[i%len(ids)])
			if err != nil {
				return err
			}
			return blob.Close()
		})
	})
}
