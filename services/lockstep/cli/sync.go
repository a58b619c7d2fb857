package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) syncs() *cobra.Command {
	group := group("sync", "Jobs that walk all contacts, and the sync of one contact")
	group.AddCommand(
		c.syncStart("first", "first_sync", "Read all contacts of one or both sides and bring them in step"),
		c.syncStart("reconcile", "reconcile", "Find and repair what was missed"),
		c.syncStart("apply", "apply", "Judge all known contacts by the present mapping"),
		c.syncList(), c.syncShow(), c.syncWatch(), c.syncRepairs(), c.syncSchedule(), c.syncContact(),
		c.syncWish("pause", "Hold a job where it is", "it pauses where it is", func(ctx context.Context, client consolev1connect.SyncServiceClient, tenant, id string) (proto.Message, error) {
			return client.PauseSync(ctx, &consolev1.PauseSyncRequest{Tenant: tenant, Id: id})
		}),
		c.syncWish("resume", "Let a held or failed job go on where it was", "it goes on where it was", func(ctx context.Context, client consolev1connect.SyncServiceClient, tenant, id string) (proto.Message, error) {
			return client.ResumeSync(ctx, &consolev1.ResumeSyncRequest{Tenant: tenant, Id: id})
		}),
		c.syncWish("cancel", "End a job for good", "it is cancelled; what was written stays", func(ctx context.Context, client consolev1connect.SyncServiceClient, tenant, id string) (proto.Message, error) {
			return client.CancelSync(ctx, &consolev1.CancelSyncRequest{Tenant: tenant, Id: id})
		}),
	)
	return group
}

// onSync makes a command over the syncs' client with exactly n arguments.
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

func (c *CLI) syncStart(name, kind, short string) *cobra.Command {
	var sides []string
	var full, wait bool
	command := c.onSync(name+" TENANT", short, 1, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := client.StartSync(cmd.Context(), &consolev1.StartSyncRequest{Tenant: args[0], Kind: kind, Sides: sides, Full: full})
		if err != nil {
			return err
		}
		if wait {
			return c.watch(cmd, client, args[0], answer.GetSync().GetId())
		}
		return c.print(cmd, answer, syncRows(answer.GetSync()))
	})
	command.Flags().BoolVar(&wait, "wait", false, "wait until it has ended; fails when the job fails")
	if kind != "apply" {
		command.Flags().StringSliceVar(&sides, "side", nil, "hubspot, aloware; both unless said")
	}
	if kind == "reconcile" {
		command.Flags().BoolVar(&full, "full", false, "read everything, not only what changed")
	}
	return command
}

func syncRows(syncs ...*consolev1.Sync) [][]string {
	rows := [][]string{{"JOB", "KIND", "STATE", "READ", "OF", "WRITTEN", "OF", "RATE", "LEFT", "ASKED BY", "ASKED AT", "ERROR"}}
	for _, s := range syncs {
		total, write, left := "?", "?", "?"
		if s.GetToWrite() >= 0 {
			write = fmt.Sprint(s.GetToWrite())
		}
		rate := s.GetRate()
		if s.GetWriting() {
			rate = s.GetWriteRate()
		}
		if s.GetTotal() >= 0 {
			total = fmt.Sprint(s.GetTotal())
		}
		if s.GetSecondsLeft() >= 0 {
			left = (time.Duration(s.GetSecondsLeft()) * time.Second).String()
		}
		rows = append(rows, []string{
			s.GetId(), s.GetKind(), s.GetState(), fmt.Sprint(s.GetDone()), total, fmt.Sprint(s.GetWritten()), write, fmt.Sprintf("%.0f/s", rate), left,
			s.GetAskedBy(), time.UnixMilli(s.GetAskedAtMs()).UTC().Format(time.DateTime), s.GetError(),
		})
	}
	return rows
}

func (c *CLI) syncList() *cobra.Command {
	return c.onSync("list TENANT", "List the newest jobs", 1, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := client.ListSyncs(cmd.Context(), &consolev1.ListSyncsRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, syncRows(answer.GetSyncs()...))
	})
}

func (c *CLI) syncShow() *cobra.Command {
	return c.onSync("show TENANT JOB", "Show a job and what came of it", 2, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := client.GetSync(cmd.Context(), &consolev1.GetSyncRequest{Tenant: args[0], Id: args[1]})
		if err != nil {
			return err
		}
		return c.show(cmd, answer.GetSync())
	})
}

// show prints a job, and what came of it by cause.
func (c *CLI) show(cmd *cobra.Command, s *consolev1.Sync) error {
	if err := c.print(cmd, s, syncRows(s)); err != nil || c.output == "json" || len(s.GetEffects()) == 0 {
		return err
	}
	rows := [][]string{{}, {"CAUSE", "COUNT"}}
	for _, e := range s.GetEffects() {
		rows = append(rows, []string{e.GetCause(), fmt.Sprint(e.GetCount())})
	}
	return table(cmd.OutOrStdout(), rows)
}

