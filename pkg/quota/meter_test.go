package quota

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.internal/pkg/fault"
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
// tell gives the answer for a call that arrived at a time; the calls can be bulk ones.
func saturate(m *meter, s *server, now time.Time, lasting time.Duration, latency func() time.Duration, tell func(time.Time) Answer, bulk ...bool) time.Time {
	end := now.Add(lasting)
	var underway []call
	for now.Before(end) {
		slices.SortFunc(underway, func(a, b call) int { return a.answered.Compare(b.answered) })
		at, known := m.next(General, now, len(bulk) > 0 && bulk[0])
		switch {
		case known && !at.After(now):
			m.take(General, now)
			arrived := now.Add(latency())
			s.arrivals = append(s.arrivals, arrived)
			underway = append(underway, call{arrived.Add(latency())})
			continue
		case !known:
			at = end
		}
		if len(underway) > 0 && underway[0].answered.Before(at) {
			now = underway[0].answered
			m.done(General, tell(now), now, 0)
			underway = underway[1:]
			continue
		}
		now = at
	}
	return end
}

func silent(time.Time) Answer { return Answer{} }

func anyLatency(t *rapid.T, slowest time.Duration) func() time.Duration {
	return func() time.Duration { return time.Duration(rapid.Int64Range(0, int64(slowest)).Draw(t, "latency")) }
}

// TestAWindowIsNeverExceeded, whatever the latencies, and also when an owner
// dies at any moment and another takes over at once with an empty bucket.
func TestAWindowIsNeverExceeded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Window: 10 * time.Second, Max: rapid.IntRange(1, 60).Draw(t, "max")}
		latency := anyLatency(t, time.Duration(rapid.IntRange(1, 500).Draw(t, "slowest ms"))*time.Millisecond)
		now, s := time.Unix(1_700_000_000, 0), &server{}
		for range rapid.IntRange(1, 5).Draw(t, "owners") {
			lasting := time.Duration(rapid.IntRange(100, 25_000).Draw(t, "lasting ms")) * time.Millisecond
			m := newMeter(limits, now)
			now = now.Add(time.Duration(rapid.IntRange(0, 3_000).Draw(t, "idle ms")) * time.Millisecond)
			now = saturate(m, s, now, lasting, latency, silent)
		}
		if most := s.most(limits.Window); most > limits.Max {
			t.Fatalf("%d calls arrived in %v, the limit is %d", most, limits.Window, limits.Max)
		}
	})
}

// TestOneOwnerNeverExceedsWhateverTheLatency: also where calls take longer
// than the window.
func TestOneOwnerNeverExceedsWhateverTheLatency(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Window: 10 * time.Second, Max: rapid.IntRange(1, 30).Draw(t, "max")}
		s := &server{}
		saturate(newMeter(limits, time.Unix(1_700_000_000, 0)), s, time.Unix(1_700_000_000, 0), time.Minute, anyLatency(t, 12*time.Second), silent)
		if most := s.most(limits.Window); most > limits.Max {
			t.Fatalf("%d calls arrived in %v, the limit is %d", most, limits.Window, limits.Max)
		}
	})
}

// TestAWindowIsUsedUp: under saturation nearly every possible call is made, also
// where the calls leave one to others.
func TestAWindowIsUsedUp(t *testing.T) {
	t.Parallel()
	for _, most := range []int{100, 110, 171, 190, -100, -110, -190} {
		bulk := most < 0
		most := max(most, -most)
		limits := Limits{Window: 10 * time.Second, Max: most}
		s, start := &server{}, time.Unix(1_700_000_000, 0)
		saturate(newMeter(limits, start), s, start, 5*time.Minute, func() time.Duration { return 25 * time.Millisecond }, silent, bulk)
		steady := 0
		for _, at := range s.arrivals {
			if at.After(start.Add(15 * time.Second)) {
				steady++
			}
		}
		if possible := float64(most) * 28.5; float64(steady) < possible*0.98 {
			t.Errorf("limit %d, bulk %t: %d calls in 285 s, possible are %.0f (%.1f %%)", most, bulk, steady, possible, 100*float64(steady)/possible)
		} else {
			t.Logf("limit %d, bulk %t: %.1f %% used", most, bulk, 100*float64(steady)/possible)
		}
	}
}

