package access_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/access"
)

// TestNobodyGrantsMoreThanTheyHave: an operator of a tenant sees and changes
// the roles of that tenant alone, and everybody else nothing.
func TestNobodyGrantsMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.person("root@example.com", access.Roles{access.Everywhere: access.Operator})
	boss := e.as(e.person("boss@example.com", access.Roles{acme: access.Operator, beta: access.Administrator}).Caller)
	e.person("ada@example.com", access.Roles{beta: access.Administrator})
	save := func(ctx context.Context, login string, roles access.Roles) error {
		_, _, err := e.SavePerson(ctx, access.PersonChange{Login: login, Roles: roles})
		return err
	}
	for name, c := range map[string]struct {
		ctx   context.Context
		login string
		roles access.Roles
		want  string
	}{
		"the own tenant":            {boss, "ada@example.com", access.Roles{acme: access.Operator}, ""},
		"a tenant that one manages": {boss, "ada@example.com", access.Roles{beta: access.Viewer}, "role"},
		"everywhere":                {boss, "ada@example.com", access.Roles{access.Everywhere: access.Viewer}, "role"},
		"an unknown tenant":         {boss, "ada@example.com", access.Roles{"gamma": access.Viewer}, "role"},
		"a person who is unknown":   {boss, "new@example.com", access.Roles{acme: access.Viewer}, "not_found"},
		"no role":                   {e.as(access.Caller{Name: "x", Everywhere: access.Administrator}), "ada@example.com", nil, "role"},
		"nobody":                    {t.Context(), "ada@example.com", nil, "role"},
		"no such tenant":            {e.root(), "ada@example.com", access.Roles{"gamma": access.Viewer}, "not_found"},
		"no such role":              {e.root(), "ada@example.com", access.Roles{acme: 9}, "invalid"},
		"no login":                  {e.root(), "two words", access.Roles{acme: access.Viewer}, "invalid"},
	} {
		if got := rule(save(c.ctx, c.login, c.roles)); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
	roles := func(ctx context.Context) map[string]access.Roles {
		t.Helper()
		people, err := e.People(ctx)
		if err != nil {
			t.Fatal(err)
		}
		found := make(map[string]access.Roles)
		for _, p := range people {
			found[p.Login] = p.Roles
		}
		return found
	}
	if got := roles(e.root())["ada@example.com"]; got[beta] != access.Administrator || got[acme] != access.Operator || len(got) != 2 {
		t.Errorf("ada has %v: the role elsewhere must stay", got)
	}
	if got := roles(boss); len(got) != 2 || len(got["ada@example.com"]) != 1 || got["boss@example.com"][acme] != access.Operator {
		t.Errorf("an operator of a tenant sees %v, want the two of that tenant, with its roles", got)
	}
	if err := save(boss, "ada@example.com", nil); err != nil {
		t.Fatal(err)
	}
	if got := roles(e.root())["ada@example.com"]; got[beta] != access.Administrator || len(got) != 1 {
		t.Errorf("ada has %v after the role of one tenant was taken", got)
	}
	if _, err := e.DisablePerson(boss, "ada@example.com", true); rule(err) != "role" {
		t.Errorf("an operator of a tenant disables people of the installation: %v", err)
	}
	if _, err := e.ResetPassword(boss, "root@example.com"); rule(err) != "role" {
		t.Errorf("an operator of a tenant resets a password: %v", err)
	}
	if _, err := e.People(e.as(access.Caller{Tenants: map[contact.Tenant]access.Role{acme: access.Administrator}})); rule(err) != "role" {
		t.Errorf("an administrator lists people: %v", err)
	}
}

