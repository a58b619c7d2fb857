package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
)

// TestEveryoneSeesTheAuditOfTheirTenants from administrator on, and what the
// outcome was.
func TestEveryoneSeesTheAuditOfTheirTenants(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	boss := access.Caller{Name: "boss", Kind: access.Human, ID: "7", Tenants: map[contact.Tenant]access.Role{acme: access.Administrator, beta: access.Agent}}
	for i, result := range []error{nil, &access.Error{Rule: "stale"}, errors.New("boom"), access.ErrUnknown} {
		r, err := e.Record(e.as(boss), access.Entry{Tenant: acme, Action: "SaveTenant", Object: fmt.Sprint(i), Detail: json.RawMessage(`{"name": "Acme"}`)})
		if err != nil {
			t.Fatal(err)
		}
		r.Done(t.Context(), result)
	}
	if _, err := e.Record(e.as(boss), access.Entry{Tenant: acme, Action: "SaveTenant", Object: "4", Detail: json.RawMessage(`"` + strings.Repeat("x", 40<<10) + `"`)}); err != nil {
		t.Fatal(err) // and no end is ever told
	}
	of := func(tenant contact.Tenant) access.AuditFilter { return access.AuditFilter{Tenant: &tenant} }
	entries, err := e.Audit(e.as(boss), of(acme))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range entries {
		got = append(got, strings.TrimSpace(a.Object+" "+a.Outcome+" "+a.Reason))
	}
	if text := strings.Join(got, ", "); text != "4 begun, 3 refused unknown, 2 failed, 1 refused stale, 0 done" {
		t.Errorf("the entries are %s", text)
	}
	if a := entries[4]; a.Caller != "boss" || a.Kind != "person" || a.ID != "7" || string(a.Detail) != `{"name": "Acme"}` {
		t.Errorf("the entry is %+v", a)
	}
	if len(entries[0].Detail) > 100 {
		t.Errorf("a long request is kept: %d bytes", len(entries[0].Detail))
	}
	for name, f := range map[string]access.AuditFilter{"where one is no administrator": of(beta), "the installation": of(""), "all": {}} {
		if _, err := e.Audit(e.as(boss), f); rule(err) != "role" {
			t.Errorf("%s gives %v", name, err)
		}
	}
	if all, err := e.Audit(e.root(), access.AuditFilter{}); err != nil || len(all) != 5 {
		t.Errorf("an operator of everywhere sees %d, %v", len(all), err)
	}
}

// TestSignInsAreAuditedWithoutSecrets: who came, who was refused, and never a
// password, a token, or a text that is nobody's login.
func TestSignInsAreAuditedWithoutSecrets(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	in := e.person("ada@example.com", nil)
	for _, login := range []string{"ada@example.com", "hunter2-in-the-wrong-field"} {
		if _, err := e.SignIn(t.Context(), login, "a wrong password", "192.0.2.1"); rule(err) != "sign_in" {
			t.Fatal(err)
		}
	}
	if err := e.SignOut(t.Context(), in.Token); err != nil {
		t.Fatal(err)
	}
	entries, err := e.Audit(e.root(), access.AuditFilter{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range entries {
		got = append(got, strings.TrimSpace(a.Action+" "+a.Caller+" "+a.Outcome+" "+a.Reason))
		raw := fmt.Sprintf("%+v %s", a, a.Detail)
		for _, secret := range []string{"hunter2", "wrong password", good, in.Token} {
			if strings.Contains(raw, secret) {
				t.Errorf("the audit tells %q: %s", secret, raw)
			}
		}
	}
	want := "SignOut ada@example.com done, SignIn  refused password, SignIn ada@example.com refused password, ChangePassword ada@example.com done, SignIn ada@example.com done"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("the audit tells\n%s, want\n%s", text, want)
	}
}

// TestTheAuditForgetsWhoWasErased: what was done to a contact names it, until
// the person is erased; then it is shown no more, and goes. That somebody was
// erased, by whom and when, stays.
func TestTheAuditForgetsWhoWasErased(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx := t.Context()
	entries := []access.Entry{
		{Tenant: acme, Action: "SetDisposition", Subject: "hubspot:1", Detail: json.RawMessage(`{"fields": ["city"]}`)},
		{Tenant: acme, Action: "SetDisposition", Subject: "hubspot:2", Detail: json.RawMessage(`{"fields": ["city"]}`)},
		{Tenant: beta, Action: "SetDisposition", Subject: "hubspot:1"},
		{Tenant: acme, Action: "EraseContact", Subject: "hubspot:1", Erases: true},
		{Tenant: acme, Action: "StartSync", Object: "hubspot:1"}, // a job's name is no person's
	}
	for _, entry := range entries {
		r, err := e.Record(e.root(), entry)
		if err != nil {
			t.Fatal(err)
		}
		r.Done(ctx, nil)
	}
	told := func(want string) {
		t.Helper()
		all, err := e.Audit(e.root(), access.AuditFilter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range all {
			got = append(got, strings.Join([]string{string(a.Tenant), a.Action, a.Object, string(a.Detail)}, " "))
		}
		if text := strings.Join(got, "\n"); text != want {
			t.Errorf("the audit tells\n%s\nwant\n%s", text, want)
		}
	}
	told("acme StartSync hubspot:1 {}\nacme EraseContact  {}\nbeta SetDisposition hubspot:1 {}\n" +
		"acme SetDisposition hubspot:2 {\"fields\": [\"city\"]}\nacme SetDisposition hubspot:1 {\"fields\": [\"city\"]}")
	err := e.db.InTx(ctx, func(tx *postgres.Tx) error {
		return tx.ChangeRefs(ctx, []postgres.RefChange{{Ref: contact.ErasedKey(acme, "hubspot:1")}})
	})
	if err != nil {
		t.Fatal(err)
	}
	after := "acme StartSync hubspot:1 {}\nacme EraseContact  {}\nbeta SetDisposition hubspot:1 {}\n" +
		"acme SetDisposition hubspot:2 {\"fields\": [\"city\"]}\nacme SetDisposition  {}"
	told(after) // at once, before anything was removed
	for want := int64(1); want >= 0; want-- {
		if n, err := e.db.EraseAudit(ctx); err != nil || n != want {
			t.Errorf("%d entries are erased, %v; want %d", n, err, want)
		}
	}
	told(after)
}
