package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) tenants() *cobra.Command {
	group := group("tenant", "Tenants and their connections")
	group.AddCommand(
		c.tenantList(), c.tenantShow(), c.tenantSave(), c.connectHubSpot(), c.connectAloware(), c.tenantConsent(), c.tenantDisconnect(),
		c.tenantTest(), c.capabilities(),
	)
	return group
}

// onTenant makes a command over the tenants' client with exactly n arguments.
func (c *CLI) onTenant(use, short string, n int, do func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(c, consolev1connect.NewTenantServiceClient)
			if err != nil {
				return err
			}
			return do(cmd, client, args)
		},
	}
}

func tenantRows(tenants ...*consolev1.Tenant) [][]string {
	rows := [][]string{{"TENANT", "NAME", "ALOWARE", "HUBSPOT", "PROFILE", "MAPPING", "AT REST", "WAITING", "TRIED", "OLDEST", "ERRORS", "QUOTA"}}
	for _, t := range tenants {
		var waiting, tried, oldest int64
		var quotas []string
		for _, l := range t.GetLanes() {
			waiting, tried = waiting+l.GetWaiting(), tried+l.GetTried()
			if at := l.GetOldestMs(); at != 0 && (oldest == 0 || at < oldest) {
				oldest = at
			}
			if l.GetMost() != 0 {
				quotas = append(quotas, fmt.Sprintf("%s %d of %d", l.GetSystem(), l.GetUsed(), l.GetMost()))
			}
		}
		age := ""
		if oldest != 0 {
			age = time.Since(time.UnixMilli(oldest)).Round(time.Second).String()
		}
		rows = append(rows, []string{
			t.GetTenant(), t.GetName(), t.GetAlowareState(), t.GetHubspotState(), t.GetAlowareProfile(), fmt.Sprint("version ", t.GetMappingVersion()),
			fmt.Sprintf("%d of %d", t.GetMappingsAtRest(), t.GetMappings()), fmt.Sprint(waiting), fmt.Sprint(tried), age, fmt.Sprint(t.GetErrors()), strings.Join(quotas, ", "),
		})
	}
	return rows
}

func (c *CLI) tenantList() *cobra.Command {
	return c.onTenant("list", "List the tenants", 0, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, _ []string) error {
		answer, err := client.ListTenants(cmd.Context(), &consolev1.ListTenantsRequest{})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, tenantRows(answer.GetTenants()...))
	})
}

func (c *CLI) tenantShow() *cobra.Command {
	return c.onTenant("show TENANT", "Show a tenant's settings", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		answer, err := client.GetTenant(cmd.Context(), &consolev1.GetTenantRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		v := answer.GetSettings()
		rows := append(tenantRows(answer.GetTenant()), []string{""},
			[]string{"region", v.GetRegion()}, []string{"time zone", v.GetTimeZone()}, []string{"active", fmt.Sprint(v.GetActive())},
			[]string{"creation", v.GetCreation()}, []string{"updates", v.GetUpdates()}, []string{"archive", v.GetArchive()},
			[]string{"default owner", v.GetDefaultOwner()}, []string{"default lead source", v.GetDefaultLeadSource()},
			[]string{"bursts are held", burstFloor(v.GetBurstFloor())})
		rows = append(append(rows, connectionRows(answer)...), []string{""})
		if lanes := answer.GetTenant().GetLanes(); len(lanes) > 0 {
			rows = append(rows, laneHead)
			for _, l := range lanes {
				rows = append(rows, laneRow(l))
			}
		}
		return c.print(cmd, answer, rows)
	})
}

