package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

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
		rows = append(rows, []string{""}, []string{fmt.Sprintf("Of those to be read, %s: %d would be written in HubSpot, %d in Aloware.", many(e.GetContacts(), "was", "were"), e.GetHubspot(), e.GetAloware())})
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
