package alerts

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// BenchmarkLook looks at ALERT_TENANTS tenants (5,000) of which one in a hundred
// has problems, ALERT_PROBLEMS (100,000) in all, that were told.
func BenchmarkLook(b *testing.B) {
	tenants, problems := setting("ALERT_TENANTS", 5000), setting("ALERT_PROBLEMS", 100_000)
	e := newEnv(b)
	ill := max(tenants/100, 1)
	for i := range tenants {
		t := e.tenant()
		t.ID, t.Revision = contact.Tenant(fmt.Sprintf("tenant-%05d", i)), 0
		if err := e.db.SaveTenant(b.Context(), t, e.sealer); err != nil {
			b.Fatal(err)
		}
		if i >= ill {
			continue
		}
		var ids []contact.Tenant
		var keys []contact.Key
		var rows []postgres.ProblemRow
		for k := range problems / ill {
			row := refused(contact.Key(fmt.Sprintf("hubspot:%d", k)))
			row.Tenant, row.Field, row.Since = t.ID, fmt.Sprintf("field_%d", k%20), time.Now()
			ids, keys, rows = append(ids, t.ID), append(keys, row.Contact), append(rows, row)
		}
		if err := e.db.InTx(b.Context(), func(tx *postgres.Tx) error { return tx.SaveProblems(b.Context(), ids, keys, rows) }); err != nil {
			b.Fatal(err)
		}
	}
	if err := e.roster.Refresh(b.Context()); err != nil {
		b.Fatal(err)
	}
	a := e.room(local)
	e.after(a, time.Minute)
	e.after(a, time.Minute)
	told, err := e.db.OpenAlerts(b.Context(), "tenant-00000", 100)
	if err != nil || len(told) != min(20, problems) {
		b.Fatalf("%d groups of a tenant were told, %v", len(told), err)
	}
	for b.Loop() {
		e.after(a, time.Hour)
	}
}

func setting(name string, usual int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return usual
}
