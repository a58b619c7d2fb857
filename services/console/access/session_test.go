package access_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/services/console/access"
)

// TestTheFirstOperatorIsMadeOnce, however many processes start together, and
// may do nothing before the one-time password is changed.
func TestTheFirstOperatorIsMadeOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var passwords [4]string
	var group sync.WaitGroup
	for i := range passwords {
		process := e.process()
		group.Go(func() {
			var err error
			if passwords[i], err = process.FirstStart(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	once := strings.Join(passwords[:], "")
	if len(once) != 23 {
		t.Fatalf("the passwords are %q, want one", passwords)
	}
	in := e.signIn(" Admin ", once)
	if c := in.Caller; !c.MustChange || c.Everywhere != 0 || len(c.Tenants) != 0 {
		t.Errorf("before the change the caller is %+v, want one who may nothing", c)
	}
	if c, err := e.Session(t.Context(), in.Token); err != nil || !c.MustChange || c.Everywhere != 0 {
		t.Errorf("the session is %+v, %v", c, err)
	}
	for password, want := range map[string]string{once: "invalid", "short": "invalid", "eleven char": "invalid"} {
		if _, err := e.ChangePassword(t.Context(), in.Token, once, password); rule(err) != want {
			t.Errorf("the new password %q gives %v", password, err)
		}
	}
	if _, err := e.ChangePassword(t.Context(), in.Token, "not the old one", good); rule(err) != "sign_in" {
		t.Errorf("a wrong old password gives %v", err)
	}
	changed, err := e.ChangePassword(t.Context(), in.Token, once, good)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := e.Session(t.Context(), changed.Token); err != nil || c.MustChange || c.Everywhere != access.Operator || c.Name != "admin" {
		t.Errorf("after the change the caller is %+v, %v", c, err)
	}
	if again, err := e.FirstStart(t.Context()); err != nil || again != "" {
		t.Errorf("a later start gives %q, %v", again, err)
	}
	if _, err := e.SignIn(t.Context(), "admin", once, "192.0.2.9"); rule(err) != "sign_in" {
		t.Errorf("the one-time password gives %v afterwards", err)
	}
}

// TestASessionEnds by age, by not being used, by signing out, and with a
// change of the password, in other processes too.
func TestASessionEnds(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	first := e.person("ada@example.com", access.Roles{acme: access.Agent})
	second := e.signIn("ada@example.com", good)
	other := e.process()
	if !e.known(other, first.Token) || !e.known(e.Service, second.Token) {
		t.Fatal("the sessions are not known")
	}
	_, program, err := e.CreateToken(e.root(), "reports", access.Roles{acme: access.Viewer}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for token, kind := range map[string]access.Kind{first.Token: access.Human, program: access.Program, "the-installation-token": access.Own} {
		if c, err := e.Browsers().Bearer(t.Context(), token); err != nil || c.Kind != kind {
			t.Errorf("a cookie is of %+v, %v, want a %s", c, err, kind)
		}
	}
	if _, err := e.Bearer(t.Context(), first.Token); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("the API takes the token of a session: %v", err)
	}
	if err := e.SignOut(t.Context(), second.Token); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Browsers().Bearer(t.Context(), second.Token); !errors.Is(err, access.ErrUnknown) {
		t.Errorf("a session that has ended gives %v", err)
	}
	if err := e.SignOut(t.Context(), second.Token); err != nil {
		t.Errorf("signing out twice gives %v", err)
	}
	if e.known(e.Service, second.Token) || !e.known(e.Service, first.Token) {
		t.Error("signing out ended the wrong session")
	}
	changed, err := e.ChangePassword(t.Context(), first.Token, good, good+"!")
	if err != nil {
		t.Fatal(err)
	}
	e.pass(5 * time.Second) // what another process may remember
	if e.known(e.Service, first.Token) || e.known(other, first.Token) {
		t.Error("a session outlives the change of the password")
	}
	e.pass(12*time.Hour - 5*time.Second - time.Minute)
	if !e.known(e.Service, changed.Token) {
		t.Error("a session ended before 12 hours without use")
	}
	e.pass(12*time.Hour - time.Second)
	if !e.known(e.Service, changed.Token) {
		t.Error("use did not prolong the session")
	}
	for range 13 { // in use until seven days are over
		e.pass(11 * time.Hour)
		e.known(e.Service, changed.Token)
	}
	if e.known(e.Service, changed.Token) != e.clock().Before(changed.Expires) {
		t.Error("a session did not end after seven days of use")
	}
	e.pass(11 * time.Hour)
	if e.known(e.Service, changed.Token) || e.clock().Before(changed.Expires) {
		t.Error("a session did not end after seven days of use")
	}
	idle := e.signIn("ada@example.com", good+"!")
	e.pass(12 * time.Hour)
	if e.known(e.Service, idle.Token) {
		t.Error("a session did not end after 12 hours without use")
	}
	for _, token := range []string{"", "none", idle.Token + "x"} {
		if e.known(e.Service, token) {
			t.Errorf("%q is a session", token)
		}
	}
}

// TestGuessingPasswordsIsSlow: per login from everywhere, per address for all
// logins, also side by side, and whether the login exists or not.
func TestGuessingPasswordsIsSlow(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.person("ada@example.com", access.Roles{acme: access.Agent})
	guess := func(login, remote string) error {
		_, err := e.SignIn(t.Context(), login, "a wrong password", remote)
		return err
	}
	for _, login := range []string{"ada@example.com", "nobody@example.com"} {
		var wrong, stopped atomic.Int32
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				switch err := guess(login, fmt.Sprint("192.0.2.", i)); rule(err) {
				case "sign_in":
					wrong.Add(1)
				case "too_many":
					stopped.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		group.Wait()
		if wrong.Load() != 10 || stopped.Load() != 10 {
			t.Errorf("%s: %d guesses and %d refusals, want 10 and 10", login, wrong.Load(), stopped.Load())
		}
	}
	var many *access.TooMany
	if _, err := e.SignIn(t.Context(), "ada@example.com", good, "192.0.2.99"); !errors.As(err, &many) || many.RetryAfter <= 0 || many.RetryAfter > time.Minute {
		t.Fatalf("the right password gives %v meanwhile, want how long to wait", err)
	}
	e.pass(many.RetryAfter)
	e.signIn("ada@example.com", good)
	if err := guess("ada@example.com", "192.0.2.99"); rule(err) != "sign_in" {
		t.Errorf("signing in did not begin the count anew: %v", err)
	}
	for i := range 51 {
		if err := guess(fmt.Sprint("login", i), "198.51.100.1"); i == 50 && rule(err) != "too_many" {
			t.Errorf("the 51st attempt from one address gives %v", err)
		}
	}
	if err := guess("somebody", "198.51.100.2"); rule(err) != "sign_in" {
		t.Errorf("another address is refused too: %v", err)
	}
}

// TestAnUnknownLoginIsAsMuchWork as a known one, so that time does not tell
// who exists. It is not parallel, because it compares times.
func TestAnUnknownLoginIsAsMuchWork(t *testing.T) {
	e := newEnv(t)
	e.person("ada@example.com", nil)
	if _, _, err := e.SavePerson(e.root(), access.PersonChange{Login: "without@example.com"}); err != nil {
		t.Fatal(err)
	}
	quickest := make(map[string]time.Duration)
	for i := range 9 {
		for _, login := range []string{"ada@example.com", "nobody@example.com", "without@example.com", "no\x00login"} {
			start := time.Now()
			_, err := e.SignIn(t.Context(), login, "a wrong password", fmt.Sprint("203.0.113.", i))
			took := time.Since(start)
			if rule(err) != "sign_in" || err.Error() != "login or password are wrong" {
				t.Fatal(err)
			}
			if least, ok := quickest[login]; !ok || took < least {
				quickest[login] = took
			}
		}
	}
	for login, took := range quickest {
		if known := quickest["ada@example.com"]; took < known/4 {
			t.Errorf("%q takes %v, a known login %v", login, took, known)
		}
	}
}
