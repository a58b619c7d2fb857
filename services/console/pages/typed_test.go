package pages

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/inbox"
)

// TestARefusedFormComesBack as it was typed, with the reason and without what
// is secret; an action without a form gets a page for the problem.
func TestARefusedFormComesBack(t *testing.T) {
	t.Parallel()
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	p := &Pages{Config: Config{Guard: callers{"boss": {Name: "boss", Everywhere: access.Operator}}, Roster: rosterOf(t)}, templates: templates}
	refuse := func(context.Context, *http.Request) (answer, error) { return nil, invalid("an id has no spaces") }
	for _, test := range []struct {
		name string
		page serve
		want []string
	}{
		{"with a form", p.newTenantPage, []string{"An id has no spaces.", `value="no &lt;id&gt;"`, `value="Named"`, "Add a tenant"}},
		{"without a form", nil, []string{"An id has no spaces.", "This cannot be done", `href="/tenants/new"`}},
	} {
		r := httptest.NewRequest(http.MethodPost, "/tenants/act", strings.NewReader(url.Values{"id": {"no <id>"}, "name": {"Named"}, "api_token": {"do-not-tell"}}.Encode()))
		r.URL.Path = "/tenants/new"
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Referer", "http://"+r.Host+"/tenants/new")
		if test.page == nil {
			r.URL.Path = "/tenants/act"
		}
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: "boss"})
		w := httptest.NewRecorder()
		p.guard(route{pattern: "POST /x", need: need{role: access.Operator, where: forAll}, serve: func(ctx context.Context, r *http.Request) (answer, error) {
			if err := r.ParseForm(); err != nil {
				return nil, err
			}
			return refuse(ctx, r)
		}, page: test.page, quiet: true}).ServeHTTP(w, r)
		body := w.Body.String()
		if w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%s: status %d", test.name, w.Code)
		}
		for _, want := range test.want {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the page lacks %q:\n%s", test.name, want, body)
			}
		}
		if strings.Contains(body, "do-not-tell") {
			t.Errorf("%s: the page shows a secret", test.name)
		}
	}
	f := frame{typed: &typed{form: "settings", fault: "No.", values: url.Values{"name": {"typed"}, "token": {"hidden"}}}}
	for _, test := range []struct {
		form, field string
		inForce     any
		want        string
	}{
		{"settings", "name", "in force", "typed"}, {"settings", "region", "US", ""}, {"settings", "token", "", ""}, {"other", "name", "in force", "in force"},
		{"other", "ceiling", 0, ""}, {"other", "ceiling", 50, "50"}, {"other", "app", int64(0), ""}, {"other", "active", false, ""}, {"other", "active", true, "true"},
	} {
		if got := f.Value(test.form, test.field, test.inForce); got != test.want {
			t.Errorf("%s of %s shows %q, want %q", test.field, test.form, got, test.want)
		}
	}
}

// TestARefusalHasAPlace: a page that is shown again, as its form was not accepted,
// says why.
func TestARefusalHasAPlace(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	names, err := fs.Glob(files, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, r := range new(Pages).routes() {
		if form := path.Base(r.pattern); r.page != nil && !strings.Contains(all.String(), `.Fault "`+form+`"`) {
			t.Errorf("nobody is told why %s was refused: its page has no fault %q", r.pattern, form)
		}
	}
}

// TestPlacesComeBack from an address as they were; anything else is refused.
func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	want := postgres.ProblemRow{Contact: "hubspot:1/é?", Field: "email", System: contact.HubSpot, Kind: contact.ProblemRefused}
	got, err := placeOf(httptest.NewRequest(http.MethodGet, "/?after="+place(want), nil))
	if err != nil || got != want {
		t.Errorf("the place comes back as %+v, %v", got, err)
	}
	if first, err := placeOf(httptest.NewRequest(http.MethodGet, "/", nil)); err != nil || first != (postgres.ProblemRow{}) {
		t.Errorf("no place is %+v, %v, want the beginning", first, err)
	}
	for _, wrong := range []string{"x", "e30", "WyJhIiwiYiIsImMiLCJkIl0"} {
		if _, err := placeOf(httptest.NewRequest(http.MethodGet, "/?after="+wrong, nil)); err == nil {
			t.Errorf("%q is taken for a place", wrong)
		}
	}
}

