package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
)

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [USER]",
		Short: "Verify everything that is stored",
		Long: "Reads the whole store, or one user's part, and verifies every checksum, every\n" +
			"reference and every count. Each problem is printed on a line of its own: the user,\n" +
			"the mailbox and the UIDs of the messages that it touches, and what is wrong.\n" +
			"Nothing is changed. The server may go on running.\n\n" +
			"The exit code is 0 if all is well and 3 if there are problems.",
		Args: optional("USER"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		user := ""
		if len(args) > 0 {
			user = args[0]
		}
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			return check(ctx, cmd, s, user, *asJSON)
		})
	}
	return cmd
}

func check(ctx context.Context, cmd *cobra.Command, s admin.Service, user string, asJSON bool) error {
	out := cmd.OutOrStdout()
	problems := []admin.Problem{}
	result, err := s.Check(ctx, user, func(p admin.Problem) {
		if asJSON {
			problems = append(problems, p)
			return
		}
		for _, place := range []string{p.User, p.Mailbox} {
			if place != "" {
				fmt.Fprintf(out, "%s: ", printable(place))
			}
		}
		if p.UIDs != "" {
			fmt.Fprintf(out, "UID %s: ", p.UIDs)
		}
		fmt.Fprintln(out, printable(p.Text))
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(out, struct {
			admin.CheckResult
			List []admin.Problem `json:"list"`
		}{result, problems})
	} else {
		_, err = fmt.Fprintf(out, "checked %s, %s, %s: %s\n",
			count(result.Accounts, "account", "accounts"), count(result.Mailboxes, "mailbox", "mailboxes"),
			count(result.Messages, "message", "messages"), count(result.Problems, "problem", "problems"))
	}
	if err == nil && result.Problems > 0 {
		err = &foundProblems{}
	}
	return err
}
