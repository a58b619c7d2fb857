// Package lockstep is the single binary: every service in one process with a
// NATS server and a PostgreSQL of its own, for trying Lockstep and for small
// installations, and the operators' commands.
package lockstep

import (
	"context"
	"fmt"
	"os"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/seal"
)

const usage = `lockstep keeps contact properties of Aloware and HubSpot in step.

  lockstep standalone [--demo]   run everything in one process; --demo adds both
                                 systems as simulators with a connected tenant
  lockstep migrate               bring the schema of DATABASE_URL up to date
  lockstep new-key               print a new key for LOCKSTEP_SEAL_KEY
  lockstep help                  this text

README.md tells the settings.
`

// Main runs the command that the arguments name.
func Main() {
	command := "help"
	if len(os.Args) > 1 {
		command = os.Args[1]
	}
	switch command {
	case "standalone":
		demo, err := standaloneFlags(os.Args[2:])
		if err != nil {
			fmt.Fprintf(os.Stderr, "lockstep: %v\n", err)
			os.Exit(2)
		}
		daemon.Main("lockstep", func(ctx context.Context) error { return standalone(ctx, demo) })
	case "migrate":
		daemon.Main("lockstep", migrate)
	case "new-key":
		daemon.Main("lockstep", func(context.Context) error {
			key, err := seal.NewKey()
			if err == nil {
				fmt.Println(key)
			}
			return err
		})
	case "help", "--help", "-h":
		fmt.Print(usage)
	default:
		fmt.Fprintf(os.Stderr, "lockstep: unknown command %q\n\n%s", command, usage)
		os.Exit(2)
	}
}

func standaloneFlags(args []string) (demo bool, err error) {
	for _, arg := range args {
		if arg != "--demo" {
			return false, fmt.Errorf("standalone: unknown argument %q: only --demo is known; settings are environment variables", arg)
		}
		demo = true
	}
	return demo, nil
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
