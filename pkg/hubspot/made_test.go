package hubspot

import "testing"

// TestWhatWeMadeIsReadOnceSomebodyChangedIt.
func TestWhatWeMadeIsReadOnceSomebodyChangedIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                string
		source, app, change string
		known               bool
	}{
		{"made by us", "INTEGRATION", "1001", "2026-03-01T10:00:00.900Z", true},
		{"made by us and changed", "INTEGRATION", "1001", "2026-03-01T10:00:09Z", false},
		{"made by another app", "INTEGRATION", "7", "2026-03-01T10:00:00Z", false},
		{"made by a person", "CRM_UI", "userId:1001", "2026-03-01T10:00:00Z", false},
	} {
		r := record{ID: "1", CreatedAt: "2026-03-01T10:00:00Z", UpdatedAt: text(c.change), Properties: map[string]text{sourceName: text(c.source), sourceIDName: text(c.app)}}
		if got := (&Client{app: "1001"}).justMade([]record{r}, "1"); got != c.known {
			t.Errorf("%s: known is %t", c.name, got)
		}
	}
}
