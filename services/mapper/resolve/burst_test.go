package resolve

import (
	"testing"

	"lockstep.internal/pkg/contact"
)

var (
	cityIn  = FieldInto{"city", contact.Aloware}
	imports = FieldSource{cityIn, "IMPORT"}
	person  = FieldSource{cityIn, "CRM_UI userId:1"}
)

const noon = 1_700_006_400_000 - 1_700_006_400_000%hour

func TestNormalIsTheGreatestHourOfSevenDays(t *testing.T) {
	t.Parallel()
	now := noon + 30*60_000
	day := 24 * hour
	for _, c := range []struct {
		name  string
		hours map[contact.Millis]int64
		want  int64
	}{
		{"nothing was ever changed", nil, 0},
		{"the greatest counts", map[contact.Millis]int64{noon - hour: 3, noon - 2*day: 9, noon - 3*day: 4}, 9},
		{"older than seven days does not", map[contact.Millis]int64{noon - 8*day: 9, noon - day: 2}, 2},
		{"the present hour does not", map[contact.Millis]int64{noon: 9, noon - hour: 2}, 2},
	} {
		if got := Normal(c.hours, now); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if got := Normal(map[contact.Millis]int64{noon - hour: 9}, noon+2*60_000); got != 0 {
		t.Errorf("the hour in which the window began counts: %d", got)
	}
}

// edits counts contacts of one source, a second apart, and gives the number that
// passed.
func edits(w *Watch, on FieldSource, from contact.Millis, contacts int) (passed int, h *Hold) {
	for i := range contacts {
		at := from + contact.Millis(i)*1000
		if hold := w.change(on, at, at, true, 7); hold != nil {
			h = hold
		} else {
			passed++
		}
	}
	return passed, h
}

func TestBurstIsHeldFromTheFloorOn(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	passed, h := edits(w, imports, noon, 60)
	if passed != 20 || h == nil || h.Passed != 20 || h.Threshold != 20 || h.Source != "IMPORT" || len(w.Begun) != 1 {
		t.Fatalf("passed %d, held by %+v of %d", passed, h, len(w.Begun))
	}
	if got := w.Counted[FieldHour{cityIn, noon}]; got != 0 {
		t.Errorf("the burst counts as usual: %d", got)
	}
	if passed, _ := edits(w, person, noon, 5); passed != 5 {
		t.Errorf("of 5 edits by a person %d passed", passed)
	}
	if passed, _ := edits(w, FieldSource{FieldInto{"city", contact.HubSpot}, ""}, noon, 5); passed != 5 {
		t.Errorf("of 5 edits the other way %d passed", passed)
	}
	if passed, _ := edits(w, FieldSource{cityIn, ""}, noon, 5); passed != 0 {
		t.Errorf("of 5 edits of an unknown source %d passed", passed)
	}
}

func TestBurstIsHeldAcrossAnHour(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	if passed, _ := edits(w, imports, noon-15_000, 60); passed != 20 {
		t.Errorf("%d passed", passed)
	}
	for at, n := range w.Counted {
		if n != 0 {
			t.Errorf("the burst counts as usual in %v: %d", at, n)
		}
	}
}

func TestUsualRatePasses(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20, Normal: map[FieldInto]int64{cityIn: 6}}
	if passed, h := edits(w, imports, noon, 60); passed != 60 || h != nil {
		t.Errorf("%d passed", passed)
	}
	if passed, h := edits(w, imports, noon+60_000, 1); passed != 0 || h.Threshold != 60 {
		t.Errorf("ten times the usual is exceeded: %d passed", passed)
	}
}

func TestSlowChangesPass(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	for i := range 200 {
		at := noon + contact.Millis(i)*60_000
		if w.change(imports, at, at, true, 7) != nil {
			t.Fatalf("change %d is held, one a minute", i)
		}
	}
	if got := w.Counted[FieldHour{cityIn, noon}]; got != 60 {
		t.Errorf("%d changes are counted for the first hour, want 60", got)
	}
}

// TestOutageIsNoBurst: edits of two hours that are heard at once are as old as
// they are.
func TestOutageIsNoBurst(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	for i := range 120 {
		if w.change(imports, noon+contact.Millis(i)*60_000, noon+2*hour, true, 7) != nil {
			t.Fatalf("edit %d is held", i)
		}
	}
}

func TestClockAheadHidesNoBurst(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	w.change(imports, noon+24*hour, noon, true, 7)
	if passed, _ := edits(w, imports, noon, 60); passed != 19 {
		t.Errorf("%d passed", passed)
	}
}

func TestWhatWasLetGoOnPasses(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20, Trusted: map[FieldSource]bool{imports: true}}
	if passed, _ := edits(w, imports, noon, 60); passed != 60 || len(w.Counted) != 0 {
		t.Errorf("%d passed, counted %v", passed, w.Counted)
	}
	w = &Watch{Floor: 20, Normal: map[FieldInto]int64{cityIn: Taught(60)}}
	if passed, _ := edits(w, imports, noon, 120); passed != 120 {
		t.Errorf("of twice as many as were let go %d passed", passed)
	}
}

// TestBurstThatGoesOnAfterADropIsAskedAboutAgain at once.
func TestBurstThatGoesOnAfterADropIsAskedAboutAgain(t *testing.T) {
	t.Parallel()
	w := &Watch{Floor: 20}
	_, h := edits(w, imports, noon, 60)
	h.Answered = true
	if passed, again := edits(w, imports, noon+60_000, 1); passed != 0 || again == h {
		t.Errorf("%d passed", passed)
	}
}

func TestNothingIsHeldWithoutAFloor(t *testing.T) {
	t.Parallel()
	w := &Watch{}
	if passed, _ := edits(w, imports, noon, 2000); passed != 2000 {
		t.Errorf("%d passed", passed)
	}
	if w = nil; w.change(imports, noon, noon, true, 7) != nil {
		t.Error("held without a watch")
	}
}

func TestSourceIsWhatABurstHasInCommon(t *testing.T) {
	t.Parallel()
	for cause, want := range map[string]string{
		"CRM_UI userId:5": "CRM_UI userId:5", "INTEGRATION 77": "INTEGRATION 77", "IMPORT 123": "IMPORT",
		"AUTOMATION_PLATFORM enrollmentId:9;actionExecutionIndex:0": "AUTOMATION_PLATFORM", "": "",
	} {
		if got := SourceOf(&contact.Change{System: contact.HubSpot, Channel: contact.Webhook, Cause: cause}); got != want {
			t.Errorf("%q: %q, want %q", cause, got, want)
		}
	}
	if got := SourceOf(&contact.Change{System: contact.Aloware, Channel: contact.Webhook, Cause: "contact-updated"}); got != "" {
		t.Errorf("Aloware: %q", got)
	}
}
