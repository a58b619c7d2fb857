package alerts

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// rule is the stable word of a refusal.
func rule(err error) string {
	var refused *Error
	if errors.As(err, &refused) {
		return refused.Rule + " " + refused.Subject
	}
	return fmt.Sprint(err)
}

// TestTargetsAreSavedSealed: the secret is given once, neither it nor the
// address is shown, what is not given stays, and a new secret signs.
func TestTargetsAreSavedSealed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	a, r := e.room(local), newReceiver(t)
	target, secret := e.webhook(a, r, TargetChange{})
	if !strings.HasPrefix(secret.Reveal(), "whsec_") || target.Name != r.URL+"/…" || strings.Contains(fmt.Sprintf("%+v", target), "do-not-tell") || target.CreatedBy != "ada" {
		t.Errorf("saved %+v, secret of %d letters", target, len(secret.Reveal()))
	}
	changed, again, err := a.Save(t.Context(), acme, TargetChange{ID: target.ID, Name: "Ops", Kinds: []Kind{Problem, Connection, Problem}, Words: true}, "bob")
	if err != nil || again != "" || changed.Name != "Ops" || strings.Join(changed.Kinds, " ") != "connection error" || !changed.Words || changed.CreatedBy != "ada" || changed.URL != target.URL {
		t.Errorf("changed to %+v with secret %q, %v", changed, again.Reveal(), err)
	}
	_, renewed, err := a.Save(t.Context(), acme, TargetChange{ID: target.ID, NewSecret: true}, "bob")
	if err != nil || renewed == "" || renewed == secret {
		t.Errorf("the secret is not another one: %v", err)
	}
	tried, err := a.Test(t.Context(), acme, target.ID, "bob")
	if err != nil || len(tried) != 1 || !tried[0].Done || tried[0].Recipient != r.URL+"/…" || !strings.HasPrefix(tried[0].Answer, "200 OK") {
		t.Errorf("the test came to %+v, %v", tried, err)
	}
	got := r.take()
	if len(got) != 1 || got[0].Type != "test" || !strings.Contains(got[0].Text, "asked for by bob") {
		t.Errorf("the receiver got %+v", got)
	}
	r.answers(401)
	if tried, err = a.Test(t.Context(), acme, target.ID, "bob"); err != nil || tried[0].Done || !strings.HasPrefix(tried[0].Answer, "401 Unauthorized") {
		t.Errorf("a test that is refused came to %+v, %v", tried, err)
	}
	if err := a.Remove(t.Context(), acme, target.ID); err != nil {
		t.Error(err)
	}
	if got := rule(a.Remove(t.Context(), acme, target.ID)); got != "not_found target" {
		t.Errorf("a target that is gone is removed: %s", got)
	}
}

// TestWrongTargetsAreRefused, each with its rule.
func TestWrongTargetsAreRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	settings := local
	settings.Mail = Mail{Host: "127.0.0.1", Port: 1, Plain: true, From: "lockstep@example.com"}
	a, silent, r := e.room(settings), e.room(local), newReceiver(t)
	hook, _ := e.webhook(a, r, TargetChange{})
	for want, change := range map[string]TargetChange{
		"invalid kind":      {Kind: "pigeon"},
		"invalid url":       {Kind: "webhook"},
		"invalid kinds":     {Kind: "webhook", URL: tenant.Secret(r.URL), Kinds: []Kind{"weather"}},
		"invalid name":      {Kind: "webhook", URL: tenant.Secret(r.URL), Name: "two\nlines"},
		"invalid addresses": {Kind: "mail", Addresses: []string{"Ada <ada@example.com>"}},
		"not_found target":  {ID: "target_nobody"},
	} {
		if _, _, err := a.Save(t.Context(), acme, change, "ada"); rule(err) != want {
			t.Errorf("%+v is answered %q, want %q", change, rule(err), want)
		}
	}
	for name, err := range map[string]error{
		"no address":           second(a.Save(t.Context(), acme, TargetChange{Kind: "mail"}, "ada")),
		"a line within":        second(a.Save(t.Context(), acme, TargetChange{Kind: "mail", Addresses: []string{"ada@example.com\r\nBcc: eve@example.com"}}, "ada")),
		"a webhook as mail":    second(a.Save(t.Context(), acme, TargetChange{ID: hook.ID, Kind: "mail"}, "ada")),
		"mail for a webhook":   second(a.Save(t.Context(), acme, TargetChange{ID: hook.ID, Addresses: []string{"ada@example.com"}}, "ada")),
		"mail where is none":   second(silent.Save(t.Context(), acme, TargetChange{Kind: "mail", Addresses: []string{"ada@example.com"}}, "ada")),
		"a tenant of nobody's": second(a.Save(t.Context(), "nobody", TargetChange{Kind: "webhook", URL: tenant.Secret(r.URL)}, "ada")),
	} {
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s is answered %v", name, err)
		}
	}
	for i := 1; i < mostTargets; i++ {
		e.webhook(a, r, TargetChange{})
	}
	if err := second(a.Save(t.Context(), acme, TargetChange{Kind: "webhook", URL: tenant.Secret(r.URL)}, "ada")); rule(err) != "too_many target" {
		t.Errorf("target %d is answered %v", mostTargets+1, err)
	}
	if _, _, err := a.Save(t.Context(), acme, TargetChange{ID: hook.ID, Name: "still may change"}, "ada"); err != nil {
		t.Errorf("with all targets there one cannot be changed: %v", err)
	}
}

func second(_ *Target, _ tenant.Secret, err error) error { return err }

// TestAnAddressThatIsTakenOut gets nothing more of what waits.
func TestAnAddressThatIsTakenOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	settings := local
	settings.Mail = Mail{Host: "127.0.0.1", Port: 1, Plain: true, From: "lockstep@example.com"}
	a := e.room(settings)
	target, _, err := a.Save(t.Context(), acme, TargetChange{Kind: postgres.AlertMail, Addresses: []string{"ada@example.com", "bob@example.com"}}, "ada")
	if err != nil {
		t.Fatal(err)
	}
	e.tells(a, 1)
	if all := e.deliveries(a); len(all) != 2 {
		t.Fatalf("deliveries are %+v", all)
	}
	if _, _, err := a.Save(t.Context(), acme, TargetChange{ID: target.ID, Addresses: []string{"bob@example.com"}}, "ada"); err != nil {
		t.Fatal(err)
	}
	if all := e.deliveries(a); len(all) != 1 || all[0].Recipient != "bob@example.com" {
		t.Errorf("deliveries are %+v", all)
	}
}
