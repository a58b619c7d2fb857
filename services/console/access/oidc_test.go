package access_test

import (
	"errors"
	"testing"
	"time"

	"lockstep.internal/services/console/access"
)

func withProvider(p *identityProvider, create bool) func(*access.Config) {
	return func(c *access.Config) {
		c.OIDC = access.OIDC{Issuer: p.url, ClientID: clientID, ClientSecret: clientSecret, Redirect: callback, Create: create}
	}
}

const browser = "192.0.2.7"

// visit begins at one console and gives what the browser brings back.
func (e *env) visit(p *identityProvider) access.OIDCAnswer {
	e.t.Helper()
	address, cookie, err := e.BeginOIDC(e.t.Context(), browser)
	if err != nil {
		e.t.Fatal(err)
	}
	state, code := p.visit(address)
	return access.OIDCAnswer{Cookie: cookie, State: state, Code: code, Remote: browser}
}

// TestTheProviderNamesAPerson by verified e-mail at first, and by its own name
// of the person from then on; the roles are ours.
func TestTheProviderNamesAPerson(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	e := newEnv(t, withProvider(p, false))
	if !e.OIDC() {
		t.Fatal("there is no sign-in by the provider")
	}
	_, once, err := e.SavePerson(e.root(), access.PersonChange{Login: "ada@example.com", Roles: access.Roles{acme: access.Administrator}, Password: true})
	if err != nil {
		t.Fatal(err)
	}
	p.claims = map[string]any{"sub": "s1", "email": "Ada@Example.com", "email_verified": true, "name": "Ada"}
	in, err := e.process().FinishOIDC(t.Context(), e.visit(p)) // another console ends what one began
	if err != nil {
		t.Fatal(err)
	}
	if c, err := e.Session(t.Context(), in.Token); err != nil || c.Name != "ada@example.com" || !c.May(acme, access.Administrator) || c.MustChange {
		t.Fatalf("the session is %+v, %v", c, err)
	}
	if _, err := e.SignIn(t.Context(), "ada@example.com", once, browser); rule(err) != "sign_in" {
		t.Errorf("the one-time password that nobody needs any more gives %v", err)
	}
	p.set(func() { p.claims["email"] = "ada.new@example.com" })
	if in, err := e.FinishOIDC(t.Context(), e.visit(p)); err != nil || in.Caller.Name != "ada@example.com" {
		t.Errorf("with another e-mail address it is %+v, %v", in.Caller, err)
	}
	p.set(func() { p.claims = map[string]any{"sub": "s2", "email": "ada@example.com", "email_verified": true} })
	if _, err := e.FinishOIDC(t.Context(), e.visit(p)); rule(err) != "taken" {
		t.Errorf("somebody else with the same e-mail address gives %v", err)
	}
	p.set(func() { p.claims = map[string]any{"sub": "s1"} })
	e.person("root@example.com", access.Roles{access.Everywhere: access.Operator})
	if _, err := e.DisablePerson(e.root(), "ada@example.com", true); err != nil {
		t.Fatal(err)
	}
	if _, err := e.FinishOIDC(t.Context(), e.visit(p)); rule(err) != "disabled" {
		t.Errorf("a disabled person gives %v", err)
	}
}

// TestAnUnknownPersonIsAddedOnlyIfWanted, and without roles.
func TestAnUnknownPersonIsAddedOnlyIfWanted(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	e := newEnv(t, withProvider(p, false))
	p.claims = map[string]any{"sub": "s1", "email": "new@example.com", "email_verified": true, "name": "New"}
	if _, err := e.FinishOIDC(t.Context(), e.visit(p)); rule(err) != "not_found" {
		t.Errorf("without the setting it gives %v", err)
	}
	e.config.OIDC.Create = true
	e.Service = e.process()
	for _, verified := range []any{false, nil, "false", 1} {
		p.set(func() { p.claims["email_verified"] = verified })
		if _, err := e.FinishOIDC(t.Context(), e.visit(p)); rule(err) != "not_found" {
			t.Errorf("an e-mail address that is verified %v gives %v", verified, err)
		}
	}
	p.set(func() { p.claims["email_verified"] = "true" })
	in, err := e.FinishOIDC(t.Context(), e.visit(p))
	if err != nil || in.Caller.Name != "new@example.com" || in.Caller.Everywhere != 0 || len(in.Caller.Tenants) != 0 {
		t.Errorf("the new person is %+v, %v", in.Caller, err)
	}
}

