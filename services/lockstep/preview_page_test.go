package lockstep_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/postgres/pgtest"
)

// TestAPreviewIsShownWhileItIsWorkedOut: the page counts the contacts and shows
// what is found of them, stops at the server when somebody cancels it, and does
// without JavaScript all at once.
func TestAPreviewIsShownWhileItIsWorkedOut(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "DATABASE_URL="+database)
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 3 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(60 * time.Second)
	many := lengthen(t, d, database)
	b := openBrowser(t, d)
	token, err := os.ReadFile(filepath.Join(d.data, "operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	session := strings.TrimSpace(string(token))
	b.as(session)
	b.open("/tenants/demo/mapping")
	b.press(`#way-first_name-to_hubspot`)
	b.sees("#draft-bar", "1 unsaved change")
	b.press("#preview-button")
	b.sees("#preview .running", "of "+thousands(many)+" contacts")
	b.press("#cancel-preview")
	b.sees("#preview", "Cancelled")
	b.press("#preview-button")
	eventually(t, 2*time.Minute, func() string {
		return eval[string](b, `document.querySelector("#preview").hasAttribute("aria-busy") ? document.querySelector("#preview").textContent : ""`)
	})
	b.sees("#preview", "All "+thousands(many)+" contacts were looked at")
	if busy := eval[bool](b, `document.querySelector("#preview").hasAttribute("aria-busy") || document.querySelector("#cancel-preview") !== null`); busy {
		t.Error("a preview that has ended looks as if it went on")
	}
	version := eval[string](b, `document.querySelector("#mapping [name=based_on]").value`)
	draft := eval[string](b, `document.querySelector("#mapping [name=draft]").value`)

	post := func(ctx context.Context, accept string, form url.Values) *http.Response {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+d.console+"/tenants/demo/mapping/preview", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "http://"+d.console)
		request.Header.Set("Accept", accept)
		request.AddCookie(&http.Cookie{Name: "lockstep_session", Value: session})
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	form := url.Values{"based_on": {version}, "draft": {draft}}
	body := func(answer *http.Response) string {
		raw, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	answer := post(ctx, "text/event-stream", form)
	defer answer.Body.Close()
	looked := regexp.MustCompile(`value="(\d+)"`)
	var steps []int
	last := ""
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			last = event
		}
		if at := looked.FindStringSubmatch(lines.Text()); at != nil && strings.Contains(lines.Text(), "<progress") {
			n, _ := strconv.Atoi(at[1])
			steps = append(steps, n)
		}
	}
	if last != "whole" || len(steps) < 2 || steps[0] >= steps[len(steps)-1] || steps[len(steps)-1] != many {
		t.Errorf("the stream ends with %q and shows the progress %v, want a growing one up to all", last, steps)
	}
	whole := post(ctx, "text/html", form)
	defer whole.Body.Close()
	if text := body(whole); !strings.Contains(text, "<h1>Preview</h1>") || !(strings.Contains(text, "contacts were looked at") || strings.Contains(text, "in the time a page has")) || strings.Contains(text, "data-stop") {
		t.Errorf("without a stream the page says %.400s", text)
	}
	form.Set("draft", `[{"remove":"phone_number"}]`)
	refused := post(ctx, "text/event-stream", form)
	defer refused.Body.Close()
	if text := body(refused); !strings.Contains(text, "event: failed") || !strings.Contains(text, "phone") {
		t.Errorf("a draft that no rule allows is answered %.400s", text)
	}
}

// lengthen copies a contact of the demonstration so often that a preview takes
// some seconds on this machine, however slow or busy it is, and gives the number
// of contacts there are.
func lengthen(t *testing.T, d *demo, database string) int {
	t.Helper()
	const first, most, want = 5_000, 200_000, 6 * time.Second
	db, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(t.Context()))
	fill := func(from, upTo int) {
		if _, err := db.Exec(t.Context(), `INSERT INTO contact_state (tenant, contact, revision, version, waits_list, state, name)
			SELECT tenant, 'copy:' || n, 1, version, false, state, 'Copy ' || n
			FROM (SELECT * FROM contact_state WHERE tenant = 'demo' AND contact NOT LIKE 'copy:%' LIMIT 1) s, generate_series($1::int, $2::int) n`, from, upTo); err != nil {
			t.Fatal(err)
		}
	}
	fill(1, first)
	start := time.Now()
	d.mustCLI(nil, "mapping", "set", "demo", "first_name", "--direction", "to_hubspot", "--preview")
	upTo := min(max(first, int(first*want/time.Since(start))), most)
	fill(first+1, upTo)
	return upTo + 3
}

// thousands writes a number as pages do.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s\u202f%03d", thousands(n/1000), n%1000)
}
