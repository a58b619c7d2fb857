package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/api"
)

// env is the API on a socket, over a database of its own, with two tenants.
type env struct {
	t    *testing.T
	url  string
	room *access.Service
	db   *postgres.DB
}

const own = "the-installation-token"

func newEnv(t *testing.T) *env {
	t.Helper()
	db := dbtest.Open(t)
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []contact.Tenant{"acme", "beta"} {
		one := tenant.Tenant{ID: id, Name: string(id), Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}
		if err := db.SaveTenant(t.Context(), one, sealer); err != nil {
			t.Fatal(err)
		}
	}
	room, err := access.New(access.Config{DB: db, Token: own})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(api.Handler(api.Config{Access: room, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(server.Close)
	return &env{t: t, url: server.URL, room: room, db: db}
}

// as is the API's client with a token.
func (e *env) as(token string) (consolev1connect.AccessServiceClient, consolev1connect.TenantServiceClient) {
	caller := &http.Client{Transport: withToken(token)}
	return consolev1connect.NewAccessServiceClient(caller, e.url), consolev1connect.NewTenantServiceClient(caller, e.url)
}

type withToken string

func (t withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(t))
	return http.DefaultTransport.RoundTrip(r)
}

func grants(pairs ...string) (grants []*consolev1.RoleGrant) {
	for _, pair := range pairs {
		tenant, role, _ := strings.Cut(pair, "=")
		grants = append(grants, &consolev1.RoleGrant{Tenant: tenant, Role: role})
	}
	return grants
}

// token makes an API token with roles.
func (e *env) token(name string, roles ...string) (id, text string) {
	e.t.Helper()
	root, _ := e.as(own)
	made, err := root.CreateToken(e.t.Context(), &consolev1.CreateTokenRequest{Name: name, Roles: grants(roles...)})
	if err != nil {
		e.t.Fatal(err)
	}
	return made.GetToken().GetId(), made.GetText()
}

// TestAnOperatorOfATenantStaysThere: roles, tokens, people and the audit of
// other tenants and of the installation are out of reach.
func TestAnOperatorOfATenantStaysThere(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx := t.Context()
	root, _ := e.as(own)
	if _, err := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada@example.com", Roles: grants("beta=viewer"), WithPassword: true}); err != nil {
		t.Fatal(err)
	}
	_, text := e.token("acme's operator", "acme=operator")
	boss, _ := e.as(text)
	if who, err := boss.WhoAmI(ctx, &consolev1.WhoAmIRequest{}); err != nil || who.GetName() != "acme's operator" || who.GetKind() != "token" || len(who.GetRoles()) != 1 {
		t.Errorf("the caller is %v, %v", who, err)
	}
	save := func(roles ...string) error {
		_, err := boss.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada@example.com", Roles: grants(roles...)})
		return err
	}
	list := func(tenant string) error {
		_, err := boss.ListAudit(ctx, &consolev1.ListAuditRequest{Tenant: tenant})
		return err
	}
	_, disable := boss.DisablePerson(ctx, &consolev1.DisablePersonRequest{Login: "ada@example.com"})
	_, reset := boss.ResetPassword(ctx, &consolev1.ResetPasswordRequest{Login: "ada@example.com"})
	_, create := boss.CreateToken(ctx, &consolev1.CreateTokenRequest{Name: "x", Roles: grants("*=viewer")})
	_, text = e.token("acme's administrator", "acme=administrator")
	administrator, _ := e.as(text)
	_, people := administrator.ListPeople(ctx, &consolev1.ListPeopleRequest{})
	nobody, _ := e.as("lockstep_nothing")
	_, unknown := nobody.WhoAmI(ctx, &consolev1.WhoAmIRequest{})
	_, wrong := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada@example.com", Roles: grants("acme=king")})
	for name, c := range map[string]struct {
		err  error
		want connect.Code
	}{
		"the own tenant":      {save("acme=agent"), 0},
		"another tenant":      {save("beta=agent"), connect.CodePermissionDenied},
		"everywhere":          {save("*=viewer"), connect.CodePermissionDenied},
		"disable":             {disable, connect.CodePermissionDenied},
		"reset":               {reset, connect.CodePermissionDenied},
		"a token everywhere":  {create, connect.CodePermissionDenied},
		"the own audit":       {list("acme"), 0},
		"another's audit":     {list("beta"), connect.CodePermissionDenied},
		"all of the audit":    {list(""), connect.CodePermissionDenied},
		"the installation's":  {list("*"), connect.CodePermissionDenied},
		"not an operator":     {people, connect.CodePermissionDenied},
		"an unknown token":    {unknown, connect.CodeUnauthenticated},
		"a role there is not": {wrong, connect.CodeInvalidArgument},
	} {
		got := connect.Code(0)
		if c.err != nil {
			got = connect.CodeOf(c.err)
		}
		if got != c.want {
			t.Errorf("%s: got %v, want %v", name, c.err, c.want)
		}
	}
	seen, err := boss.ListPeople(ctx, &consolev1.ListPeopleRequest{})
	if err != nil || len(seen.GetPeople()) != 1 || len(seen.GetPeople()[0].GetRoles()) != 1 || seen.GetPeople()[0].GetRoles()[0].GetTenant() != "acme" {
		t.Errorf("an operator of acme sees %v, %v", seen, err)
	}
	if tokens, err := boss.ListTokens(ctx, &consolev1.ListTokensRequest{}); err != nil || len(tokens.GetTokens()) != 2 {
		t.Errorf("an operator of acme sees %v, %v", tokens, err)
	}
}

// TestARevokedTokenHoldsNoMore.
func TestARevokedTokenHoldsNoMore(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	id, text := e.token("reports", "acme=viewer")
	reports, _ := e.as(text)
	if _, err := reports.WhoAmI(t.Context(), &consolev1.WhoAmIRequest{}); err != nil {
		t.Fatal(err)
	}
	root, _ := e.as(own)
	if _, err := root.RevokeToken(t.Context(), &consolev1.RevokeTokenRequest{Id: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := reports.WhoAmI(t.Context(), &consolev1.WhoAmIRequest{}); connect.CodeOf(err) != connect.CodeUnauthenticated {
		t.Errorf("got %v", err)
	}
	if _, err := root.RevokeToken(t.Context(), &consolev1.RevokeTokenRequest{Id: "none"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a token that is none gives %v", err)
	}
}

// TestChangesAreWrittenDownWithoutSecrets: who, where, what and the outcome,
// also of what was denied; reading is not written down.
func TestChangesAreWrittenDownWithoutSecrets(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx := t.Context()
	root, _ := e.as(own)
	_, text := e.token("reports", "acme=viewer", "beta=viewer")
	_, viewer := e.as(text)
	secrets := []string{"pat-na1-secret", "the-account's-token", "hook-secret", text}
	if _, err := viewer.ConnectHubSpot(ctx, &consolev1.ConnectHubSpotRequest{Tenant: "acme", AccessToken: secrets[0]}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Fatal(err)
	}
	if _, err := viewer.ConnectAloware(ctx, &consolev1.ConnectAlowareRequest{Tenant: "acme", Token: secrets[1], WebhookSecret: secrets[2], WebhookUser: "hook"}); connect.CodeOf(err) != connect.CodePermissionDenied {
		t.Fatal(err)
	}
	saved, err := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "Ada@example.com", Roles: grants("acme=agent"), WithPassword: true})
	if err != nil {
		t.Fatal(err)
	}
	secrets = append(secrets, saved.GetOneTimePassword())
	if _, err := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada@example.com", WithPassword: true}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := root.ListPeople(ctx, &consolev1.ListPeopleRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	all := &consolev1.ListAuditResponse{}
	for token, first := "", true; first || token != ""; first = false {
		page, err := root.ListAudit(ctx, &consolev1.ListAuditRequest{PageSize: 2, PageToken: token})
		if err != nil || len(page.GetEntries()) > 2 {
			t.Fatalf("a page has %d entries, %v", len(page.GetEntries()), err)
		}
		all.Entries, token = append(all.Entries, page.GetEntries()...), page.GetNextPageToken()
	}
	var got []string
	for _, a := range all.GetEntries() {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s/%s by %s: %s %s", a.GetAction(), a.GetTenant(), a.GetObject(), a.GetCaller(), a.GetOutcome(), a.GetReason())))
		for _, secret := range secrets {
			if strings.Contains(a.String(), secret) {
				t.Errorf("the audit tells %q: %v", secret, a)
			}
		}
	}
	want := []string{
		"SavePerson /ada@example.com by operator: refused exists",
		"SavePerson acme/Ada@example.com by operator: done",
		"ConnectAloware acme/ by reports: refused role",
		"ConnectHubSpot acme/ by reports: refused role",
		"CreateToken /reports by operator: done",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the audit tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var detail map[string]any
	if err := json.Unmarshal([]byte(all.GetEntries()[2].GetDetail()), &detail); err != nil || detail["webhook_user"] != "hook" || detail["token"] != "[secret]" || detail["webhook_secret"] != "[secret]" {
		t.Errorf("the detail is %v, %v", detail, err)
	}
	one, err := root.ListAudit(ctx, &consolev1.ListAuditRequest{Tenant: "acme", Caller: "operator"})
	if err != nil || len(one.GetEntries()) != 1 || one.GetEntries()[0].GetAction() != "SavePerson" {
		t.Errorf("of acme by the operator are %v, %v", one, err)
	}
	if own, err := root.ListAudit(ctx, &consolev1.ListAuditRequest{Tenant: "*"}); err != nil || len(own.GetEntries()) != 2 {
		t.Errorf("of the installation are %v, %v", own, err)
	}
}

// TestNothingIsChangedWithoutTheAudit, whatever a request holds: odd texts are
// written down all the same, and where the audit cannot be written, the call
// is refused before anything happens.
func TestNothingIsChangedWithoutTheAudit(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	ctx := t.Context()
	root, _ := e.as(own)
	_, text := e.token("reports", "acme=viewer")
	_, viewer := e.as(text)
	long := strings.Repeat("é", 10_000)
	for name, c := range map[string]struct {
		call func() error
		want connect.Code
	}{
		"a zero byte in a name": {func() error {
			_, err := root.DisablePerson(ctx, &consolev1.DisablePersonRequest{Login: "a\x00b"})
			return err
		}, connect.CodeInvalidArgument},
		"a long tenant": {func() error {
			_, err := viewer.Disconnect(ctx, &consolev1.DisconnectRequest{Tenant: long})
			return err
		}, connect.CodePermissionDenied},
		"a zero byte in a tenant": {func() error {
			_, err := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada", Roles: grants("a\x00=viewer")})
			return err
		}, connect.CodeInvalidArgument},
		"a zero byte in a filter": {func() error {
			_, err := root.ListAudit(ctx, &consolev1.ListAuditRequest{Caller: "a\x00"})
			return err
		}, connect.CodeInvalidArgument},
	} {
		if err := c.call(); connect.CodeOf(err) != c.want {
			t.Errorf("%s gives %v, want %v", name, err, c.want)
		}
	}
	all, err := root.ListAudit(ctx, &consolev1.ListAuditRequest{})
	if err != nil || len(all.GetEntries()) != 4 {
		t.Errorf("the audit has %d entries, %v; want the token and three", len(all.GetEntries()), err)
	}
	e.db.Close()
	if _, err := root.SavePerson(ctx, &consolev1.SavePersonRequest{Login: "ada"}); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "audit") {
		t.Errorf("without an audit the call gives %v", err)
	}
}
