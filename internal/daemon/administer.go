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
)

// ServiceOptions are what OpenService needs.
type ServiceOptions struct {
	Config   *config.Config
	Warnings io.Writer // takes warnings about the store
	// Make allows a store to be made where there is none.
	Make bool
	// Helper are the arguments of this program with which it calls RunHelper.
	Helper []string
}

// OpenService returns the administration of the data directory: through the server
// that has it, or directly if none does. For root it is done by a process of the
// directory's owner, so that all files stay readable for the server, while what is
// imported from and exported to is opened by root. A server that is about to start, or
// another command, is waited for.
func OpenService(ctx context.Context, o ServiceOptions) (s admin.Service, closeService func() error, err error) {
	err = whileInUse(ctx, func() (err error) {
		s, closeService, err = openService(ctx, o)
		return err
	})
	return s, closeService, err
}

func openService(ctx context.Context, o ServiceOptions) (s admin.Service, closeService func() error, err error) {
	client, err := admin.Dial(ctx, o.Config.AdminSocket())
	if err == nil {
		return client, client.Close, nil
	}
	owner := foreignOwner(string(o.Config.Server.DataDir))
	if !errors.Is(err, admin.ErrNotRunning) {
		return nil, nil, explainDenied(owner, err)
	}
	if err := checkStore(o); err != nil {
		return nil, nil, err
	}
	if owner != nil && os.Geteuid() == 0 {
		return startHelper(ctx, o, owner)
	}
	st, err := awaitStorage(ctx, func() (*storage, error) { return openAdminStorage(o.Config, o.Warnings) })
	if err != nil {
		return nil, nil, explainDenied(owner, err)
	}
	return adminService(o.Config, st), st.Close, nil
}

// explainDenied says who may do what was denied, if it is because the data directory
// belongs to the owner and not to the user of this process.
func explainDenied(owner *syscall.Credential, err error) error {
	if owner == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	name := userName(owner.Uid)
	return fmt.Errorf("the data directory belongs to user %s; run this as root or by sudo -u %s: %w", name, name, err)
}

func openAdminStorage(c *config.Config, warnings io.Writer) (*storage, error) {
	log, _ := newLogger(warnings, config.Log{Level: "warn", Format: c.Log.Format})
	return openStorage(c, storageOptions{Logger: log})
}

func adminService(c *config.Config, st *storage) admin.Service {
	return newUsers(c, st.mail, auth.NewHasher()).service(nil, nil)
}

// checkStore fails where no server and no command has made a store yet, unless it may
// be made.
func checkStore(o ServiceOptions) error {
	if o.Make {
		return nil
	}
	if _, err := os.Stat(o.Config.InDataDir(storeDir)); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is no data directory: nothing has been stored in it yet; check server.data_dir, "+
			"start the server or add a user", o.Config.Server.DataDir)
	}
	return nil // what else is wrong shows when it is opened
}

// foreignOwner returns the owner of a directory, or nil if it is the user of this
// process or cannot be found out.
func foreignOwner(dir string) *syscall.Credential {
	info, err := os.Stat(dir)
	if err != nil {
		return nil
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}
}

// userName is the name of a user, or the number where there is none.
func userName(uid uint32) string {
	if u, err := user.LookupId(fmt.Sprint(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprintf("#%d", uid)
}
