package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) users() *cobra.Command {
	return c.run("users TENANT", "List the users of both systems, matched by e-mail", 1, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		answer, err := client.ListUsers(cmd.Context(), &consolev1.ListUsersRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		rows := [][]string{{"E-MAIL", "ALOWARE", "HUBSPOT", "OFFERED"}}
		for _, u := range answer.GetUsers() {
			offered := "yes"
			if !u.GetOffered() {
				offered = u.GetWhyNot()
			}
			rows = append(rows, []string{u.GetEmail(), u.GetAlowareName(), u.GetHubspotName(), offered})
		}
		return c.print(cmd, answer, rows)
	})
}

func (c *CLI) dispositions() *cobra.Command {
	var calls bool
	var pair string
	cmd := c.run("dispositions TENANT", "List what agents may pick as status of a contact, or as outcome of a call", 1,
		func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
			if pair != "" {
				return c.pairDisposition(cmd, client, args[0], pair)
			}
			answer, err := client.ListDispositions(cmd.Context(), &consolev1.ListDispositionsRequest{Tenant: args[0], Calls: calls})
			if err != nil {
				return err
			}
			rows := [][]string{{"", "LABEL", "VALUE", "ALOWARE ID", "OFFERED"}}
			for _, d := range answer.GetDispositions() {
				lock, offered := "", "yes"
				if d.GetLocked() {
					lock = "🔐"
				}
				if !d.GetOffered() {
					offered = d.GetWhyNot()
				}
				rows = append(rows, []string{lock, d.GetLabel(), d.GetValue(), d.GetAlowareId(), offered})
			}
			if answer.GetCannot() != "" {
				rows = append(rows, []string{"", "(" + answer.GetCannot() + ")"})
			}
			for _, d := range answer.GetSeen() {
				about := many(d.GetContacts(), "contact has it", "contacts have it")
				if d.GetSuggested() != "" {
					about += fmt.Sprintf("; HubSpot has %s of %d: --pair %s=%s", d.GetSuggestedLabel(), d.GetSuggestedContacts(), d.GetAlowareId(), d.GetSuggested())
				}
				rows = append(rows, []string{"", "(not paired)", "", d.GetAlowareId(), about})
			}
			return c.print(cmd, answer, rows)
		})
	cmd.Flags().BoolVar(&calls, "calls", false, "outcomes of calls")
	cmd.Flags().StringVar(&pair, "pair", "", "pair an id that contacts have in Aloware with an option, ID=VALUE; the other pairs stay")
	return cmd
}

// pairDisposition adds one pair to the option map of the contact disposition.
func (c *CLI) pairDisposition(cmd *cobra.Command, client consolev1connect.MappingServiceClient, tenant, pair string) error {
	pairs, err := parsePairs([]string{pair})
	if err != nil {
		return err
	}
	now, err := client.GetMapping(cmd.Context(), &consolev1.GetMappingRequest{Tenant: tenant})
	if err != nil {
		return err
	}
	const key = "contact_disposition_status"
	for _, m := range now.GetMappings() {
		if m.GetKey() == key {
			pairs = append(m.GetOptions(), pairs...)
		}
	}
	return c.edit(cmd, client, tenant, &editing{reason: "paired a disposition that contacts have in Aloware"},
		&consolev1.Edit{Kind: &consolev1.Edit_Set{Set: &consolev1.SetFields{Key: key, Options: &consolev1.Options{Options: pairs}}}})
}