// connectionRows are the connections' settings, with what to enter in Aloware.
func connectionRows(t *consolev1.GetTenantResponse) [][]string {
	h, a := t.GetHubspot(), t.GetAloware()
	or := func(text, otherwise string) string {
		if text == "" || text == "0" {
			return otherwise
		}
		return text
	}
	yes := map[bool]string{true: "kept", false: "missing"}
	expires := ""
	if h.GetExpiresMs() != 0 {
		expires = ", renewed ahead of " + when(h.GetExpiresMs())
	}
	return [][]string{
		{""}, {"hubspot signs in by", or(h.GetSignsInBy(), "nothing") + expires}, {"hubspot app", or(fmt.Sprint(h.GetAppId()), "none")},
		{"hubspot address", or(h.GetBaseUrl(), "HubSpot's own")},
		{"hubspot limits", fmt.Sprintf("%s calls in 10 s, %s a day, ceiling %s %%", or(fmt.Sprint(h.GetWindowLimit()), "100"), or(fmt.Sprint(h.GetDailyLimit()), "any number"), or(fmt.Sprint(h.GetCeiling()), "100"))},
		{"hubspot day ends", "at midnight in " + or(h.GetTimeZone(), "UTC")},
		{""}, {"aloware token", yes[a.GetHasToken()]}, {"aloware address", or(a.GetBaseUrl(), "Aloware's own")},
		{"aloware limits", fmt.Sprintf("%s calls a second, %s at once, ceiling %s %%", or(fmt.Sprint(a.GetRate()), "5"), or(fmt.Sprint(a.GetBurst()), "10"), or(fmt.Sprint(a.GetCeiling()), "100"))},
		{"enter in Aloware", a.GetWebhookUrl()},
		{"webhook proves itself", strings.TrimSpace(fmt.Sprintf("by %s %s", or(a.GetWebhookAuth(), "none"), a.GetWebhookUser())) + ", secret " + yes[a.GetHasWebhookSecret()]},
	}
}

func (c *CLI) tenantConsent() *cobra.Command {
	r := &consolev1.GetHubSpotConsentRequest{}
	cmd := c.onTenant("consent TENANT", "Give the address that connects a portal by OAuth, to open in a browser", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		r.Tenant = args[0]
		answer, err := client.GetHubSpotConsent(cmd.Context(), r)
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"open in a browser:", answer.GetAddress()}, {"registered at the app must be:", answer.GetRedirectUrl()}})
	})
	cmd.Flags().Int64Var(&r.AppId, "app-id", 0, "app to connect by, where there are several")
	return cmd
}

func (c *CLI) tenantSave() *cobra.Command {
	v := &consolev1.TenantSettings{}
	var floor int64
	cmd := c.onTenant("save TENANT", "Add a tenant, or change its settings", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		if cmd.Flags().Changed("burst-floor") {
			v.BurstFloor = &floor
		}
		if known, err := client.GetTenant(cmd.Context(), &consolev1.GetTenantRequest{Tenant: args[0]}); err == nil {
			keep := known.GetSettings()
			changed := cmd.Flags().Changed
			for flag, set := range map[string]func(){
				"name": func() { keep.Name = v.Name }, "region": func() { keep.Region = v.Region }, "time-zone": func() { keep.TimeZone = v.TimeZone },
				"active": func() { keep.Active = v.Active }, "creation": func() { keep.Creation = v.Creation }, "updates": func() { keep.Updates = v.Updates }, "archive": func() { keep.Archive = v.Archive },
				"default-owner": func() { keep.DefaultOwner = v.DefaultOwner }, "default-lead-source": func() { keep.DefaultLeadSource = v.DefaultLeadSource },
				"burst-floor": func() { keep.BurstFloor = v.BurstFloor },
			} {
				if changed(flag) {
					set()
				}
			}
			v = keep
		} else if v.Name == "" {
			v.Name = args[0]
		}
		answer, err := client.SaveTenant(cmd.Context(), &consolev1.SaveTenantRequest{Tenant: args[0], Settings: v})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, tenantRows(answer.GetTenant()))
	})
	f := cmd.Flags()
	f.StringVar(&v.Name, "name", "", "name for people")
	f.StringVar(&v.Region, "region", "US", "region of phone numbers without a country code")
	f.StringVar(&v.TimeZone, "time-zone", "UTC", "IANA name, for dates of calls and texts")
	f.BoolVar(&v.Active, "active", true, "whether anything is kept in step at all")
	f.StringVar(&v.Creation, "creation", "both", "where contacts are created: both, to_aloware, to_hubspot or none")
	f.StringVar(&v.Updates, "updates", "both", "which way values flow: both, to_aloware, to_hubspot or none")
	f.StringVar(&v.Archive, "archive", "none", "where the counterpart of a deleted contact is archived: both, to_aloware (which Aloware refuses), to_hubspot or none")
	f.Int64Var(&floor, "burst-floor", 500, "contacts that a field may change within ten minutes before a burst is held; 0 holds nothing")
	f.StringVar(&v.DefaultOwner, "default-owner", "", "e-mail of the owner of created contacts that have none")
	f.StringVar(&v.DefaultLeadSource, "default-lead-source", "", "lead source of created contacts that have none")
	return cmd
}

