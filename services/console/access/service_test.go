package access_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/postgres/dbtest"
	"lockstep.internal/pkg/seal"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
)

const (
	acme contact.Tenant = "acme"
	beta contact.Tenant = "beta"
)

// env is the room with a database of its own and a clock that the test moves.
type env struct {
	*access.Service
	t      *testing.T
	db     *postgres.DB
	config access.Config

	mu  sync.Mutex // guards at
	now time.Time
}

func newEnv(t *testing.T, options ...func(*access.Config)) *env {
	t.Helper()
	e := &env{t: t, db: dbtest.Open(t), now: time.Now()}
	e.config = access.Config{DB: e.db, Token: "the-installation-token", Now: e.clock}
	for _, option := range options {
		option(&e.config)
	}
	e.Service = e.process()
	key, err := seal.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := seal.FromText(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []contact.Tenant{acme, beta} {
		one := tenant.Tenant{ID: id, Name: string(id), Region: "US", TimeZone: "UTC", Active: true, Creation: tenant.FlowBoth, Updates: tenant.FlowBoth}
		if err := e.db.SaveTenant(t.Context(), one, sealer); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// process is another console on the same database.
func (e *env) process() *access.Service {
	e.t.Helper()
	s, err := access.New(e.config)
	if err != nil {
		e.t.Fatal(err)
	}
	return s
}

func (e *env) clock() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.now
}

func (e *env) pass(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.now = e.now.Add(d)
}

const good = "four words for tests"

// rule is the rule of a refusal; "" of none.
func rule(err error) string {
	var refused interface {
		Refusal() (rule, subject, message string)
	}
	if err == nil {
		return ""
	}
	if !errors.As(err, &refused) {
		return fmt.Sprintf("no refusal: %v", err)
	}
	name, _, _ := refused.Refusal()
	return name
}

func (e *env) signIn(login, password string) access.SignedIn {
	e.t.Helper()
	in, err := e.SignIn(e.t.Context(), login, password, "192.0.2.1")
	if err != nil {
		e.t.Fatalf("%s: %v", login, err)
	}
	return in
}

// as is a context of a caller.
func (e *env) as(c access.Caller) context.Context { return access.With(e.t.Context(), c) }

// root is the installation's own operator.
func (e *env) root() context.Context {
	return e.as(access.Caller{Name: "operator", Kind: access.Own, Everywhere: access.Operator})
}

// person adds somebody with roles, who has changed the one-time password to
// good, and gives a session.
func (e *env) person(login string, roles access.Roles) access.SignedIn {
	e.t.Helper()
	_, once, err := e.SavePerson(e.root(), access.PersonChange{Login: login, Roles: roles, Password: true})
	if err != nil {
		e.t.Fatalf("%s: %v", login, err)
	}
	in, err := e.ChangePassword(e.t.Context(), e.signIn(login, once).Token, once, good)
	if err != nil {
		e.t.Fatalf("%s: %v", login, err)
	}
	return in
}

func (e *env) known(s *access.Service, token string) bool {
	e.t.Helper()
	_, err := s.Session(e.t.Context(), token)
	if err != nil && !errors.Is(err, access.ErrUnknown) {
		e.t.Fatal(err)
	}
	return err == nil
}
