package cli

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

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
