package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) holds() *cobra.Command {
	group := group("hold", "Bursts of changes that are held, and the question about them")
	group.AddCommand(
		c.holdList(), c.holdShow(),
		c.holdAnswer("go", "Go on: write what is held"),
		c.holdAnswer("drop", "Drop: the other side keeps what it has"),
		c.holdAnswer("undo", "Undo: the side of the burst gets its former values back"),
	)
	return group
}

// onHold makes a command over the holds' client with exactly n arguments.
func (c *CLI) onHold(use, short string, n int, do func(cmd *cobra.Command, client consolev1connect.HoldServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(c, consolev1connect.NewHoldServiceClient)
			if err != nil {
				return err
			}
			return do(cmd, client, args)
		},
	}
}

func holdRows(holds ...*consolev1.Hold) [][]string {
	rows := [][]string{{"HOLD", "FIELD", "INTO", "SOURCE", "SINCE", "STATE", "CONTACTS", "FILLED", "REPLACED", "CLEARED", "ANSWER", "BY", "DONE"}}
	for _, h := range holds {
		source, done := h.GetSource(), ""
		if source == "" {
			source = "not told"
		}
		if h.GetAnswer() != "" {
			done = fmt.Sprintf("%d of %d", h.GetDone(), h.GetTotal())
		}
		rows = append(rows, []string{
			h.GetId(), h.GetField(), h.GetInto(), source, time.UnixMilli(h.GetSinceMs()).UTC().Format(time.DateTime), h.GetState(), fmt.Sprint(h.GetContacts()),
			fmt.Sprint(h.GetFills()), fmt.Sprint(h.GetReplaces()), fmt.Sprint(h.GetClears()), h.GetAnswer(), h.GetAnsweredBy(), done,
		})
	}
	return rows
}

func (c *CLI) holdList() *cobra.Command {
	var all bool
	command := c.onHold("list TENANT", "List the bursts that are held", 1, func(cmd *cobra.Command, client consolev1connect.HoldServiceClient, args []string) error {
		answer, err := client.ListHolds(cmd.Context(), &consolev1.ListHoldsRequest{Tenant: args[0], All: all})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, holdRows(answer.GetHolds()...))
	})
	command.Flags().BoolVar(&all, "all", false, "with those that are over")
	return command
}

func (c *CLI) holdShow() *cobra.Command {
	var examples int32
	command := c.onHold("show TENANT HOLD", "Show what a hold keeps, and what the answers take", 2, func(cmd *cobra.Command, client consolev1connect.HoldServiceClient, args []string) error {
		answer, err := client.GetHold(cmd.Context(), &consolev1.GetHoldRequest{Tenant: args[0], Id: args[1], Examples: examples})
		if err != nil {
			return err
		}
		h := answer.GetHold()
		rows := append(holdRows(h), []string{""},
			[]string{fmt.Sprintf("%s written before the burst was recognised; more than %d within ten minutes are held", many(h.GetPassed(), "contact was", "contacts were"), h.GetThreshold())},
			[]string{fmt.Sprintf("go: %s, %.1f minutes; undo: %s, %.1f minutes; drop: none", many(h.GetGo().GetCalls(), "call", "calls"), h.GetGo().GetMinutes(), many(h.GetUndo().GetCalls(), "call", "calls"), h.GetUndo().GetMinutes())})
		if len(answer.GetExamples()) > 0 {
			rows = append(rows, []string{""}, []string{"CONTACT", "NAME", "HAS", "WOULD GET"})
		}
		for _, e := range answer.GetExamples() {
			rows = append(rows, []string{e.GetContact(), e.GetName(), e.GetBefore(), e.GetAfter()})
		}
		return c.print(cmd, answer, rows)
	})
	command.Flags().Int32Var(&examples, "examples", 10, "how many values to show, at most 100")
	return command
}

func (c *CLI) holdAnswer(name, short string) *cobra.Command {
	return c.onHold(name+" TENANT HOLD", short, 2, func(cmd *cobra.Command, client consolev1connect.HoldServiceClient, args []string) error {
		answer, err := client.AnswerHold(cmd.Context(), &consolev1.AnswerHoldRequest{Tenant: args[0], Id: args[1], Answer: name})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, holdRows(answer.GetHold()))
	})
}
