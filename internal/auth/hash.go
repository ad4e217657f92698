package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/go-crypt/crypt/algorithm/argon2"
	"golang.org/x/sync/semaphore"

	"tidemark/sasl"
)

// scramIterations is how often a new SCRAM key is hashed. The client bears the
// cost at each login, and so does whoever guesses from a stolen store. Cyrus SASL,
// which mbsync and many others log in with, refuses more than 65,536.
const scramIterations = 60_000

// Hasher computes password hashes, only so many at once that logins never take
// every processor. Its methods may be called concurrently.
type Hasher struct {
	slots  *semaphore.Weighted
	hasher *argon2.Hasher
	decoy  string
	prefix string // how a hash with our parameters begins
	scram  int
	count  atomic.Int64
}

// NewHasher returns a hasher that makes argon2id hashes with 19 MiB, 2 passes and
// 1 lane, the least that OWASP recommends: logins are many and the memory is
// needed for each.
func NewHasher() *Hasher { return newHasher(19<<10, 2, scramIterations) }

func newHasher(kibibytes uint32, passes, scram int) *Hasher {
	hasher, err := argon2.New(argon2.WithVariantID(), argon2.WithM(kibibytes), argon2.WithT(passes), argon2.WithP(1))
	if err != nil {
		panic(err) // the parameters are constants
	}
	h := &Hasher{
		slots:  semaphore.NewWeighted(int64(max(1, runtime.GOMAXPROCS(0)-1))),
		hasher: hasher,
		prefix: fmt.Sprintf("$argon2id$v=19$m=%d,t=%d,p=1$", kibibytes, passes),
		scram:  scram,
	}
	digest, err := hasher.Hash(rand.Text())
	if err != nil {
		panic(err) // as above
	}
	h.decoy = digest.Encode()
	return h
}

// Hash returns the argon2id hash of a password. It fails only with ctx.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	if err := h.acquire(ctx); err != nil {
		return "", err
	}
	defer h.slots.Release(1)
	digest, err := h.hasher.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return digest.Encode(), nil
}

// Verify says whether a password has the given hash. An error is about the hash,
// or of ctx.
func (h *Hasher) Verify(ctx context.Context, hash, password string) (bool, error) {
	if err := h.acquire(ctx); err != nil {
		return false, err
	}
	defer h.slots.Release(1)
	return verifyHash(hash, password)
}

// Scram derives new SCRAM keys.
func (h *Hasher) Scram(ctx context.Context, password string, salt []byte) (sasl.ScramKeys, error) {
	if err := h.acquire(ctx); err != nil {
		return sasl.ScramKeys{}, err
	}
	defer h.slots.Release(1)
	return sasl.NewScramKeys(sasl.SHA256, password, salt, h.scram)
}

func (h *Hasher) acquire(ctx context.Context) error {
	if err := h.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("wait for a processor: %w", err)
	}
	h.count.Add(1)
	return nil
}

// Decoy returns a hash of a password that nobody knows.
func (h *Hasher) Decoy() string { return h.decoy }

// outdated says whether hash is of another kind than those that Hash makes.
func (h *Hasher) outdated(hash string) bool {
	_, encoded, err := splitScheme(hash)
	return err != nil || !strings.HasPrefix(encoded, h.prefix)
}