// TestSomebodyCanAlwaysOperate: the last operator of everywhere who can sign
// in is neither disabled nor demoted.
func TestSomebodyCanAlwaysOperate(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.person("one@example.com", access.Roles{access.Everywhere: access.Operator})
	if _, _, err := e.SavePerson(e.root(), access.PersonChange{Login: "cannot-sign-in@example.com", Roles: access.Roles{access.Everywhere: access.Operator}}); err != nil {
		t.Fatal(err)
	}
	demote := func(login string) error {
		_, _, err := e.SavePerson(e.root(), access.PersonChange{Login: login, Roles: access.Roles{access.Everywhere: access.Administrator}})
		return err
	}
	if err := demote("one@example.com"); rule(err) != "last_operator" {
		t.Errorf("demoting the last one gives %v", err)
	}
	if _, err := e.DisablePerson(e.root(), "one@example.com", true); rule(err) != "last_operator" {
		t.Errorf("disabling the last one gives %v", err)
	}
	e.person("two@example.com", access.Roles{access.Everywhere: access.Operator})
	refused := make(chan error, 2)
	go func() { refused <- demote("one@example.com") }()
	go func() {
		_, err := e.DisablePerson(e.root(), "two@example.com", true)
		refused <- err
	}()
	first, second := rule(<-refused), rule(<-refused)
	if first+second != "last_operator" {
		t.Errorf("two at the same time give %q and %q, want one refusal", first, second)
	}
}

// TestWhoIsDisabledIsOut at once: sessions end, tokens are revoked, and the
// password helps no more; who comes back has no tokens.
func TestWhoIsDisabledIsOut(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.person("root@example.com", access.Roles{access.Everywhere: access.Operator})
	in := e.person("boss@example.com", access.Roles{acme: access.Operator})
	_, token, err := e.CreateToken(e.as(in.Caller), "reports", access.Roles{acme: access.Viewer}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := e.Bearer(t.Context(), token); err != nil || !c.May(acme, access.Viewer) || c.May(acme, access.Agent) || c.May(beta, access.Viewer) || c.Kind != access.Program {
		t.Fatalf("the token is %+v, %v", c, err)
	}
	if n, err := e.DisablePerson(e.root(), "BOSS@example.com", true); err != nil || n != 1 {
		t.Fatalf("%d tokens were revoked, %v", n, err)
	}
	if e.known(e.Service, in.Token) {
		t.Error("the session goes on")
	}
	if _, err := e.Bearer(t.Context(), token); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("the token gives %v", err)
	}
	if _, err := e.SignIn(t.Context(), "boss@example.com", good, "192.0.2.1"); rule(err) != "sign_in" {
		t.Errorf("the password gives %v", err)
	}
	if _, err := e.DisablePerson(e.root(), "boss@example.com", false); err != nil {
		t.Fatal(err)
	}
	e.signIn("boss@example.com", good)
	if _, err := e.Bearer(t.Context(), token); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("the token holds again: %v", err)
	}
}

