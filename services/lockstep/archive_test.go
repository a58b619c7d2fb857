package lockstep_test

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// TestADeletionIsCarriedOver to the other system where the tenant asks for it:
// HubSpot archives the contact, Aloware cannot and says so; one that was merged
// away in Aloware is nobody's deletion.
func TestADeletionIsCarriedOver(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=4", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 4 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	pairs := d.pairs()
	var people []string
	for hub := range pairs {
		people = append(people, hub)
	}
	slices.Sort(people)
	d.mustCLI(nil, "tenant", "save", "demo", "--archive", "both")
	var shown struct {
		Settings struct{ Archive string }
	}
	if d.mustCLI(&shown, "tenant", "show", "demo"); shown.Settings.Archive != "both" {
		t.Fatalf("the setting is %q", shown.Settings.Archive)
	}
	edit := func(hub string) {
		t.Helper()
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hub, "properties": map[string]any{"firstname": "Edited"}}, nil)
	}
	problem := func(hub, reason string) {
		t.Helper()
		eventually(t, 40*time.Second, func() string {
			var inbox struct {
				Problems []struct{ Contact, Reason, System string }
			}
			d.mustCLI(&inbox, "inbox", "show", "demo")
			for _, p := range inbox.Problems {
				if (p.Contact == "hubspot:"+hub || p.Contact == "aloware:"+pairs[hub]) && p.Reason == reason && p.System == "aloware" {
					return ""
				}
			}
			return fmt.Sprintf("no problem %s of %s: %+v", reason, hub, inbox.Problems)
		})
	}

	merged, into, deleted, dropped := people[0], people[1], people[2], people[3]
	d.mustPost(d.aloware, "/_sim/merge", map[string]any{"id": pairs[merged], "into": pairs[into]}, nil)
	edit(merged)
	d.mustPost(d.aloware, "/_sim/delete", map[string]any{"id": pairs[deleted]}, nil)
	edit(deleted)
	d.mustPost(d.hubspot, "/_sim/delete", map[string]any{"id": dropped}, nil)

	eventually(t, 40*time.Second, func() string {
		if c := d.one(d.hubspot, deleted); c != nil {
			return fmt.Sprintf("the contact that was deleted in Aloware is still in HubSpot: %v", c["firstname"])
		}
		return ""
	})
	problem(dropped, "NOT_CAPABLE")
	problem(merged, "SEVERAL_CONTACTS")
	if d.one(d.hubspot, merged) == nil || d.one(d.hubspot, into) == nil {
		t.Error("a contact whose counterpart was merged away in Aloware is archived")
	}
}
