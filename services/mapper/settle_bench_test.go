package mapper_test

import (
	"fmt"
	"testing"
	"time"

	"lockstep.internal/pkg/contact"
)

// BenchmarkSettle is a running mapper's time for the answers to the writes of
// 2,000 contacts with twelve fields each, which arrive as one backlog.
func BenchmarkSettle(b *testing.B) {
	e := newEnv(b)
	const contacts, run = 2000, 100
	names := []string{"city", "state", "zip", "address", "firstname", "lastname", "company", "email", "country", "website", "hs_lead_status"}
	at := contact.Millis(time.Now().UnixMilli()) - 3_600_000
	say := func(events []contact.Incoming) {
		for i := 0; i < len(events); i += run {
			e.publish(events[i : i+run]...)
		}
	}
	seen := 0
	for round := 0; b.Loop(); round++ {
		b.StopTimer()
		at += 10_000
		var edits, answers []contact.Incoming
		for n := range contacts {
			values := []string{"phone", fmt.Sprintf("+1202555%04d", n)}
			for _, name := range names {
				text := fmt.Sprint(name, n, "-", round)
				if name == "email" {
					text += "@example.com"
				}
				values = append(values, name, text)
			}
			edits = append(edits, snapshot(contact.HubSpot, fmt.Sprint(n), at, values...))
		}
		say(edits)
		e.applied()
		patches := e.patches(contact.Aloware)
		for _, p := range patches[seen:] {
			result := contact.Written
			if round == 0 {
				result = contact.Made
			}
			answers = append(answers, made(p, result, "a"+string(p.Contact), at+1000))
		}
		seen = len(patches)
		e.stop()
		say(answers)
		b.StartTimer()
		e.start()
		e.applied()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/contacts, "µs/contact")
}
