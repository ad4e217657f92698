package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
	"tidemark/internal/daemon"
	"tidemark/internal/demo"
)

// demoConfig is written into a new demonstration directory.
const demoConfig = `# The configuration of the demonstration server. Other commands work on it with
# tidemark --config THIS-FILE …

[server]
data_dir = "."
hostname = "localhost"

[imap]
tls_listen = ["127.0.0.1:9993"]
starttls_listen = ["127.0.0.1:9143"]

[lmtp]
listen = ["unix:lmtp.sock", "127.0.0.1:9024"]

[auth]
# Mistakes made while trying things out slow nobody down.
trusted_networks = ["127.0.0.0/8"]
`

func (a *app) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a server with a demonstration account",
		Long: "Runs a server on this machine alone, with one account of generated password and a\n" +
			"few dozen messages to try a mail program on. All of it is kept in a directory, where\n" +
			"the next demo finds it as it was left.",
		Args: arguments(),
	}
	dir := cmd.Flags().String("dir", "data", "`directory` for everything")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if a.configFile != "" {
			return usagef("--config cannot be given: the demo has its configuration in %s", *dir)
		}
		return a.demo(cmd, *dir)
	}
	return cmd
}

func (a *app) demo(cmd *cobra.Command, dir string) error {
	a.configFile = filepath.Join(dir, "tidemark.toml")
	if err := writeOnce(a.configFile, demoConfig); err != nil {
		return err
	}
	passwordFile := filepath.Join(dir, "demo-password")
	err := a.withNewService(cmd, func(ctx context.Context, s admin.Service) error {
		return demo.Prepare(ctx, s, passwordFile, time.Now())
	})
	if err != nil {
		return err
	}
	c, err := a.load()
	if err != nil {
		return err
	}
	return daemon.Run(cmd.Context(), daemon.Options{
		Config:  c,
		Reload:  a.load,
		Ready:   func(s daemon.Started) error { return printDemo(cmd.OutOrStdout(), s, dir, passwordFile) },
		Log:     cmd.ErrOrStderr(),
		Version: version(),
	})
}

// writeOnce makes a file and the directory for it, unless the file is there.
func writeOnce(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// printDemo says where the server is and how to look at it.
func printDemo(w io.Writer, s daemon.Started, dir, passwordFile string) error {
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return err
	}
	certificate := s.SelfSigned
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, certificate); err == nil {
			certificate = rel
		}
	}
	fmt.Fprintf(w, "\nTidemark is running; Ctrl-C stops it. Everything is kept in %s.\n\n", dir)
	t := newTable(w, "  User name", demo.User)
	t.row("  Password", string(password[:len(password)-1]))
	for _, row := range []struct {
		name  string
		addrs []net.Addr
	}{{"  IMAP with TLS", s.IMAPS}, {"  IMAP with STARTTLS", s.IMAP}, {"  LMTP", s.LMTP}} {
		for _, addr := range row.addrs {
			t.row(row.name, addr)
		}
	}
	t.row("  Certificate", certificate)
	t.row("  its SHA-256", s.Fingerprint)
	if err := t.flush(); err != nil || len(s.IMAPS) == 0 {
		return err
	}
	// The password stays out of the command line, which everybody on the machine sees.
	_, err = fmt.Fprintf(w, "\nList the inbox:\n\n"+
		"  printf 'user = \"%s:%%s\"' \"$(cat %s)\" | curl -K - --cacert %s imaps://%s/INBOX -X 'FETCH 1:* (FLAGS ENVELOPE)'\n\n",
		demo.User, passwordFile, certificate, s.IMAPS[0])
	return err
}
