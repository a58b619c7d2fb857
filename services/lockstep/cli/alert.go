package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// kindHelp tells which kinds of alerts there are.
const kindHelp = "kinds of alerts: connection, lane, mapping, sync, burst, decision, error; all unless given; may be repeated"

func (c *CLI) alerts() *cobra.Command {
	group := group("alert", "Whom changes of state are told, and what was told")
	group.AddCommand(c.alertList(), c.alertAddWebhook(), c.alertAddMail(), c.alertChange(), c.alertRemove(), c.alertTest(), c.alertRecent())
	return group
}

// onAlerts makes a command over the client of alerts; the first argument is the
// tenant.
func (c *CLI) onAlerts(use, short string, args cobra.PositionalArgs, do func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: args, RunE: func(cmd *cobra.Command, args []string) error {
		client, err := newClient(c, consolev1connect.NewAlertServiceClient)
		if err != nil {
			return err
		}
		return do(cmd, client, args)
	}}
}

func targetRows(targets ...*consolev1.AlertTarget) [][]string {
	rows := [][]string{{"ID", "KIND", "NAME", "LEADS TO", "WANTS", "WORDS", "LAST", "ANSWER"}}
	for _, t := range targets {
		wants, words := strings.Join(t.GetKinds(), " "), "no"
		if wants == "" {
			wants = "all"
		}
		if t.GetWords() {
			words = "yes"
		}
		to := t.GetShown()
		if t.GetKind() == "mail" {
			to = strings.Join(t.GetAddresses(), " ")
		}
		rows = append(rows, []string{t.GetId(), t.GetKind(), t.GetName(), to, wants, words, t.GetLastState(), t.GetLastAnswer()})
	}
	return rows
}

func (c *CLI) alertList() *cobra.Command {
	return c.onAlerts("list TENANT", "List the targets of alerts", exactly(1), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		answer, err := client.ListAlertTargets(cmd.Context(), &consolev1.ListAlertTargetsRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, targetRows(answer.GetTargets()...))
	})
}

// saved saves a target and prints it, with its secret if one was made.
func (c *CLI) saved(cmd *cobra.Command, client consolev1connect.AlertServiceClient, r *consolev1.SaveAlertTargetRequest) error {
	answer, err := client.SaveAlertTarget(cmd.Context(), r)
	if err != nil {
		return err
	}
	rows := targetRows(answer.GetTarget())
	if secret := answer.GetSecret(); secret != "" {
		rows = append(rows, []string{""}, []string{"secret, shown this once: " + secret})
	}
	return c.print(cmd, answer, rows)
}

// targetFlags adds what may be said of a target.
func targetFlags(cmd *cobra.Command, r *consolev1.SaveAlertTargetRequest, words bool) {
	flags := cmd.Flags()
	flags.StringVar(&r.Name, "name", "", "what people call it; else it is named by where it leads")
	flags.StringArrayVar(&r.Kinds, "kind", nil, kindHelp)
	flags.BoolVar(&r.Words, "words", words, "with the systems' own words, without what looks like a contact's value")
}

func (c *CLI) alertAddWebhook() *cobra.Command {
	r := &consolev1.SaveAlertTargetRequest{Kind: "webhook"}
	cmd := c.onAlerts("add-webhook TENANT URL", "Tell a webhook; its secret is shown this once", exactly(2), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		r.Tenant, r.Url = args[0], args[1]
		return c.saved(cmd, client, r)
	})
	targetFlags(cmd, r, true)
	return cmd
}

func (c *CLI) alertAddMail() *cobra.Command {
	r := &consolev1.SaveAlertTargetRequest{Kind: "mail"}
	cmd := c.onAlerts("add-mail TENANT ADDRESS...", "Tell people by mail", from(1, -1), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		r.Tenant, r.Addresses = args[0], args[1:]
		return c.saved(cmd, client, r)
	})
	targetFlags(cmd, r, false)
	return cmd
}

