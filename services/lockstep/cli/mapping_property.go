package cli

import (
	"strings"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) mappingProperties() *cobra.Command {
	var key, other, search string
	cmd := c.run("properties TENANT SYSTEM", "List a system's properties: which fit, which are taken, and why others do not fit", 2,
		func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
			system, err := parseSystem(args[1])
			if err != nil {
				return err
			}
			answer, err := client.ListProperties(cmd.Context(), &consolev1.ListPropertiesRequest{Tenant: args[0], System: system, Key: key, Other: other, Search: search})
			if err != nil {
				return err
			}
			rows := [][]string{{"PROPERTY", "LABEL", "TYPE", "MAPPED BY", "WHY NOT"}}
			for _, p := range answer.GetProperties() {
				rows = append(rows, []string{p.GetName(), p.GetLabel(), p.GetType(), p.GetTakenLabel(), p.GetWhyNot()})
			}
			if !answer.GetComplete() {
				rows = append(rows, []string{"(this connection does not tell its fields: any name may be typed)"})
			}
			return c.print(cmd, answer, rows)
		})
	cmd.Flags().StringVar(&key, "for", "", "mapping that a property is looked for")
	cmd.Flags().StringVar(&other, "with", "", "property of the other system that a new mapping is to be with")
	cmd.Flags().StringVar(&search, "search", "", "part of name or label")
	return cmd
}

func (c *CLI) mappingCreateProperty() *cobra.Command {
	var label, kind string
	var options []string
	cmd := c.run("create-property TENANT NAME", "Create a property in HubSpot", 2, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		request := &consolev1.CreatePropertyRequest{Tenant: args[0], Name: args[1], Label: label, Type: kind}
		if label == "" {
			request.Label = args[1]
		}
		for _, option := range options {
			value, text, ok := strings.Cut(option, "=")
			if !ok {
				text = value
			}
			request.Options = append(request.Options, &consolev1.PropertyOption{Value: value, Label: text})
		}
		answer, err := client.CreateProperty(cmd.Context(), request)
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"created", answer.GetProperty().GetName(), answer.GetProperty().GetType()}})
	})
	cmd.Flags().StringVar(&label, "label", "", "name for people; the name itself if not given")
	cmd.Flags().StringVar(&kind, "type", "text", "text, multiline, number, checkbox, date, datetime, option or phone")
	cmd.Flags().StringArrayVar(&options, "option", nil, "VALUE or VALUE=LABEL of an option; may be repeated")
	return cmd
}
