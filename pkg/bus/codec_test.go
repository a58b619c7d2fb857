package bus

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	contactv1 "lockstep.internal/proto/contact/v1"
)

// words are the values of the enumerated types; every other type is drawn from
// its whole range, so that a field added to the vocabulary is tested without
// anyone remembering it.
var words = map[reflect.Type][2]uint8{
	reflect.TypeFor[contact.System]():      {1, uint8(contact.Aloware)},
	reflect.TypeFor[contact.Event]():       {1, uint8(contact.Erased)},
	reflect.TypeFor[contact.Channel]():     {1, uint8(contact.Read)},
	reflect.TypeFor[contact.Origin]():      {0, uint8(contact.Ours)},
	reflect.TypeFor[contact.Result]():      {1, uint8(contact.Dropped)},
	reflect.TypeFor[contact.Type]():        {1, uint8(contact.User)},
	reflect.TypeFor[fault.Class]():         {0, uint8(fault.Unknown)},
	reflect.TypeFor[contact.CommandKind](): {1, uint8(contact.Answer)},
}

// fill draws every exported field of v.
func fill(t *rapid.T, v reflect.Value, name string) {
	if w, ok := words[v.Type()]; ok {
		v.SetUint(uint64(rapid.Uint8Range(w[0], w[1]).Draw(t, name)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(rapid.String().Draw(t, name))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, name))
	case reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, name))
	case reflect.Int: // on the wire 32 bits
		v.SetInt(int64(rapid.Int32().Draw(t, name)))
	case reflect.Pointer:
		if rapid.Bool().Draw(t, name+" set") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem(), name)
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, name+" length"); n > 0 { // nil and empty are the same
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				fill(t, v.Index(i), name)
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	default:
		t.Fatalf("%s: no generator for %s", name, v.Type())
	}
}

func draw[T any](t *rapid.T, name string) *T {
	out := new(T)
	fill(t, reflect.ValueOf(out).Elem(), name)
	return out
}

func drawIncoming(t *rapid.T) contact.Incoming {
	switch rapid.IntRange(0, 4).Draw(t, "kind") {
	case 0:
		return contact.Incoming{Change: draw[contact.Change](t, "change")}
	case 1:
		return contact.Incoming{Communication: draw[contact.Communication](t, "communication")}
	case 2:
		return contact.Incoming{Outcome: draw[contact.Outcome](t, "outcome")}
	case 3:
		return contact.Incoming{Command: draw[contact.Command](t, "command")}
	default:
		return contact.Incoming{Directory: draw[contact.Directory](t, "directory")}
	}
}

func TestEveryFieldOfAnEventSurvivesTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawIncoming), 1, 4).Draw(t, "run")
		loads, refused := encodeRun(Changes, Message{Tenant: "acme", Incoming: want})
		if len(loads) != 1 || len(refused) > 0 {
			t.Fatal(len(loads), refused)
		}
		got, err := decodeChanges(loads[0].data, "acme")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

func TestEveryFieldOfAPatchSurvivesTheWire(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		system := draw[contact.System](t, "system")
		var want []contact.Patch
		for range rapid.IntRange(1, 4).Draw(t, "length") {
			p := draw[contact.Patch](t, "patch")
			p.System, p.Bulk = *system, false // the row tells, and it is not sent
			want = append(want, *p)
		}
		loads, refused := encodeRun(Patches, Message{Tenant: "acme", System: *system, Patches: want})
		if len(loads) != 1 || len(refused) > 0 {
			t.Fatal(len(loads), refused)
		}
		got, err := decodePatches(loads[0].data, "acme", *system)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatal(err, diff)
		}
	})
}

func valid() contact.Incoming {
	return contact.Incoming{Change: &contact.Change{System: contact.HubSpot, EventID: "e", Event: contact.Changed, Channel: contact.Webhook}}
}

func TestWhatTheVocabularyDoesNotHaveNeverGetsIntoTheLog(t *testing.T) {
	t.Parallel()
	with := func(f func(*contact.Change)) contact.Incoming {
		in := valid()
		f(in.Change)
		return in
	}
	for name, in := range map[string]contact.Incoming{
		"nothing set":    {},
		"two set":        {Change: valid().Change, Communication: &contact.Communication{}},
		"no system":      with(func(c *contact.Change) { c.System = 0 }),
		"unknown event":  with(func(c *contact.Change) { c.Event = 99 }),
		"no channel":     with(func(c *contact.Change) { c.Channel = 0 }),
		"unknown origin": with(func(c *contact.Change) { c.Origin = 3 }),
		"value's origin": with(func(c *contact.Change) { c.Values = []contact.Value{{Origin: 3}} }),
		"not UTF-8":      with(func(c *contact.Change) { c.Cause = "\xff" }),
		"no result":      {Outcome: &contact.Outcome{System: contact.HubSpot}},
		"too many calls": {Outcome: &contact.Outcome{System: contact.HubSpot, Result: contact.Made, Attempts: math.MaxInt32 + 1}},
		"unknown class":  {Outcome: &contact.Outcome{System: contact.HubSpot, Result: contact.Made, Refusal: &fault.Refusal{Class: 77}}},
	} {
		t.Run(name, func(t *testing.T) {
			loads, refused := encodeRun(Changes, Message{Tenant: "acme", Incoming: []contact.Incoming{valid(), in, valid()}})
			if len(refused) != 1 || !errors.Is(refused[0], ErrInvalid) {
				t.Errorf("got %v, want one invalid event", refused)
			}
			if len(loads) != 1 || loads[0].events != 2 {
				t.Errorf("the other events do not travel: %d", len(loads))
			}
		})
	}
}