// unless does what stands for each flag that was not given.
func unless(cmd *cobra.Command, given map[string]func()) {
	for flag, do := range given {
		if !cmd.Flags().Changed(flag) {
			do()
		}
	}
}

func (c *CLI) connectHubSpot() *cobra.Command {
	r := &consolev1.ConnectHubSpotRequest{}
	cmd := c.onTenant("connect-hubspot TENANT", "Connect a portal by a token and prepare it, or change the connection: what is not given stays", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		known, err := client.GetTenant(cmd.Context(), &consolev1.GetTenantRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		r.Tenant = args[0]
		keep := known.GetHubspot()
		unless(cmd, map[string]func(){
			"app-id": func() { r.AppId = keep.GetAppId() }, "base-url": func() { r.BaseUrl = keep.GetBaseUrl() },
			"window-limit": func() { r.WindowLimit = keep.GetWindowLimit() }, "daily-limit": func() { r.DailyLimit = keep.GetDailyLimit() },
			"ceiling": func() { r.Ceiling = keep.GetCeiling() },
		})
		answer, err := client.ConnectHubSpot(cmd.Context(), r)
		if err != nil {
			return err
		}
		rows := append(tenantRows(answer.GetTenant()), []string{""}, []string{many(len(answer.GetCreated()), "property", "properties") + " created"})
		for _, key := range slices.Sorted(maps.Keys(answer.GetIncompatible())) {
			rows = append(rows, []string{key, "at rest", answer.GetIncompatible()[key]})
		}
		return c.print(cmd, answer, rows)
	})
	f := cmd.Flags()
	f.StringVar(&r.AccessToken, "access-token", "", "token of a private app or of an app's installation; empty keeps the present one")
	f.Int64Var(&r.AppId, "app-id", 0, "app whose webhooks come for the portal")
	f.StringVar(&r.BaseUrl, "base-url", "", "address of the API, where it is not HubSpot's own")
	f.Int32Var(&r.WindowLimit, "window-limit", 0, "calls in ten seconds that the portal allows; 0 means 100")
	f.Int32Var(&r.DailyLimit, "daily-limit", 0, "calls a day that Lockstep may use; 0 means no limit")
	f.Int32Var(&r.Ceiling, "ceiling", 0, "percent of the limits that Lockstep may use, 1 to 100; 0 means all")
	return cmd
}

