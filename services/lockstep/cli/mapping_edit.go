package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// editing is what all commands that change mappings have in common.
type editing struct {
	reason  string
	preview bool
}

func (e *editing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.reason, "reason", "", "why, for the history")
	cmd.Flags().BoolVar(&e.preview, "preview", false, "tell what it would write, and change nothing")
}

// edit does one edit of the version in force: previews it, or saves it.
func (c *CLI) edit(cmd *cobra.Command, client consolev1connect.MappingServiceClient, tenant string, e *editing, edit *consolev1.Edit) error {
	now, err := client.GetMapping(cmd.Context(), &consolev1.GetMappingRequest{Tenant: tenant})
	if err != nil {
		return err
	}
	basedOn := now.GetVersion().GetVersion()
	if e.preview {
		return c.preview(cmd, client, tenant, basedOn, []*consolev1.Edit{edit})
	}
	answer, err := client.EditMapping(cmd.Context(), &consolev1.EditMappingRequest{Tenant: tenant, BasedOn: basedOn, Edits: []*consolev1.Edit{edit}, Reason: e.reason})
	if err != nil {
		return err
	}
	rows := append([][]string{{fmt.Sprintf("saved as version %d", answer.GetVersion().GetVersion())}}, differences(answer.GetDifferences())...)
	return c.print(cmd, answer, rows)
}

func (c *CLI) mappingSet() *cobra.Command {
	var e editing
	var hubspot, aloware, to, policy string
	var ignoreBlank bool
	var transforms, options []string
	cmd := c.run("set TENANT KEY", "Change one mapping", 2, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		fields := &consolev1.SetFields{Key: args[1]}
		changed := cmd.Flags().Changed
		if changed("hubspot") {
			fields.Hubspot = &hubspot
		}
		if changed("aloware") {
			fields.Aloware = &aloware
		}
		if changed("direction") {
			d, known := directions[to]
			if !known {
				return usage("--direction %q: want both, to_aloware or to_hubspot", to)
			}
			fields.Direction = &d
		}
		if changed("policy") {
			fields.Policy = &policy
		}
		if changed("ignore-blank") {
			fields.IgnoreBlank = &ignoreBlank
		}
		if changed("transform") {
			list, err := parseTransforms(transforms)
			if err != nil {
				return err
			}
			fields.Transforms = &consolev1.Transforms{Transforms: list}
		}
		if changed("option") {
			list, err := parsePairs(options)
			if err != nil {
				return err
			}
			fields.Options = &consolev1.Options{Options: list}
		}
		return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_Set{Set: fields}})
	})
	e.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&hubspot, "hubspot", "", "HubSpot property")
	f.StringVar(&aloware, "aloware", "", "Aloware field (of a mapping of your own)")
	f.StringVar(&to, "direction", "", "both, to_aloware or to_hubspot")
	f.StringVar(&policy, "policy", "", "newest, only_if_empty, only_on_create or review")
	f.BoolVar(&ignoreBlank, "ignore-blank", false, "a cleared value does not clear the other side")
	f.StringArrayVar(&transforms, "transform", nil, "kind, kind=text, or kind@system=text; may be repeated; \"\" for none")
	f.StringArrayVar(&options, "option", nil, "pair of options, ALOWARE=HUBSPOT; may be repeated; \"\" for none")
	_ = cmd.RegisterFlagCompletionFunc("direction", cobra.FixedCompletions([]string{"both", "to_aloware", "to_hubspot"}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions([]string{"newest", "only_if_empty", "only_on_create", "review"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// parseTransforms reads "trim", "default=none", "prefix@hubspot=AL-".
func parseTransforms(in []string) ([]*consolev1.Transform, error) {
	var out []*consolev1.Transform
	for _, text := range in {
		if text == "" {
			continue
		}
		head, value, _ := strings.Cut(text, "=")
		kind, side, sided := strings.Cut(head, "@")
		t := &consolev1.Transform{Kind: kind, Text: value}
		if sided {
			system, err := parseSystem(side)
			if err != nil {
				return nil, err
			}
			t.Side = system
		}
		out = append(out, t)
	}
	return out, nil
}

func parsePairs(in []string) ([]*consolev1.OptionPair, error) {
	var out []*consolev1.OptionPair
	for _, text := range in {
		if text == "" {
			continue
		}
		a, h, ok := strings.Cut(text, "=")
		if !ok {
			return nil, usage("--option %q: want ALOWARE=HUBSPOT", text)
		}
		out = append(out, &consolev1.OptionPair{Aloware: a, Hubspot: h})
	}
	return out, nil
}

func (c *CLI) mappingAdd() *cobra.Command {
	var e editing
	var to string
	cmd := c.run("add TENANT ALOWARE HUBSPOT", "Add a mapping, or a built-in one back (its key, and \"-\" or a property)", 3,
		func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
			now, err := client.GetMapping(cmd.Context(), &consolev1.GetMappingRequest{Tenant: args[0]})
			if err != nil {
				return err
			}
			if slices.Contains(now.GetRemoved(), args[1]) {
				property := args[2]
				if property == "-" {
					property = ""
				}
				return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_AddBuiltIn{AddBuiltIn: &consolev1.AddBuiltIn{Key: args[1], Hubspot: property}}})
			}
			d, known := directions[to]
			if !known {
				return usage("--direction %q: want both, to_aloware or to_hubspot", to)
			}
			return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_Add{Add: &consolev1.AddMapping{Aloware: args[1], Hubspot: args[2], Direction: d}}})
		})
	e.flags(cmd)
	cmd.Flags().StringVar(&to, "direction", "both", "both, to_aloware or to_hubspot")
	return cmd
}

func (c *CLI) mappingRemove() *cobra.Command {
	var e editing
	cmd := c.run("remove TENANT KEY", "Remove a mapping; what it wrote stays", 2, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_Remove{Remove: args[1]}})
	})
	e.flags(cmd)
	return cmd
}

func (c *CLI) mappingFilter() *cobra.Command {
	var e editing
	var some bool
	cmd := &cobra.Command{
		Use: "filter TENANT [KEY OP[=TEXT,...]]...", Short: "Keep only some contacts in step; without conditions all of them",
		Example: "  lockstep mapping filter acme state is=TX,NV email is_not_blank",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args)%2 != 1 {
				return usage("%s: want a tenant and pairs of KEY and OP[=TEXT,...]", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := c.mappingClient()
			if err != nil {
				return err
			}
			set := &consolev1.SetFilter{}
			for i := 1; i < len(args); i += 2 {
				if set.Filter == nil {
					set.Filter = &consolev1.Filter{Any: some}
				}
				op, texts, has := strings.Cut(args[i+1], "=")
				condition := &consolev1.Condition{Key: args[i], Op: op}
				if has {
					condition.Texts = strings.Split(texts, ",")
				}
				set.Filter.Conditions = append(set.Filter.Conditions, condition)
			}
			return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_SetFilter{SetFilter: set}})
		},
	}
	e.flags(cmd)
	cmd.Flags().BoolVar(&some, "any", false, "one condition suffices")
	return cmd
}

func (c *CLI) mappingReset() *cobra.Command {
	var e editing
	cmd := c.run("reset TENANT", "Return the built-in mappings to their defaults", 1, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_Reset_{Reset_: true}})
	})
	e.flags(cmd)
	return cmd
}