// TestABucketIsNeverOverdrawn: what a system with a bucket of its own counts,
// whatever the latencies, over changes of owner.
func TestABucketIsNeverOverdrawn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rate, burst := float64(rapid.IntRange(1, 60).Draw(t, "rate")), rapid.IntRange(3, 60).Draw(t, "burst")
		now, s := time.Unix(1_700_000_000, 0), &server{}
		latency := anyLatency(t, time.Duration(rapid.IntRange(1, 900).Draw(t, "slowest ms"))*time.Millisecond)
		for range rapid.IntRange(1, 4).Draw(t, "owners") {
			lasting := time.Duration(rapid.IntRange(100, 20_000).Draw(t, "lasting ms")) * time.Millisecond
			now = saturate(newMeter(Aloware(rate, burst, 1), now), s, now, lasting, latency, silent)
		}
		slices.SortFunc(s.arrivals, func(a, b time.Time) int { return a.Compare(b) })
		level, last := float64(burst), time.Unix(1_700_000_000, 0)
		for i, at := range s.arrivals {
			level, last = min(float64(burst), level+at.Sub(last).Seconds()*rate), at
			if level--; level < -1e-6 {
				t.Fatalf("call %d found the bucket empty", i)
			}
		}
	})
}

// TestWhatOthersUseIsLeftToThem: the system tells that less is left than we
// used, so others took the rest.
func TestWhatOthersUseIsLeftToThem(t *testing.T) {
	t.Parallel()
	limits := HubSpot(100, 0, 1)
	start := time.Unix(1_700_000_000, 0)
	s, m := &server{}, newMeter(limits, start)
	const others = 40 // in any window
	tell := func(now time.Time) Answer {
		used := 0
		for _, at := range s.arrivals {
			if at.After(now.Add(-limits.Window)) && !at.After(now) {
				used++
			}
		}
		if used+others > 100 {
			return Answer{Throttled: true}
		}
		return Answer{HasWindow: true, WindowMax: 100, WindowLeft: 100 - others - used}
	}
	saturate(m, s, start, 2*time.Minute, func() time.Duration { return 20 * time.Millisecond }, tell)
	late := &server{}
	for _, at := range s.arrivals {
		if at.After(start.Add(30 * time.Second)) {
			late.arrivals = append(late.arrivals, at)
		}
	}
	if most := late.most(limits.Window); most > 70 || most < 45 {
		t.Errorf("%d calls in a window of 100 of which others use %d; want about %d", most, others, 100-others)
	}
}

// TestALearntMaximumHolds: an answer tells of a lower maximum than was
// configured, or of a higher one.
func TestALearntMaximumHolds(t *testing.T) {
	t.Parallel()
	for _, real := range []int{50, 190} {
		start := time.Unix(1_700_000_000, 0)
		s, m := &server{}, newMeter(HubSpot(100, 0, 0.9), start)
		saturate(m, s, start, time.Minute, func() time.Duration { return 20 * time.Millisecond }, func(time.Time) Answer {
			return Answer{HasWindow: true, WindowMax: real, WindowLeft: real}
		})
		if most, want := s.most(10*time.Second), real*9/10; most > want || most < want*9/10 {
			t.Errorf("%d calls in a window, the learnt part is %d", most, want)
		}
	}
}

