package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
)

func (a *app) mailboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mailbox",
		Short: "List, create, rename and delete a user's mailboxes",
	}
	cmd.AddCommand(a.mailboxListCommand(), a.mailboxCreateCommand(), a.mailboxRenameCommand(), a.mailboxDeleteCommand())
	return cmd
}

func (a *app) mailboxListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list USER",
		Short: "List a user's mailboxes with their counts",
		Args:  arguments("USER"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			mailboxes, err := s.Mailboxes(ctx, args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), mailboxes)
			}
			t := newTable(cmd.OutOrStdout(), "NAME", "MESSAGES", "UNSEEN", "SIZE")
			for _, m := range mailboxes {
				t.row(m.Name, m.Messages, m.Unseen, octets(m.Size))
			}
			return t.flush()
		})
	}
	return cmd
}

func (a *app) mailboxCreateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "create USER MAILBOX",
		Short: "Create a mailbox",
		Long:  "Creates a mailbox. \"/\" in its name separates levels, and levels that are missing\nare created too.",
		Args:  arguments("USER", "MAILBOX"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return s.CreateMailbox(ctx, args[0], args[1])
			})
		},
	}
}

func (a *app) mailboxRenameCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rename USER FROM TO",
		Short: "Rename a mailbox and what is below it",
		Args:  arguments("USER", "FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return s.RenameMailbox(ctx, args[0], args[1], args[2])
			})
		},
	}
}

func (a *app) mailboxDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete USER MAILBOX",
		Short: "Delete a mailbox and its messages",
		Args:  arguments("USER", "MAILBOX"),
	}
	yes := cmd.Flags().Bool("yes", false, "delete without asking")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			question := fmt.Sprintf("Delete mailbox %q of %q and its messages", printable(args[1]), printable(args[0]))
			if err := confirm(cmd, question); err != nil {
				return err
			}
		}
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			return s.DeleteMailbox(ctx, args[0], args[1])
		})
	}
	return cmd
}
