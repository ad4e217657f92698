package main

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
	"tidemark/internal/maildir"
	"tidemark/internal/transfer"
)

func (a *app) exportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export USER PATH",
		Short: "Copy a user's mailboxes to a Maildir or mbox files",
		Long: "Copies all mailboxes with their messages, flags and dates. PATH is made where it is\n" +
			"missing. Into a Maildir that an earlier export has made only what is new is copied,\n" +
			"and flags are brought up to date; nothing is ever deleted there.",
		Args: arguments("USER", "PATH"),
	}
	format := cmd.Flags().String("format", "maildir", "`layout` of PATH: maildir, maildir-fs (Dovecot's LAYOUT=fs) or mbox")
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			// Before anything is made: is there such a user?
			if _, err := s.Mailboxes(ctx, args[0]); err != nil {
				return err
			}
			return export(ctx, cmd, s, args[0], args[1], *format, *asJSON)
		})
	}
	return cmd
}

// mailTarget is a target that is open.
type mailTarget interface {
	transfer.Target
	io.Closer
}

func export(ctx context.Context, cmd *cobra.Command, s admin.Service, user, path, format string, asJSON bool) (err error) {
	target, err := openTarget(path, format)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	return copyMail(ctx, cmd, target, admin.NewSource(s, user), asJSON)
}

func openTarget(path, format string) (mailTarget, error) {
	switch format {
	case "maildir":
		return transfer.CreateMaildir(path, maildir.PlusPlus)
	case "maildir-fs":
		return transfer.CreateMaildir(path, maildir.FS)
	case "mbox":
		return transfer.CreateMbox(path)
	}
	return nil, unknownFormat(format)
}
