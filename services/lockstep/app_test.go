package lockstep_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/hubspot/hubspotsim"
)

// The app and the portal of this test; nothing of the demonstration's.
const (
	realApp    = 77
	realPortal = 5005
	realSecret = "the-client-secret-of-app-77"
)

// startBeside starts an installation as a customer has it, and both systems as
// simulators beside it. Nothing is connected, and nothing of HubSpot is polled
// while the test runs, so that what arrives came by webhook.
func startBeside(t *testing.T) *demo {
	d := prepared(t, os.Args[0], "LOCKSTEP_POLL_EVERY=24h")
	hub, err := hubspotsim.New(hubspotsim.Config{
		Token: "private-app-token", AppID: realApp, PortalID: realPortal, ClientID: "client-77", ClientSecret: realSecret,
		WebhookURL: fmt.Sprintf("http://%s/webhooks/hubspot/%d", d.ingest, realApp), Latency: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	alo, err := alowaresim.New(alowaresim.Config{
		Token: "account-token", Rate: -1, Latency: -1,
		Webhooks: []alowaresim.Webhook{{URL: "http://" + d.ingest + "/webhooks/aloware/acme", Auth: "bearer", Token: "hook-token"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{hub.Run, alo.Run} {
		running.Go(func() { _ = run(ctx) }) // it ends with the test
	}
	hubspot, aloware := httptest.NewServer(hub.Handler()), httptest.NewServer(alo.Handler())
	t.Cleanup(func() {
		cancel()
		running.Wait()
		hubspot.Close()
		aloware.Close()
	})
	d.hubspot, d.aloware = strings.TrimPrefix(hubspot.URL, "http://"), strings.TrimPrefix(aloware.URL, "http://")
	d.start()
	return d
}

// exits runs a command that must end with an exit code.
func (d *demo) exits(code int, args ...string) {
	d.t.Helper()
	if err := d.cli(nil, args...); err == nil || !strings.Contains(err.Error(), fmt.Sprint("exit status ", code)) {
		d.t.Errorf("%v gives %v, want exit code %d", args, err, code)
	}
}

// TestAnAppIsRegisteredAndItsWebhooksArrive, in an installation that is no
// demonstration: an app is saved, a tenant connected, and an edit in HubSpot
// arrives in Aloware by webhook; a webhook of an app that is not known, or
// signed by version 1 where that is not allowed, is refused.
func TestAnAppIsRegisteredAndItsWebhooksArrive(t *testing.T) {
	t.Parallel()
	d := startBeside(t)
	body := []byte(fmt.Sprintf(`[{"eventId":1,"subscriptionType":"contact.propertyChange","portalId":%d,"appId":%d,"occurredAt":1,"objectId":1,"propertyName":"firstname","propertyValue":"Old"}]`, realPortal, realApp))
	signed := func(header, signature string) int {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("http://%s/webhooks/hubspot/%d", d.ingest, realApp), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set(header, signature)
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	sum := sha256.Sum256(append([]byte(realSecret), body...))
	v1 := func() int { return signed("X-HubSpot-Signature", hex.EncodeToString(sum[:])) }
	if got := v1(); got != http.StatusUnauthorized {
		t.Errorf("a webhook of an unknown app is answered %d", got)
	}

	app := fmt.Sprint(realApp)
	secret := filepath.Join(d.data, "client-secret")
	if err := os.WriteFile(secret, []byte(realSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	d.exits(3, "app", "save", app, "--client-id", "client-77") // nothing could be verified
	d.exits(2, "app", "save", "seven", "--client-id", "client-77")
	var saved struct {
		App struct {
			WebhookUrl, RedirectUrl string
			HasSecret, SignatureV1  bool
		}
	}
	d.mustCLI(&saved, "app", "save", app, "--client-id", "client-77", "--client-secret-file", secret, "--base-url", "http://"+d.hubspot)
	if want := "http://" + d.ingest + "/webhooks/hubspot/77"; saved.App.WebhookUrl != want || saved.App.RedirectUrl != "http://"+d.console+"/hubspot/callback" || !saved.App.HasSecret || saved.App.SignatureV1 {
		t.Errorf("the app is %+v", saved.App)
	}
	d.mustCLI(nil, "tenant", "save", "acme", "--name", "Acme")
	d.exits(3, "tenant", "connect-hubspot", "acme") // by which token?
	d.mustCLI(nil, "tenant", "connect-hubspot", "acme", "--access-token", "private-app-token", "--app-id", app, "--base-url", "http://"+d.hubspot)
	d.mustCLI(nil, "tenant", "connect-aloware", "acme", "--api-token", "account-token", "--profile", "full", "--webhook-secret", "hook-token", "--base-url", "http://"+d.aloware, "--rate", "50", "--burst", "50")

	d.arrives("Ada", "+12025550142")
	if got := v1(); got != http.StatusUnauthorized {
		t.Errorf("a webhook signed by version 1 is answered %d before that is allowed", got)
	}
	d.mustCLI(&saved, "app", "save", app, "--signature-v1")
	eventually(t, 10*time.Second, func() string { // other processes hear of it in a moment
		if got := v1(); got != http.StatusOK {
			return fmt.Sprintf("a webhook signed by version 1 is answered %d", got)
		}
		return ""
	})
	if got := signed("X-HubSpot-Signature", strings.Repeat("0", 64)); got != http.StatusUnauthorized {
		t.Errorf("a wrong signature of version 1 is answered %d", got)
	}
	d.unchanged()
	d.byOAuth()
	d.told()

	d.exits(3, "app", "remove", app) // a tenant needs it
	d.mustCLI(nil, "tenant", "disconnect", "acme")
	d.mustCLI(nil, "app", "remove", app)
	eventually(t, 10*time.Second, func() string {
		if got := v1(); got != http.StatusUnauthorized {
			return fmt.Sprintf("a webhook of an app that was removed is answered %d", got)
		}
		return ""
	})
	d.exits(3, "app", "remove", app)
}

// arrives makes a contact in HubSpot and edits it, and waits for both in
// Aloware.
func (d *demo) arrives(name, phone string) {
	d.t.Helper()
	var made struct{ ID string }
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": name, "phone": phone}}, &made)
	for _, want := range []string{name, name + " B."} {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": made.ID, "properties": map[string]any{"firstname": want}}, nil)
		eventually(d.t, 30*time.Second, func() string {
			contacts := d.contacts(d.aloware, "")
			for _, one := range contacts {
				if one["phone_number"] == phone && one["first_name"] == want {
					return ""
				}
			}
			return fmt.Sprintf("no contact in Aloware is called %q: %v", want, contacts)
		})
	}
}

type shown struct {
	Hubspot struct {
		SignsInBy, AppId     string
		WindowLimit, Ceiling int
		BaseUrl              string
	}
	Aloware struct {
		Profile, WebhookAuth, WebhookUrl, BaseUrl string
		HasToken, HasWebhookSecret                bool
		Rate                                      float64
		Burst, Ceiling                            int
	}
	Tenant struct{ Mappings, MappingsAtRest int }
}

// unchanged changes one limit of each connection; all else stays, credentials
// too. A credential is not sent to another address.
func (d *demo) unchanged() {
	d.t.Helper()
	d.mustCLI(nil, "tenant", "connect-hubspot", "acme", "--ceiling", "50")
	d.mustCLI(nil, "tenant", "connect-aloware", "acme", "--ceiling", "60")
	var now shown
	d.mustCLI(&now, "tenant", "show", "acme")
	h, a := now.Hubspot, now.Aloware
	if h.SignsInBy != "token" || h.AppId != fmt.Sprint(realApp) || h.Ceiling != 50 || h.BaseUrl != "http://"+d.hubspot {
		d.t.Errorf("the connection to HubSpot is %+v", h)
	}
	if a.Profile != "full" || a.WebhookAuth != "bearer" || !a.HasToken || !a.HasWebhookSecret || a.Rate != 50 || a.Burst != 50 || a.Ceiling != 60 || a.WebhookUrl != "http://"+d.ingest+"/webhooks/aloware/acme" {
		d.t.Errorf("the connection to Aloware is %+v", a)
	}
	if now.Tenant.Mappings != 55 || now.Tenant.MappingsAtRest != 0 {
		d.t.Errorf("the tenant has %+v", now.Tenant)
	}
	d.exits(3, "tenant", "connect-hubspot", "acme", "--base-url", "http://127.0.0.1:1")
	d.exits(3, "tenant", "connect-aloware", "acme", "--base-url", "http://127.0.0.1:1")
	d.exits(3, "app", "save", fmt.Sprint(realApp), "--base-url", "http://127.0.0.1:1")
}

// byOAuth opens the address that the command gives, as a person's browser would,
// and connects by it; a change of a limit keeps that connection.
func (d *demo) byOAuth() {
	d.t.Helper()
	var consent struct{ Address string }
	d.mustCLI(&consent, "tenant", "consent", "acme")
	jar, err := cookiejar.New(nil)
	if err != nil {
		d.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: 20 * time.Second}
	read := func(answer *http.Response, err error) (string, *url.URL) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			d.t.Fatal(err)
		}
		return string(text), answer.Request.URL
	}
	token, err := os.ReadFile(filepath.Join(d.data, "operator.token"))
	if err != nil {
		d.t.Fatal(err)
	}
	read(browser.PostForm("http://"+d.console+"/sign-in", url.Values{"token": {strings.TrimSpace(string(token))}}))
	_, asked := read(browser.Get(consent.Address))
	if asked.Host != d.hubspot || asked.Query().Get("code_challenge") == "" {
		d.t.Fatalf("the consent leads to %v", asked)
	}
	form := asked.Query()
	form.Set("decision", "approve")
	text, back := read(browser.PostForm(asked.Scheme+"://"+asked.Host+asked.Path, form))
	if back.Path != "/tenants/acme" || !strings.Contains(text, "connected by OAuth") {
		d.t.Fatalf("after the consent the browser is at %v: %s", back, text)
	}
	d.mustCLI(nil, "tenant", "connect-hubspot", "acme", "--ceiling", "40")
	var now shown
	if d.mustCLI(&now, "tenant", "show", "acme"); now.Hubspot.SignsInBy != "oauth" || now.Hubspot.Ceiling != 40 {
		d.t.Errorf("the connection to HubSpot is %+v", now.Hubspot)
	}
	d.exits(3, "tenant", "connect-hubspot", "acme", "--app-id", "78") // whose token it is not
	d.arrives("Grace", "+12025550143")
	// The form of the page has all that the command has, and keeps what it has no
	// field for.
	fields := url.Values{"profile": {"full"}, "webhook_auth": {"bearer"}, "base_url": {"http://" + d.aloware}, "rate": {"40.5"}, "burst": {"45"}}
	if text, back := read(browser.PostForm("http://"+d.console+"/tenants/acme/connect-aloware", fields)); back.Path != "/tenants/acme" || !strings.Contains(text, `name="rate" inputmode="decimal" value="40.5"`) {
		d.t.Errorf("after the form the browser is at %v: %s", back, text)
	}
	if d.mustCLI(&now, "tenant", "show", "acme"); now.Aloware.Rate != 40.5 || now.Aloware.Burst != 45 || !now.Aloware.HasToken || !now.Aloware.HasWebhookSecret {
		d.t.Errorf("the connection to Aloware is %+v", now.Aloware)
	}
	fields.Set("rate", "fast")
	if text, _ := read(browser.PostForm("http://"+d.console+"/tenants/acme/connect-aloware", fields)); !strings.Contains(text, "is no number from 0 to 10000") || !strings.Contains(text, `value="45"`) {
		d.t.Errorf("a rate that is no number is answered %s", text)
	}
	page, at := read(browser.Get("http://" + d.console + "/apps"))
	if at.Path != "/apps" || !strings.Contains(page, fmt.Sprintf(`data-app="%d"`, realApp)) || strings.Contains(page, realSecret) {
		d.t.Errorf("the page of apps, at %v, is: %s", at, page)
	}
}

// told holds what the command line tells of the pipeline, the schedule and the
// audit.
func (d *demo) told() {
	d.t.Helper()
	var pipeline struct {
		AtMs   string
		Stages []struct{ Name string }
		Checks map[string]string
	}
	d.mustCLI(&pipeline, "pipeline")
	if pipeline.AtMs == "0" || len(pipeline.Stages) < 4 || len(pipeline.Checks) == 0 {
		d.t.Errorf("the pipeline is %+v", pipeline)
	}
	eventually(d.t, 30*time.Second, func() string {
		var tenants struct {
			Tenants []struct {
				Tenant string
				Lanes  []struct {
					System     string
					Used, Most int
				}
			}
		}
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "More", "phone": fmt.Sprintf("+1202555%04d", time.Now().UnixNano()%10_000)}}, nil)
		d.mustCLI(&tenants, "tenant", "list")
		if len(tenants.Tenants) != 1 || len(tenants.Tenants[0].Lanes) == 0 || tenants.Tenants[0].Lanes[0].Most == 0 {
			return fmt.Sprintf("the tenants are %+v", tenants)
		}
		return ""
	})
	var schedule struct {
		EverySeconds int
		Set          bool
	}
	if d.mustCLI(&schedule, "sync", "schedule", "acme"); schedule.EverySeconds != 24*3600 || schedule.Set {
		d.t.Errorf("the schedule at first is %+v", schedule)
	}
	d.mustCLI(nil, "sync", "schedule", "acme", "--every", "6h")
	if d.mustCLI(&schedule, "sync", "schedule", "acme"); schedule.EverySeconds != 6*3600 || !schedule.Set {
		d.t.Errorf("the schedule that was set is %+v", schedule)
	}
	var audit struct {
		Entries []struct{ Tenant, Object, Outcome, Detail string }
	}
	d.mustCLI(&audit, "audit", "--action", "SaveApp")
	for _, e := range audit.Entries {
		if e.Object != fmt.Sprint(realApp) || strings.Contains(e.Detail, realSecret) {
			d.t.Errorf("the audit has %+v", e)
		}
	}
	d.mustCLI(&audit, "audit", "--action", "ConnectHubSpot")
	oauth := 0
	for _, e := range audit.Entries {
		if strings.Contains(e.Detail, "oauth") && e.Tenant == "acme" && e.Outcome == "done" {
			oauth++
		}
	}
	if oauth != 1 {
		d.t.Errorf("the audit has %d connections by OAuth: %+v", oauth, audit.Entries)
	}
}
