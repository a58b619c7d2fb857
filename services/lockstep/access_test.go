package lockstep_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAccessByTheCommandLine: the first start tells how to sign in, once; an
// operator gives roles and tokens, a token may do what it was given and no
// more, and the audit tells all of it.
func TestAccessByTheCommandLine(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=0")
	signIn := regexp.MustCompile(`console sign-in: admin / [a-z2-7]{5}(-[a-z2-7]{5}){3}\n`)
	output := func() string {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.output.String()
	}
	eventually(t, 10*time.Second, func() string {
		if n := len(signIn.FindAllString(output(), -1)); n != 1 {
			return fmt.Sprintf("the sign-in is told %d times", n)
		}
		return ""
	})
	var people struct {
		People []struct {
			Login      string
			MustChange bool
			Roles      []struct{ Tenant, Role string }
		}
	}
	d.mustCLI(&people, "access", "people")
	if len(people.People) != 1 || people.People[0].Login != "admin" || !people.People[0].MustChange || people.People[0].Roles[0].Role != "operator" {
		t.Errorf("people are %+v", people)
	}
	var saved struct{ OneTimePassword string }
	d.mustCLI(&saved, "access", "save", "ada@example.com", "--name", "Ada", "--role", "demo=agent", "--with-password")
	if len(saved.OneTimePassword) < 20 {
		t.Errorf("the password is %q", saved.OneTimePassword)
	}
	var token struct {
		Text  string
		Token struct{ Id string }
	}
	d.mustCLI(&token, "access", "create-token", "reports", "--role", "demo=viewer", "--expires", "1h")
	d.mustCLI(nil, "mapping", "show", "demo", "--token", token.Text)
	for _, c := range []struct {
		code int
		args []string
	}{
		{1, []string{"tenant", "disconnect", "demo", "--token", token.Text}},
		{3, []string{"access", "disable", "admin"}}, // nobody else could operate
		{3, []string{"access", "save", "ada@example.com", "--role", "nowhere=agent"}},
		{2, []string{"access", "save", "ada@example.com", "--role", "agent"}},
		{2, []string{"access", "save", "ada@example.com"}},
		{2, []string{"access", "create-token", "x"}},
		{2, []string{"access", "disable"}},
		{2, []string{"access", "nothing"}},
		{2, []string{"audit", "one", "two"}},
	} {
		if err := d.cli(nil, c.args...); err == nil || !strings.Contains(err.Error(), fmt.Sprint("exit status ", c.code)) {
			t.Errorf("%v gives %v, want exit code %d", c.args, err, c.code)
		}
	}
	d.mustCLI(nil, "access", "revoke-token", token.Token.Id)
	if err := d.cli(nil, "access", "whoami", "--token", token.Text); err == nil {
		t.Error("a revoked token holds")
	}
	d.mustCLI(&saved, "access", "reset-password", "admin")
	d.mustCLI(nil, "access", "disable", "ada@example.com")
	d.mustCLI(nil, "access", "enable", "ada@example.com")

	var audit struct {
		Entries []struct{ Caller, Tenant, Action, Object, Outcome, Reason, Detail string }
	}
	d.mustCLI(&audit, "audit", "--limit", "3", "--since", "1h")
	if len(audit.Entries) != 3 || audit.Entries[0].Action != "DisablePerson" || !strings.Contains(audit.Entries[0].Detail, `"undo"`) || audit.Entries[2].Action != "ResetPassword" {
		t.Errorf("the newest entries are %+v", audit)
	}
	d.mustCLI(&audit, "audit", "demo", "--by", "reports")
	if len(audit.Entries) != 1 || audit.Entries[0].Action != "Disconnect" || audit.Entries[0].Outcome+" "+audit.Entries[0].Reason != "refused role" {
		t.Errorf("the entries of the token are %+v", audit)
	}
	response, err := http.Post("http://"+d.console+"/console.v1.AccessService/WhoAmI", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token the API answers %s", response.Status)
	}

	d.stop()
	d.start()
	d.mustCLI(nil, "access", "whoami")
	if n := len(signIn.FindAllString(output(), -1)); n != 1 {
		t.Errorf("after a second start the sign-in was told %d times", n)
	}
}
