package stage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lockstep.internal/pkg/contact"
)

func begin(t *testing.T, claims *claims, leads bool) *Claim {
	t.Helper()
	c, err := claims.begin(t.Context(), leads)
	if err != nil {
		t.Error(err)
	}
	return c
}

func person(tenant contact.Tenant, name string) contact.Ref {
	return contact.Ref{Tenant: tenant, Kind: contact.RefPhone, Value: name}
}

// TestTheLeadingStreamIsNext for the people that others wait for too, whoever waits
// for longer; and while it comes again and again, the others have one of eight.
func TestTheLeadingStreamIsNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		claims := newClaims()
		var order []string
		var all sync.WaitGroup
		work := func(name string, leads bool, times int) {
			all.Go(func() {
				for range times {
					c := begin(t, claims, leads)
					if _, err := c.Take(t.Context(), person("a", "ann")); err != nil {
						t.Error(err)
					}
					order = append(order, name) // who has a person is alone
					claims.give(c)
				}
			})
		}
		first := begin(t, claims, false)
		if _, err := first.Take(t.Context(), person("a", "ann")); err != nil {
			t.Fatal(err)
		}
		work("bulk", false, 1)
		work("echo", false, 1)
		synctest.Wait()
		work("live", true, 1)
		synctest.Wait()
		claims.give(first)
		all.Wait()
		if order[0] != "live" || len(order) != 3 {
			t.Errorf("the order was %v, want live first", order)
		}

		order = nil
		first = begin(t, claims, true)
		if _, err := first.Take(t.Context(), person("a", "ann")); err != nil {
			t.Fatal(err)
		}
		work("live", true, 40)
		work("bulk", false, 1)
		synctest.Wait()
		claims.give(first)
		all.Wait()
		if at := slices.Index(order, "bulk"); at < 0 || at > mostAhead {
			t.Errorf("beside a flood of live batches the other one was the %d. of %v", at+1, order)
		}
	})
}

// TestClaimsThatMeetWait, and no others do; and what had to wait for more begins again.
func TestClaimsThatMeetWait(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		held, asked []contact.Ref
		waits       bool
	}{
		{"the same person", []contact.Ref{person("a", "ann")}, []contact.Ref{person("a", "bob"), person("a", "ann")}, true},
		{"another person", []contact.Ref{person("a", "ann")}, []contact.Ref{person("a", "bob")}, false},
		{"another tenant's", []contact.Ref{person("a", "ann")}, []contact.Ref{person("b", "ann")}, false},
		{"all of the tenant", []contact.Ref{person("a", "ann")}, []contact.Ref{{Tenant: "a"}}, true},
		{"one of a tenant that is held", []contact.Ref{{Tenant: "a"}}, []contact.Ref{person("a", "ann")}, true},
		{"all of a tenant that is held", []contact.Ref{{Tenant: "a"}}, []contact.Ref{{Tenant: "a"}}, true},
		{"all of another tenant", []contact.Ref{{Tenant: "a"}}, []contact.Ref{{Tenant: "b"}, person("b", "ann")}, false},
		{"nobody", []contact.Ref{{Tenant: "a"}}, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				claims := newClaims()
				holder, other := begin(t, claims, false), begin(t, claims, true)
				if _, err := holder.Take(t.Context(), c.held...); err != nil {
					t.Fatal(err)
				}
				var given, waited atomic.Bool
				go func() {
					defer given.Store(true)
					stale, err := other.Take(t.Context(), c.asked...)
					if err != nil {
						t.Error(err)
					}
					waited.Store(stale)
				}()
				synctest.Wait()
				if given.Load() == c.waits {
					t.Errorf("it waits: %v, want %v", !given.Load(), c.waits)
				}
				claims.give(holder)
				synctest.Wait()
				if !given.Load() || waited.Load() != c.waits {
					t.Errorf("once it was given back: taken %v, to begin again %v; want true and %v", given.Load(), waited.Load(), c.waits)
				}
				for _, ref := range c.asked {
					if !other.Has(ref) {
						t.Errorf("it does not have %v", ref)
					}
				}
			})
		})
	}
}

