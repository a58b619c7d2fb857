package lockstep_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// run runs the command line against the demonstration, as an operator would.
func (d *demo) run(args ...string) (output string, code int) {
	d.t.Helper()
	command := exec.Command(os.Args[0], append(args, "--server", "http://"+d.console)...)
	command.Env = d.env
	out, err := command.Output()
	if exit, ok := err.(*exec.ExitError); ok {
		return string(out) + string(exit.Stderr), exit.ExitCode()
	} else if err != nil {
		d.t.Fatal(err)
	}
	return string(out), 0
}

// sync runs a job to its end, and gives it with its effects by cause.
func (d *demo) sync(args ...string) (job map[string]any, effects map[string]string) {
	d.t.Helper()
	out, code := d.run(append([]string{"sync"}, append(args, "--wait", "-o", "json")...)...)
	if code != 0 {
		d.t.Fatalf("sync %v: exit %d: %s", args, code, out)
	}
	if err := json.Unmarshal([]byte(out), &job); err != nil {
		d.t.Fatalf("%v: %s", err, out)
	}
	return job, d.effects(fmt.Sprint(job["id"]))
}

// effects are a job's counts by cause. The mapper works on after a job has
// published all.
func (d *demo) effects(id string) map[string]string {
	d.t.Helper()
	effects := make(map[string]string)
	answer := d.must("SyncService/GetSync", map[string]any{"tenant": "demo", "id": id})["sync"].(map[string]any)
	list, _ := answer["effects"].([]any)
	for _, e := range list {
		one := e.(map[string]any)
		effects[fmt.Sprint(one["cause"])] = fmt.Sprint(one["count"])
	}
	return effects
}