// TestThrottledClosesTheGate until the time that the system named.
func TestThrottledClosesTheGate(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	m := newMeter(Limits{Window: 10 * time.Second, Max: 100, Searches: 4}, now)
	now = now.Add(time.Minute)
	m.take(General, now)
	m.done(General, Answer{Throttled: true, Wait: 30 * time.Second}, now, 0)
	if at, _ := m.next(General, now, false); at.Before(now.Add(30 * time.Second)) {
		t.Errorf("open again at %v, want 30 s later", at.Sub(now))
	}
	if at, _ := m.next(Search, now, false); at.After(now) {
		t.Error("search has a limit of its own")
	}
	m.take(Search, now)
	m.done(Search, Answer{Throttled: true, Scope: "search"}, now, 0)
	if at, _ := m.next(Search, now, false); at.Before(now.Add(time.Second)) {
		t.Error("a refused search closes the pool for a second at least")
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
		m.done(General, Answer{}, now, 0)
	}
	want := time.Date(2026, 3, 2, 0, 0, 0, 0, zone)
	if at, _ := m.next(General, now, false); !at.Equal(want) {
		t.Errorf("next call at %v, want %v", at, want)
	}
	if at, _ := m.next(General, want, false); at.After(want) {
		t.Errorf("closed on the new day until %v", at)
	}
}