// TestWords: reasons, rules and effects are said in words; a system's own word
// stays.
func TestWords(t *testing.T) {
	t.Parallel()
	for of, want := range map[string]string{
		"SEVERAL_CONTACTS": "Several contacts fit", "INVALID_EMAIL: no @": "An invalid e-mail address: no @", "SOMETHING_NEW": "SOMETHING_NEW", "ada chose 5: well": "ada chose 5: well", "": "",
	} {
		if got := inbox.Reason(of); got != want {
			t.Errorf("%q is said as %q, want %q", of, got, want)
		}
	}
	for _, rule := range []string{
		"intent", "stale", "write", "settled", "refused", "held", "linked", "sought", "joined", "merged", "deleted", "restored", "gone", "pulled", "pull_answered", "retried",
		"answered", "released", "let_be", "undone", "chosen", "unlinked", "conflict", "review", "lost", "left", "entered", "rewritten", "stopped", "resumed",
	} {
		if said := decided(postgres.HistoryRow{Rule: rule, Field: "email", System: contact.HubSpot, Value: "v"}); !strings.Contains(said, " ") {
			t.Errorf("the rule %s is said as %q", rule, said)
		}
	}
	for name, want := range map[string]string{"ConnectHubSpot": "Connect HubSpot", "ConnectAloware": "Connect Aloware", "SavePerson": "Save person", "Disconnect": "Disconnect"} {
		if got := action(name); got != want {
			t.Errorf("the call %s is said as %q, want %q", name, got, want)
		}
	}
	for ms, want := range map[float64]string{4.4: "4 ms", 999: "999 ms", 1440: "1.4 s", 70_400: "1 min"} {
		if got := latency(ms); got != want {
			t.Errorf("%g ms are said as %q, want %q", ms, got, want)
		}
	}
	counts := map[string]int64{"judged": 50, "changed_hubspot": 2, "written_aloware": 3, "matched": 1}
	var said []string
	for _, e := range found(counts) {
		said = append(said, e.Words)
	}
	if got := strings.Join(said, "; "); got != "edits missed in HubSpot; values written to Aloware; contacts matched" {
		t.Errorf("found is %q", got)
	}
	if r := repairs(counts); len(r) != 4 || r["edits missed in HubSpot"] != 2 || r["values written to Aloware"] != 3 {
		t.Errorf("the repairs are %v", r)
	}
}

// TestADecisionLeadsToItsTrace where the installation shows traces, and names it
// elsewhere.
func TestADecisionLeadsToItsTrace(t *testing.T) {
	t.Parallel()
	const id = "0af7651916cd43dd8448eb211c80319c"
	for pattern, want := range map[string]string{"https://traces.example/trace/{trace}": `href="https://traces.example/trace/` + id + `"`, "": `title="trace ` + id + `"`} {
		templates, err := parse(pattern)
		if err != nil {
			t.Fatal(err)
		}
		var page strings.Builder
		view := timelineView{Name: "hubspot:1", Rows: []postgres.HistoryRow{
			{Rule: "intent", Field: "city", System: contact.HubSpot, Value: "Rome", EditedAt: 1_700_000_000_000, MappingVersion: 7, Traceparent: "00-" + id + "-b7ad6b7169203331-01"},
		}}
		if err := templates.block(&page, "contact", "timeline-rows", frame{Data: view}); err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{want, "City", "was set to Rome in HubSpot", "mapping 7", `datetime="2023-11-14T22:13:20Z"`} {
			if !strings.Contains(page.String(), part) {
				t.Errorf("with %q the decision lacks %s:\n%s", pattern, part, page.String())
			}
		}
	}
}
