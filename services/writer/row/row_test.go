package row

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

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

// TestAReadAskedForAgainIsRepeated: the read under way was before the request.
func TestAReadAskedForAgainIsRepeated(t *testing.T) {
	t.Parallel()
	first, second := patch(1), patch(2)
	first.TargetID, second.TargetID = "7", "7"
	first.Fetch, second.Fetch = &contact.Fetch{Properties: []string{"city"}}, &contact.Fetch{Properties: []string{"zip"}, NotBefore: 9}
	merged := Merge(first, second)
	if diff := cmp.Diff(&contact.Fetch{Properties: []string{"city", "zip"}, NotBefore: 9}, merged.Fetch); diff != "" {
		t.Errorf("merged read (-want +got):\n%s", diff)
	}
	if left, done := Remainder(merged, first, contact.Outcome{}); done || left.Fetch == nil {
		t.Error("the newer read is lost")
	}
	if _, done := Remainder(merged, merged, contact.Outcome{}); !done {
		t.Error("a read that was not asked for again is done")
	}
}

// TestAContactThatIsFoundIsReadBeforeItIsWritten: what was decided before it was
// known is decided again.
func TestAContactThatIsFoundIsReadBeforeItIsWritten(t *testing.T) {
	t.Parallel()
	seek, again, update := patch(1, set("lastname", "L.")), patch(2, set("lastname", "M.")), patch(3, set("city", "Oslo"))
	for _, p := range []*contact.Patch{&seek, &again} {
		p.Create, p.Fetch = &contact.Create{Email: "a@example.com", MayCreate: true}, &contact.Fetch{Properties: []string{"lastname"}}
	}
	update.TargetID = "501"
	if merged := Merge(seek, update); merged.TargetID != "501" || len(merged.Properties) != 1 || merged.Properties[0].Name != "city" || merged.Fetch == nil || merged.Version != 3 {
		t.Errorf("with an update behind it, it is %+v, want the update and a read", merged)
	}
	merged := Merge(seek, again)
	if len(merged.Properties) != 1 || merged.TargetID != "" {
		t.Errorf("sought again it is %+v, want both", merged)
	}
	left, done := Remainder(merged, seek, contact.Outcome{Result: contact.Fetched, TargetID: "501"})
	if done || left.TargetID != "501" || len(left.Properties) != 0 || left.Fetch == nil {
		t.Errorf("when it was found, %+v is left, want a read alone", left)
	}
	left, done = Remainder(merged, seek, contact.Outcome{Result: contact.Made, TargetID: "501"})
	if done || left.TargetID != "501" || len(left.Properties) != 1 {
		t.Errorf("when it was made, %+v is left, want the newer value", left)
	}
}

// TestAnInheritedIDThatLeadsNowhereIsForgotten: the contact is sought then.
func TestAnInheritedIDThatLeadsNowhereIsForgotten(t *testing.T) {
	t.Parallel()
	update, create := patch(1, set("city", "a")), patch(2, set("email", "a@example.com"))
	update.TargetID, create.Create = "501", &contact.Create{Email: "a@example.com", MayCreate: true}
	sent := Merge(update, create)
	gone := contact.Outcome{Result: contact.Gone, TargetID: "501"}
	left, done := Remainder(sent, sent, gone)
	if done || left.TargetID != "" || len(left.Properties) != 2 || !Misled(sent, gone) {
		t.Errorf("got %+v, done %v", left, done)
	}
	if Misled(update, gone) {
		t.Error("a patch with an id of its own is answered for good")
	}
}

// TestALatePatchBringsNoOlderValue after a newer one was sent.
func TestALatePatchBringsNoOlderValue(t *testing.T) {
	t.Parallel()
	late := patch(3, set("city", "old"), set("zip", "1"))
	late.TargetID = "7"
	fresh, empty := Fresh(late, Delivered{"city": 5})
	if empty || len(fresh.Properties) != 1 || fresh.Properties[0].Name != "zip" {
		t.Errorf("got %+v, empty %v", fresh.Properties, empty)
	}
	if _, empty := Fresh(late, Delivered{"city": 5, "zip": 4}); !empty {
		t.Error("nothing is left of it")
	}
	if same, empty := Fresh(late, Delivered{"city": 3}); empty || len(same.Properties) != 2 {
		t.Error("the same version may be sent again")
	}
}

