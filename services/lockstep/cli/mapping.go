package cli

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
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

// editing is what all commands that change mappings have in common.
type editing struct {
	reason  string
	preview bool
}

func (e *editing) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&e.reason, "reason", "", "why, for the history")
	cmd.Flags().BoolVar(&e.preview, "preview", false, "tell what it would write, and change nothing")
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
		rows := [][]string{{"KEY", "CATEGORY", "ALOWARE", "", "HUBSPOT", "TYPE", "POLICY", "STATE", "SETTINGS"}}
		for _, m := range answer.GetMappings() {
			state := ""
			switch {
			case m.GetStopped() != "":
				state = "at rest: " + m.GetStopped()
			case m.GetLocked():
				state = "locked"
			case m.GetCannotWrite() != "":
				state = "not written: " + m.GetCannotWrite()
			}
			rows = append(rows, []string{m.GetKey(), m.GetCategory(), m.GetAlowareLabel(), arrow(m.GetDirection()), m.GetHubspot(), m.GetType(), m.GetPolicy(), state, settings(m)})
		}
		if f := answer.GetFilter(); len(f.GetConditions()) > 0 {
			rows = append(rows, []string{"(only contacts with: " + conditions(f) + ")"})
		}
		return c.print(cmd, answer, rows)
	})
	cmd.Flags().Int64Var(&version, "version", 0, "an earlier version; 0 is the one in force")
	return cmd
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

func differences(list []*consolev1.Difference) [][]string {
	var rows [][]string
	for _, d := range list {
		name := d.GetLabel()
		if d.GetKey() != "" {
			name = d.GetKey()
		}
		if len(d.GetChanges()) == 0 {
			rows = append(rows, []string{name, d.GetKind()})
		}
		for _, change := range d.GetChanges() {
			rows = append(rows, []string{name, change.GetField(), change.GetBefore() + " → " + change.GetAfter()})
		}
	}
	return rows
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

func parseSystem(text string) (consolev1.System, error) {
	switch text {
	case "hubspot":
		return consolev1.System_SYSTEM_HUBSPOT, nil
	case "aloware":
		return consolev1.System_SYSTEM_ALOWARE, nil
	}
	return 0, usage("system %q: want hubspot or aloware", text)
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

func (c *CLI) mappingRestore() *cobra.Command {
	var e editing
	cmd := c.run("restore TENANT VERSION", "Make an earlier version the newest", 2, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		version, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return usage("version %q: want a number; see lockstep mapping versions %s", args[1], args[0])
		}
		if e.reason == "" {
			e.reason = fmt.Sprintf("restored version %d", version)
		}
		return c.edit(cmd, client, args[0], &e, &consolev1.Edit{Kind: &consolev1.Edit_Restore{Restore: version}})
	})
	e.flags(cmd)
	return cmd
}

func (c *CLI) mappingVersions() *cobra.Command {
	return c.run("versions TENANT", "List the versions, newest first", 1, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		answer, err := client.ListVersions(cmd.Context(), &consolev1.ListVersionsRequest{Tenant: args[0], Limit: 200})
		if err != nil {
			return err
		}
		rows := [][]string{{"VERSION", "WHEN", "WHO", "WHY"}}
		for _, v := range answer.GetVersions() {
			rows = append(rows, []string{fmt.Sprint(v.GetVersion()), day(v.GetCreatedMs()), v.GetAuthor(), v.GetReason()})
		}
		return c.print(cmd, answer, rows)
	})
}

func (c *CLI) mappingDiff() *cobra.Command {
	return c.run("diff TENANT BEFORE AFTER", "Compare two versions (0 is the one in force)", 3, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		before, err1 := strconv.ParseInt(args[1], 10, 64)
		after, err2 := strconv.ParseInt(args[2], 10, 64)
		if err1 != nil || err2 != nil {
			return usage("want two version numbers")
		}
		answer, err := client.CompareVersions(cmd.Context(), &consolev1.CompareVersionsRequest{Tenant: args[0], Before: before, After: after})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, append([][]string{{"MAPPING", "FIELD", "CHANGE"}}, differences(answer.GetDifferences())...))
	})
}

func (c *CLI) mappingPreview() *cobra.Command {
	return c.run("preview TENANT", "Tell what the version in force would still write", 1, func(cmd *cobra.Command, client consolev1connect.MappingServiceClient, args []string) error {
		now, err := client.GetMapping(cmd.Context(), &consolev1.GetMappingRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		return c.preview(cmd, client, args[0], now.GetVersion().GetVersion(), nil)
	})
}

// preview shows how far it is on a terminal, and then the result.
func (c *CLI) preview(cmd *cobra.Command, client consolev1connect.MappingServiceClient, tenant string, basedOn int64, edits []*consolev1.Edit) error {
	stream, err := client.PreviewMapping(cmd.Context(), &consolev1.PreviewMappingRequest{Tenant: tenant, BasedOn: basedOn, Edits: edits})
	if err != nil {
		return err
	}
	defer stream.Close()
	bar := newBar(cmd, "contacts")
	last := &consolev1.PreviewMappingResponse{}
	for stream.Receive() {
		last = stream.Msg()
		bar.show(last.GetLooked(), last.GetTotal())
	}
	bar.end()
	if err := stream.Err(); err != nil {
		return err
	}
	rows := [][]string{{"SYSTEM", "WRITTEN", "CREATED", "READ FIRST", "CALLS", "MINUTES"}}
	for _, side := range []struct {
		name string
		*consolev1.SideEffect
	}{{"hubspot", last.GetHubspot()}, {"aloware", last.GetAloware()}} {
		rows = append(rows, []string{side.name, fmt.Sprint(side.GetWritten()), fmt.Sprint(side.GetCreated()), fmt.Sprint(side.GetRead()), fmt.Sprint(side.GetCalls()), fmt.Sprintf("%.1f", side.GetMinutes())})
	}
	rows = append(rows, []string{""}, []string{"FIELD", "INTO", "FILLS", "REPLACES", "CLEARS", "FOR EXAMPLE"})
	rows = append(rows, effects(last.GetFields())...)
	if e := last.GetEstimate(); e != nil {
		rows = append(rows, []string{""}, []string{fmt.Sprintf("Of those to be read, %d were: %d would be written in HubSpot, %d in Aloware.", e.GetContacts(), e.GetHubspot(), e.GetAloware())})
		rows = append(rows, effects(e.GetFields())...)
	}
	return c.print(cmd, last, rows)
}

// effects are what would be written, by field and side.
func effects(fields []*consolev1.FieldEffect) (rows [][]string) {
	for _, f := range fields {
		example := ""
		if len(f.GetExamples()) > 0 {
			e := f.GetExamples()[0]
			example = fmt.Sprintf("%s: %q → %q", e.GetContact(), e.GetBefore(), e.GetAfter())
		}
		system := strings.ToLower(strings.TrimPrefix(f.GetSystem().String(), "SYSTEM_"))
		rows = append(rows, []string{f.GetKey(), system, fmt.Sprint(f.GetFills()), fmt.Sprint(f.GetReplaces()), fmt.Sprint(f.GetClears()), example})
	}
	return rows
}

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
