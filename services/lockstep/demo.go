package lockstep

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/hubspot/hubspotsim"
	"lockstep.internal/pkg/platform"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console"
	"lockstep.internal/services/console/tenants"
)

// The demonstration's fixed contract.
const (
	demoTenant        = "demo"
	demoAppID         = 1001
	demoPortalID      = 2002
	demoHubSpotToken  = "demo-hubspot-token"
	demoHubSpotClient = "demo-hubspot-client"
	demoHubSpotSecret = "demo-hubspot-secret"
	demoAlowareToken  = "demo-aloware-token"
	demoWebhookToken  = "demo-webhook-token"
)

type demoSettings struct {
	hubspot, aloware string // addresses
	profile          string
	rate             float64
	burst            int
	window           int
	contacts         int // that an empty simulated CRM is filled with
}

func readDemoSettings(env *daemon.Env) demoSettings {
	return demoSettings{
		hubspot:  env.String("LOCKSTEP_HUBSPOT_SIM_ADDR", "127.0.0.1:8082"),
		aloware:  env.String("LOCKSTEP_ALOWARE_SIM_ADDR", "127.0.0.1:8083"),
		profile:  env.String("LOCKSTEP_ALOWARE_PROFILE", "full"),
		rate:     env.Float("LOCKSTEP_ALOWARE_SIM_RATE", 5),
		burst:    env.Int("LOCKSTEP_ALOWARE_SIM_BURST", 10),
		window:   env.Int("LOCKSTEP_HUBSPOT_SIM_WINDOW", 190),
		contacts: env.Int("LOCKSTEP_DEMO_CONTACTS", 10),
	}
}

func (s demoSettings) links() []console.Link {
	return []console.Link{
		{Name: "HubSpot simulator: edit contacts as in the CRM", URL: "http://" + s.hubspot},
		{Name: "Aloware simulator: edit contacts, make calls and texts", URL: "http://" + s.aloware},
	}
}

// demo is the two simulated systems and the connected tenant.
type demo struct {
	platform *platform.Platform
	tenants  *tenants.Tenants
	settings settings
	run      []func(context.Context) error
}

// newDemo makes the simulators. They keep what they hold in journals, as the
// real systems would while we are away.
func newDemo(p *platform.Platform, rooms *tenants.Tenants, s settings, l listeners) (*demo, error) {
	hub, err := hubspotsim.New(hubspotsim.Config{
		Token: demoHubSpotToken, AppID: demoAppID, PortalID: demoPortalID, ClientID: demoHubSpotClient, ClientSecret: demoHubSpotSecret,
		WebhookURL: s.publicURL + "/webhooks/hubspot", Journal: filepath.Join(s.data, "hubspot-simulator.journal"), WindowLimit: s.demo.window, Logger: p.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("HubSpot simulator: %w", err)
	}
	alo, err := alowaresim.New(alowaresim.Config{
		Token: demoAlowareToken, Profile: s.demo.profile, Journal: filepath.Join(s.data, "aloware-simulator.journal"),
		Rate: s.demo.rate, Burst: s.demo.burst, Logger: p.Logger,
		Webhooks: []alowaresim.Webhook{{URL: s.publicURL + "/webhooks/aloware/" + demoTenant, Auth: "bearer", Token: demoWebhookToken}},
	})
	if err != nil {
		return nil, fmt.Errorf("Aloware simulator: %w", err)
	}
	d := &demo{platform: p, tenants: rooms, settings: s}
	d.run = []func(context.Context) error{
		func(ctx context.Context) error { return daemon.Serve(ctx, l.hubspot, hub.Handler()) },
		func(ctx context.Context) error { return daemon.Serve(ctx, l.aloware, alo.Handler()) },
		hub.Run, alo.Run, d.connect,
	}
	return d, nil
}

// insist tries a step of connecting a few times: somebody may have told a simulator
// to fail now and then.
func insist(ctx context.Context, step func() error) error {
	const most = 10
	for n := 1; ; n++ {
		err := step()
		if err == nil || n == most {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// connect makes the demonstration's tenant, connects it as an operator would,
// and fills the simulated CRM with its first contacts. Each step is done once.
func (d *demo) connect(ctx context.Context) error {
	p, s := d.platform, d.settings
	known, there := p.Roster.Tenant(demoTenant)
	app := tenant.App{AppID: demoAppID, BaseURL: "http://" + s.demo.hubspot, ClientID: demoHubSpotClient, ClientSecret: demoHubSpotSecret}
	if _, err := d.tenants.SaveApp(ctx, app); err != nil {
		return fmt.Errorf("add the demonstration's app: %w", err)
	}
	if !there {
		if _, err := d.tenants.Save(ctx, demoTenant, tenants.Settings{
			Name: "Demo", Region: "US", TimeZone: "America/New_York", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth,
		}); err != nil {
			return fmt.Errorf("add the demonstration's tenant: %w", err)
		}
	}
	// Once more at each start: the addresses may have changed. A tenant that
	// somebody disconnected stays so.
	if !there || known.HubSpot.State != tenant.Disconnected || known.Mapping.Version == 0 {
		if err := insist(ctx, func() error {
			_, report, err := d.tenants.ConnectHubSpot(ctx, demoTenant, tenant.HubSpot{
				BaseURL: "http://" + s.demo.hubspot, AppID: demoAppID, AccessToken: demoHubSpotToken, WindowLimit: s.demo.window,
			}, "lockstep")
			if err == nil {
				p.Logger.InfoContext(ctx, "the demonstration's tenant is connected", "created_properties", len(report.Created), "at_rest", report.Incompatible)
			}
			return err
		}); err != nil {
			return fmt.Errorf("connect the demonstration's portal: %w", err)
		}
		if err := insist(ctx, func() error {
			_, err := d.tenants.ConnectAloware(ctx, demoTenant, tenant.Aloware{
				BaseURL: "http://" + s.demo.aloware, Token: demoAlowareToken, Profile: s.demo.profile, WebhookAuth: "bearer", WebhookToken: demoWebhookToken,
				Rate: s.demo.rate, Burst: s.demo.burst,
			})
			return err
		}); err != nil {
			return fmt.Errorf("connect the demonstration's account: %w", err)
		}
	}
	if err := d.fill(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("fill the simulated CRM: %w", err)
	}
	return nil
}

// fill loads the first contacts into an empty simulated CRM, once the lists of
// users and options are known, so that they can be mapped at once.
func (d *demo) fill(ctx context.Context) error {
	if d.settings.demo.contacts == 0 {
		return nil
	}
	base := "http://" + d.settings.demo.hubspot + "/_sim/"
	held, err := get(ctx, base+"contacts")
	if err != nil || len(bytes.TrimSpace(held)) > 0 {
		return err
	}
	for {
		lists, err := d.platform.DB.Lists(ctx, demoTenant)
		if err != nil {
			return err
		}
		systems := make(map[contact.System]bool)
		for _, list := range lists {
			systems[list.System] = true
		}
		if len(systems) == 2 {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	raw, err := json.Marshal(map[string]any{"contacts": d.settings.demo.contacts, "seed": 1, "webhooks": true})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"load", bytes.NewReader(raw))
	if err != nil {
		return err
	}
	_, err = send(request)
	return err
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	return send(request)
}

var controlClient = &http.Client{Timeout: 30 * time.Second}

func send(request *http.Request) ([]byte, error) {
	answer, err := controlClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %d %s", request.Method, request.URL.Path, answer.StatusCode, body.String())
	}
	return body.Bytes(), nil
}
