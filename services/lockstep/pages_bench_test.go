package lockstep_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/postgres/pgtest"
)

// BenchmarkPages measures how long the console's pages take, with PAGES_CONTACTS
// contacts (100,000) and PAGES_TENANTS tenants (1,000) in the database, of which
// one in five is refused something and one in ten waits to be written again. It
// tells the 95th percentile of each page.
func BenchmarkPages(b *testing.B) {
	many, tenants := benchNumber(b, "PAGES_CONTACTS", 100_000), benchNumber(b, "PAGES_TENANTS", 1_000)
	database := pgtest.New(b)
	d := startDemo(b, "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "DATABASE_URL="+database)
	eventually(b, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 3 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	multiply(b, database, many, tenants)
	token, err := os.ReadFile(filepath.Join(d.data, "operator.token"))
	if err != nil {
		b.Fatal(err)
	}
	get := func(path string) time.Duration {
		request, err := http.NewRequest(http.MethodGet, "http://"+d.console+path, nil)
		if err != nil {
			b.Fatal(err)
		}
		request.AddCookie(&http.Cookie{Name: "lockstep_session", Value: strings.TrimSpace(string(token))})
		start := time.Now()
		answer, err := client.Do(request)
		if err != nil {
			b.Fatal(err)
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.Request.URL.Path == "/sign-in" {
			b.Fatalf("%s is answered %d at %s", path, answer.StatusCode, answer.Request.URL.Path)
		}
		return time.Since(start)
	}
	eventually(b, 30*time.Second, func() string { // the new tenants are known
		if n := strings.Count(d.page("/tenants", string(token)), "data-tenant="); n < min(50, tenants) {
			return fmt.Sprintf("%d tenants are shown", n)
		}
		return ""
	})
	for _, p := range []struct{ name, path string }{
		{"tenants", "/tenants"}, {"tenants-search", "/tenants?q=tenant+77"}, {"connections", "/tenants/demo"}, {"mapping", "/tenants/demo/mapping"},
		{"versions", "/tenants/demo/mapping/versions"}, {"owners", "/tenants/demo/owners"}, {"dispositions", "/tenants/demo/dispositions"},
		{"contacts", "/tenants/demo/contacts"}, {"contacts-by-name", "/tenants/demo/contacts?q=copy+4217"}, {"contacts-by-phone", "/tenants/demo/contacts?q=%2B19990004217"},
		{"card", "/tenants/demo/contacts/copy:4217"}, {"errors", "/tenants/demo/errors"}, {"errors-dismissed-too", "/tenants/demo/errors?dismissed=1"},
		{"errors-of-a-large-group", "/tenants/demo/errors/group?kind=refused&reason=INVALID_EMAIL&system=hubspot&field=email"},
		{"errors-of-a-small-group", "/tenants/demo/errors/group?kind=refused&reason=TOO_LONG&system=hubspot&field=zip_code"},
		{"errors-that-wait", "/tenants/demo/errors/group?kind=waiting&reason=transient+503&system=aloware"},
		{"syncs", "/tenants/demo/syncs"}, {"pipeline", "/pipeline"}, {"audit", "/audit"}, {"access", "/access"},
	} {
		b.Run(p.name, func(b *testing.B) {
			get(p.path)
			var took []time.Duration
			for b.Loop() {
				took = append(took, get(p.path))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "ms-p95")
		})
	}
}

func benchNumber(b *testing.B, name string, otherwise int) int {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatalf("%s: %q is no number", name, text)
	}
	return n
}

// page is the text of one of the console's pages.
func (d *demo) page(path, token string) string {
	request, err := http.NewRequest(http.MethodGet, "http://"+d.console+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	request.AddCookie(&http.Cookie{Name: "lockstep_session", Value: strings.TrimSpace(token)})
	answer, err := client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// multiply copies the demonstration's contacts and its tenant.
func multiply(b *testing.B, database string, contacts, tenants int) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Minute)
	defer cancel()
	db, err := pgx.Connect(ctx, database)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		`INSERT INTO tenant (tenant, name, active) SELECT 'tenant-' || n, 'Tenant ' || n, true FROM generate_series(2, ` + strconv.Itoa(tenants) + `) n`,
		`INSERT INTO connection (tenant, system, settings, secrets) SELECT t.tenant, c.system, c.settings || '{"PortalID": 0, "State": ""}', '{}' FROM tenant t, connection c WHERE c.tenant = 'demo' AND t.tenant <> 'demo'`,
		`INSERT INTO mapping_version (tenant, version, author, reason, mappings) SELECT t.tenant, 1, 'bench', '', m.mappings FROM tenant t, mapping_version m WHERE m.tenant = 'demo' AND m.version = 1 AND t.tenant <> 'demo'`,
		`INSERT INTO contact_state (tenant, contact, revision, version, waits_list, state, name)
			SELECT tenant, 'copy:' || n, 1, version, false, state, 'Copy ' || n FROM (SELECT * FROM contact_state WHERE tenant = 'demo' LIMIT 1) s, generate_series(1, ` + strconv.Itoa(contacts) + `) n`,
		`INSERT INTO contact_ref (tenant, kind, value, contact) SELECT 'demo', 'phone', '+1999' || lpad(n::text, 7, '0'), 'copy:' || n FROM generate_series(1, ` + strconv.Itoa(contacts) + `) n`,
		`INSERT INTO contact_ref (tenant, kind, value, contact) SELECT 'demo', 'hubspot', '9' || lpad(n::text, 11, '0'), 'copy:' || n FROM generate_series(1, ` + strconv.Itoa(contacts) + `) n`,
		`INSERT INTO contact_history (tenant, contact, at, field, system, rule, value, edited_ms, version, mapping_version, event_id, reason, traceparent)
			SELECT 'demo', 'copy:' || n, now() - n * interval '1 second', 'city', 'hubspot', 'intent', 'Reno', 1, 1, 1, 'e', '', '' FROM generate_series(1, ` + strconv.Itoa(contacts) + `) n`,
		`INSERT INTO contact_problem (tenant, contact, field, system, kind, class, reason, message, value, version, since, attempts)
			SELECT 'demo', 'copy:' || n, (ARRAY['email', 'city', 'state', 'zip_code'])[1 + n % 4], 'hubspot', 'refused', 'permanent', (ARRAY['INVALID_EMAIL', 'READ_ONLY_VALUE'])[1 + n % 2], 'not this value', 'x', 1, now() - n * interval '1 second', 1
			FROM generate_series(1, ` + strconv.Itoa(max(contacts/5, 100_000)) + `) n`,
		// Half of a group is dismissed, and a small group is among the large ones.
		`UPDATE contact_problem SET dismissed_by = 'bench', dismissed_at = now() WHERE field = 'city' AND since > now() - ` + strconv.Itoa(max(contacts/5, 100_000)/2) + ` * interval '1 second'`,
		`INSERT INTO contact_problem (tenant, contact, field, system, kind, class, reason, message, value, version, since, attempts)
			SELECT 'demo', 'copy:' || n * 997, 'zip_code', 'hubspot', 'refused', 'permanent', 'TOO_LONG', 'too long', 'x', 1, now(), 1 FROM generate_series(1, 20) n
			ON CONFLICT (tenant, contact, field, system, kind) DO NOTHING`,
		`SELECT problem_recount('demo')`,
		`INSERT INTO lane_row (tenant, system, contact, partition, bulk, version, revision, attempts, first_at, next_at, error, patch)
			SELECT 'demo', 'aloware', 'copy:' || n, -1, true, 1, n, 1, now(), now() + interval '1 day', 'transient 503', '' FROM generate_series(1, ` + strconv.Itoa(contacts/10) + `) n`,
		`VACUUM ANALYZE`, // as the database does by itself, so that it does not do it meanwhile
	} {
		if _, err := db.Exec(ctx, sql); err != nil {
			b.Fatalf("%.60s: %v", sql, err)
		}
	}
}
