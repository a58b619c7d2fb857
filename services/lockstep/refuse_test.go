package lockstep_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// hook sends a webhook of HubSpot to ingest, signed with a secret as of a time.
func (d *demo) hook(body, secret string, at time.Time) int {
	d.t.Helper()
	url := "http://" + d.ingest + "/webhooks/hubspot"
	stamp := strconv.FormatInt(at.UnixMilli(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	io.WriteString(mac, "POST"+url+body+stamp)
	return d.send(url, body, map[string]string{
		"X-HubSpot-Signature-v3": base64.StdEncoding.EncodeToString(mac.Sum(nil)), "X-HubSpot-Request-Timestamp": stamp,
	})
}

// send posts a body and gives the status of the answer.
func (d *demo) send(url, body string, headers map[string]string) int {
	d.t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	answer, err := client.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// counted reports whether ingest counted a refusal.
func (d *demo) counted(system, reason string) bool {
	answer, err := client.Get("http://" + d.console + "/metrics")
	if err != nil {
		d.t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	text.ReadFrom(answer.Body)
	for _, line := range strings.Split(text.String(), "\n") {
		if strings.HasPrefix(line, "lockstep_ingest_refused") && strings.Contains(line, `system="`+system+`"`) && strings.Contains(line, reason) {
			return true
		}
	}
	return false
}

// TestBadInputIsRefusedWithAReason that is counted, and nothing is lost for
// others.
func TestBadInputIsRefusedWithAReason(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=3")
	const secret = "demo-hubspot-secret"
	now := time.Now()
	event := func(id int, property, value string) string {
		return fmt.Sprintf(`{"eventId":%d,"subscriptionId":1,"portalId":2002,"appId":1001,"occurredAt":%d,"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":999000111,"propertyName":%q,"propertyValue":%q,"changeSource":"CRM_UI","sourceId":"userId:1"}`,
			id, now.UnixMilli()+int64(id), property, value)
	}
	good := "[" + event(1, "firstname", "Ada") + "]"
	large := "[" + event(1, "firstname", strings.Repeat("x", 2<<20)) + "]"
	hubspot := []struct {
		name   string
		status int
		reason string
		send   func() int
	}{
		{"a wrong signature", 401, "signature", func() int { return d.hook(good, "another secret", now) }},
		{"an old timestamp", 401, "timestamp", func() int { return d.hook(good, secret, now.Add(-6*time.Minute)) }},
		{"a timestamp far ahead", 401, "timestamp", func() int { return d.hook(good, secret, now.Add(time.Hour)) }},
		{"a body of 2 MB", 413, "body", func() int { return d.hook(large, secret, now) }},
		{"invalid JSON", 400, "body", func() int { return d.hook(`[{"eventId":`, secret, now) }},
		{"an unknown portal", 200, "unknown portal", func() int { return d.hook(strings.ReplaceAll(good, "2002", "777"), secret, now) }},
		{"an unknown event", 200, "", func() int {
			return d.hook(strings.ReplaceAll(good, "contact.propertyChange", "contact.levitation"), secret, now)
		}},
	}
	for _, c := range hubspot {
		if got := c.send(); got != c.status {
			t.Errorf("HubSpot, %s: answered %d, want %d", c.name, got, c.status)
		}
		if c.reason != "" && !d.counted("hubspot", c.reason) {
			t.Errorf("HubSpot, %s: no refusal is counted as %q", c.name, c.reason)
		}
	}
	hooks := "http://" + d.ingest + "/webhooks/aloware/"
	bearer := map[string]string{"Authorization": "Bearer demo-webhook-token"}
	aloware := []struct {
		name   string
		status int
		got    int
	}{
		{"a wrong credential", 401, d.send(hooks+"demo", `{"event":"Contact-Updated","body":{"id":1}}`, map[string]string{"Authorization": "Bearer wrong"})},
		{"an unknown tenant", 404, d.send(hooks+"nobody", `{}`, bearer)},
		{"invalid JSON", 400, d.send(hooks+"demo", `{"event":`, bearer)},
		{"a body of 2 MB", 413, d.send(hooks+"demo", `{"x":"`+strings.Repeat("x", 2<<20)+`"}`, bearer)},
		{"an unknown event", 200, d.send(hooks+"demo", `{"event":"Teapot-Boiled","body":{"x":1}}`, bearer)},
		{"the test payload", 200, d.send(hooks+"demo", `{"test_payload":true}`, bearer)},
	}
	for _, c := range aloware {
		if c.got != c.status {
			t.Errorf("Aloware, %s: answered %d, want %d", c.name, c.got, c.status)
		}
	}

	// Ten thousand events for one contact, a hundred to a delivery.
	for delivery := range 100 {
		events := make([]string, 100)
		for i := range events {
			n := delivery*100 + i
			events[i] = event(n+10, "city", fmt.Sprintf("city %d", n))
		}
		if got := d.hook("["+strings.Join(events, ",")+"]", secret, time.Now()); got != 200 {
			t.Fatalf("delivery %d of 10,000 events was answered %d", delivery, got)
		}
	}
	var hubspotID, alowareID string
	eventually(t, 60*time.Second, func() string {
		for h, a := range d.pairs() {
			hubspotID, alowareID = h, a
			return ""
		}
		return "no contact is on both sides"
	})
	took := d.follow(func() {
		d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": hubspotID, "properties": map[string]any{"firstname": "Undisturbed"}}, nil)
	}, d.aloware, alowareID, "first_name", "Undisturbed")
	t.Logf("an edit of another contact took %v", took)
}
