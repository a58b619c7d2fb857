package pages

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	_ "lockstep.internal/proto/console/v1" // its descriptors are the calls that there are
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/contacts"
)

// calls are the API's calls by name; true for one that changes something.
func calls() map[string]bool {
	all := make(map[string]bool)
	protoregistry.GlobalFiles.RangeFilesByPackage("console.v1", func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				options, _ := methods.Get(k).Options().(*descriptorpb.MethodOptions)
				all[string(methods.Get(k).Name())] = options.GetIdempotencyLevel() != descriptorpb.MethodOptions_NO_SIDE_EFFECTS
			}
		}
		return true
	})
	return all
}

// withoutCall are the routes that other programs have no use for.
var withoutCall = map[string]string{
	"GET /static/{file}": "files", "GET /sign-in": "sessions", "POST /sign-in": "sessions", "POST /sign-out": "sessions", "POST /theme": "looks",
	"GET /oidc/start": "sessions", "GET /oidc/callback": "sessions", "GET /password": "sessions", "POST /password": "sessions", "GET /{$}": "leads on",
	"GET /hubspot/callback": "GetHubSpotConsent gives where it begins; a browser ends it here",
}

// shows are the API's calls that tell what a page tells, or do what an action
// without changes does.
var shows = map[string]string{
	"GET /tenants": "ListTenants", "GET /access": "ListPeople ListTokens", "GET /audit": "ListAudit", "GET /apps": "ListApps", "GET /letters": "ListTenants ListDeadLetters",
	"GET /tenants/new": "SaveTenant", "GET /tenants/{tenant}": "GetTenant GetCapabilities", "POST /tenants/{tenant}/test": "TestConnection",
	"GET /tenants/{tenant}/hubspot-consent": "GetHubSpotConsent", "GET /pipeline": "GetPipeline", "GET /pipeline/events": "WatchPipeline",
	"GET /tenants/{tenant}/contacts": "FindContacts ListConflicts", "GET /tenants/{tenant}/contacts/{contact}": "GetContact",
	"GET /tenants/{tenant}/contacts/{contact}/timeline": "ExplainContact", "GET /tenants/{tenant}/errors": "ListProblemGroups ListDeadLetters",
	"GET /tenants/{tenant}/errors/group": "ListProblems", "GET /tenants/{tenant}/syncs": "ListSyncs GetSchedule", "GET /tenants/{tenant}/syncs/events": "WatchSync",
	"GET /tenants/{tenant}/syncs/{job}": "GetSync ListRepairs", "GET /tenants/{tenant}/mapping": "GetMapping ListProperties",
	"POST /tenants/{tenant}/mapping/edit": "EditMapping", "POST /tenants/{tenant}/mapping/preview": "PreviewMapping",
	"GET /tenants/{tenant}/mapping/versions": "ListVersions CompareVersions", "GET /tenants/{tenant}/owners": "ListUsers",
	"GET /tenants/{tenant}/dispositions": "ListDispositions", "GET /tenants/{tenant}/alerts": "ListAlertTargets ListAlerts", "GET /tenants/{tenant}/holds": "ListHolds GetHold",
}

// TestWhatPagesDoTheAPIDoes: each action is one of the API's calls, under whose
// name it is in the audit, and what each page shows is told by one.
func TestWhatPagesDoTheAPIDoes(t *testing.T) {
	t.Parallel()
	known := calls()
	for _, r := range (&Pages{}).routes() {
		if withoutCall[r.pattern] != "" {
			continue
		}
		if r.changes() {
			if !known[r.action] {
				t.Errorf("%s is %q, which is no call of the API that changes something", r.pattern, r.action)
			}
			continue
		}
		if r.action != "" {
			t.Errorf("%s changes nothing, and would be in the audit as %s", r.pattern, r.action)
		}
		if shows[r.pattern] == "" {
			t.Errorf("%s: say here which calls of the API tell the same", r.pattern)
		}
		for _, name := range strings.Fields(shows[r.pattern]) {
			if _, ok := known[name]; !ok {
				t.Errorf("%s: the API has no call %s", r.pattern, name)
			}
		}
	}
}