func (c *CLI) connectAloware() *cobra.Command {
	r := &consolev1.ConnectAlowareRequest{}
	cmd := c.onTenant("connect-aloware TENANT", "Connect an account by its token, or change the connection: what is not given stays", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		known, err := client.GetTenant(cmd.Context(), &consolev1.GetTenantRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		r.Tenant = args[0]
		if keep := known.GetAloware(); keep.GetHasToken() {
			unless(cmd, map[string]func(){
				"profile": func() { r.Profile = keep.GetProfile() }, "webhook-auth": func() { r.WebhookAuth = keep.GetWebhookAuth() },
				"webhook-user": func() { r.WebhookUser = keep.GetWebhookUser() }, "base-url": func() { r.BaseUrl = keep.GetBaseUrl() },
				"rate": func() { r.Rate = keep.GetRate() }, "burst": func() { r.Burst = keep.GetBurst() }, "ceiling": func() { r.Ceiling = keep.GetCeiling() },
			})
		}
		answer, err := client.ConnectAloware(cmd.Context(), r)
		if err != nil {
			return err
		}
		return c.print(cmd, answer, append(tenantRows(answer.GetTenant()), []string{""}, []string{"enter in Aloware's webhook settings:", answer.GetWebhookUrl()}))
	})
	f := cmd.Flags()
	f.StringVar(&r.Token, "api-token", "", "token of the account; empty keeps the present one")
	f.StringVar(&r.Profile, "profile", "documented", "what the connection can do: documented or full")
	f.StringVar(&r.WebhookAuth, "webhook-auth", "bearer", "how webhooks prove themselves: none, basic or bearer")
	f.StringVar(&r.WebhookUser, "webhook-user", "", "user, for basic")
	f.StringVar(&r.WebhookSecret, "webhook-secret", "", "password of basic, token of bearer; empty keeps the present one")
	f.StringVar(&r.BaseUrl, "base-url", "", "address of the API, where it is not Aloware's own")
	f.Float64Var(&r.Rate, "rate", 0, "calls a second that the account allows; 0 means 5")
	f.Int32Var(&r.Burst, "burst", 0, "calls at once; 0 means 10")
	f.Int32Var(&r.Ceiling, "ceiling", 0, "percent of the limits that Lockstep may use, 1 to 100; 0 means all")
	return cmd
}

func (c *CLI) tenantDisconnect() *cobra.Command {
	return c.onTenant("disconnect TENANT", "Stop both connections; what waits is kept", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		answer, err := client.Disconnect(cmd.Context(), &consolev1.DisconnectRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, tenantRows(answer.GetTenant()))
	})
}

func (c *CLI) tenantTest() *cobra.Command {
	return c.onTenant("test TENANT", "Call both systems and tell what they say", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		answer, err := client.TestConnection(cmd.Context(), &consolev1.TestConnectionRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		said := func(fault string) string {
			if fault == "" {
				return "well"
			}
			return fault
		}
		rows := [][]string{
			{"hubspot", said(answer.GetHubspotFault())}, {"aloware", said(answer.GetAlowareFault())},
			{"portal", fmt.Sprintf("%d, %s", answer.GetPortalId(), answer.GetPortalTimeZone())},
			{"custom properties", fmt.Sprintf("%d of %d", answer.GetPropertyUsage(), answer.GetPropertyLimit())},
		}
		if err := c.print(cmd, answer, rows); err != nil {
			return err
		}
		if answer.GetHubspotFault() != "" || answer.GetAlowareFault() != "" {
			return fmt.Errorf("a connection of %s does not work", args[0])
		}
		return nil
	})
}

func (c *CLI) capabilities() *cobra.Command {
	return c.onTenant("capabilities TENANT", "Tell what the connection to Aloware can and cannot do", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		answer, err := client.GetCapabilities(cmd.Context(), &consolev1.GetCapabilitiesRequest{Tenant: args[0]})
		if err != nil {
			return err
		}
		yes := map[bool]string{true: "yes", false: "no"}
		rows := [][]string{{"FUNCTION", "POSSIBLE", "NOTE"}}
		for _, f := range answer.GetFunctions() {
			rows = append(rows, []string{f.GetFunction(), yes[f.GetPossible()], f.GetNote()})
		}
		rows = append(rows, []string{""}, []string{"FIELD", "READ", "SET", "CLEAR", "NOTE"})
		for _, f := range answer.GetFields() {
			note := f.GetSetNote()
			if note == "" {
				note = f.GetClearNote()
			}
			rows = append(rows, []string{f.GetProperty(), yes[f.GetRead()], yes[f.GetSet()], yes[f.GetClear()], note})
		}
		return c.print(cmd, answer, rows)
	})
}

func burstFloor(contacts int64) string {
	if contacts == 0 {
		return "never"
	}
	return "from " + many(contacts, "contact", "contacts") + " in ten minutes on"
}
