package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"tidemark/internal/admin"
	"tidemark/internal/auth"
)

func (a *app) authCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "auth",
		Short: "Show and lift what slows down logins",
		Long: "After failed logins the next ones are slowed down, and in the end refused for a minute: for an\n" +
			"address (or an IPv6 /64), for the network around it (/24 or /48), and for a user whom strangers\n" +
			"try. These commands ask the server that runs; nothing of it outlives the server.",
	}
	cmd.AddCommand(a.authListCommand(), a.authWhyCommand(), a.authUnbanCommand())
	return cmd
}

func (a *app) authListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List who is slowed down, the longest delay first",
		Args:  arguments(),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			list, err := s.Penalties(ctx)
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			return printPenalties(cmd, list)
		})
	}
	return cmd
}

func (a *app) authWhyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "why ADDRESS|USER",
		Short: "Say what keeps logins from an address or of a user back",
		Args:  arguments("ADDRESS or USER"),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
			standing, err := s.WhySlow(ctx, args[0])
			if err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), standing)
			}
			if standing.Obstacle != "" {
				fmt.Fprintln(cmd.OutOrStdout(), printable(standing.Obstacle))
			}
			if len(standing.Penalties) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "no failed logins are held against it")
				return nil
			}
			return printPenalties(cmd, standing.Penalties)
		})
	}
	return cmd
}

func (a *app) authUnbanCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "unban NETWORK|USER",
		Short: "Forget the failed logins of an address or network, or of a user",
		Args:  arguments("NETWORK or USER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withService(cmd, func(ctx context.Context, s admin.Service) error {
				n, err := s.Unban(ctx, args[0])
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), count(n, "penalty", "penalties"), "lifted")
				}
				return err
			})
		},
	}
}

func printPenalties(cmd *cobra.Command, list []auth.Penalty) error {
	t := newTable(cmd.OutOrStdout(), "NETWORK", "USER", "FAILURES", "DELAY", "LAST FAILURE")
	for _, p := range list {
		network := "any"
		if p.Network.IsValid() {
			network = p.Network.String()
		}
		t.row(network, cmp.Or(p.User, "any"), p.Failures, p.Delay.Round(time.Second), moment(p.Last))
	}
	return t.flush()
}
