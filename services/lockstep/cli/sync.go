package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) syncs() *cobra.Command {
	group := group("sync", "Jobs over all contacts, and syncs of single ones")
	group.AddCommand(c.syncStart(), c.syncList(), c.syncWatch(), c.syncTurn("pause"), c.syncTurn("resume"), c.syncTurn("cancel"), c.syncContact())
	return group
}

func (c *CLI) onSync(use, short string, n int, do func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(c, consolev1connect.NewSyncServiceClient)
			if err != nil {
				return err
			}
			return do(cmd, client, args)
		},
	}
}

func syncRows(list ...*consolev1.Sync) [][]string {
	rows := [][]string{{"ID", "KIND", "STATE", "CONTACTS", "REPAIRED", "RATE", "LEFT", "BY", "NOTE"}}
	for _, s := range list {
		left := ""
		if s.GetSecondsLeft() > 0 {
			left = (time.Duration(s.GetSecondsLeft()) * time.Second).String()
		}
		rows = append(rows, []string{
			fmt.Sprint(s.GetId()), s.GetKind(), s.GetState(), fmt.Sprintf("%d of %d", s.GetLooked(), s.GetTotal()), fmt.Sprint(s.GetRepaired()),
			fmt.Sprintf("%.0f/s", s.GetRate()), left, s.GetRequestedBy(), s.GetError(),
		})
	}
	return rows
}

func (c *CLI) syncStart() *cobra.Command {
	var sides []string
	var wait bool
	cmd := c.onSync("start TENANT KIND", "Start a job: first_sync, reconcile, or apply (the mapping in force, to all contacts)", 2,
		func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
			request := &consolev1.StartSyncRequest{Tenant: args[0], Kind: args[1]}
			for _, text := range sides {
				system, err := parseSystem(text)
				if err != nil {
					return err
				}
				request.Sides = append(request.Sides, system)
			}
			answer, err := client.StartSync(cmd.Context(), request)
			if err != nil {
				return err
			}
			if wait {
				return c.watch(cmd, client, args[0], answer.GetSync().GetId())
			}
			return c.print(cmd, answer, syncRows(answer.GetSync()))
		})
	cmd.Flags().StringSliceVar(&sides, "side", nil, "hubspot, aloware or both; all that the connection can list if not given")
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until it is done, with a progress bar on a terminal")
	return cmd
}

func (c *CLI) syncList() *cobra.Command {
	return c.onSync("list TENANT", "List jobs, newest first", 1, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := client.ListSyncs(cmd.Context(), &consolev1.ListSyncsRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, syncRows(answer.GetSyncs()...))
	})
}

func (c *CLI) syncWatch() *cobra.Command {
	return c.onSync("watch TENANT ID", "Follow a job until it ends", 2, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		id, err := parseID(args[1])
		if err != nil {
			return err
		}
		return c.watch(cmd, client, args[0], id)
	})
}

func parseID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, usage("id %q: want a number; see lockstep sync list", text)
	}
	return id, nil
}

// watch follows a job and tells how it ended; one that did not end well is an
// error.
func (c *CLI) watch(cmd *cobra.Command, client consolev1connect.SyncServiceClient, tenant string, id int64) error {
	stream, err := client.WatchSync(cmd.Context(), &consolev1.WatchSyncRequest{Tenant: tenant, Id: id})
	if err != nil {
		return err
	}
	defer stream.Close()
	bar := newBar(cmd, "contacts")
	last := &consolev1.WatchSyncResponse{}
	for stream.Receive() {
		last = stream.Msg()
		bar.show(last.GetSync().GetLooked(), last.GetSync().GetTotal())
	}
	bar.end()
	if err := stream.Err(); err != nil {
		return err
	}
	if err := c.print(cmd, last, syncRows(last.GetSync())); err != nil {
		return err
	}
	if state := last.GetSync().GetState(); state != "done" {
		return fmt.Errorf("job %d is %s", id, state)
	}
	return nil
}

func (c *CLI) syncTurn(action string) *cobra.Command {
	return c.onSync(action+" TENANT ID", map[string]string{"pause": "Pause a job", "resume": "Let a paused job go on where it was", "cancel": "End a job"}[action], 2,
		func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
			id, err := parseID(args[1])
			if err != nil {
				return err
			}
			answer, err := client.TurnSync(cmd.Context(), &consolev1.TurnSyncRequest{Tenant: args[0], Id: id, Action: action})
			if err != nil {
				return err
			}
			return c.print(cmd, answer, syncRows(answer.GetSync()))
		})
}

func (c *CLI) syncContact() *cobra.Command {
	return c.onSync("contact TENANT SYSTEM ID", "Pull one contact from HubSpot now, and tell what it changed", 3,
		func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
			system, err := parseSystem(args[1])
			if err != nil {
				return err
			}
			answer, err := client.SyncContact(cmd.Context(), &consolev1.SyncContactRequest{Tenant: args[0], System: system, ContactId: args[2]})
			if err != nil {
				return err
			}
			rows := [][]string{{"FIELD", "INTO", "VALUE", "RESULT", "REASON"}}
			for _, d := range answer.GetDifferences() {
				into := "hubspot"
				if d.GetSystem() == consolev1.System_SYSTEM_ALOWARE {
					into = "aloware"
				}
				rows = append(rows, []string{d.GetKey(), into, d.GetValue(), d.GetResult(), d.GetReason()})
			}
			if len(answer.GetDifferences()) == 0 {
				rows = [][]string{{"Both sides are in step; nothing was written."}}
			}
			return c.print(cmd, answer, rows)
		})
}
