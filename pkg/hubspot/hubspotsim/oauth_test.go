package hubspotsim

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// approve goes through the consent page and gives the code.
func approve(t *testing.T, b *bench, extra url.Values) string {
	t.Helper()
	form := url.Values{"client_id": {"demo-client"}, "redirect_uri": {"http://localhost:9/back?a=b"}, "scope": {"crm.objects.contacts.read"}, "state": {"s&1"}}
	for k, v := range extra {
		form[k] = v
	}
	if a := b.do("GET", "/oauth/authorize?"+form.Encode(), nil).want(t, 200); !strings.Contains(a.text, "crm.objects.contacts.read") {
		t.Errorf("consent page lacks the scope: %s", a.text)
	}
	form.Set("decision", "approve")
	a := b.do("POST", "/oauth/authorize", form.Encode()).want(t, 302)
	back, err := url.Parse(a.header.Get("Location"))
	if err != nil || back.Query().Get("state") != "s&1" || back.Query().Get("a") != "b" {
		t.Fatalf("redirect %s", a.header.Get("Location"))
	}
	return back.Query().Get("code")
}

func token(b *bench, path string, fields ...string) answer {
	form := url.Values{"client_id": {"demo-client"}, "client_secret": {"demo-secret"}}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.do("POST", path, form.Encode())
}

func TestOAuthFlow(t *testing.T) {
	t.Parallel()
	c := newClock()
	b := start(t, Config{Now: c.now})
	const path, redirect = "/oauth/2026-09/token", "http://localhost:9/back?a=b"
	// The verifier and challenge are the example of RFC 7636.
	proof := url.Values{"code_challenge": {"E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "code_challenge_method": {"S256"}}
	code := approve(t, b, proof)
	if a := token(b, path, "grant_type", "authorization_code", "redirect_uri", redirect, "code", code, "code_verifier", "wrong").want(t, 400); a.at("status") != "BAD_CODE_VERIFIER" {
		t.Errorf("got %s", a.text)
	}
	if a := token(b, path, "grant_type", "authorization_code", "redirect_uri", redirect, "code", code).want(t, 400); a.at("status") != "BAD_AUTH_CODE" || a.at("error") != "invalid_grant" {
		t.Errorf("a code worked twice: %s", a.text)
	}
	code = approve(t, b, proof)
	a := token(b, path, "grant_type", "authorization_code", "redirect_uri", redirect, "code", code, "code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").want(t, 200)
	access, refresh := a.at("access_token").(string), a.at("refresh_token").(string)
	if a.at("hub_id") != 2002.0 || a.at("expires_in") != 1800.0 {
		t.Errorf("got %s", a.text)
	}
	b.doAs("Bearer "+access, "GET", contactsPath, nil).want(t, 200)
	b.doAs("Bearer "+access, "POST", contactsPath, `{"properties":{"firstname":"x"}}`).want(t, 403)
	if a := token(b, path+"/introspect", "token", access).want(t, 200); a.at("active") != true || a.at("app_id") != 1001.0 {
		t.Errorf("introspection %s", a.text)
	}
	b.do("GET", "/oauth/v1/access-tokens/"+access, nil).want(t, 200)

	c.move(31 * time.Minute)
	if a := b.doAs("Bearer "+access, "GET", contactsPath, nil).want(t, 401); a.at("category") != "EXPIRED_AUTHENTICATION" {
		t.Errorf("got %s", a.text)
	}
	a = token(b, "/oauth/v1/token", "grant_type", "refresh_token", "refresh_token", refresh).want(t, 200)
	if a.at("refresh_token") != refresh || a.at("hub_id") != nil {
		t.Errorf("v1 answer %s", a.text)
	}
	access = a.at("access_token").(string)
	token(b, path+"/revoke", "token", refresh).want(t, 200)
	b.doAs("Bearer "+access, "GET", contactsPath, nil).want(t, 200)
	if a := token(b, path, "grant_type", "refresh_token", "refresh_token", refresh).want(t, 400); a.at("status") != "BAD_REFRESH_TOKEN" {
		t.Errorf("got %s", a.text)
	}
	if a := token(b, path, "grant_type", "refresh_token", "client_id", "other").want(t, 400); a.at("status") != "BAD_CLIENT_ID" {
		t.Errorf("got %s", a.text)
	}
	b.do("GET", "/oauth/authorize?client_id=demo-client&redirect_uri=http://evil.example", nil).want(t, 400)
}

func TestUninstallKillsTheRefreshToken(t *testing.T) {
	t.Parallel()
	b := start(t, Config{})
	code := approve(t, b, nil)
	a := token(b, "/oauth/v1/token", "grant_type", "authorization_code", "redirect_uri", "http://localhost:9/back?a=b", "code", code).want(t, 200)
	b.doAs("Bearer "+a.at("access_token").(string), "DELETE", "/appinstalls/2026-09/external-install", nil).want(t, 204)
	token(b, "/oauth/v1/token", "grant_type", "refresh_token", "refresh_token", a.at("refresh_token").(string)).want(t, 400)
}