// TestARowNeverLosesNorGoesBack, whatever comes in whatever order while
// patches are under way.
func TestARowNeverLosesNorGoesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c"}
		var row, sent *contact.Patch
		wrote, asked := Delivered{}, Delivered{}
		version, asksRead, readDone := contact.Version(0), contact.Version(0), contact.Version(0)
		finish := func() {
			if sent == nil {
				return
			}
			for _, p := range sent.Properties {
				if p.Version < wrote[p.Name] {
					t.Fatalf("%s went back from version %d to %d", p.Name, wrote[p.Name], p.Version)
				}
				wrote[p.Name] = p.Version
			}
			if sent.Fetch != nil {
				readDone = max(readDone, sent.Version)
			}
			left, done := Remainder(*row, *sent, contact.Outcome{Version: sent.Version, TargetID: "7", Result: contact.Written})
			if row, sent = &left, nil; done {
				row = nil
			}
		}
		send := func(now contact.Millis) {
			if row == nil || sent != nil {
				return
			}
			ready, step := Next(*row, now, wrote)
			switch step {
			case Wait:
				return
			case Overtaken:
				left, done := Remainder(*row, *row, contact.Outcome{TargetID: "7"})
				if row = &left; done {
					row = nil
				}
				return
			}
			sent = &ready
		}
		steps := rapid.IntRange(1, 40).Draw(t, "steps")
		for i := range steps {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				version++
				p := contact.Patch{Contact: "hubspot:1", Version: version, TargetID: "7"}
				if rapid.IntRange(0, 4).Draw(t, "late") == 0 && version > 2 {
					p.Version = version - 2 // of the other stream
				}
				for _, name := range names {
					if rapid.Bool().Draw(t, "has") {
						p.Properties = append(p.Properties, contact.Property{Name: name, Value: fmt.Sprint(p.Version), Version: p.Version})
						asked[name] = max(asked[name], p.Version)
					}
				}
				if len(p.Properties) == 0 || rapid.IntRange(0, 5).Draw(t, "reads") == 0 {
					p.Fetch = &contact.Fetch{Properties: names, NotBefore: contact.Millis(rapid.IntRange(0, steps).Draw(t, "not before"))}
					if p.Version == version {
						asksRead = version
					}
				}
				if row != nil {
					p = Merge(*row, p)
				}
				row = &p
			case 2:
				send(contact.Millis(i))
			case 3:
				finish()
			}
		}
		for range 5 {
			finish()
			send(1000)
		}
		if row != nil {
			t.Fatalf("a row is left over: %+v", *row)
		}
		for _, name := range names {
			if wrote[name] != asked[name] {
				t.Errorf("%s was written up to version %d, asked for was %d", name, wrote[name], asked[name])
			}
		}
		if readDone < asksRead {
			t.Errorf("read up to version %d, asked for was %d", readDone, asksRead)
		}
	})
}