// TestWhatWasStoredMeanwhileIsReadAgain: who is met only while reading may have been stored
// by a batch that ended after that reading.
func TestWhatWasStoredMeanwhileIsReadAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stored, met contact.Ref
		stale       bool
	}{
		{person("a", "ann"), person("a", "ann"), true},
		{person("a", "ann"), contact.Ref{Tenant: "a"}, true},
		{contact.Ref{Tenant: "a"}, person("a", "ann"), true},
		{person("a", "ann"), person("a", "eve"), false},
		{contact.Ref{Tenant: "b"}, person("a", "ann"), false},
	} {
		claims := newClaims()
		reading, storing := begin(t, claims, true), begin(t, claims, false)
		take := func(claim *Claim, ref contact.Ref) bool {
			stale, err := claim.Take(t.Context(), ref)
			if err != nil {
				t.Fatal(err)
			}
			return stale
		}
		take(reading, person("c", "bob"))
		take(storing, c.stored)
		claims.give(storing)
		if stale := take(reading, c.met); stale != c.stale {
			t.Errorf("%v was stored, then %v met: to begin again %v, want %v", c.stored, c.met, stale, c.stale)
		}
		if take(reading, c.met) {
			t.Error("what is read again is out of date once more")
		}
	}
}

// TestAClaimGivesUpWithItsBatch, and what it waited for is others'.
func TestAClaimGivesUpWithItsBatch(t *testing.T) {
	t.Parallel()
	claims := newClaims()
	holder, other := begin(t, claims, false), begin(t, claims, true)
	if _, err := holder.Take(t.Context(), person("a", "ann")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := other.Take(ctx, person("a", "ann")); !errors.Is(err, context.Canceled) {
		t.Errorf("it gave %v, want that it was cancelled", err)
	}
	claims.give(other)
	claims.give(holder)
	claims.give(holder)
	next := begin(t, claims, false)
	if stale, err := next.Take(t.Context(), person("a", "ann")); stale || err != nil {
		t.Errorf("who comes next waits: %v, %v", stale, err)
	}
}

// TestNobodyIsWorkedOnTwiceAtOnce, in whatever order batches ask for more, and all of them
// come to an end.
func TestNobodyIsWorkedOnTwiceAtOnce(t *testing.T) {
	t.Parallel()
	claims := newClaims()
	const people = 6
	var working [people]atomic.Int32
	var all sync.WaitGroup
	for stream := range 3 {
		random := rand.New(rand.NewPCG(uint64(stream), 7))
		all.Go(func() {
			for range 2000 {
				c := begin(t, claims, stream == 0)
				about := random.Perm(people)[:1+random.IntN(4)]
				for begun := 0; ; begun++ {
					again := false
					for _, who := range about { // one after another, as they are found
						stale, err := c.Take(t.Context(), person("a", fmt.Sprint(who)))
						if err != nil {
							t.Error(err)
						}
						again = again || stale
					}
					if !again {
						break
					}
					if begun > people {
						t.Errorf("a batch about %d people began %d times", len(about), begun)
					}
				}
				for _, who := range about {
					if working[who].Add(1) != 1 {
						t.Error("somebody is worked on by two batches")
					}
				}
				for _, who := range about {
					working[who].Add(-1)
				}
				claims.give(c)
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); all.Wait() }()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("batches wait for each other")
	}
}

// TestRestIsBounded: it ends with the other batch, or when it has lasted long enough, and
// there is none while no other batch runs.
func TestRestIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		claims := newClaims()
		rested := func() (time.Duration, bool) {
			began := time.Now()
			rests := claims.rest(t.Context(), restFor)
			return time.Since(began), rests
		}
		if took, rests := rested(); rests || took != 0 {
			t.Errorf("alone it rested: %v, for %v", rests, took)
		}
		for _, runs := range []time.Duration{restFor / 2, 2 * restFor} {
			other := begin(t, claims, false)
			go func() { time.Sleep(runs); claims.give(other) }()
			if took, rests := rested(); !rests || took != min(runs, restFor) {
				t.Errorf("beside a batch of %v it rested: %v, for %v", runs, rests, took)
			}
			time.Sleep(runs) // until it has ended
		}
		next := begin(t, claims, false) // what rested took nobody's turn
		claims.give(next)
	})
}
