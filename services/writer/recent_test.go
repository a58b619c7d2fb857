package writer

import (
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/services/writer/row"
)

// TestTheMemoryIsBounded and forgets the oldest first.
func TestTheMemoryIsBounded(t *testing.T) {
	t.Parallel()
	r := newRecent(2)
	patch := func(key contact.Key, version contact.Version) contact.Patch {
		return contact.Patch{Contact: key, Version: version, TargetID: "7", Properties: []contact.Property{{Name: "city", Version: version}}}
	}
	for _, key := range []contact.Key{"a", "b", "a", "c"} {
		p := patch(key, 5)
		r.add("acme", &p)
	}
	if len(r.sent) != 2 {
		t.Errorf("%d contacts are remembered, want 2", len(r.sent))
	}
	for key, want := range map[contact.Key]bool{"a": false, "b": true, "c": true} {
		if _, step := r.step("acme", patch(key, 3), 0); (step == row.Overtaken) != want {
			t.Errorf("%s: step %v, want overtaken %v", key, step, want)
		}
	}
	if _, step := r.step("other", patch("c", 3), 0); step == row.Overtaken {
		t.Error("another tenant's contact of the same key is another contact")
	}
}

// TestARowIsNeverGivenUp: pauses grow up to a bound.
func TestARowIsNeverGivenUp(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		attempts int
		age      time.Duration
		want     time.Duration
	}{
		{1, 0, 250 * time.Millisecond}, {4, 0, 2 * time.Second}, {12, 0, 512 * time.Second}, {13, 0, 10 * time.Minute},
		{1000, time.Hour, 10 * time.Minute}, {1000, 100 * time.Hour, time.Hour},
	} {
		for range 50 {
			if got := putOff(test.attempts, test.age); got < test.want*7/8 || got > test.want*9/8+1 {
				t.Fatalf("after %d attempts in %v: %v, want about %v", test.attempts, test.age, got, test.want)
			}
		}
	}
}
