package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// inbox are the commands of the error inbox, with the filter that they share.
type inbox struct {
	scope
	filter consolev1.ProblemFilter
	field  string
	all    bool
}

func (i *inbox) run(f func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := newClient(i.CLI, consolev1connect.NewInboxServiceClient)
		if err != nil {
			return err
		}
		i.tenant = args[0]
		if cmd.Flags().Changed("field") {
			i.filter.Field = &i.field
		}
		return f(cmd, client, args[1:])
	}
}

// chosen refuses to do something to everything unless that is said.
func (i *inbox) chosen() error {
	f := &i.filter
	if !i.all && f.Kind == "" && f.Reason == "" && f.System == "" && f.Field == nil && f.Contact == "" {
		return usage("say which: --contact, --reason, --system, --field or --kind, or --all")
	}
	return nil
}

// filtered adds the flags that choose problems.
func (i *inbox) filtered(command *cobra.Command) *cobra.Command {
	flags := command.Flags()
	flags.StringVar(&i.filter.Kind, "kind", "", "refused, conflict, review, absent, rewritten or waiting")
	flags.StringVar(&i.filter.Reason, "reason", "", "reason, as the list shows it")
	flags.StringVar(&i.filter.System, "system", "", "hubspot or aloware")
	flags.StringVar(&i.field, "field", "", "mapping key; empty is the contact as a whole")
	flags.StringVar(&i.filter.Contact, "contact", "", "key of one contact")
	return command
}

func (c *CLI) inbox() *cobra.Command {
	group := group("inbox", "What could not be written, and why")
	i := &inbox{scope: scope{CLI: c}}
	list := i.filtered(&cobra.Command{
		Use: "list TENANT", Short: "List problems by cause", Args: from(0, 0),
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, _ []string) error {
			answer, err := client.ListProblemGroups(cmd.Context(), &consolev1.ListProblemGroupsRequest{Tenant: i.tenant, Filter: &i.filter})
			if err != nil {
				return err
			}
			rows := [][]string{{"KIND", "REASON", "SYSTEM", "FIELD", "PROBLEMS", "DISMISSED", "SINCE", "EXAMPLE"}}
			for _, g := range answer.GetGroups() {
				rows = append(rows, []string{
					g.GetKind(), g.GetReason(), g.GetSystem(), g.GetField(), fmt.Sprint(g.GetProblems()), fmt.Sprint(g.GetDismissed()), when(g.GetOldestMs()), g.GetExample(),
				})
			}
			return i.print(cmd, answer, rows)
		}),
	})
	show := i.filtered(&cobra.Command{
		Use: "show TENANT", Short: "List single problems", Args: from(0, 0),
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, _ []string) error {
			all := &consolev1.ListProblemsResponse{}
			err := pages(func(token string) (string, error) {
				answer, err := client.ListProblems(cmd.Context(), &consolev1.ListProblemsRequest{Tenant: i.tenant, Filter: &i.filter, PageToken: token, PageSize: 500})
				if err == nil {
					all.Problems = append(all.Problems, answer.GetProblems()...)
				}
				return answer.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"CONTACT", "FIELD", "SYSTEM", "KIND", "REASON", "VALUE", "SINCE", "ATTEMPTS", "DISMISSED BY", "MESSAGE"}}
			for _, p := range all.GetProblems() {
				rows = append(rows, []string{
					p.GetContact(), p.GetField(), p.GetSystem(), p.GetKind(), p.GetReason(), p.GetValue(), when(p.GetSinceMs()), fmt.Sprint(p.GetAttempts()),
					p.GetDismissedBy(), p.GetMessage(),
				})
			}
			return i.print(cmd, all, rows)
		}),
	})
	for _, command := range []*cobra.Command{list, show} {
		command.Flags().BoolVar(&i.filter.Dismissed, "dismissed", false, "with those that were dismissed")
	}
	group.AddCommand(list, show, i.retry(), i.dismiss(false), i.dismiss(true))
	return group
}

func (i *inbox) retry() *cobra.Command {
	command := i.filtered(&cobra.Command{
		Use: "retry TENANT", Short: "Send again what was refused or put off", Args: from(0, 0),
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, _ []string) error {
			if err := i.chosen(); err != nil {
				return err
			}
			answer, err := client.RetryProblems(cmd.Context(), &consolev1.RetryProblemsRequest{Tenant: i.tenant, Filter: &i.filter})
			if err != nil {
				return err
			}
			return i.print(cmd, answer, [][]string{{many(answer.GetContacts(), "contact is", "contacts are") + " tried again"}})
		}),
	})
	command.Flags().BoolVar(&i.all, "all", false, "everything")
	return command
}

