package row

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/contact"
)

func patch(version contact.Version, properties ...contact.Property) contact.Patch {
	for i := range properties {
		properties[i].Version = version
	}
	return contact.Patch{Contact: "hubspot:1", Version: version, Properties: properties}
}

func set(name, value string) contact.Property { return contact.Property{Name: name, Value: value} }

// TestTheNewerValueWinsWhateverTheOrder of arrival.
func TestTheNewerValueWinsWhateverTheOrder(t *testing.T) {
	t.Parallel()
	first, second := patch(1, set("city", "a"), set("zip", "1")), patch(2, set("city", "b"))
	for name, merged := range map[string]contact.Patch{"in order": Merge(first, second), "reversed": Merge(second, first)} {
		got := map[string]string{}
		for _, p := range merged.Properties {
			got[p.Name] = p.Value
		}
		if diff := cmp.Diff(map[string]string{"city": "b", "zip": "1"}, got); diff != "" || merged.Version != 2 {
			t.Errorf("%s: version %d, properties differ (-want +got):\n%s", name, merged.Version, diff)
		}
	}
}

// TestAHundredPatchesAreOneWrite.
func TestAHundredPatchesAreOneWrite(t *testing.T) {
	t.Parallel()
	merged := patch(1, set("city", "0"))
	for i := range 99 {
		merged = Merge(merged, patch(contact.Version(i+2), set("city", string(rune('a'+i%26)))))
	}
	if len(merged.Properties) != 1 || merged.Properties[0].Version != 100 {
		t.Errorf("got %+v, want the newest value only", merged.Properties)
	}
}

// TestWhatCameMeanwhileStays after a write.
func TestWhatCameMeanwhileStays(t *testing.T) {
	t.Parallel()
	sent := patch(1, set("city", "a"), set("zip", "1"))
	row := Merge(sent, patch(2, set("city", "b")))
	left, done := Remainder(row, sent, contact.Outcome{TargetID: "77"})
	if done || len(left.Properties) != 1 || left.Properties[0].Value != "b" || left.TargetID != "77" {
		t.Errorf("got %+v done %v, want the newer city and the id that was found", left, done)
	}
	if _, done := Remainder(sent, sent, contact.Outcome{}); !done {
		t.Error("a row that did not change meanwhile is done")
	}
}

// TestAReadWaitsWithoutHoldingUpValues.
func TestAReadWaitsWithoutHoldingUpValues(t *testing.T) {
	t.Parallel()
	row := patch(1, set("city", "a"))
	row.TargetID, row.Fetch = "7", &contact.Fetch{Properties: []string{"city"}, NotBefore: 1000}
	send, ok := Ready(row, 500)
	if !ok || send.Fetch != nil || len(send.Properties) != 1 {
		t.Fatalf("got %+v %v, want the value without the read", send, ok)
	}
	left, done := Remainder(row, send, contact.Outcome{})
	if done || left.Fetch == nil {
		t.Fatal("the read must stay")
	}
	if _, ok := Ready(left, 500); ok {
		t.Error("nothing may go out before the read's time")
	}
	if send, ok := Ready(left, 1000); !ok || send.Fetch == nil {
		t.Error("the read goes out at its time")
	}
}
