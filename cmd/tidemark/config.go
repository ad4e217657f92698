package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tidemark/internal/config"
	"tidemark/internal/daemon"
)

func (a *app) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print every setting with its meaning, default and present value",
		Long: "Prints every setting with its meaning, its default and its present value, in the\n" +
			"form of a configuration file.",
		Args: arguments(),
	}
	asJSON := jsonFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := a.load()
		if err != nil {
			return err
		}
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), c.Settings())
		}
		return c.WriteValues(cmd.OutOrStdout())
	}
	cmd.AddCommand(a.configCheckCommand(), configExampleCommand())
	return cmd
}

func (a *app) configCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Say whether the configuration is right",
		Long: "Reads the configuration and the files that it names as the server would, and reports\n" +
			"every mistake with its place. Run it as the server's user, who may not read all that\n" +
			"root may. The exit code is 0 if there is no mistake and 78 otherwise.",
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.load()
			if err != nil {
				return err
			}
			if err := daemon.CheckConfig(c, cmd.ErrOrStderr()); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the configuration is right")
			return err
		},
	}
}

func configExampleCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "example",
		Short: "Print a configuration file to begin with",
		Args:  arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return config.WriteExample(cmd.OutOrStdout())
		},
	}
}
