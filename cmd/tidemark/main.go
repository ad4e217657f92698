// Command tidemark is an IMAP server and the commands to administer it.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
	"tidemark/internal/config"
	"tidemark/internal/daemon"
)

// The exit codes. They are part of the help text.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitProblems = 3
	exitStorage  = 74 // EX_IOERR of sysexits
	exitConfig   = 78 // EX_CONFIG of sysexits
)

const exitCodes = `Exit codes:
   0  done
   1  failed; the reason is on standard error
   2  the command was used wrongly
   3  the command worked and has found problems (check, import)
  74  the storage failed or is damaged
  78  the configuration is wrong`

// defaultConfigFile is read if it exists and no other was given.
const defaultConfigFile = "/etc/tidemark/tidemark.toml"

func main() { os.Exit(run(os.Args[1:])) }

// run executes one command line and returns the exit code.
func run(args []string) int {
	// What this program writes is mail, keys and passwords: nobody else's business.
	syscall.Umask(0o077)
	root := newRootCommand()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	if err == nil {
		return exitDone
	}
	code := exitCode(err)
	if !alreadyTold(err) {
		fmt.Fprintf(os.Stderr, "tidemark: %v\n", err)
	}
	if code == exitUsage {
		fmt.Fprintf(os.Stderr, "See \"%s --help\".\n", cmd.CommandPath())
	}
	return code
}

// alreadyTold says that the reason for a failure has been printed.
func alreadyTold(err error) bool {
	if _, helper := errors.AsType[*daemon.HelperError](err); helper {
		return true
	}
	found, ok := errors.AsType[*foundProblems](err)
	return ok && found.text == ""
}

// usageError says that a command line is not one of ours.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// foundProblems says that the command did its work and found something wrong.
type foundProblems struct{ text string }

func (e *foundProblems) Error() string { return e.text }

func exitCode(err error) int {
	helper, ofHelper := errors.AsType[*daemon.HelperError](err)
	refusal, refused := errors.AsType[*admin.Error](err)
	switch {
	case is[*usageError](err):
		return exitUsage
	case is[*foundProblems](err):
		return exitProblems
	case is[*config.Error](err):
		return exitConfig
	case ofHelper:
		return helper.Code
	case errors.Is(err, daemon.ErrStorageFailed), refused && refusal.Code == admin.Damaged:
		return exitStorage
	}
	return exitFailed
}

// is says whether there is an error of the type in the tree of err.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// app is what all commands share: the global flags.
type app struct {
	configFile string
	set        []string
}

func newRootCommand() *cobra.Command {
	a := &app{}
	root := &cobra.Command{
		Use:   "tidemark",
		Short: "An IMAP server",
		Long: "Tidemark keeps people's mail and serves it to their mail programs over IMAP.\n\n" +
			"\"tidemark serve\" is the server. The other commands administer it, the same way\n" +
			"whether it is running or not.\n\n" + exitCodes,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.configFile, "config", "", "configuration `file` (default "+defaultConfigFile+" if it exists)")
	flags.StringArrayVar(&a.set, "set", nil, "`section.key=value` of a setting, in place of the file's; may be repeated")
	root.AddCommand(
		a.serveCommand(),
		a.userCommand(),
		a.authCommand(),
		a.mailboxCommand(),
		a.importCommand(),
		a.exportCommand(),
		a.checkCommand(),
		a.configCommand(),
		a.demoCommand(),
		versionCommand(),
		a.helperCommand(),
	)
	groupsShowHelp(root)
	return root
}

// groupsShowHelp makes commands that only hold others refuse unknown ones.
func groupsShowHelp(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		groupsShowHelp(sub)
	}
	if cmd.RunE != nil {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return usagef("there is no command %q", cmd.CommandPath()+" "+args[0])
		}
		return cmd.Help()
	}
}

// arguments requires exactly the named arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			missing := names[len(args):]
			verb := "is"
			if len(missing) > 1 {
				verb = "are"
			}
			return usagef("%s %s missing", strings.Join(missing, " and "), verb)
		case len(args) > len(names):
			// It may be a password, and what is printed here is often kept.
			return usagef("%s too many; wanted: %s", count(len(args)-len(names), "argument", "arguments"),
				cmp.Or(strings.Join(names, " "), "none"))
		}
		return nil
	}
}

// optional allows the named argument to be left out.
func optional(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return arguments(name)(cmd, args)
	}
}

// load reads the configuration.
func (a *app) load() (*config.Config, error) {
	file := a.configFile
	if file == "" {
		if _, err := os.Stat(defaultConfigFile); !errors.Is(err, fs.ErrNotExist) {
			file = defaultConfigFile
		}
	}
	return config.Load(file, a.set)
}

// withService calls fn with the administration of the server that runs, or of the
// data directory if none does, which must have been used before. An interrupt ends fn's
// context.
func (a *app) withService(cmd *cobra.Command, fn func(context.Context, admin.Service) error) error {
	return a.openService(cmd, false, fn)
}

// withNewService is withService for commands that may be the first on a data directory.
func (a *app) withNewService(cmd *cobra.Command, fn func(context.Context, admin.Service) error) error {
	return a.openService(cmd, true, fn)
}

func (a *app) openService(cmd *cobra.Command, mayMake bool, fn func(context.Context, admin.Service) error) (err error) {
	c, err := a.load()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	service, closeService, err := daemon.OpenService(ctx, daemon.ServiceOptions{
		Config: c, Warnings: cmd.ErrOrStderr(), Make: mayMake, Helper: a.helperArguments(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeService()) }()
	return fn(ctx, service)
}

// helperArguments are those with which this program runs helperCommand on the same
// configuration.
func (a *app) helperArguments() []string {
	args := []string{helperName, "--config", a.configFile}
	for _, s := range a.set {
		args = append(args, "--set", s)
	}
	return args
}

const helperName = "administer"

// helperCommand is for this program itself: see daemon.RunHelper.
func (a *app) helperCommand() *cobra.Command {
	return &cobra.Command{
		Use:    helperName,
		Hidden: true,
		Args:   arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			return daemon.RunHelper(c, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}