// TestActionsAreWrittenDown before they are done, with the word that the API's
// call has, without secrets, and of a contact with the key alone; what is denied
// is written down too.
func TestActionsAreWrittenDown(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t)
	text, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.SaveTenant(t.Context(), tenant.Tenant{ID: "acme", Name: "Acme", Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}, sealer); err != nil {
		t.Fatal(err)
	}
	known, err := roster.Open(t.Context(), func(ctx context.Context) (postgres.Config, error) { return db.Config(ctx, sealer) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.InTx(t.Context(), func(tx *postgres.Tx) error {
		return tx.ChangeRefs(t.Context(), []postgres.RefChange{
			{Ref: postgres.Ref{Tenant: "acme", Kind: postgres.RefEmail, Value: "ada@example.com"}, Contact: "hubspot:501"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	room, err := access.New(access.Config{DB: db})
	if err != nil {
		t.Fatal(err)
	}
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	boss := access.Caller{Name: "boss", Kind: access.Human, Everywhere: access.Operator}
	p := &Pages{templates: templates, Config: Config{
		Roster: known, Access: room, Contacts: contacts.New(contacts.Config{DB: db, Roster: known}),
		Guard: callers{"boss": boss, "viewer": {Name: "viewer", Kind: access.Human, Tenants: map[contact.Tenant]access.Role{"acme": access.Viewer}}},
	}}
	entries := func() []access.AuditEntry {
		t.Helper()
		all, err := room.Audit(access.With(t.Context(), boss), access.AuditFilter{})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	outcome, during := error(nil), ""
	routes := p.routes()
	for i := range routes {
		routes[i].page = nil // no room stands behind it
		routes[i].serve = func(context.Context, *http.Request) (answer, error) {
			during = entries()[0].Outcome
			return redirect{to: "/"}, outcome
		}
	}
	handler := p.handler(routes)
	const secret = "do-not-tell"
	for _, test := range []struct {
		path, form, by string
		outcome        error
		want           string // tenant, action, object, outcome, reason
		detail         string
	}{
		{"/tenants/acme/connect-hubspot", "token=" + secret + "&app=77", "boss", nil, "acme ConnectHubSpot  done ", `{"app": "77"}`},
		{"/tenants/acme/connect-aloware", "webhook_secret=" + secret + "&webhook_user=u", "boss", invalid("no"), "acme ConnectAloware  refused invalid", `{"webhook_user": "u"}`},
		{"/apps/save", "client_secret=" + secret + "&app_id=77", "boss", nil, " SaveApp 77 done ", `{"app_id": "77"}`},
		{"/access/person", "login=ada&name=Ada", "boss", &access.Error{Rule: "exists"}, " SavePerson ada refused exists", `{"name": "Ada", "login": "ada"}`},
		{"/tenants/new", "id=beta&name=Beta", "boss", nil, "beta SaveTenant  done ", `{"id": "beta", "name": "Beta"}`},
		{"/tenants/acme/syncs/j1/cancel", "", "boss", nil, "acme CancelSync j1 done ", `{}`},
		{"/tenants/acme/mapping/save", "reason=why", "boss", nil, "acme EditMapping  done ", `{"reason": "why"}`},
		{"/tenants/acme/contacts/ada@example.com/dispose", "value=OPEN", "boss", nil, "acme SetDisposition hubspot:501 done ", `{}`},
		{"/tenants/acme/contacts/ada@example.com/choose", "id=9&system=aloware", "boss", nil, "acme ChooseCounterpart hubspot:501 done ", `{"system": "aloware"}`},
		{"/tenants/acme/errors/retry", "contact=ada@example.com&kind=refused", "boss", nil, "acme RetryProblems hubspot:501 done ", `{"kind": "refused"}`},
		{"/tenants/acme/errors/retry", "field=email", "boss", nil, "acme RetryProblems  done ", `{"field": "email"}`},
		{"/tenants/acme/contacts/nobody@example.com/sync", "", "boss", nil, "acme SyncContact  done ", `{}`},
		{"/tenants/acme/contacts/ada@example.com/erase", "typed=erase", "boss", nil, "acme EraseContact  done ", `{"typed": "erase"}`},
		{"/tenants/acme/contacts/ada@example.com/erase", "typed=erase", "viewer", nil, "acme EraseContact  refused role", `{}`},
		{"/apps/remove", "app_id=77", "viewer", nil, " RemoveApp  refused role", `{}`},
	} {
		outcome, during = test.outcome, ""
		before := len(entries())
		r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(test.form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: url.QueryEscape(test.by)})
		handler.ServeHTTP(httptest.NewRecorder(), r)
		all := entries()
		if len(all) != before+1 {
			t.Fatalf("%s writes %d entries", test.path, len(all)-before)
		}
		e := all[0]
		if got := strings.Join([]string{string(e.Tenant), e.Action, e.Object, e.Outcome, e.Reason}, " "); got != test.want || string(e.Detail) != test.detail || e.Caller != test.by {
			t.Errorf("%s is written down as %q with %s by %s, want %q with %s", test.path, got, e.Detail, e.Caller, test.want, test.detail)
		}
		if test.by == "boss" && during != "begun" {
			t.Errorf("%s finds the entry %q while it is done", test.path, during)
		}
	}
	for _, e := range entries() {
		if strings.Contains(e.Object+string(e.Detail), "@example.com") || strings.Contains(string(e.Detail), secret) {
			t.Errorf("the audit tells too much: %+v", e)
		}
	}
}
