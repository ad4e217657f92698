package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
)

func (a *app) appPasswordCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "app-password",
		Short: "Add, list and revoke passwords for single devices",
		Long: "An app password is a further password of a user, made up by the server, for one device or\n" +
			"program. It opens the mail like the user's own and can be revoked alone.",
	}
	cmd.AddCommand(a.appPasswordAddCommand(), a.appPasswordListCommand(), a.appPasswordRevokeCommand())
	return cmd
}

func (a *app) appPasswordAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add USER NAME",
		Short: "Make up an app password and print it, once",
		Args:  arguments("USER", "NAME"),
	}
	asJSON := jsonFlag(cmd)
	days := cmd.Flags().Uint16("days", 0, "how many `days` the password is good for; 0 means until it is revoked")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var expires time.Time
		if *days > 0 {
			expires = time.Now().Add(time.Duration(*days) * 24 * time.Hour).Truncate(time.Second).UTC()
		}
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			password, err := s.AddAppPassword(ctx, args[0], args[1], expires)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), struct {
					Name     string    `json:"name"`
					Password string    `json:"password"`
					Expires  time.Time `json:"expires,omitzero"`
				}{args[1], password, expires})
			}
			fmt.Fprintln(cmd.OutOrStdout(), password)
			return nil
		})
	}
	return cmd
}

func (a *app) appPasswordListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list USER",
		Short: "List a user's app passwords and when they were last used",
		Long:  "Lists a user's app passwords and the hour in which each was last used.",
		Args:  arguments("USER"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			list, err := s.AppPasswords(ctx, args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			t := newTable(cmd.OutOrStdout(), "NAME", "CREATED", "LAST USED (HOUR)", "EXPIRES")
			for _, p := range list {
				t.row(p.Name, moment(p.Created), hour(p.LastUsed), moment(p.Expires))
			}
			return t.flush()
		})
	}
	return cmd
}

func (a *app) appPasswordRevokeCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke USER NAME",
		Short: "Revoke an app password, and end the user's sessions",
		Args:  arguments("USER", "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return s.RevokeAppPassword(ctx, args[0], args[1])
			})
		},
	}
}

// hour is a time that is known to the hour.
func hour(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15h")
}

// moment is a time for people, in their zone.
func moment(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Local().Format("2006-01-02 15:04")
}
