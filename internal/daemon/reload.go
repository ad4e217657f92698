package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	sdnotify "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"tidemark/internal/config"
)

// reloadable are the settings that take effect without a restart.
var reloadable = []string{"log.level", "auth.trusted_networks"}

// reloader is a source of users that reads its file again on demand, and watcher one
// that does so by itself and tells of users who changed or went.
type (
	reloader interface{ Reload() error }
	watcher  interface {
		Run(ctx context.Context, changed func(user string))
	}
)

// reload reads certificates, block list, users' files and configuration again. A
// mistake in one is logged and leaves what was in force.
func (s *server) reload() {
	s.notify(sdnotify.SdNotifyReloading + "\n" + monotonicUsec())
	defer s.notify(sdnotify.SdNotifyReady)
	// Failures are logged by those two, which go on with what they had.
	_ = s.certs.Reload()
	_ = s.outside.gate.Reload()
	for _, source := range s.sources {
		if r, ok := source.(reloader); ok {
			if err := r.Reload(); err != nil {
				s.log.Error("users not reloaded; they stay as they were", "source", source.Name(), "error", err)
			}
		}
	}
	next, err := s.o.Reload()
	if err != nil {
		s.log.Error("configuration not reloaded; the old one stays in force", "error", err)
		return
	}
	s.apply(next)
}

// apply takes over what can change while the server runs, and says what cannot.
func (s *server) apply(next *config.Config) {
	changed := config.Changed(s.o.Config, next)
	s.level.Set(next.Log.Level.Slog())
	s.o.Config.Log.Level = next.Log.Level
	s.guard.Trust(next.Auth.TrustedNetworks)
	s.o.Config.Auth.TrustedNetworks = next.Auth.TrustedNetworks
	waiting := slices.DeleteFunc(slices.Clone(changed), func(key string) bool { return slices.Contains(reloadable, key) })
	s.log.Info("reloaded", "changed", strings.Join(changed, " "))
	if len(waiting) > 0 {
		s.log.Warn("these changes take effect after a restart", "settings", strings.Join(waiting, " "))
	}
}

// monotonicUsec is what systemd asks for beside RELOADING=1 (sd_notify(3)).
func monotonicUsec() string {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return ""
	}
	return fmt.Sprintf("MONOTONIC_USEC=%d", time.Duration(now.Nano()).Microseconds())
}
