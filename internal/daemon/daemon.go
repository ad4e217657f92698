// Package daemon joins the parts of the server: it opens the store, listens, serves,
// reloads and stops.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"tidemark/imapserver"
	"tidemark/internal/auth"
	"tidemark/internal/auth/dovecotauth"
	"tidemark/internal/certs"
	"tidemark/internal/config"
	"tidemark/internal/lmtp"
)

// ErrStorageFailed is wrapped by Run's error when the server stopped because its
// storage could no longer be written, or did not start because it is damaged or has no
// room.
var ErrStorageFailed = errors.New("storage failed")

// stopTime is how long everything together may take to stop after a signal. Running
// IMAP commands are given less (imapserver.Limits.ShutdownGrace), so that there is
// time left to close the store.
const stopTime = 9 * time.Second

// closeTime is how long the store may take to close. It gives itself half as long for
// what it can do without, so only a disk that hangs needs more.
const closeTime = 20 * time.Second

// Options are what Run needs.
type Options struct {
	Config *config.Config
	// Reload reads the configuration again, for SIGHUP.
	Reload func() (*config.Config, error)
	// Ready is called once when all listeners accept. Its error stops the server.
	Ready func(Started) error
	Log   io.Writer
	// Version is told to clients that ask by ID (RFC 2971).
	Version string
}

// Started says where a server can be reached. A port 0 of the configuration stands
// here as the port it became.
type Started struct {
	IMAPS, IMAP, LMTP, Metrics []net.Addr

	SelfSigned  string // the file of the self-signed certificate, or empty
	Fingerprint string // SHA-256 of the certificate
}

// server is a running server.
type server struct {
	o     Options
	log   *slog.Logger
	level *slog.LevelVar
	// stop ends the server because of an error.
	stop context.CancelCauseFunc
	// reloads has one element while the configuration is to be read again.
	reloads chan struct{}

	registry *prometheus.Registry
	storage  *storage
	certs    *certs.Manager
	outside  *outside
	guard    *auth.Guard
	imap     *imapserver.Server
	lmtp     *lmtp.Server
	logins   *dovecotauth.Server
	sources  []auth.Source
	admin    *http.Server
	monitor  *http.Server
}

// Run serves until ctx ends, SIGTERM or SIGINT comes, or something fails for good.
func Run(ctx context.Context, o Options) (err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	// Without this, a log that nobody reads any more would end the process.
	logBroken := make(chan os.Signal, 1)
	signal.Notify(logBroken, syscall.SIGPIPE)
	defer signal.Stop(logBroken)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)

	s := &server{o: o, stop: stop, registry: newRegistry(), reloads: make(chan struct{}, 1)}
	go s.heed(ctx, signals)
	s.log, s.level = newLogger(o.Log, o.Config.Log)
	memory := usableMemory()
	limitMemory(memory)
	s.log.Info("starting", "version", o.Version, "go", runtime.Version(), "pid", os.Getpid(),
		"data_dir", string(o.Config.Server.DataDir), "open_files", openFiles(), "memory", memory)

	if owner := foreignOwner(string(o.Config.Server.DataDir)); owner != nil && os.Geteuid() == 0 {
		s.log.Warn("the data directory belongs to another user, who cannot read what root makes in it", "owner", userName(owner.Uid))
	}
	// Before anything is made.
	if s.outside, err = openOutside(o.Config, s.log, s.registry); err != nil {
		return err
	}
	defer s.outside.close()
	if err := s.open(ctx); err != nil || s.storage == nil {
		return err
	}
	defer func() {
		if cerr := s.closeStorage(); !errors.Is(err, ErrStorageFailed) { // else it says the same
			err = errors.Join(err, cerr)
		}
	}()
	if err := s.build(func() error { return errors.Join(context.Cause(ctx), s.storage.probe()) }); err != nil {
		return err
	}
	listeners, err := listenAll(o.Config)
	if err != nil {
		return err
	}
	return s.serve(ctx, listeners)
}

// stopSignal is the cause of a context that ended by a signal. It counts as a cancellation.
type stopSignal struct{ os.Signal }

func (s stopSignal) Error() string        { return s.String() }
func (s stopSignal) Is(target error) bool { return target == context.Canceled }

// heed handles signals until ctx ends, which the first of those that mean the end does.
func (s *server) heed(ctx context.Context, signals <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				s.stop(stopSignal{sig})
				return
			}
			select {
			case s.reloads <- struct{}{}:
			default: // one is due anyway
			}
		}
	}
}

// open opens the storage. It stays nil if ctx ends and the disk hangs.
func (s *server) open(ctx context.Context) (err error) {
	s.storage, err = awaitStorage(ctx, func() (st *storage, err error) {
		// A command may be at work, or the server before this one about to end.
		err = whileInUse(ctx, func() (err error) {
			st, err = openStorage(s.o.Config, storageOptions{
				Logger:     s.log,
				Registerer: s.registry,
				Failed:     func(err error) { s.stop(fmt.Errorf("%w: %w", ErrStorageFailed, err)) },
			})
			return err
		})
		return st, err
	})
	if errors.Is(err, errNotAwaited) {
		s.logCause(context.Cause(ctx))
		return nil
	}
	return err
}

