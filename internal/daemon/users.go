package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"syscall"

	"tidemark/internal/admin"
	"tidemark/internal/auth"
	"tidemark/internal/config"
	"tidemark/internal/mail"
)

// users are the people in the store and the rules for their passwords.
type users struct {
	hasher  *auth.Hasher
	policy  auth.Policy
	builtin *auth.Builtin
	mail    *mail.Service
}

func newUsers(c *config.Config, m *mail.Service, hasher *auth.Hasher) *users {
	u := &users{hasher: hasher, mail: m, policy: auth.Policy{
		MinLength:   c.Auth.MinPasswordLength,
		Compromised: string(c.Auth.CompromisedPasswords),
	}}
	u.builtin = auth.NewBuiltin(directory{m}, u.hasher, u.policy, nil)
	return u
}

// service returns the administration of the users and their mail. The server that runs
// in this process gives its guard and the means to end sessions; both may be nil.
func (u *users) service(m *mail.Service, guard *auth.Guard, endSessions func(user, reason string) int) admin.Service {
	return admin.NewLocal(admin.LocalOptions{
		Mail: m, Users: u.builtin, Policy: u.policy, Guard: guard, EndSessions: endSessions,
	})
}

// OpenService returns the administration of the data directory: through the server
// that has it, or directly if none does. Warnings about the store go to warnings. It
// fails where no server and no command has made a store yet.
func OpenService(ctx context.Context, c *config.Config, warnings io.Writer) (s admin.Service, closeService func() error, err error) {
	return openService(ctx, c, warnings, func() error {
		_, err := os.Stat(c.InDataDir(storeDir))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is no data directory: nothing has been stored in it yet; check server.data_dir, "+
				"start the server or add a user", c.Server.DataDir)
		}
		return nil // what else is wrong shows when it is opened
	})
}

// OpenOrMakeService is OpenService that makes the store where there is none.
func OpenOrMakeService(ctx context.Context, c *config.Config, warnings io.Writer) (s admin.Service, closeService func() error, err error) {
	return openService(ctx, c, warnings, func() error { return nil })
}

func openService(ctx context.Context, c *config.Config, warnings io.Writer, check func() error) (s admin.Service, closeService func() error, err error) {
	client, err := admin.Dial(ctx, c.AdminSocket())
	if err == nil {
		return client, client.Close, nil
	}
	if !errors.Is(err, admin.ErrNotRunning) {
		return nil, nil, err
	}
	if err := errors.Join(check(), checkOwner(string(c.Server.DataDir))); err != nil {
		return nil, nil, err
	}
	log, _ := newLogger(warnings, config.Log{Level: "warn", Format: c.Log.Format})
	st, err := openStorage(c, storageOptions{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return newUsers(c, st.mail, auth.NewHasher()).service(st.mail, nil, nil), st.Close, nil
}

// checkOwner keeps root from leaving files in a data directory that the server, which
// runs as another user, could not write.
func checkOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || os.Geteuid() != 0 {
		return nil // what is wrong shows when the directory is opened
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || owner.Uid == 0 {
		return nil
	}
	name := fmt.Sprintf("#%d", owner.Uid)
	if u, err := user.LookupId(fmt.Sprint(owner.Uid)); err == nil {
		name = u.Username
	}
	return fmt.Errorf("the data directory %s belongs to user %s and no server is running on it; start the server, or run this command as that user (sudo -u %s)", dir, name, name)
}
