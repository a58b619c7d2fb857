package cli

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// completeWithin is how long somebody waits who presses the tabulator.
const completeWithin = 3 * time.Second

// complete lets shells complete the tenant that a command names first.
func (c *CLI) complete(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		c.complete(sub)
	}
	if words := strings.Fields(cmd.Use); len(words) > 1 && strings.Trim(words[1], "[]") == "TENANT" {
		cmd.ValidArgsFunction = c.tenantNames
	}
}

// tenantNames are the tenants that begin with what is typed, with their names.
func (c *CLI) tenantNames(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	client, err := newClient(c, consolev1connect.NewTenantServiceClient)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeWithin)
	defer cancel()
	answer, err := client.ListTenants(ctx, &consolev1.ListTenantsRequest{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []cobra.Completion
	for _, t := range answer.GetTenants() {
		if strings.HasPrefix(t.GetTenant(), typed) {
			names = append(names, cobra.CompletionWithDesc(t.GetTenant(), t.GetName()))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
