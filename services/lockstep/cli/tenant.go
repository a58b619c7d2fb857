package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) tenants() *cobra.Command {
	group := &cobra.Command{Use: "tenant", Short: "Tenants and their connections"}
	group.AddCommand(&cobra.Command{
		Use: "list", Short: "List the tenants", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			http, server, option, err := c.client()
			if err != nil {
				return err
			}
			answer, err := consolev1connect.NewTenantServiceClient(http, server, option).ListTenants(cmd.Context(), &consolev1.ListTenantsRequest{})
			if err != nil {
				return err
			}
			rows := [][]string{{"TENANT", "NAME", "HUBSPOT", "ALOWARE", "PROFILE", "MAPPING"}}
			for _, t := range answer.GetTenants() {
				rows = append(rows, []string{t.GetTenant(), t.GetName(), t.GetHubspotState(), t.GetAlowareState(), t.GetAlowareProfile(), fmt.Sprint("version ", t.GetMappingVersion())})
			}
			return c.print(cmd, answer, rows)
		},
	})
	return group
}