// TestAnAnswerOfTheProviderIsChecked: what is not of this browser, this
// sign-in, this provider or this time begins no session.
func TestAnAnswerOfTheProviderIsChecked(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	e := newEnv(t, withProvider(p, true))
	p.claims = map[string]any{"sub": "s1", "email": "ada@example.com", "email_verified": true}
	refused := func(name string, answer access.OIDCAnswer) {
		t.Helper()
		if in, err := e.FinishOIDC(t.Context(), answer); rule(err) != "sign_in" || in.Token != "" {
			t.Errorf("%s: got %+v, %v", name, in, err)
		}
	}
	other := e.visit(p)

	answer := e.visit(p)
	answer.Cookie = other.Cookie
	refused("another browser's cookie", answer)
	answer.Cookie = ""
	refused("no cookie", answer)
	answer.Cookie, answer.State = "made up", "made up"
	refused("a state that nobody began", answer)
	answer.Cookie, answer.State = "", ""
	refused("no state", answer)

	answer = e.visit(p)
	if _, err := e.FinishOIDC(t.Context(), answer); err != nil {
		t.Fatalf("a good answer: %v", err)
	}
	refused("the same answer again", answer)
	replayed := e.visit(p)
	replayed.Code = answer.Code
	refused("a code that was used before", replayed)
	stolen := e.visit(p)
	stolen.Code = other.Code // the verifier is that of another sign-in
	refused("another sign-in's code", stolen)

	answer = e.visit(p)
	answer.Code, answer.Error = "", "access_denied"
	refused("an error of the provider", answer)

	for name, spoil := range map[string]func(map[string]any){
		"another nonce":    func(c map[string]any) { c["nonce"] = "another" },
		"no nonce":         func(c map[string]any) { delete(c, "nonce") },
		"an expired token": func(c map[string]any) { c["exp"] = time.Now().Add(-time.Hour).Unix() },
		"another client":   func(c map[string]any) { c["aud"] = "somebody-else" },
		"another issuer":   func(c map[string]any) { c["iss"] = "https://elsewhere.example.com" },
		"no subject":       func(c map[string]any) { delete(c, "sub") },
	} {
		p.set(func() { p.spoil = spoil })
		refused(name, e.visit(p))
	}
	p.set(func() { p.spoil, p.signer = nil, newKey(t) })
	refused("another key", e.visit(p))
	p.set(func() { p.signer = nil })

	answer = e.visit(p)
	e.pass(10 * time.Minute)
	refused("an answer after ten minutes", answer)
	if _, err := e.FinishOIDC(t.Context(), e.visit(p)); err != nil {
		t.Errorf("a good answer at the end: %v", err)
	}
}

// TestTheConsoleDoesWithoutAProvider that is away or not configured.
func TestTheConsoleDoesWithoutAProvider(t *testing.T) {
	t.Parallel()
	p := newIdentityProvider(t)
	p.broken = true
	e := newEnv(t, withProvider(p, false))
	e.person("ada@example.com", nil) // a password still does
	if _, _, err := e.BeginOIDC(t.Context(), browser); rule(err) != "unavailable" {
		t.Errorf("a provider that is away gives %v", err)
	}
	p.set(func() { p.broken = false })
	e.pass(5 * time.Second)
	if _, _, err := e.BeginOIDC(t.Context(), browser); err != nil {
		t.Errorf("when it is back: %v", err)
	}
	none := newEnv(t)
	if _, _, err := none.BeginOIDC(t.Context(), browser); none.OIDC() || rule(err) != "not_found" {
		t.Errorf("no provider gives %v", err)
	}
	if _, err := access.New(access.Config{DB: e.db, OIDC: access.OIDC{Issuer: p.url}}); err == nil || errors.Is(err, access.ErrUnknown) {
		t.Errorf("a provider without client and address gives %v", err)
	}
}
