package cli

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// directions are the words of a direction on the command line.
var directions = map[string]consolev1.Direction{
	"both": consolev1.Direction_DIRECTION_BOTH, "to_aloware": consolev1.Direction_DIRECTION_TO_ALOWARE, "to_hubspot": consolev1.Direction_DIRECTION_TO_HUBSPOT,
}

func direction(d consolev1.Direction) string {
	for word, known := range directions {
		if known == d {
			return word
		}
	}
	return "none"
}

// arrow shows a direction with Aloware on the left.
func arrow(d consolev1.Direction) string {
	return map[consolev1.Direction]string{
		consolev1.Direction_DIRECTION_BOTH: "↔", consolev1.Direction_DIRECTION_TO_ALOWARE: "←", consolev1.Direction_DIRECTION_TO_HUBSPOT: "→",
	}[d]
}

func day(ms int64) string {
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04 UTC")
}

func (c *CLI) mappingClient() (consolev1connect.MappingServiceClient, error) {
	return newClient(c, consolev1connect.NewMappingServiceClient)
}

// newClient makes the client of a service.
func newClient[T any](c *CLI, make func(connect.HTTPClient, string, ...connect.ClientOption) T) (client T, err error) {
	var transport *http.Client
	transport, server, option, err := c.client()
	if err != nil {
		return client, err
	}
	return make(transport, server, option), nil
}

func (c *CLI) mappings() *cobra.Command {
	group := group("mapping", "What is kept in step, field by field")
	group.AddCommand(
		c.mappingShow(), c.mappingSet(), c.mappingAdd(), c.mappingRemove(), c.mappingFilter(), c.mappingReset(), c.mappingRestore(),
		c.mappingVersions(), c.mappingDiff(), c.mappingPreview(), c.mappingProperties(), c.mappingCreateProperty(),
	)
	return group
}

// group is a command that only has commands.
func group(use, short string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("%s: unknown command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
}

// run makes a command over the mapping's client with exactly n arguments.
func (c *CLI) run(use, short string, n int, do func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.mappingClient()
			if err != nil {
				return err
			}
			return do(cmd, client, args)
		},
	}
}

func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage("%s: %d arguments, want %d: %s", cmd.CommandPath(), len(args), n, cmd.UseLine())
		}
		return nil
	}
}

func (c *CLI) mappingShow() *cobra.Command {
	var version int64
	cmd := c.run("show TENANT", "Show all mappings", 1, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		answer, err := client.GetMapping(cmd.Context(), &consolev1.GetMappingRequest{Tenant: args[0], Version: version})
		if err != nil {
			return err
		}
		rows := [][]string{{"KEY", "CATEGORY", "ALOWARE", "", "HUBSPOT", "TYPE", "POLICY", "STATE", "WRITTEN", "SETTINGS"}}
		for _, m := range answer.GetMappings() {
			rows = append(rows, []string{m.GetKey(), m.GetCategory(), m.GetAlowareLabel(), arrow(m.GetDirection()), m.GetHubspot(), m.GetType(), m.GetPolicy(), state(m), written(m.GetState()), settings(m)})
		}
		if f := answer.GetFilter(); len(f.GetConditions()) > 0 {
			rows = append(rows, []string{"(only contacts with: " + conditions(f) + ")"})
		}
		return c.print(cmd, answer, rows)
	})
	cmd.Flags().Int64Var(&version, "version", 0, "an earlier version; 0 is the one in force")
	return cmd
}

func parseSystem(text string) (consolev1.System, error) {
	switch text {
	case "hubspot":
		return consolev1.System_SYSTEM_HUBSPOT, nil
	case "aloware":
		return consolev1.System_SYSTEM_ALOWARE, nil
	}
	return 0, usage("system %q: want hubspot or aloware", text)
}

// state is how a mapping is doing, in a few words.
func state(m *consolev1.Mapping) string {
	var words []string
	for _, n := range []struct {
		contacts int64
		what     string
	}{{m.GetState().GetRefused(), "refused"}, {m.GetState().GetRewritten(), "set back"}, {m.GetState().GetToDecide(), "to decide"}, {m.GetState().GetDrifted(), "put right by the last reconciliation"}} {
		if n.contacts > 0 {
			words = append(words, fmt.Sprintf("%d %s", n.contacts, n.what))
		}
	}
	switch {
	case m.GetStopped() != "":
		words = append(words, "at rest: "+m.GetStopped())
	case m.GetLocked():
		words = append(words, "locked")
	case m.GetCannotWrite() != "":
		words = append(words, "not written: "+m.GetCannotWrite())
	}
	return strings.Join(words, "; ")
}

// written is what was written of a mapping today and last, with Aloware on the
// left.
func written(s *consolev1.MappingState) string {
	var words []string
	for _, side := range []struct {
		arrow string
		*consolev1.Written
	}{{"←", s.GetAloware()}, {"→", s.GetHubspot()}} {
		if side.GetLastMs() != 0 {
			words = append(words, fmt.Sprintf("%s %d today, last %s", side.arrow, side.GetToday(), day(side.GetLastMs())))
		}
	}
	return strings.Join(words, "; ")
}