func (c *CLI) syncWatch() *cobra.Command {
	return c.onSync("watch TENANT JOB", "Follow a job to its end; fails when the job fails", 2, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		return c.watch(cmd, client, args[0], args[1])
	})
}

// watch follows a job to its end with a bar on a terminal. A stream lasts less
// than a minute, and is asked for again.
func (c *CLI) watch(cmd *cobra.Command, client consolev1connect.SyncServiceClient, tenant, id string) error {
	bar := newBar(cmd, "contacts")
	var last *consolev1.Sync
	for {
		stream, err := client.WatchSync(cmd.Context(), &consolev1.WatchSyncRequest{Tenant: tenant, Id: id})
		if err != nil {
			return err
		}
		for stream.Receive() {
			last = stream.Msg().GetSync()
			// Half of the way is to read, half to write.
			bar.show(last.GetDone()+last.GetWritten(), last.GetTotal()+last.GetToWrite())
		}
		if err := stream.Err(); err != nil {
			bar.end()
			return err
		}
		switch last.GetState() {
		case "done":
			bar.end()
			return c.show(cmd, last)
		case "failed", "cancelled":
			bar.end()
			if err := c.show(cmd, last); err != nil {
				return err
			}
			return fmt.Errorf("the job %s: %s", last.GetState(), last.GetError())
		}
	}
}

func (c *CLI) syncWish(name, short, done string, do func(context.Context, consolev1connect.SyncServiceClient, string, string) (proto.Message, error)) *cobra.Command {
	return c.onSync(name+" TENANT JOB", short, 2, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := do(cmd.Context(), client, args[0], args[1])
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{done}})
	})
}

func (c *CLI) syncRepairs() *cobra.Command {
	return c.onSync("repairs TENANT JOB", "List what exactly a job led to", 2, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		answer, err := client.ListRepairs(cmd.Context(), &consolev1.ListRepairsRequest{Tenant: args[0], Id: args[1]})
		if err != nil {
			return err
		}
		rows := [][]string{{"AT", "CONTACT", "FIELD", "SIDE", "WHAT", "WHY"}}
		for _, r := range answer.GetRepairs() {
			rows = append(rows, []string{time.UnixMilli(r.GetAtMs()).UTC().Format(time.DateTime), r.GetContact(), r.GetField(), r.GetSystem(), r.GetRule(), r.GetReason()})
		}
		return c.print(cmd, answer, rows)
	})
}

func (c *CLI) syncSchedule() *cobra.Command {
	var every time.Duration
	command := c.onSync("schedule TENANT", "Show how often the tenant is reconciled by itself, or set it", 1, func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
		if cmd.Flags().Changed("every") {
			if _, err := client.SetSchedule(cmd.Context(), &consolev1.SetScheduleRequest{Tenant: args[0], EverySeconds: int32(every.Seconds())}); err != nil {
				return err
			}
		}
		answer, err := client.GetSchedule(cmd.Context(), &consolev1.GetScheduleRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		shown, who := (time.Duration(answer.GetEverySeconds()) * time.Second).String(), "usual"
		if answer.GetEverySeconds() == 0 {
			shown = "never"
		}
		if answer.GetSet() {
			who = "set for this tenant"
		}
		return c.print(cmd, answer, [][]string{{"EVERY", "WHY"}, {shown, who}})
	})
	command.Flags().DurationVar(&every, "every", 0, "set the time between two reconciliations; 0 turns them off")
	return command
}

func (c *CLI) syncContact() *cobra.Command {
	return c.onSync("contact TENANT SYSTEM:ID", "Sync one contact with HubSpot now, and tell what changed", 2,
		func(cmd *cobra.Command, client consolev1connect.SyncServiceClient, args []string) error {
			system, id, ok := strings.Cut(args[1], ":")
			if !ok {
				return usage("%q: name the contact as hubspot:<id> or aloware:<id>", args[1])
			}
			answer, err := client.SyncContact(cmd.Context(), &consolev1.SyncContactRequest{Tenant: args[0], System: system, Id: id})
			if err != nil {
				return err
			}
			rows := [][]string{{"FIELD", "SIDE", "VALUE", "OUTCOME", "WHY"}}
			for _, f := range answer.GetChanges() {
				rows = append(rows, []string{f.GetField(), f.GetSystem(), f.GetValue(), f.GetOutcome(), f.GetReason()})
			}
			if len(answer.GetChanges()) == 0 && c.output == "table" {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "in step: nothing had to change")
				return err
			}
			return c.print(cmd, answer, rows)
		})
}
