package main

import (
	"os"

	"github.com/spf13/cobra"

	"tidemark/internal/daemon"
)

func (a *app) serveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server",
		Long: "Runs the server until SIGTERM or SIGINT, which let running commands finish, say\n" +
			"goodbye to the clients and end it within ten seconds. SIGHUP reads certificates and\n" +
			"configuration again.\n\n" + exitCodes,
		Args: arguments(),
	}
	readyFD := cmd.Flags().Int("ready-fd", -1,
		"write \"READY=1\" and a line feed to this file `descriptor` when all listeners accept, and close it")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.load()
		if err != nil {
			return err
		}
		ready, err := openReadyFD(*readyFD)
		if err != nil {
			return err
		}
		return daemon.Run(cmd.Context(), daemon.Options{
			Config:  c,
			Reload:  a.load,
			Ready:   func(daemon.Started) error { return sayReady(ready) },
			Log:     cmd.ErrOrStderr(),
			Version: version(),
		})
	}
	return cmd
}

// openReadyFD returns the file behind a descriptor that the parent process has left
// open, or nil for a negative number.
func openReadyFD(fd int) (*os.File, error) {
	if fd < 0 {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), "ready-fd")
	if f == nil {
		return nil, usagef("--ready-fd %d: not a descriptor", fd)
	}
	if _, err := f.Stat(); err != nil {
		return nil, usagef("--ready-fd %d: not an open descriptor", fd)
	}
	return f, nil
}

func sayReady(f *os.File) error {
	if f == nil {
		return nil
	}
	defer f.Close()
	_, err := f.WriteString("READY=1\n")
	return err
}
