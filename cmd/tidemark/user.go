package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
)

func (a *app) userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list and change users",
	}
	cmd.AddCommand(
		a.userListCommand(),
		a.userAddCommand(),
		a.userPasswdCommand(),
		a.userEnableCommand("disable", "Forbid a user to log in, and take no mail for them", true),
		a.userEnableCommand("enable", "Allow a user to log in again", false),
		a.userMasterCommand("grant-master", "Allow a user to act as others, from auth.master_networks", true),
		a.userMasterCommand("revoke-master", "Forbid a user to act as others", false),
		a.userDeleteCommand(),
		a.appPasswordCommand(),
	)
	return cmd
}

func (a *app) userListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  arguments(),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			users, err := s.Users(ctx)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), users)
			}
			t := newTable(cmd.OutOrStdout(), "NAME", "STATE")
			for _, u := range users {
				state := "enabled"
				if u.Disabled {
					state = "disabled"
				}
				if u.Master {
					state += ", master"
				}
				t.row(u.Name, state)
			}
			return t.flush()
		})
	}
	return cmd
}

func (a *app) userAddCommand() *cobra.Command {
	return a.passwordCommand(&cobra.Command{
		Use:   "add NAME",
		Short: "Add a user",
		Long: "Adds a user, whose password is asked for.\n\n" +
			"The name is what the user logs in with and the part of mail addresses before the @,\n" +
			"or a whole address. With --hash-stdin a user of another server is taken over with the\n" +
			"password's hash, as Dovecot and crypt(3) write it; it is replaced by a stronger one with\n" +
			"the next login.",
	}, a.withNewService, admin.Service.AddUser, admin.Service.AddUserHash)
}

func (a *app) userPasswdCommand() *cobra.Command {
	return a.passwordCommand(&cobra.Command{
		Use:   "passwd NAME",
		Short: "Change a user's password",
	}, a.withService, admin.Service.SetPassword, admin.Service.SetHash)
}

// passwordCommand completes a command that gives a password to a user.
func (a *app) passwordCommand(cmd *cobra.Command, with func(*cobra.Command, func(context.Context, admin.Service) error) error,
	setPassword, setHash func(s admin.Service, ctx context.Context, name, secret string) error) *cobra.Command {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := arguments("NAME")(cmd, args)
		if len(args) > 1 {
			err = usagef("%w; the password is asked for, or read with --password-stdin", err)
		}
		return err
	}
	fromStdin := cmd.Flags().Bool("password-stdin", false, "read the password from the first line of standard input")
	isHash := cmd.Flags().Bool("hash-stdin", false, "read the hash of the password instead, such as {SSHA512}… or $6$…")
	cmd.MarkFlagsMutuallyExclusive("password-stdin", "hash-stdin")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set := setPassword
		if *isHash {
			set = setHash
		}
		secret, err := readPassword(cmd, *fromStdin || *isHash)
		if err != nil {
			return err
		}
		return with(cmd, func(ctx context.Context, s admin.Service) error {
			return set(s, ctx, args[0], secret)
		})
	}
	return cmd
}

func (a *app) userEnableCommand(name, short string, disabled bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " NAME",
		Short: short,
		Args:  arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return s.SetDisabled(ctx, args[0], disabled)
			})
		},
	}
}

func (a *app) userMasterCommand(name, short string, master bool) *cobra.Command {
	return &cobra.Command{
		Use:   name + " NAME",
		Short: short,
		Long: short + ".\n\n" +
			"A master user logs in by SASL with the other's name as the authorization identity and the\n" +
			"own name and password. Both names stand in the log.",
		Args: arguments("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				return s.SetMaster(ctx, args[0], master)
			})
		},
	}
}

func (a *app) userDeleteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete a user and all of their mail",
		Args:  arguments("NAME"),
	}
	yes := cmd.Flags().Bool("yes", false, "delete without asking")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if !*yes {
			if err := confirm(cmd, fmt.Sprintf("Delete user %q and all of their mail", printable(args[0]))); err != nil {
				return err
			}
		}
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			return s.DeleteUser(ctx, args[0])
		})
	}
	return cmd
}

// confirm asks before something that cannot be undone.
func confirm(cmd *cobra.Command, what string) error {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s? This cannot be undone. Type \"yes\": ", what)
	var answer string
	if _, err := fmt.Fscanln(cmd.InOrStdin(), &answer); err != nil || answer != "yes" {
		return errors.New("nothing was deleted; answer \"yes\" or give --yes")
	}
	return nil
}