// TestEachMergedEditKeepsItsTrace, until it was sent, and once also where a
// batch is repeated.
func TestEachMergedEditKeepsItsTrace(t *testing.T) {
	t.Parallel()
	edit := func(n int) contact.Patch {
		p := patch(contact.Version(n), set("city", fmt.Sprint(n)))
		p.Traceparent = fmt.Sprint("trace ", n)
		return p
	}
	traces := func(p contact.Patch) []string { return append(append([]string(nil), p.Merged...), p.Traceparent) }
	merged := Merge(Merge(Merge(edit(1), edit(3)), edit(2)), edit(3))
	if diff := cmp.Diff([]string{"trace 1", "trace 2", "trace 3"}, sorted(traces(merged))); diff != "" || merged.Traceparent != "trace 3" {
		t.Errorf("three edits, one twice, have the traces (-want +got):\n%s", diff)
	}
	later := Merge(merged, edit(4))
	left, _ := Remainder(later, merged, contact.Outcome{TargetID: "7"})
	if diff := cmp.Diff([]string{"trace 4"}, traces(left)); diff != "" {
		t.Errorf("after three of four were sent, what is left has the traces (-want +got):\n%s", diff)
	}
	for n := 5; n <= 20; n++ {
		later = Merge(later, edit(n))
	}
	if got := traces(later); len(got) != 8 || got[0] != "trace 13" || got[7] != "trace 20" {
		t.Errorf("after twenty edits the traces are %v, want the newest eight", got)
	}
}

func sorted(list []string) []string {
	slices.Sort(list)
	return list
}

func TestAnArchivingIsTakenBackByWhatIsDecidedLater(t *testing.T) {
	t.Parallel()
	archive, read, wake := patch(2), patch(3), patch(3)
	archive.TargetID, archive.Archive = "7", true
	read.TargetID, read.Fetch, wake.Wake = "7", &contact.Fetch{Properties: []string{"city"}}, true
	for name, merged := range map[string]contact.Patch{"in order": Merge(archive, read), "reversed": Merge(read, archive)} {
		if merged.Archive || merged.Fetch == nil {
			t.Errorf("%s: %+v, want the read alone", name, merged)
		}
	}
	if merged := Merge(archive, wake); !merged.Archive {
		t.Errorf("woken it is %+v, want it archived", merged)
	}
	if merged := Merge(patch(1, set("city", "a")), archive); !merged.Archive {
		t.Errorf("after a write it is %+v, want it archived", merged)
	}
}

// TestAReadIsTakenBack, and nothing else: neither values nor a read that was
// asked for later.
func TestAReadIsTakenBack(t *testing.T) {
	t.Parallel()
	read, value, back, again := patch(1), patch(2, set("city", "a")), patch(3), patch(4)
	for _, p := range []*contact.Patch{&read, &value, &again} {
		p.TargetID = "7"
	}
	read.Fetch, again.Fetch = &contact.Fetch{Properties: []string{"city"}, NotBefore: 9}, &contact.Fetch{Properties: []string{"zip"}}
	back.Unfetch, back.Wake = true, true
	if merged := Merge(read, back); merged.Fetch != nil || !Empty(merged) {
		t.Errorf("the read alone becomes %+v, want nothing to do", merged)
	}
	if merged := Merge(Merge(read, value), back); merged.Fetch != nil || len(merged.Properties) != 1 || merged.Wake {
		t.Errorf("a read and a value become %+v, want the value", merged)
	}
	for name, merged := range map[string]contact.Patch{
		"in order":             Merge(Merge(read, back), again),
		"as one batch":         Merge(read, Merge(back, again)),
		"the taking back late": Merge(again, back),
	} {
		if merged.Fetch == nil || merged.Fetch.Properties[0] != "zip" {
			t.Errorf("%s: %+v, want the later read", name, merged)
		}
	}
}

// TestWhatRidesWithLiveRows: only what HubSpot writes in the call that they make.
func TestWhatRidesWithLiveRows(t *testing.T) {
	t.Parallel()
	update := contact.Patch{System: contact.HubSpot, TargetID: "7", Properties: []contact.Property{{Name: "city"}}}
	elsewhere, read, gone, made := update, update, update, update
	elsewhere.System, read.Fetch, gone.Archive = contact.Aloware, &contact.Fetch{}, true
	made.TargetID, made.Create = "", &contact.Create{}
	for name, c := range map[string]struct {
		patch contact.Patch
		want  bool
	}{
		"an update":             {update, true},
		"an update, in Aloware": {elsewhere, false},
		"one that is made":      {made, false},
		"one that is read":      {read, false},
		"one that is archived":  {gone, false},
	} {
		if got := Rides(c.patch); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
