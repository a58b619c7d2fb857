package cli

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// scope is what the commands about one tenant share: their first argument
// names it.
type scope struct {
	*CLI
	tenant string
}

// run makes a command that needs the contact service.
func (s *scope) run(f func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		client, err := newClient(s.CLI, consolev1connect.NewContactServiceClient)
		if err != nil {
			return err
		}
		s.tenant = args[0]
		return f(cmd, client, args[1:])
	}
}

// from wants a tenant and some more arguments, at least and at most (-1: any
// number).
func from(least, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < 1+least || most >= 0 && len(args) > 1+most {
			return usage("want: %s", cmd.UseLine())
		}
		return nil
	}
}

func (c *CLI) contacts() *cobra.Command {
	s := &scope{CLI: c}
	group := group("contact", "Find, show, explain, settle and erase contacts")
	group.AddCommand(
		&cobra.Command{
			Use: "find TENANT TEXT", Short: "Find contacts by name, phone, e-mail, id or key", Args: from(1, -1),
			RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
				answer, err := client.FindContacts(cmd.Context(), &consolev1.FindContactsRequest{Tenant: s.tenant, Query: strings.Join(args, " ")})
				if err != nil {
					return err
				}
				rows := [][]string{{"CONTACT", "NAME", "HUBSPOT", "ALOWARE", "PHONE", "E-MAIL"}}
				for _, p := range answer.GetContacts() {
					rows = append(rows, []string{p.GetContact(), p.GetName(), p.GetHubspotId(), p.GetAlowareId(), strings.Join(p.GetPhones(), " "), p.GetEmail()})
				}
				return s.print(cmd, answer, rows)
			}),
		},
		&cobra.Command{
			Use: "show TENANT CONTACT", Short: "Show both sides' values and how each field stands", Args: from(1, 1),
			RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
				answer, err := client.GetContact(cmd.Context(), &consolev1.GetContactRequest{Tenant: s.tenant, Contact: args[0]})
				if err != nil {
					return err
				}
				return s.print(cmd, answer, cardRows(answer))
			}),
		},
		s.conflicts(), s.choose(), s.answer(), s.dispose(), s.explain(), s.erase(),
	)
	return group
}

// cardRows is a contact as a table: Aloware on the left, HubSpot on the right.
func cardRows(answer *consolev1.GetContactResponse) [][]string {
	sided := func(side *consolev1.ContactSide) string {
		return strings.TrimSpace(side.GetId() + " " + side.GetState())
	}
	rows := [][]string{
		{"FIELD", "ALOWARE", "", "HUBSPOT", "STATE", "NOTE"},
		{"", sided(answer.GetAloware()), "", sided(answer.GetHubspot()), "", answer.GetContact().GetName()},
	}
	arrows := map[string]string{"both": "<->", "to_hubspot": "->", "to_aloware": "<-"}
	for _, f := range answer.GetFields() {
		rows = append(rows, []string{
			f.GetField(), shown(f.GetAloware()), arrows[f.GetDirection()], shown(f.GetHubspot()), f.GetState(), cmp.Or(f.GetNote(), f.GetAloware().GetLimit()),
		})
	}
	return rows
}

// shown is a value on one line of bounded length.
func shown(v *consolev1.FieldValue) string {
	if !v.GetKnown() {
		return "?"
	}
	const most = 40
	text := []rune(strings.Join(strings.Fields(v.GetValue()), " "))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

func (s *scope) conflicts() *cobra.Command {
	return &cobra.Command{
		Use: "conflicts TENANT", Short: "List contacts that somebody must choose a counterpart for", Args: from(0, 0),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, _ []string) error {
			all := &consolev1.ListConflictsResponse{}
			err := pages(func(token string) (string, error) {
				answer, err := client.ListConflicts(cmd.Context(), &consolev1.ListConflictsRequest{Tenant: s.tenant, PageToken: token})
				if err == nil {
					all.Conflicts = append(all.Conflicts, answer.GetConflicts()...)
				}
				return answer.GetNextPageToken(), err
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"CONTACT", "NAME", "IN", "CANDIDATE", "NAME", "PHONE", "E-MAIL"}}
			for _, c := range all.GetConflicts() {
				for _, p := range c.GetCandidates() {
					id := p.GetHubspotId()
					if c.GetSystem() == "aloware" {
						id = p.GetAlowareId()
					}
					rows = append(rows, []string{c.GetContact().GetContact(), c.GetContact().GetName(), c.GetSystem(), id, p.GetName(), strings.Join(p.GetPhones(), " "), p.GetEmail()})
				}
			}
			return s.print(cmd, all, rows)
		}),
	}
}

// pages calls for page after page until there is none.
func pages(call func(token string) (next string, err error)) error {
	const most = 10_000
	token := ""
	for range most {
		next, err := call(token)
		if err != nil || next == "" {
			return err
		}
		token = next
	}
	return fmt.Errorf("there are more than %d pages; narrow it down", most)
}

