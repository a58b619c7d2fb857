package mapper_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// failures counts batches that had to be repeated.
type failures struct{ atomic.Int64 }

func (f *failures) Progress(string, int, uint64, time.Duration) {}
func (f *failures) Failed(string, int)                          { f.Add(1) }

// TestStreamsTellOfTheSamePeopleAtOnce: what the streams of a partition tell of the same
// people is judged one after another, and no batch decides on what another one is storing.
func TestStreamsTellOfTheSamePeopleAtOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.stop()
	repeated := &failures{}
	e.stages = repeated
	const people, messages, events = 8, 60, 4
	const since contact.Millis = 1_700_000_000_000
	var newest [2][people]contact.Millis
	random := rand.New(rand.NewPCG(1, 2))
	told := make(map[bus.Stream][]bus.Message)
	for n := range messages {
		for s, stream := range []bus.Stream{bus.Changes, bus.ChangesEcho, bus.ChangesBulk} {
			m := bus.Message{Tenant: acme}
			for range events {
				who, side := random.IntN(people), random.IntN(2)
				at := since + contact.Millis(random.IntN(10_000_000)*1000)
				names := [2][2]string{{"phone", "city"}, {"phone_number", "city"}}[side]
				told := snapshot(contact.Systems[side], fmt.Sprint(who+1), at, names[0], fmt.Sprintf("+1202555%04d", 100+who), names[1], fmt.Sprint("at ", at))
				told.Change.EventID = fmt.Sprintf("%d/%d/%d", n, s, len(m.Incoming))
				m.Incoming = append(m.Incoming, told)
				newest[side][who] = max(newest[side][who], at)
			}
			told[stream] = append(told[stream], m)
		}
	}
	e.start()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var all sync.WaitGroup
	for stream, list := range told {
		all.Go(func() {
			for _, m := range list {
				if err := e.bus.Publisher(stream, 0).Publish(ctx, m); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for stream := range told {
		e.appliedOf(stream)
	}
	if n := repeated.Load(); n > 0 {
		t.Errorf("%d batches met what another one had stored meanwhile", n)
	}
	for who := range people {
		refs := []contact.Ref{contact.IDRef(acme, contact.HubSpot, fmt.Sprint(who+1)), contact.IDRef(acme, contact.Aloware, fmt.Sprint(who+1))}
		found, err := e.db.ContactKeys(ctx, refs)
		if err != nil {
			t.Fatal(err)
		}
		keys := found[refs[0]]
		if len(keys) != 1 || !slices.Equal(keys, found[refs[1]]) {
			t.Errorf("person %d is %v, want one contact for both records", who+1, found)
			continue
		}
		for _, f := range e.mustCard(keys[0]).Fields {
			for side := range contact.Systems {
				if want := fmt.Sprint("at ", newest[side][who]); f.Key == "city" && f.Sides[side].Value != want {
					t.Errorf("the city of person %d in %s is %q, want the newest, %q", who+1, contact.Systems[side], f.Sides[side].Value, want)
				}
			}
		}
	}
}

// TestAnAnswerMayComeBeforeTheQuestionIsStored: the writers may have carried out what a
// batch published before the batch is stored, and their answer comes over another stream.
func TestAnAnswerMayComeBeforeTheQuestionIsStored(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	const at contact.Millis = 1_700_000_000_000
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	send := func(stream bus.Stream, in contact.Incoming) {
		t.Helper()
		if err := e.bus.Publisher(stream, 0).Publish(ctx, bus.Message{Tenant: acme, Incoming: []contact.Incoming{in}}); err != nil {
			t.Fatal(err)
		}
	}
	e.say(snapshot(contact.HubSpot, "9", at, "phone", "+12025550199")) // it is at work
	stored := e.delay(ctx, "hubspot:1")
	asked := snapshot(contact.HubSpot, "1", at, "phone", "+12025550142", "city", "Austin")
	asked.Change.EventID = "asked"
	send(bus.ChangesBulk, asked)
	reader, err := e.bus.Read(ctx, bus.PatchesBulk, 0, "test", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	d, err := reader.Next(ctx)
	if err != nil {
		t.Fatalf("nothing is sent while the batch cannot be stored: %v", err)
	}
	answer := made(d.Patches[0], contact.Made, "2", at+1000)
	answer.Outcome.EventID = "answer"
	send(bus.ChangesEcho, answer)
	e.say(snapshot(contact.HubSpot, "9", at+1000, "phone", "+12025550199", "city", "Reno")) // others go on
	stored()
	e.appliedOf(bus.ChangesBulk)
	e.appliedOf(bus.ChangesEcho)
	if card := e.mustCard("hubspot:1"); card.Sides[1].ID != "2" {
		t.Errorf("the contact is %+v, want it linked with the one that was made", card.Sides)
	}
}

// delay lets nobody store a contact until the function that it gives is called.
func (e *env) delay(ctx context.Context, key contact.Key) (end func()) {
	e.t.Helper()
	begun, release, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	undone := errors.New("undone")
	go func() {
		defer close(ended)
		if err := e.db.InTx(ctx, func(tx *postgres.Tx) error {
			if err := tx.SaveContacts(ctx, []postgres.StoredContact{{Tenant: acme, Key: key, State: []byte{}}}); err != nil {
				return err
			}
			if _, err := tx.LockLaneRows(ctx, contact.HubSpot, nil, nil); err != nil { // sends what is kept
				return err
			}
			close(begun)
			select {
			case <-release:
			case <-ctx.Done():
			}
			return undone
		}); !errors.Is(err, undone) {
			e.t.Error(err)
		}
	}()
	select {
	case <-begun:
	case <-ended:
	}
	return func() { close(release); <-ended }
}