// TestATokenMayNotDoMoreThanItsMaker may at that time, whether a person made
// it, or a token that goes back to that person.
func TestATokenMayNotDoMoreThanItsMaker(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.person("root@example.com", access.Roles{access.Everywhere: access.Operator})
	boss := e.person("boss@example.com", access.Roles{access.Everywhere: access.Operator, acme: access.Administrator})
	_, wide, err := e.CreateToken(e.as(boss.Caller), "wide", access.Roles{access.Everywhere: access.Operator, beta: access.Agent}, 0)
	if err != nil {
		t.Fatal(err)
	}
	caller := func(token string) access.Caller {
		t.Helper()
		c, err := e.Bearer(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	_, child, err := e.CreateToken(e.as(caller(wide)), "child", access.Roles{acme: access.Operator}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if c := caller(child); !c.May(acme, access.Operator) || c.May(beta, access.Viewer) {
		t.Errorf("the token of a token is %+v", c)
	}
	if _, _, err := e.SavePerson(e.root(), access.PersonChange{Login: "boss@example.com", Roles: access.Roles{acme: access.Administrator}}); err != nil {
		t.Fatal(err)
	}
	if c := caller(wide); c.Everywhere != 0 || c.May(acme, access.Operator) || !c.May(acme, access.Administrator) || c.May(beta, access.Viewer) {
		t.Errorf("the token of a demoted person is %+v", c)
	}
	if c := caller(child); c.May(acme, access.Operator) || !c.May(acme, access.Administrator) {
		t.Errorf("the token of that token is %+v", c)
	}
	if n, err := e.DisablePerson(e.root(), "boss@example.com", true); err != nil || n != 2 {
		t.Errorf("%d tokens were revoked, %v; want both", n, err)
	}
}

// TestRolesHoldAtOnce in the process that changed them, and within five
// seconds in others.
func TestRolesHoldAtOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	in := e.person("ada@example.com", access.Roles{acme: access.Agent})
	other := e.process()
	role := func(s *access.Service) access.Role {
		t.Helper()
		c, err := s.Session(t.Context(), in.Token)
		if err != nil {
			t.Fatal(err)
		}
		return c.Tenants[acme]
	}
	if role(e.Service) != access.Agent || role(other) != access.Agent {
		t.Fatal("the role is not agent")
	}
	if _, _, err := e.SavePerson(e.root(), access.PersonChange{Login: "ada@example.com", Roles: access.Roles{acme: access.Viewer}}); err != nil {
		t.Fatal(err)
	}
	if got := role(e.Service); got != access.Viewer {
		t.Errorf("here the role is %v", got)
	}
	e.pass(5 * time.Second)
	if got := role(other); got != access.Viewer {
		t.Errorf("elsewhere the role is %v", got)
	}
}

// TestAResetPasswordIsForOneUse: it ends sessions, must be changed, and is
// good for three days.
func TestAResetPasswordIsForOneUse(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	in := e.person("ada@example.com", access.Roles{acme: access.Agent})
	once, err := e.ResetPassword(e.root(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if e.known(e.Service, in.Token) {
		t.Error("the session goes on")
	}
	if got := e.signIn("ada@example.com", once).Caller; !got.MustChange || got.May(acme, access.Viewer) {
		t.Errorf("the caller is %+v", got)
	}
	e.pass(72 * time.Hour)
	if _, err := e.SignIn(t.Context(), "ada@example.com", once, "192.0.2.1"); rule(err) != "expired" {
		t.Errorf("after three days it gives %v", err)
	}
}

// TestTokensEnd by being revoked and by age, are shown once, and are seen and
// made only by who manages all of their tenants.
func TestTokensEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	boss := e.as(e.person("boss@example.com", access.Roles{acme: access.Operator}).Caller)
	made, token, err := e.CreateToken(boss, "reports", access.Roles{acme: access.Operator}, time.Hour)
	if err != nil || !strings.HasPrefix(token, "lockstep_") || made.CreatedBy != "boss@example.com" {
		t.Fatalf("made %+v, %v", made, err)
	}
	wide, wideToken, err := e.CreateToken(e.root(), "wide", access.Roles{acme: access.Viewer, beta: access.Viewer}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, roles := range map[string]access.Roles{"another tenant": {beta: access.Viewer}, "everywhere": {access.Everywhere: access.Viewer}} {
		if _, _, err := e.CreateToken(boss, "x", roles, 0); rule(err) != "role" {
			t.Errorf("a token for %s gives %v", name, err)
		}
	}
	if _, _, err := e.CreateToken(boss, "x", nil, 0); rule(err) != "invalid" {
		t.Errorf("a token without roles gives %v", err)
	}
	if seen, err := e.Tokens(boss); err != nil || len(seen) != 1 || seen[0].ID != made.ID {
		t.Errorf("an operator of a tenant sees %+v, %v", seen, err)
	}
	if err := e.RevokeToken(boss, wide.ID); rule(err) != "not_found" {
		t.Errorf("an operator of a tenant revokes another's token: %v", err)
	}
	// Nothing that the API or the tables give is the token itself.
	if seen, err := e.Tokens(e.root()); err != nil || len(seen) != 2 {
		t.Errorf("an operator of everywhere sees %+v, %v", seen, err)
	}
	bearer := func(token string) error {
		_, err := e.Bearer(t.Context(), token)
		return err
	}
	if err := bearer(wideToken); err != nil {
		t.Error(err)
	}
	if err := e.RevokeToken(e.root(), wide.ID); err != nil {
		t.Fatal(err)
	}
	if err := bearer(wideToken); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("a revoked token gives %v", err)
	}
	if err := bearer(token); err != nil {
		t.Error(err)
	}
	e.pass(time.Hour)
	if err := bearer(token); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("an expired token gives %v", err)
	}
	if c, err := e.Bearer(t.Context(), "the-installation-token"); err != nil || c.Everywhere != access.Operator || c.Kind != access.Own {
		t.Errorf("the installation's own token is %+v, %v", c, err)
	}
	for _, wrong := range []string{"", "lockstep_", "the-installation-token ", "lockstep_nothing"} {
		if err := bearer(wrong); !errors.Is(err, access.ErrUnknown) {
			t.Errorf("%q gives %v", wrong, err)
		}
	}
}
