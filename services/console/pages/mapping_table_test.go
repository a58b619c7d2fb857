package pages

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/console/mappings"
)

// TestARowTellsWhatWasWritten into each system that was ever written, with the
// day of a last one that was not today.
func TestARowTellsWhatWasWritten(t *testing.T) {
	t.Parallel()
	templates, err := parse("")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	var state mappings.State
	for i, system := range contact.Systems {
		if system == contact.HubSpot {
			state.Written[i] = mappings.Written{ThisHour: 37, Today: 1204, Last: now}
		} else {
			state.Written[i] = mappings.Written{Last: time.Date(2026, 1, 2, 9, 5, 0, 0, time.UTC)}
		}
	}
	var out bytes.Buffer
	if err := templates.pages["mapping"].ExecuteTemplate(&out, "written", state); err != nil {
		t.Fatal(err)
	}
	html := out.String()
	for _, want := range []string{"to HubSpot:</span> 1\u202f204 today, last " + now.Format("15:04") + "<", "37 in this hour", "to Aloware:</span> 0 today, last on 2026-01-02 09:05<"} {
		if !strings.Contains(html, want) {
			t.Errorf("%q is missing in %s", want, html)
		}
	}
	if strings.Index(html, "Aloware") > strings.Index(html, "HubSpot") {
		t.Error("Aloware is not on the left")
	}
	out.Reset()
	if err := templates.pages["mapping"].ExecuteTemplate(&out, "written", mappings.State{}); err != nil || strings.TrimSpace(out.String()) != "" {
		t.Errorf("of a mapping that was never written the row tells %q, %v", out.String(), err)
	}
}
