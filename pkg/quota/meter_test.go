package quota

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// server counts what arrives, as a sliding window does.
type server struct{ arrivals []time.Time }

// most is the largest number of arrivals in any window.
func (s *server) most(window time.Duration) int {
	slices.SortFunc(s.arrivals, func(a, b time.Time) int { return a.Compare(b) })
	most, from := 0, 0
	for i := range s.arrivals {
		for !s.arrivals[from].After(s.arrivals[i].Add(-window)) {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// call is one call under way.
type call struct{ answered time.Time }

// saturate sends as fast as a meter allows for a while and gives what arrived.
func saturate(t *rapid.T, m *meter, s *server, now time.Time, lasting time.Duration, slowest time.Duration) time.Time {
	end := now.Add(lasting)
	var underway []call
	for now.Before(end) {
		slices.SortFunc(underway, func(a, b call) int { return a.answered.Compare(b.answered) })
		at, known := m.next(General, now)
		switch {
		case known && !at.After(now):
			m.take(General, now)
			there := time.Duration(rapid.Int64Range(0, int64(slowest)).Draw(t, "there"))
			back := time.Duration(rapid.Int64Range(0, int64(slowest)).Draw(t, "back"))
			s.arrivals = append(s.arrivals, now.Add(there))
			underway = append(underway, call{now.Add(there + back)})
			continue
		case !known:
			at = end
		}
		if len(underway) > 0 && underway[0].answered.Before(at) {
			now = underway[0].answered
			m.done(General, Answer{}, now)
			underway = underway[1:]
			continue
		}
		now = at
	}
	return end
}

// TestAWindowIsNeverExceeded, whatever the latencies, and also when an owner
// dies at any moment and another takes over at once with an empty bucket.
func TestAWindowIsNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Window: 10 * time.Second, Max: rapid.IntRange(1, 40).Draw(t, "max")}
		slowest := time.Duration(rapid.IntRange(1, 400).Draw(t, "slowest ms")) * time.Millisecond
		now, s := time.Unix(1_700_000_000, 0), &server{}
		for range rapid.IntRange(1, 3).Draw(t, "owners") {
			lasting := time.Duration(rapid.IntRange(1, 25).Draw(t, "lasting s")) * time.Second
			now = saturate(t, newMeter(limits, now), s, now, lasting, slowest)
		}
		if most := s.most(limits.Window); most > limits.Max {
			t.Fatalf("%d calls arrived in %v, the limit is %d", most, limits.Window, limits.Max)
		}
	})
}

// TestAWindowIsUsedUp: under saturation nearly every possible call is made.
func TestAWindowIsUsedUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Window: 10 * time.Second, Max: 110}
		s, start := &server{}, time.Unix(1_700_000_000, 0)
		saturate(t, newMeter(limits, start), s, start, 60*time.Second, 50*time.Millisecond)
		steady := 0
		for _, at := range s.arrivals {
			if at.After(start.Add(12 * time.Second)) {
				steady++
			}
		}
		if possible := 110 * 48 / 10; steady < possible*90/100 {
			t.Fatalf("%d calls in 48 s, possible are %d", steady, possible)
		}
	})
}

// TestThrottledClosesTheGate until the time that the system named.
func TestThrottledClosesTheGate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	m := newMeter(Limits{Window: 10 * time.Second, Max: 100}, now)
	now = now.Add(time.Minute)
	m.take(General, now)
	m.done(General, Answer{Throttled: true, Wait: 30 * time.Second}, now)
	if at, _ := m.next(General, now); at.Before(now.Add(30 * time.Second)) {
		t.Errorf("open again at %v, want 30 s later", at.Sub(now))
	}
	if at, _ := m.next(Search, now); at.After(now.Add(30*time.Second)) && m.search.rate > 0 {
		t.Error("search has a limit of its own")
	}
}

// TestADayEndsAtTheAccountsMidnight.
func TestADayEndsAtTheAccountsMidnight(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("account", -5*3600)
	now := time.Date(2026, 3, 1, 22, 0, 0, 0, zone)
	m := newMeter(Limits{Window: 10 * time.Second, Max: 100, Daily: 2, Zone: zone}, now.Add(-time.Hour))
	for range 2 {
		m.take(General, now)
		m.done(General, Answer{}, now)
	}
	want := time.Date(2026, 3, 2, 0, 0, 0, 0, zone)
	if at, _ := m.next(General, now); !at.Equal(want) {
		t.Errorf("next call at %v, want %v", at, want)
	}
	if at, _ := m.next(General, want); at.After(want) {
		t.Errorf("closed on the new day until %v", at)
	}
}

// TestLiveCallsGoBeforeBulk when both wait.
func TestLiveCallsGoBeforeBulk(t *testing.T) {
	t.Parallel()
	g := NewGate(Limits{Rate: 50, Burst: 1})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	order := make(chan string, 4)
	take := func(ctx context.Context, name string) {
		ticket, err := g.Take(ctx, General)
		if err != nil {
			order <- err.Error()
			return
		}
		order <- name
		ticket.Done(Answer{})
	}
	for range 2 {
		go take(Bulk(ctx), "bulk")
	}
	for g.Usage().Waiting < 2 {
		time.Sleep(time.Millisecond)
	}
	for range 2 {
		go take(ctx, "live")
	}
	for g.Usage().Waiting < 4 {
		time.Sleep(time.Millisecond)
	}
	for i, want := range []string{"live", "live", "bulk", "bulk"} {
		if got := <-order; got != want {
			t.Errorf("call %d was %s, want %s", i, got, want)
		}
	}
}
