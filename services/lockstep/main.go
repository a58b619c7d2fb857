// Package lockstep is the single binary: every service in one process with a
// NATS server and a PostgreSQL of its own, for trying Lockstep and for small
// installations, and the operators' commands.
package lockstep

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/services/lockstep/cli"
)

// Main runs the command that the arguments name.
func Main() {
	root := command()
	if err := root.ExecuteContext(context.Background()); err != nil {
		fmt.Fprintf(os.Stderr, "lockstep: %v\n", err)
		os.Exit(cli.ExitCode(err))
	}
}

// command is the command line.
func command() *cobra.Command {
	root := &cobra.Command{
		Use: "lockstep", Short: "Keep contact properties of Aloware and HubSpot in step",
		Long:          "Lockstep keeps contact properties of Aloware and HubSpot in step. README.md tells the settings.",
		SilenceErrors: true, SilenceUsage: true,
	}
	var demo bool
	standaloneCommand := &cobra.Command{
		Use: "standalone", Short: "Run everything in one process", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			daemon.Main("lockstep", func(ctx context.Context) error { return standalone(ctx, demo) })
		},
	}
	standaloneCommand.Flags().BoolVar(&demo, "demo", false, "add both systems as simulators, with a connected tenant")
	root.AddCommand(standaloneCommand,
		&cobra.Command{
			Use: "migrate", Short: "Bring the schema of DATABASE_URL up to date", Args: cobra.NoArgs,
			Run: func(*cobra.Command, []string) { daemon.Main("lockstep", migrate) },
		},
		&cobra.Command{
			Use: "new-key", Short: "Print a new key for LOCKSTEP_SEAL_KEY", Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				key, err := seal.NewKey()
				if err == nil {
					fmt.Fprintln(cmd.OutOrStdout(), key)
				}
				return err
			},
		})
	(&cli.CLI{TokenFile: filepath.Join(dataFolderSetting(), operatorTokenFile)}).Add(root)
	return root
}

// dataFolderSetting is the folder that a standalone process on this machine uses.
func dataFolderSetting() string {
	if folder := os.Getenv("LOCKSTEP_DATA"); folder != "" {
		return folder
	}
	return dataFolder()
}

func migrate(ctx context.Context) error {
	var env daemon.Env
	url := env.Required("DATABASE_URL", "the PostgreSQL database, postgres://user:password@host:5432/name")
	if err := env.Err(); err != nil {
		return err
	}
	db, err := postgres.Open(ctx, url, postgres.Options{})
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Migrate(ctx)
}