func TestUnknownEventsAreToldAndTheOthersRead(t *testing.T) {
	t.Parallel()
	good := func(id string) *contactv1.ChangeEvent {
		in := valid()
		in.Change.EventID = id
		e, _, _ := encodeIncoming(&in)
		return e
	}
	for name, bad := range map[string]*contactv1.ChangeEvent{
		"no kind":         {},
		"unknown event":   {Kind: &contactv1.ChangeEvent_ContactChanged{ContactChanged: &contactv1.ContactChanged{System: 1, Event: 99, Channel: 1}}},
		"unknown system":  {Kind: &contactv1.ChangeEvent_ContactChanged{ContactChanged: &contactv1.ContactChanged{System: 9, Event: 1, Channel: 1}}},
		"empty change":    {Kind: &contactv1.ChangeEvent_ContactChanged{ContactChanged: &contactv1.ContactChanged{}}},
		"unknown call":    {Kind: &contactv1.ChangeEvent_CommunicationLogged{CommunicationLogged: &contactv1.CommunicationLogged{}}},
		"unknown result":  {Kind: &contactv1.ChangeEvent_PatchOutcome{PatchOutcome: &contactv1.PatchOutcome{System: 1, Result: 99}}},
		"list of nobody":  {Kind: &contactv1.ChangeEvent_DirectoryListed{DirectoryListed: &contactv1.DirectoryListed{}}},
		"negative origin": {Kind: &contactv1.ChangeEvent_ContactChanged{ContactChanged: &contactv1.ContactChanged{System: 1, Event: 1, Channel: 1, Origin: -1}}},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := proto.Marshal(&contactv1.ChangeRun{Tenant: "acme", Events: []*contactv1.ChangeEvent{good("a"), bad, good("b")}})
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeChanges(data, "acme")
			if !errors.Is(err, ErrUndecodable) || !strings.Contains(err.Error(), "event 1") {
				t.Errorf("got error %v", err)
			}
			if len(got) != 2 || got[0].Change.EventID != "a" || got[1].Change.EventID != "b" {
				t.Errorf("got %d events", len(got))
			}
		})
	}
}

func TestARunOfAnotherTenantIsUndecodable(t *testing.T) {
	t.Parallel()
	loads, _ := encodeRun(Changes, Message{Tenant: "acme", Incoming: []contact.Incoming{valid()}})
	if got, err := decodeChanges(loads[0].data, "other"); !errors.Is(err, ErrUndecodable) || got != nil {
		t.Error(got, err)
	}
}

func TestRunsAreCutBelowTheLimit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.OneOf(rapid.IntRange(0, 70<<10), rapid.SampledFrom([]int{eventLimit - 1000, eventLimit + 1}))
		sizes := rapid.SliceOfN(size, 1, 12).Draw(t, "sizes")
		var in []contact.Incoming
		for _, size := range sizes {
			e := valid()
			e.Change.Values = []contact.Value{{Name: "notes", Text: strings.Repeat("x", size)}}
			in = append(in, e)
		}
		loads, refused := encodeRun(Changes, Message{Tenant: "acme", Incoming: in})
		var got []contact.Incoming
		for _, load := range loads {
			if len(load.data) > runLimit && load.events > 1 || len(load.data) > eventLimit {
				t.Fatalf("%d bytes with %d events", len(load.data), load.events)
			}
			events, err := decodeChanges(load.data, "acme")
			if err != nil || len(events) != load.events {
				t.Fatal(err)
			}
			got = append(got, events...)
		}
		var want []contact.Incoming
		for _, e := range in {
			if len(e.Change.Values[0].Text) < eventLimit {
				want = append(want, e)
			}
		}
		for _, err := range refused {
			if !errors.Is(err, ErrTooLarge) {
				t.Fatal(err)
			}
		}
		if len(want) != len(got) || len(got)+len(refused) != len(in) {
			t.Fatalf("%d events, %d arrive, %d refused, want %d to arrive", len(in), len(got), len(refused), len(want))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func FuzzDecode(f *testing.F) {
	loads, _ := encodeRun(Changes, Message{Tenant: "acme", Incoming: []contact.Incoming{valid(), {Communication: &contact.Communication{ID: "1"}}}})
	f.Add(loads[0].data, false)
	loads, _ = encodeRun(Patches, Message{Tenant: "acme", System: contact.Aloware, Patches: []contact.Patch{
		{System: contact.Aloware, Create: &contact.Create{Phones: []string{"+12025550123"}}, Fetch: &contact.Fetch{}}}})
	f.Add(loads[0].data, true)
	f.Add([]byte{}, false)
	f.Add(protowire.AppendTag(nil, 2, protowire.BytesType), true)
	f.Fuzz(func(t *testing.T, data []byte, patches bool) {
		var err error
		if patches {
			var got []contact.Patch
			if got, err = decodePatches(data, "acme", contact.Aloware); err == nil {
				if again, refused := encodeRun(Patches, Message{Tenant: "acme", System: contact.Aloware, Patches: got}); len(again)+len(refused) == 0 {
					t.Error("decoded patches vanish")
				}
			}
		} else {
			var got []contact.Incoming
			if got, err = decodeChanges(data, "acme"); err == nil {
				if again, refused := encodeRun(Changes, Message{Tenant: "acme", Incoming: got}); len(again)+len(refused) == 0 {
					t.Error("decoded events vanish")
				}
			}
		}
		if err != nil && !errors.Is(err, ErrUndecodable) {
			t.Errorf("got %v, want it to be undecodable", err)
		}
	})
}