// closeStorage closes the storage, unless the disk hangs.
func (s *server) closeStorage() error {
	closed := make(chan error, 1)
	go func() { closed <- s.storage.Close() }()
	select {
	case err := <-closed:
		return err
	case <-time.After(closeTime):
		return fmt.Errorf("%w: it could not be closed within %v", ErrStorageFailed, closeTime)
	}
}

// openFiles is the limit of descriptors. The Go runtime has raised it to the most
// that the system allows before main.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return limit.Cur
}

// descriptorReserve is how many descriptors are kept for storage, deliveries and
// administration: the store's files, of which Pebble keeps a thousand open, message
// files being read, and listeners.
const descriptorReserve = 2000

// descriptorsForClients is how many connections of IMAP clients there may be. Where
// the limit is low they get half of it.
func descriptorsForClients(limit uint64) int {
	n := limit / 2
	if limit > 2*descriptorReserve {
		n = limit - descriptorReserve
	}
	return int(min(n, 1_000_000))
}

func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// serve runs everything and returns when all of it has ended.
func (s *server) serve(ctx context.Context, listeners []bound) error {
	var group errgroup.Group
	background, endBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer endBackground()
	group.Go(func() error { s.certs.Run(background); return nil })
	group.Go(func() error { s.outside.gate.Run(background); return nil })
	for _, source := range s.sources {
		if w, ok := source.(watcher); ok {
			group.Go(func() error {
				w.Run(background, func(user string) { s.imap.EndSessions(user, "user changed in "+source.Name()) })
				return nil
			})
		}
	}
	for _, l := range listeners {
		s.log.Info("listening", "for", l.purpose, "address", l.Addr().String())
		group.Go(func() error {
			if err := s.serveListener(background, l); err != nil {
				s.stop(fmt.Errorf("%s on %s: %w", l.purpose, l.Addr(), err))
			}
			return nil
		})
	}
	if err := s.ready(listeners); err != nil {
		s.stop(fmt.Errorf("report readiness: %w", err))
	}
	s.wait(ctx)
	s.shutdown()
	endBackground()
	// Each of them has ended its own listener; this is for one that never ran.
	closeAll(listeners)
	_ = group.Wait()
	s.log.Info("stopped")
	if cause := context.Cause(ctx); ctx.Err() != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// serveListener serves one listener until shutdown, and then returns nil.
func (s *server) serveListener(ctx context.Context, l bound) (err error) {
	switch l.purpose {
	case forIMAPS, forIMAP:
		err = s.imap.Serve(ctx, s.outside.gate.Listener(l), l.purpose == forIMAPS)
	case forLMTP:
		err = s.lmtp.Serve(l)
	case forLogins:
		err = s.logins.Serve(ctx, l)
	case forAdmin:
		err = s.admin.Serve(l)
	case forMetrics:
		err = s.monitor.Serve(l)
	}
	if errors.Is(err, imapserver.ErrServerClosed) || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ready tells whoever waits for it that all listeners accept. They do from the
// moment they were made: the kernel queues connections until they are served.
func (s *server) ready(listeners []bound) error {
	var started Started
	lists := map[string]*[]net.Addr{
		forIMAPS: &started.IMAPS, forIMAP: &started.IMAP, forLMTP: &started.LMTP, forMetrics: &started.Metrics,
	}
	for _, l := range listeners {
		if list := lists[l.purpose]; list != nil {
			*list = append(*list, l.Addr())
		}
	}
	started.Fingerprint = s.certs.Fingerprint()
	var made bool
	if started.SelfSigned, made = s.certs.SelfSigned(); made {
		s.log.Info("made a self-signed certificate", "file", started.SelfSigned, "sha256", started.Fingerprint)
	}
	if s.o.Ready != nil {
		if err := s.o.Ready(started); err != nil {
			return err
		}
	}
	s.notify(sdnotify.SdNotifyReady)
	s.log.Info("ready")
	return nil
}

// notify tells the service manager, if there is one.
func (s *server) notify(state string) {
	if _, err := sdnotify.SdNotify(false, state); err != nil {
		s.log.Warn("cannot tell the service manager", "error", err)
	}
}

// wait reloads when it is asked to, and returns when it is time to stop.
func (s *server) wait(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			s.logCause(context.Cause(ctx))
			return
		case <-s.reloads:
			s.reload()
		}
	}
}

// logCause says why the server stops by itself.
func (s *server) logCause(cause error) {
	level := slog.LevelError
	if errors.Is(cause, context.Canceled) {
		level = slog.LevelInfo
	}
	s.log.Log(context.Background(), level, "stopping", "reason", cause)
}

// shutdown ends all servers at once and returns when they have ended, or when the
// time is up.
func (s *server) shutdown() {
	s.notify(sdnotify.SdNotifyStopping)
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	var group errgroup.Group
	for name, stop := range map[string]func(context.Context) error{
		"imap": s.imap.Shutdown, "lmtp": s.lmtp.Shutdown, "admin": stopHTTP(s.admin), "metrics": stopHTTP(s.monitor),
	} {
		group.Go(func() error {
			if err := stop(ctx); err != nil {
				s.log.Warn("not everything ended in time", "server", name, "error", err)
			}
			return nil
		})
	}
	_ = group.Wait()
}

// stopHTTP lets requests finish, and cuts off those that do not in time.
func stopHTTP(server *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := server.Shutdown(ctx); err != nil {
			return errors.Join(err, server.Close())
		}
		return nil
	}
}
