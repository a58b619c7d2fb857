package lockstep_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"
)

// followed is a job as the API tells it.
func (d *demo) followed(id string) map[string]any {
	d.t.Helper()
	return d.must("SyncService/GetSync", map[string]any{"tenant": "demo", "id": id})["sync"].(map[string]any)
}

// counted is a number of an API message, where zero is left out.
func counted(message map[string]any, field string) int {
	n, _ := strconv.Atoi(fmt.Sprint(message[field]))
	return n
}

// TestAFirstSyncIsFollowedToItsLastWrite: into a slow Aloware a job is not done
// when all is read; pause holds what is still to be written, and not what people
// edit; cancel withdraws it, and a later sync brings it all the same.
func TestAFirstSyncIsFollowedToItsLastWrite(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=0", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=20", "LOCKSTEP_ALOWARE_SIM_BURST=20")
	const contacts = 300
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{"drop": 1}, nil)
	d.mustPost(d.hubspot, "/_sim/load", map[string]any{"contacts": contacts, "seed": 5}, nil)
	phones := make(map[string]bool) // Aloware holds nobody without one
	for _, c := range d.contacts(d.hubspot, "") {
		if phone := c["phone"]; phone != "" {
			phones[phone] = true
		}
	}
	start := func() string {
		t.Helper()
		started := d.must("SyncService/StartSync", map[string]any{"tenant": "demo", "kind": "first_sync", "sides": []string{"hubspot"}})
		return fmt.Sprint(started["sync"].(map[string]any)["id"])
	}
	id := start()
	eventually(t, 60*time.Second, func() string {
		if job := d.followed(id); job["writing"] != true || counted(job, "done") < contacts || counted(job, "written") < 8 || counted(job, "waiting") < 10 {
			return fmt.Sprintf("the job is %v, want all read, some written and many waiting", job)
		}
		return ""
	})
	if out, code := d.run("sync", "pause", "demo", id); code != 0 {
		t.Fatalf("pause: exit %d: %s", code, out)
	}
	eventually(t, 20*time.Second, func() string {
		if job := d.followed(id); job["state"] != "paused" {
			return fmt.Sprintf("the job is %v, want it paused", job["state"])
		}
		return ""
	})
	// What was under way ends; then nothing of the job is written any more.
	d.mustPost(d.hubspot, "/_sim/webhooks", map[string]any{}, nil)
	held := d.steady(t, 5*time.Second)
	if held < 8 || held >= len(phones) {
		t.Fatalf("%d contacts are in Aloware while the job is paused", held)
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Meanwhile", "lastname": "Edited", "phone": "+14155550177"}}, nil)
	eventually(t, 30*time.Second, func() string {
		for _, c := range d.contacts(d.aloware, "") {
			if c["first_name"] == "Meanwhile" {
				return ""
			}
		}
		return "who was made in HubSpot meanwhile is not in Aloware"
	})
	if out, code := d.run("sync", "resume", "demo", id); code != 0 {
		t.Fatalf("resume: exit %d: %s", code, out)
	}
	eventually(t, 30*time.Second, func() string {
		if n := len(d.contacts(d.aloware, "")); n < held+5 {
			return fmt.Sprintf("%d contacts are in Aloware, want more than %d", n, held)
		}
		return ""
	})
	if out, code := d.run("sync", "cancel", "demo", id); code != 0 {
		t.Fatalf("cancel: exit %d: %s", code, out)
	}
	eventually(t, 20*time.Second, func() string {
		if job := d.followed(id); job["state"] != "cancelled" {
			return fmt.Sprintf("the job is %v, want it cancelled", job["state"])
		}
		return ""
	})
	ended := d.steady(t, 5*time.Second)
	if ended >= len(phones) {
		t.Fatalf("%d contacts are in Aloware after the job was cancelled", ended)
	}
	second := start()
	eventually(t, 120*time.Second, func() string {
		if job := d.followed(second); job["state"] != "done" || counted(job, "written") != counted(job, "toWrite") {
			return fmt.Sprintf("the second job is %v", job)
		}
		return ""
	})
	if got := len(d.contacts(d.aloware, "")); got < len(phones) {
		t.Errorf("%d contacts are in Aloware, want what was cancelled there too: %d", got, len(phones))
	}
}

// steady waits until the number of Aloware's contacts has not changed for a time.
func (d *demo) steady(t *testing.T, quiet time.Duration) int {
	t.Helper()
	last, since := -1, time.Now()
	eventually(t, 60*time.Second, func() string {
		if n := len(d.contacts(d.aloware, "")); n != last {
			last, since = n, time.Now()
		}
		if time.Since(since) < quiet {
			return fmt.Sprintf("Aloware goes on growing: %d contacts", last)
		}
		return ""
	})
	return last
}
