package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
	"weak"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	cacheTime = 10 * time.Minute
	cacheSize = 16384 // passwords
)

// cache remembers for cacheTime the passwords that were right, so that a phone that comes
// every minute does not cost an argon2id each time. Only a keyed hash is kept, in memory,
// under a key that dies with the process.
type cache struct {
	key []byte
	now func() time.Time

	mu      sync.Mutex
	entries *simplelru.LRU[[sha256.Size]byte, cached]
}

// cached is a password that was right. The record that it was right for is not kept: its
// hash would stay in memory after the source has given it up.
type cached struct {
	record  weak.Pointer[Record]
	version [sha256.Size]byte // of record
	app     string            // the app password's name, empty for the user's own
	until   time.Time
}

func newCache(now func() time.Time) *cache {
	return &cache{key: randomBytes(32), now: now, entries: newLRU[[sha256.Size]byte, cached](cacheSize)}
}

// sum is a keyed hash of the parts, none of which can run into the next.
func (c *cache) sum(parts ...string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.key)
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	h.Sum(sum[:0])
	return sum
}

// short is sum cut to a number that is not zero.
func (c *cache) short(parts ...string) uint64 {
	sum := c.sum(parts...)
	return binary.BigEndian.Uint64(sum[:]) | 1
}

// get says whether the password was right for the record as it is now.
func (c *cache) get(r *Record, password string) (app string, ok bool) {
	key := c.sum(r.Name, password)
	c.mu.Lock()
	e, ok := c.entries.Get(key)
	c.mu.Unlock()
	if !ok {
		return "", false
	}
	// Records do not change, so that the same one has the same version.
	if (e.record == weak.Make(r) || e.version == r.version()) && c.now().Before(e.until) {
		return e.app, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(key)
	return "", false
}

func (c *cache) put(r *Record, password, app string) {
	key := c.sum(r.Name, password)
	e := cached{record: weak.Make(r), version: r.version(), app: app, until: c.now().Add(cacheTime)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Add(key, e)
}