// TestADaysMaximumIsLearntFromAnswers: of a private app's, a tenant's ceiling takes
// its part; what is configured stands.
func TestADaysMaximumIsLearntFromAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	midnight := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	told := Answer{HasDaily: true, DailyMax: 10, DailyLeft: 9}
	for _, c := range []struct{ configured, calls int }{{0, 5}, {3, 3}} {
		m := newMeter(Limits{Window: 10 * time.Second, Max: 100, Daily: c.configured, Share: .5}, now.Add(-time.Hour))
		for range c.calls {
			if until, _ := m.shut(General, now); until.After(now) {
				t.Fatalf("closed before %d calls", c.calls)
			}
			m.take(General, now)
			m.done(General, told, now, 0)
		}
		if until, scope := m.shut(General, now); !until.Equal(midnight) || scope != "daily" {
			t.Errorf("after %d calls closed until %v (%q), want midnight", c.calls, until, scope)
		}
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

// TestAClosedBudgetTellsForHowLong instead of keeping its callers waiting.
func TestAClosedBudgetTellsForHowLong(t *testing.T) {
	t.Parallel()
	g := NewGateSince(Limits{Window: 10 * time.Second, Max: 100}, time.Now().Add(-time.Minute))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	ticket, err := g.Take(ctx, General)
	if err != nil {
		t.Fatal(err)
	}
	ticket.Done(Answer{Throttled: true, Wait: time.Hour, Scope: "daily"})
	_, err = g.Take(ctx, General)
	f := fault.As(err)
	if f.Class != fault.Throttled || f.Scope != "daily" || f.Wait < 59*time.Minute {
		t.Errorf("got %v (wait %v, scope %q), want throttled for an hour", err, f.Wait, f.Scope)
	}
	if u := g.Usage(); u.Closed.IsZero() || u.Waiting != 0 || u.Throttled != 1 {
		t.Errorf("usage %+v", u)
	}
}

// TestACallThatIsNotMadeIsGivenBack.
func TestACallThatIsNotMadeIsGivenBack(t *testing.T) {
	t.Parallel()
	g := NewGateSince(Limits{Rate: 0.1, Burst: 1}, time.Now().Add(-time.Hour))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := g.Take(gone, General); err == nil {
		t.Fatal("a call was given to nobody")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	held, err := g.Hold(ctx)
	if err != nil {
		t.Fatalf("the only call was used up: %v", err)
	}
	held.Release()
	if held, err = g.Hold(ctx); err != nil {
		t.Fatalf("what was held and not used was used up: %v", err)
	}
	if _, err := g.Take(held.In(ctx), General); err != nil {
		t.Errorf("the held call is not the first: %v", err)
	}
	held.Release()
	short, end := context.WithTimeout(ctx, 50*time.Millisecond)
	defer end()
	if _, err := g.Take(held.In(short), General); err == nil {
		t.Error("the held call was given twice")
	}
}

// TestALiveCallGoesOutAtOnce, also while bulk calls use all of a limit that they
// may; but for a few, where several come while the calls of an idle time's burst
// leave the window together.
func TestALiveCallGoesOutAtOnce(t *testing.T) {
	t.Parallel()
	for _, limits := range []Limits{{Window: 10 * time.Second, Max: 110}, {Rate: 5, Burst: 8}} {
		now := time.Unix(1_700_000_000, 0)
		m := newMeter(limits, now)
		now = now.Add(time.Minute)
		waits, lives := 0, 0
		for range 4000 {
			for {
				if at, known := m.next(General, now, true); !known || at.After(now) {
					break
				}
				m.take(General, now)
				m.done(General, Answer{}, now, 0)
			}
			if lives*400 < int(now.Sub(time.Unix(1_700_000_060, 0))/time.Millisecond) { // one in 400 ms
				lives++
				if at, known := m.next(General, now, false); !known || at.After(now) {
					waits++
				} else {
					m.take(General, now)
					m.done(General, Answer{}, now, 0)
				}
			}
			now = now.Add(10 * time.Millisecond)
		}
		if lives < 90 || waits*20 > lives {
			t.Errorf("%+v: %d of %d live calls had to wait beside bulk ones", limits, waits, lives)
		}
	}
}

// TestManyLiveCallsAreExpected: where eight come in a second, hardly any waits, also
// while for half a second no call of the last span leaves it; and when no more come,
// nothing is kept back for them.
func TestManyLiveCallsAreExpected(t *testing.T) {
	t.Parallel()
	const step, latency, alone = 5 * time.Millisecond, 150 * time.Millisecond, 60 * time.Second
	begin := time.Unix(1_700_000_000, 0)
	m := newMeter(Limits{Window: 10 * time.Second, Max: 110}, begin.Add(-time.Minute))
	var underway, waiting []time.Time
	waits, lives, late := 0, 0, 0
	take := func(now time.Time, bulk bool) bool {
		at, known := m.next(General, now, bulk)
		if !known || at.After(now) {
			return false
		}
		m.take(General, now)
		if !bulk {
			m.of(General).hurried(now)
		}
		underway = append(underway, now.Add(latency))
		return true
	}
	for now := begin; now.Before(begin.Add(2 * alone)); now = now.Add(step) {
		passed := now.Sub(begin)
		for len(underway) > 0 && !underway[0].After(now) {
			m.done(General, Answer{}, now, 0)
			underway = underway[1:]
		}
		if passed < alone && passed/(125*time.Millisecond) != (passed-step)/(125*time.Millisecond) {
			lives++
			waiting = append(waiting, now)
		}
		for len(waiting) > 0 && take(now, false) {
			if now.Sub(waiting[0]) > 20*time.Millisecond && passed > 20*time.Second {
				waits++
			}
			waiting = waiting[1:]
		}
		if stalls := passed < 500*time.Millisecond; !stalls && len(waiting) == 0 {
			for take(now, true) {
				if passed >= alone+20*time.Second {
					late++
				}
			}
		}
	}
	if waits*50 > lives {
		t.Errorf("%d of %d live calls had to wait beside bulk ones", waits, lives)
	}
	if most := 110 * 4; late < most*97/100 { // each is counted for 10.15 s, and one is kept
		t.Errorf("%d bulk calls in 40 s after the last live one, of %d", late, most)
	}
}

// TestTakeIsFairAndEnds under many callers that come and go.
func TestTakeIsFairAndEnds(t *testing.T) {
	t.Parallel()
	g := NewGateSince(Limits{Rate: 2000, Burst: 10}, time.Now().Add(-time.Minute))
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+i%50)*time.Millisecond)
			defer cancel()
			for range 5 {
				if ticket, err := g.Take(ctx, Pool(i%2)); err == nil {
					ticket.Done(Answer{})
				}
			}
		})
	}
	group.Wait()
	if u := g.Usage(); u.Waiting != 0 || u.Used != 0 {
		t.Errorf("after all have gone: %+v", u)
	}
}
