package postgres_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/postgres"
)

// TestAPortalIsKnownOnlyOnceListedToTheEnd: half a list would make contacts a
// second time, and so would the list of another portal.
func TestAPortalIsKnownOnlyOnceListedToTheEnd(t *testing.T) {
	t.Parallel()
	db := laneDB(t)
	const portal, day = 7, 24 * time.Hour
	save := func(job string, first, last bool, keys ...postgres.PortalKey) {
		t.Helper()
		if err := db.SavePortalKeys(t.Context(), "acme", portal, job, keys, first, last); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string, portal int64, within time.Duration, want bool, ids ...string) {
		t.Helper()
		got, complete, err := db.PortalIDs(t.Context(), "acme", portal, []string{"+12025550101", "ada@example.com", "+19995550000"}, within)
		if err != nil || complete != want {
			t.Errorf("%s: complete %t, %v", when, complete, err)
		}
		if diff := cmp.Diff(ids, got); want && diff != "" {
			t.Errorf("%s: (-want +got)\n%s", when, diff)
		}
	}
	check("before", portal, day, false)
	save("one", true, false, postgres.PortalKey{Key: "+12025550101", ID: "1"}, postgres.PortalKey{Key: "bob@example.com", ID: "1"})
	check("half listed", portal, day, false)
	save("one", false, false, postgres.PortalKey{Key: "ada@example.com", ID: "2"})
	save("one", false, false, postgres.PortalKey{Key: "ada@example.com", ID: "2"}) // a page twice
	save("one", false, true)
	check("listed", portal, day, true, "1", "2")
	check("too old", portal, 0, false)
	check("another portal", portal+1, day, false)
	save("two", true, false, postgres.PortalKey{Key: "+12025550101", ID: "3"})
	check("being listed again", portal, day, false)
	save("one", false, true) // the earlier job goes on somewhere
	check("ended by another job", portal, day, false)
	save("two", false, true)
	check("listed again", portal, day, true, "3")
	if err := db.ForgetWalks(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	check("forgotten", portal, day, false)
}
