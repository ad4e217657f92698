package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"tidemark/imap"
	"tidemark/internal/admin"
	"tidemark/internal/maildir"
	"tidemark/internal/transfer"
)

func (a *app) importCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import USER PATH",
		Short: "Copy mail from a Maildir or mbox files into a user's mailboxes",
		Long: "Copies all mailboxes with their messages, flags and dates. PATH is a Maildir of\n" +
			"Dovecot or Courier, a directory of mbox files, or one mbox file.\n\n" +
			"An import that was broken off is taken up again by running it once more: nothing is\n" +
			"stored twice, even if the messages were moved or deleted since.\n\n" +
			"The exit code is 3 if there were messages that could not be taken. They are listed.",
		Args: arguments("USER", "PATH"),
	}
	format := cmd.Flags().String("format", "", "`layout` of PATH: maildir, maildir-fs (Dovecot's LAYOUT=fs) or mbox (default: what it looks like)")
	mailbox := cmd.Flags().String("mailbox", imap.Inbox, "`name` of the mailbox for the messages of a single mbox file")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		source, err := openSource(args[1], *format, *mailbox)
		if err != nil {
			return err
		}
		defer source.Close()
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			return copyMail(ctx, cmd, admin.NewTarget(s, args[0]), source, *asJSON)
		})
	}
	return cmd
}

// mailSource is a source that is open.
type mailSource interface {
	transfer.Source
	io.Closer
}

func openSource(path, format, mailbox string) (mailSource, error) {
	switch format {
	case "":
		if looksLikeMaildir(path) {
			return transfer.OpenMaildir(path, maildir.Auto)
		}
		return transfer.OpenMbox(path, mailbox)
	case "maildir":
		return transfer.OpenMaildir(path, maildir.PlusPlus)
	case "maildir-fs":
		return transfer.OpenMaildir(path, maildir.FS)
	case "mbox":
		return transfer.OpenMbox(path, mailbox)
	}
	return nil, unknownFormat(format)
}

func unknownFormat(format string) error {
	return usagef("--format %q is unknown; allowed are maildir, maildir-fs and mbox", format)
}

// looksLikeMaildir says whether there is a "cur" in the directory or one level below.
func looksLikeMaildir(path string) bool {
	if _, err := os.Stat(filepath.Join(path, "cur")); err == nil {
		return true
	}
	for _, pattern := range []string{"*/cur", ".*/cur"} {
		if found, err := filepath.Glob(filepath.Join(path, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// copyMail copies and reports.
func copyMail(ctx context.Context, cmd *cobra.Command, to transfer.Target, from transfer.Source, asJSON bool) error {
	bar := newProgress(cmd.ErrOrStderr())
	report, err := transfer.Copy(ctx, to, from, transfer.Options{Progress: bar.show})
	bar.end()
	if perr := printReport(cmd.OutOrStdout(), report, asJSON); perr != nil && err == nil {
		err = perr
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("broken off; run the same command again to go on from here")
	case err != nil:
		return err
	case len(report.Problems) > 0:
		return &foundProblems{}
	}
	return nil
}
