package tenant

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestSecretsNeverPrint, whichever way somebody prints what holds them.
func TestSecretsNeverPrint(t *testing.T) {
	t.Parallel()
	const secret = "pat-na1-11111111"
	tenant := Tenant{
		ID: "demo", HubSpot: HubSpot{AccessToken: secret, RefreshToken: secret},
		Aloware: Aloware{Token: secret, WebhookPassword: secret, WebhookToken: secret},
	}
	app := App{AppID: 1, ClientSecret: secret}
	var out bytes.Buffer
	for _, value := range []any{tenant, &tenant, app, &app, app.ClientSecret, []Secret{secret}, map[string]Secret{"a": secret}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%T", "%08.3f"} {
			fmt.Fprintf(&out, verb+"\n", value)
		}
		fmt.Fprintln(&out, value)
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(raw)
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).Info("saved", "value", value)
		}
	}
	fmt.Fprintln(&out, fmt.Errorf("call with %s: %v", app.ClientSecret, tenant))
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret)} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%s is in the output", form)
		}
	}
	if got := app.ClientSecret.Reveal(); got != secret {
		t.Errorf("revealed %q, want the secret", got)
	}
	if got := fmt.Sprint(Secret("")); got != "" {
		t.Errorf("no secret prints as %q, want nothing", got)
	}
}

// TestOnlyWhoReadsByIDArchivesInHubSpot: else a number that was changed in
// Aloware would look like a deletion.
func TestOnlyWhoReadsByIDArchivesInHubSpot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		profile    string
		flow, want Flow
	}{
		{"full", FlowBoth, FlowBoth}, {"full", FlowToHubSpot, FlowToHubSpot}, {"full", FlowNone, FlowNone},
		{"documented", FlowBoth, FlowToAloware}, {"documented", FlowToHubSpot, FlowNone}, {"documented", FlowToAloware, FlowToAloware}, {"documented", "", FlowNone},
	} {
		if got := (&Tenant{Archive: c.flow, Aloware: Aloware{Profile: c.profile}}).Archives(); got != c.want {
			t.Errorf("%s with profile %s archives %s, want %s", c.flow, c.profile, got, c.want)
		}
	}
}