func (s *scope) choose() *cobra.Command {
	var system, id string
	var anew bool
	command := &cobra.Command{
		Use: "choose TENANT CONTACT", Short: "Settle a conflict: choose a counterpart, or a new contact", Args: from(1, 1),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
			if (id == "") != anew {
				return usage("give either --id or --new")
			}
			answer, err := client.ChooseCounterpart(cmd.Context(), &consolev1.ChooseCounterpartRequest{Tenant: s.tenant, Contact: args[0], System: system, Id: id})
			if err != nil {
				return err
			}
			return s.print(cmd, answer, [][]string{{"chosen"}})
		}),
	}
	command.Flags().StringVar(&system, "system", "", "system of the counterpart: hubspot or aloware")
	command.Flags().StringVar(&id, "id", "", "id of the candidate")
	command.Flags().BoolVar(&anew, "new", false, "make a new contact instead")
	_ = command.MarkFlagRequired("system")
	return command
}

func (s *scope) answer() *cobra.Command {
	var system string
	command := &cobra.Command{
		Use: "answer TENANT CONTACT [FIELD...]", Short: "Answer a review: say which system's values stand", Args: from(1, -1),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
			answer, err := client.AnswerReview(cmd.Context(), &consolev1.AnswerReviewRequest{Tenant: s.tenant, Contact: args[0], System: system, Fields: args[1:]})
			if err != nil {
				return err
			}
			return s.print(cmd, answer, [][]string{{"answered: " + strings.Join(answer.GetFields(), ", ")}})
		}),
	}
	command.Flags().StringVar(&system, "system", "", "system whose values stand: hubspot or aloware")
	_ = command.MarkFlagRequired("system")
	return command
}

func (s *scope) dispose() *cobra.Command {
	return &cobra.Command{
		Use: "dispose TENANT CONTACT VALUE", Short: "Give a contact another disposition, by its value in HubSpot (see: dispositions TENANT)", Args: from(2, 2),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
			answer, err := client.SetDisposition(cmd.Context(), &consolev1.SetDispositionRequest{Tenant: s.tenant, Contact: args[0], Value: args[1]})
			if err != nil {
				return err
			}
			return s.print(cmd, answer, [][]string{{"set in HubSpot; Aloware follows"}})
		}),
	}
}

func (s *scope) explain() *cobra.Command {
	var limit int
	command := &cobra.Command{
		Use: "explain TENANT CONTACT [FIELD]", Short: "Show why a contact's values are what they are, the newest decision first", Args: from(1, 2),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
			request := &consolev1.ExplainContactRequest{Tenant: s.tenant, Contact: args[0]}
			if len(args) == 2 {
				request.Field = args[1]
			}
			all := &consolev1.ExplainContactResponse{}
			err := pages(func(token string) (string, error) {
				request.PageToken, request.PageSize = token, int32(min(limit-len(all.GetDecisions()), 500))
				answer, err := client.ExplainContact(cmd.Context(), request)
				if err != nil {
					return "", err
				}
				all.Decisions = append(all.Decisions, answer.GetDecisions()...)
				if all.NextPageToken = answer.GetNextPageToken(); len(all.GetDecisions()) >= limit {
					return "", nil
				}
				return all.GetNextPageToken(), nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"AT", "FIELD", "SIDE", "RULE", "VALUE", "EDITED", "MAPPING", "EVENT", "TRACE", "REASON"}}
			for _, d := range all.GetDecisions() {
				rows = append(rows, []string{
					when(d.GetAtMs()), d.GetField(), d.GetSystem(), d.GetRule(), d.GetValue(), when(d.GetEditedMs()), fmt.Sprint(d.GetMappingVersion()),
					d.GetEventId(), d.GetTraceId(), d.GetReason(),
				})
			}
			return s.print(cmd, all, rows)
		}),
	}
	command.Flags().IntVar(&limit, "limit", 100, "decisions at most")
	return command
}

// when is a time in UTC; "" for none.
func when(ms int64) string {
	if ms <= 0 {
		return ""
	}
	return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04:05.000")
}

func (s *scope) erase() *cobra.Command {
	var system, id string
	var yes bool
	command := &cobra.Command{
		Use: "erase TENANT [CONTACT]", Short: "Erase everything stored of a person, for good", Args: from(0, 1),
		RunE: s.run(func(cmd *cobra.Command, client consolev1connect.ContactServiceClient, args []string) error {
			request := &consolev1.EraseContactRequest{Tenant: s.tenant, System: system, Id: id}
			switch {
			case len(args) == 1 && id == "":
				request.Contact = args[0]
			case len(args) == 0 && id != "" && system != "":
			default:
				return usage("name the contact, or give --system and --id")
			}
			if !yes {
				return usage("this cannot be undone; say --yes")
			}
			answer, err := client.EraseContact(cmd.Context(), request)
			if err != nil {
				return err
			}
			return s.print(cmd, answer, [][]string{{"erased"}})
		}),
	}
	command.Flags().StringVar(&system, "system", "", "system of the id: hubspot or aloware")
	command.Flags().StringVar(&id, "id", "", "id of the person in that system; it need not be known here")
	command.Flags().BoolVar(&yes, "yes", false, "really")
	return command
}