// TestSyncsRepairWhatWasMissed: without webhooks and polls, a first sync and
// reconciliations bring both sides in step and say what they found; a blank
// never overwrites a value, and an edit that comes meanwhile wins.
func TestSyncsRepairWhatWasMissed(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=12", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	var hubspotID, alowareID, secondHubSpot, secondAloware string
	eventually(t, 60*time.Second, func() string {
		pairs := d.pairs()
		if len(pairs) < 8 {
			return fmt.Sprintf("%d contacts are on both sides, want 8", len(pairs))
		}
		hubspotID = ""
		for h, a := range pairs {
			if hubspotID == "" {
				hubspotID, alowareID = h, a
			} else {
				secondHubSpot, secondAloware = h, a
			}
		}
		return ""
	})
	d.settle(60 * time.Second)
	edit := func(address, id, name string, fields map[string]any) {
		d.mustPost(address, "/_sim/edit", map[string]any{"id": id, name: fields}, nil)
	}
	holds := func(address, id, field, want string) {
		t.Helper()
		eventually(t, 30*time.Second, func() string {
			if got := d.contacts(address, "?id="+id)[id][field]; got != want {
				return fmt.Sprintf("%s of %s is %q, want %q", field, id, got, want)
			}
			return ""
		})
	}
	edit(d.aloware, alowareID, "fields", map[string]any{"email": "kept@example.com"})
	holds(d.hubspot, hubspotID, "email", "kept@example.com")
	d.settle(30 * time.Second)

	// From here on no webhook of Aloware or HubSpot arrives.
	for _, address := range []string{d.hubspot, d.aloware} {
		d.mustPost(address, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	}
	edit(d.hubspot, hubspotID, "properties", map[string]any{"firstname": "Missed in HubSpot"})
	edit(d.aloware, secondAloware, "fields", map[string]any{"email": "missed@example.com"})

	job, _ := d.sync("reconcile", "demo", "--full")
	holds(d.aloware, alowareID, "first_name", "Missed in HubSpot")
	holds(d.hubspot, secondHubSpot, "email", "missed@example.com")
	eventually(t, 20*time.Second, func() string {
		effects := d.effects(fmt.Sprint(job["id"]))
		if effects["changed_hubspot"] != "1" || effects["changed_aloware"] != "1" || effects["written_aloware"] == "" || effects["written_hubspot"] == "" {
			return fmt.Sprintf("counted %v, want one change missed on each side", effects)
		}
		return ""
	})
	t.Logf("reconciliation: %v of %v contacts, %v", job["done"], job["total"], d.effects(fmt.Sprint(job["id"])))
	if out, code := d.run("sync", "repairs", "demo", fmt.Sprint(job["id"])); code != 0 {
		t.Errorf("repairs: exit %d: %s", code, out)
	}

	// A second one finds nothing.
	again, _ := d.sync("reconcile", "demo", "--full")
	d.settle(20 * time.Second)
	if effects := d.effects(fmt.Sprint(again["id"])); effects["changed_hubspot"]+effects["changed_aloware"]+effects["written_aloware"]+effects["written_hubspot"] != "" {
		t.Errorf("after the repair a reconciliation still counts %v", effects)
	}

	// An edit that comes during a walk wins over what the walk read before it.
	edit(d.hubspot, hubspotID, "properties", map[string]any{"firstname": "Before the walk"})
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{}, nil)
	started := d.must("SyncService/StartSync", map[string]any{"tenant": "demo", "kind": "first_sync"})["sync"].(map[string]any)
	edit(d.hubspot, hubspotID, "properties", map[string]any{"firstname": "During the walk"})
	if out, code := d.run("sync", "watch", "demo", fmt.Sprint(started["id"])); code != 0 {
		t.Fatalf("watch: exit %d: %s", code, out)
	}
	holds(d.aloware, alowareID, "first_name", "During the walk")
	d.settle(20 * time.Second)
	holds(d.aloware, alowareID, "first_name", "During the walk")

	// One contact, by hand: its last name was edited in Aloware, where only
	// HubSpot's flow.
	edit(d.hubspot, hubspotID, "properties", map[string]any{"lastname": "Of HubSpot"})
	holds(d.aloware, alowareID, "last_name", "Of HubSpot")
	d.settle(20 * time.Second)
	d.mustPost(d.aloware, "/_sim/webhooks", map[string]any{}, nil)
	edit(d.aloware, alowareID, "fields", map[string]any{"last_name": "By an agent"})
	answer := d.must("SyncService/SyncContact", map[string]any{"tenant": "demo", "system": "hubspot", "id": hubspotID})
	if changes, _ := answer["changes"].([]any); len(changes) != 1 || answer["settled"] != true ||
		fmt.Sprint(changes[0].(map[string]any)["field"], changes[0].(map[string]any)["value"], changes[0].(map[string]any)["outcome"]) != "last_nameOf HubSpotwritten" {
		t.Errorf("the sync of one contact told %v, want the last name of HubSpot written", answer)
	}
	holds(d.aloware, alowareID, "last_name", "Of HubSpot")

	if out, code := d.run("sync", "pause", "demo", "nosuchjob"); code != 3 {
		t.Errorf("to pause a job that is not there: exit %d, want 3: %s", code, out)
	}
	if out, code := d.run("sync", "apply", "demo", "--wait"); code != 0 {
		t.Errorf("apply: exit %d: %s", code, out)
	}

	// Deletions that nobody told of: Aloware has no event of one at all.
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/delete", map[string]any{"id": hubspotID}, nil)
	d.mustPost(d.aloware, "/_sim/delete", map[string]any{"id": secondAloware}, nil)
	job, _ = d.sync("reconcile", "demo", "--full")
	eventually(t, 20*time.Second, func() string {
		if effects := d.effects(fmt.Sprint(job["id"])); effects["gone"] != "2" {
			return fmt.Sprintf("counted %v, want one contact gone on each side", effects)
		}
		return ""
	})
	again, _ = d.sync("reconcile", "demo", "--full")
	if effects := d.effects(fmt.Sprint(again["id"])); effects["gone"] != "" {
		t.Errorf("a second reconciliation finds gone again: %v", effects)
	}
}

// TestReconcileUnderTheDocumentedProfile: where Aloware lists no contacts, the
// linked ones are looked up by phone.
func TestReconcileUnderTheDocumentedProfile(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_ALOWARE_PROFILE=documented", "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	d.settle(60 * time.Second)
	d.mustPost(d.aloware, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": alowareID, "fields": map[string]any{"email": "documented@example.com"}}, nil)
	if out, code := d.run("sync", "first", "demo", "--side", "aloware"); code != 3 {
		t.Errorf("to list Aloware's contacts: exit %d, want 3: %s", code, out)
	}
	job, _ := d.sync("reconcile", "demo", "--full")
	eventually(t, 30*time.Second, func() string {
		if got := d.contacts(d.hubspot, "?id="+hubspotID)[hubspotID]["email"]; got != "documented@example.com" {
			return fmt.Sprintf("e-mail in HubSpot is %q", got)
		}
		if effects := d.effects(fmt.Sprint(job["id"])); effects["changed_aloware"] != "1" {
			return fmt.Sprintf("counted %v, want one change missed in Aloware", effects)
		}
		return ""
	})
	t.Logf("documented: %v", d.effects(fmt.Sprint(job["id"])))
}
