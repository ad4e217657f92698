package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"tidemark/internal/config"
	"tidemark/internal/mail"
	"tidemark/internal/store"
	"tidemark/internal/store/embedded"
)

// storage is an open data directory. Only one process has it.
type storage struct {
	lock   *os.File
	engine *embedded.Engine
	mail   *mail.Service
}

type storageOptions struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Failed     func(error) // called once when the storage has failed for good
}

// storeDir is where mail and users are in the data directory.
const storeDir = "store"

// openStorage takes the data directory for this process and opens it.
func openStorage(c *config.Config, o storageOptions) (s *storage, err error) {
	s = &storage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	if s.lock, err = lockDir(string(c.Server.DataDir)); err != nil {
		return s, openError(string(c.Server.DataDir), err)
	}
	s.engine, err = embedded.Open(c.InDataDir(storeDir), embedded.Options{
		Logger:    o.Logger,
		Memory:    usableMemory(),
		CacheSize: int64(c.Storage.CacheSize),
		MinFree:   int64(c.Storage.MinFree),
		Failed:    o.Failed,
	})
	if err != nil {
		return s, openError(c.InDataDir(storeDir), err)
	}
	if o.Registerer != nil {
		registerSpace(o.Registerer, string(c.Server.DataDir))
	}
	s.mail = mail.New(mail.Options{
		Engine: s.engine,
		Logger: o.Logger,
		Limits: mail.Limits{MessageSize: int64(c.Limits.MessageSize)},
	})
	return s, nil
}

// openTime is how long a store that is being opened is waited for after a signal.
const openTime = 2 * time.Second

// errNotAwaited says that the opening of the storage hangs.
var errNotAwaited = errors.New("the storage does not answer")

// awaitStorage calls open, and gives up soon after ctx has ended, for which a disk that
// hangs does not care. What the process leaves behind then is what a crash leaves.
func awaitStorage(ctx context.Context, open func() (*storage, error)) (*storage, error) {
	type result struct {
		storage *storage
		err     error
	}
	opened := make(chan result, 1)
	go func() {
		s, err := open()
		opened <- result{s, err}
	}()
	var late <-chan time.Time // never, until ctx ends
	ended := ctx.Done()
	for {
		select {
		case r := <-opened:
			return r.storage, r.err
		case <-ended:
			ended, late = nil, time.After(openTime)
		case <-late:
			return nil, fmt.Errorf("%w: %w", errNotAwaited, context.Cause(ctx))
		}
	}
}

// openError says what can be done about a store that cannot be opened.
func openError(dir string, err error) error {
	switch {
	case errors.Is(err, store.ErrFull), errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: %w; make room on the disk of %s: without any the server cannot start", ErrStorageFailed, err, dir)
	case errors.Is(err, store.ErrCorrupt):
		return fmt.Errorf("%w: %w; nothing in it was changed: look for errors of the disk, "+
			"keep a copy of %s, and restore it from a backup or a snapshot", ErrStorageFailed, err, dir)
	case errors.Is(err, store.ErrFailed), errors.Is(err, unix.EIO):
		return fmt.Errorf("%w: %w; look for errors of the disk of %s, and start again when it can be "+
			"read and written", ErrStorageFailed, err, dir)
	}
	return err
}

// registerSpace makes the room on the disk known to monitoring, so that somebody
// comes before it is too little to take mail.
func registerSpace(r prometheus.Registerer, dir string) {
	r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tidemark_storage_free_octets", Help: "Room on the disk of the data directory that this process may use.",
	}, func() float64 {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			return math.NaN()
		}
		return float64(s.Bavail) * float64(s.Bsize)
	}))
}

// probeTime is how long a look into the store may take before it counts as failed.
const probeTime = 2 * time.Second

// probe says whether the store answers.
func (s *storage) probe() error {
	ctx, cancel := context.WithTimeout(context.Background(), probeTime)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := s.mail.User(ctx, "healthz")
		answer <- err
	}()
	select {
	case err := <-answer:
		if err != nil && !errors.Is(err, mail.ErrNoUser) {
			return fmt.Errorf("storage: %w", err)
		}
		return nil
	case <-ctx.Done(): // a disk that hangs does not care for contexts
		return errors.New("storage does not answer")
	}
}

// Close closes what is open, in order.
func (s *storage) Close() error {
	var err error
	if s.mail != nil {
		s.mail.Close()
	}
	if s.engine != nil {
		err = s.engine.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
	}
	return err
}