func (c *CLI) alertChange() *cobra.Command {
	r := &consolev1.SaveAlertTargetRequest{}
	var all bool
	cmd := c.onAlerts("change TENANT TARGET", "Change a target; what is not given stays", exactly(2), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		listed, err := client.ListAlertTargets(cmd.Context(), &consolev1.ListAlertTargetsRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		r.Tenant, r.Id = args[0], args[1]
		for _, t := range listed.GetTargets() {
			if t.GetId() != r.Id {
				continue
			}
			if !cmd.Flags().Changed("kind") && !all {
				r.Kinds = t.GetKinds()
			}
			if !cmd.Flags().Changed("words") {
				r.Words = t.GetWords()
			}
		}
		return c.saved(cmd, client, r)
	})
	targetFlags(cmd, r, false)
	flags := cmd.Flags()
	flags.BoolVar(&all, "all-kinds", false, "all kinds of alerts")
	flags.StringVar(&r.Url, "url", "", "another address of a webhook")
	flags.StringArrayVar(&r.Addresses, "address", nil, "address of mail, in place of those there are; may be repeated")
	flags.BoolVar(&r.NewSecret, "new-secret", false, "make another secret for a webhook; the present one holds no more")
	cmd.MarkFlagsMutuallyExclusive("kind", "all-kinds")
	return cmd
}

func (c *CLI) alertRemove() *cobra.Command {
	return c.onAlerts("remove TENANT TARGET", "Remove a target with what it was still to be told", exactly(2), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		answer, err := client.RemoveAlertTarget(cmd.Context(), &consolev1.RemoveAlertTargetRequest{Tenant: args[0], Id: args[1]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"the target is removed"}})
	})
}

func (c *CLI) alertTest() *cobra.Command {
	return c.onAlerts("test TENANT TARGET", "Send a test now, and tell what is answered; exits with 1 where it did not arrive", exactly(2), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		answer, err := client.TestAlertTarget(cmd.Context(), &consolev1.TestAlertTargetRequest{Tenant: args[0], Id: args[1]})
		if err != nil {
			return err
		}
		rows, failed := [][]string{{"RECIPIENT", "DELIVERED", "ANSWER"}}, 0
		for _, t := range answer.GetTests() {
			delivered := "yes"
			if !t.GetDelivered() {
				delivered, failed = "no", failed+1
			}
			rows = append(rows, []string{t.GetRecipient(), delivered, t.GetAnswer()})
		}
		if err := c.print(cmd, answer, rows); err != nil || failed == 0 {
			return err
		}
		return fmt.Errorf("%d of %d tests did not arrive", failed, len(answer.GetTests()))
	})
}

func (c *CLI) alertRecent() *cobra.Command {
	var limit int
	cmd := c.onAlerts("recent TENANT", "What is open, what was told, and what became of it, the newest first", exactly(1), func(cmd *cobra.Command, client consolev1connect.AlertServiceClient, args []string) error {
		if limit < 1 {
			return usage("--limit must be above zero")
		}
		all := &consolev1.ListAlertsResponse{}
		err := pages(func(token string) (string, error) {
			answer, err := client.ListAlerts(cmd.Context(), &consolev1.ListAlertsRequest{Tenant: args[0], PageToken: token, PageSize: int32(min(500, limit-len(all.Alerts)))})
			if err != nil {
				return "", err
			}
			if token == "" {
				all.Open = answer.GetOpen()
			}
			all.Alerts = append(all.Alerts, answer.GetAlerts()...)
			if len(all.Alerts) >= limit {
				return "", nil
			}
			return answer.GetNextPageToken(), nil
		})
		if err != nil {
			return err
		}
		rows := [][]string{{"AT", "STATE", "KIND", "CONTACT", "WHAT", "DELIVERED"}}
		for _, o := range all.GetOpen() {
			rows = append(rows, []string{when(o.GetSinceMs()), "is open", o.GetKind(), o.GetContact(), o.GetText(), ""})
		}
		for _, a := range all.GetAlerts() {
			became := deliveryText(a.GetDeliveries())
			for _, o := range a.GetChanges() {
				rows = append(rows, []string{when(a.GetAtMs()), o.GetState(), o.GetKind(), o.GetContact(), o.GetText(), became})
			}
		}
		return c.print(cmd, all, rows)
	})
	cmd.Flags().IntVar(&limit, "limit", 50, "alerts at most")
	return cmd
}

// deliveryText is what became of an alert, in one line.
func deliveryText(all []*consolev1.AlertDelivery) string {
	if len(all) == 0 {
		return "to nobody"
	}
	delivered := 0
	for _, d := range all {
		if d.GetState() == "delivered" {
			delivered++
		}
	}
	text := fmt.Sprintf("%d of %d", delivered, len(all))
	for _, d := range all {
		if d.GetState() != "delivered" && d.GetAnswer() != "" {
			return text + ": " + d.GetState() + ": " + d.GetAnswer()
		}
	}
	return text
}