func (i *inbox) dismiss(undo bool) *cobra.Command {
	use, short, done := "dismiss", "Hide problems until their reason changes", "dismissed"
	if undo {
		use, short, done = "undismiss", "Show dismissed problems again", "shown again"
	}
	command := i.filtered(&cobra.Command{
		Use: use + " TENANT", Short: short, Args: from(0, 0),
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, _ []string) error {
			if err := i.chosen(); err != nil {
				return err
			}
			answer, err := client.DismissProblems(cmd.Context(), &consolev1.DismissProblemsRequest{Tenant: i.tenant, Filter: &i.filter, Undo: undo})
			if err != nil {
				return err
			}
			return i.print(cmd, answer, [][]string{{many(answer.GetProblems(), "problem is ", "problems are ") + done}})
		}),
	})
	command.Flags().BoolVar(&i.all, "all", false, "everything")
	return command
}

// letters are the commands of the dead letters.
func (c *CLI) letters() *cobra.Command {
	group := group("deadletter", "Messages that could not be handled")
	i := &inbox{scope: scope{CLI: c}}
	var kind, reason string
	list := &cobra.Command{
		Use: "list TENANT", Short: "List dead letters; the tenant \"unknown\" has those that name none", Args: from(0, 0),
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, _ []string) error {
			all := &consolev1.ListDeadLettersResponse{}
			err := pages(func(token string) (string, error) {
				answer, err := client.ListDeadLetters(cmd.Context(), &consolev1.ListDeadLettersRequest{Tenant: i.tenant, Kind: kind, PageToken: token})
				if err == nil {
					all.Letters = append(all.Letters, answer.GetLetters()...)
				}
				return answer.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"NUMBER", "AT", "STAGE", "KIND", "EVENTS", "BYTES", "REASON"}}
			for _, l := range all.GetLetters() {
				rows = append(rows, []string{
					fmt.Sprint(l.GetNumber()), when(l.GetAtMs()), l.GetStage(), l.GetKind(), fmt.Sprint(len(l.GetEvents())), fmt.Sprint(l.GetBytes()), l.GetReason(),
				})
			}
			return i.print(cmd, all, rows)
		}),
	}
	replay := &cobra.Command{
		Use: "replay TENANT [NUMBER...]", Args: from(0, -1), Short: "Put dead letters back where they came from, in order: by number, or all of a kind and reason",
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, args []string) error {
			numbers, err := selected(args, kind)
			if err != nil {
				return err
			}
			answer, err := client.ReplayDeadLetters(cmd.Context(), &consolev1.ReplayDeadLettersRequest{Tenant: i.tenant, Numbers: numbers, Kind: kind, Reason: reason})
			if err != nil {
				return err
			}
			return i.print(cmd, answer, [][]string{{many(answer.GetLetters(), "dead letter is", "dead letters are") + " put back"}})
		}),
	}
	discard := &cobra.Command{
		Use: "discard TENANT [NUMBER...]", Args: from(0, -1), Short: "Remove dead letters for good: by number, or all of a kind and reason",
		RunE: i.run(func(cmd *cobra.Command, client consolev1connect.InboxServiceClient, args []string) error {
			numbers, err := selected(args, kind)
			if err != nil {
				return err
			}
			answer, err := client.DiscardDeadLetters(cmd.Context(), &consolev1.DiscardDeadLettersRequest{Tenant: i.tenant, Numbers: numbers, Kind: kind, Reason: reason})
			if err != nil {
				return err
			}
			return i.print(cmd, answer, [][]string{{many(answer.GetLetters(), "dead letter is", "dead letters are") + " removed"}})
		}),
	}
	for _, command := range []*cobra.Command{list, replay, discard} {
		command.Flags().StringVar(&kind, "kind", "", "kind of the reason: undecodable, permanent, ...")
	}
	for _, command := range []*cobra.Command{replay, discard} {
		command.Flags().StringVar(&reason, "reason", "", "the reason in words; empty is all of the kind")
	}
	group.AddCommand(list, replay, discard)
	return group
}

// selected reads the numbers of letters; without any, a kind must choose them.
func selected(args []string, kind string) ([]uint64, error) {
	if len(args) == 0 && kind == "" {
		return nil, usage("say which: numbers, or --kind and perhaps --reason")
	}
	numbers := make([]uint64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil {
			return nil, usage("%q is no number of a dead letter", arg)
		}
		numbers[i] = n
	}
	return numbers, nil
}
