package contact

import "testing"

// TestAnEventTellsItsJob, and an outcome the job that led to it.
func TestAnEventTellsItsJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ id, of, behind string }{
		{JobEvent("j1", "hubspot/7"), "j1", "j1"},
		{JobOutcome("j1", "abc"), "", "j1"},
		{"hubspot/7", "", ""},
		{"outcome/abc", "", ""},
		{"sync/j1", "", ""},
		{"", "", ""},
	} {
		if of, behind := JobOf(c.id), JobBehind(c.id); of != c.of || behind != c.behind {
			t.Errorf("%q is of %q, behind it %q; want %q and %q", c.id, of, behind, c.of, c.behind)
		}
	}
}
