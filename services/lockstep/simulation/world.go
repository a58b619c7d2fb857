package simulation

import (
	"fmt"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/mapper/resolve"
	"lockstep.internal/services/writer/row"
)

// world is everything: both systems, the way between them and us, the
// services, and what is known of the truth.
type world struct {
	now        contact.Millis // true time, which is our clock
	skew       [2]contact.Millis
	anonymous  bool // HubSpot does not tell who made a change
	directions [fields]contact.Direction
	catalogue  [slots]mapping.Mapping // as the fields are mapped now
	removed    [fields]bool
	terms      [fields]terms
	loose      [fields]bool // the terms were changed
	filtered   *mapping.Filter
	documented bool                       // Aloware offers what it has published only
	identities [firstName][mostPeople]int // whose number and whose e-mail a person has
	rules      *resolve.Rules
	number     int
	revision   int // of rows, over all
	moment     int // counts what changes systems: things done at one time have an order

	records       [2][]*record
	refuses       [2]map[int]string // a value that a system refuses, by field
	refusesPerson [2]map[int]bool
	robots        []*robot
	reactions     []reaction
	transit       []*event
	changes       [2][]message
	patches       [2][]contact.Patch
	mapper        mapper
	lateBatches   []*batch // decided by former owners, not published yet
	forgetting    []forgetting
	writers       [2]writer

	// The truth.
	merged     []int // person by person: who he turned out to be
	deleted    map[int]bool
	cut        map[string]int // of them, who was known in both systems by then: ids in Aloware
	restored   map[int]bool   // who can have been made anew in the meantime
	erasedOf   map[int]bool
	archived   map[int]bool // whose counterpart we put away
	spoken     []spoken
	writes     map[cell][]*write
	refused    map[refusedValue]int
	known      map[string]contact.Key // contacts by the ids of their judged events
	handovers  int                    // of lanes from one writer to another
	disturbed  bool                   // something ended half-way, or was handed over
	calls      int
	landings   int
	remapped   bool
	dropped    [fields]bool // a burst of it was dropped: the sides may stay apart
	undone     [slots]bool  // a burst of it was undone: what we gave back is nobody's edit
	rebound    [fields]bool // mapped to another property, or away for a while
	shared     bool         // some people have a number or an e-mail in common
	counters   map[*record]contact.Counters
	toldTotals map[*record][4]int64 // highest counters that reached us
	choices    map[string]choice
	apart      map[[2]string]bool // ids in HubSpot and Aloware that are different people
	blanked    map[cell]bool      // where somebody said that a blank stands; of no system
	asked      bool               // somebody asked for something to be done again
	gone       bool               // some contact was deleted, refused as a whole, or not found
	fought     map[spot]int       // values of ours that landed since somebody last had a hand in it
	wentOn     map[spot]bool      // what rested until a sync by hand, which can have taken the value of HubSpot over
	failure    *Failure
	stats      Stats

	tracing bool
	log     []string
}

// most people of a schedule.
const mostPeople = 8

func newWorld() *world {
	w := &world{
		now:     1_700_000_000_000,
		refuses: [2]map[int]string{{}, {}}, refusesPerson: [2]map[int]bool{{}, {}},
		deleted: map[int]bool{}, cut: map[string]int{}, restored: map[int]bool{}, erasedOf: map[int]bool{}, archived: map[int]bool{}, writes: map[cell][]*write{}, refused: map[refusedValue]int{},
		known: map[string]contact.Key{}, choices: map[string]choice{}, blanked: map[cell]bool{}, counters: map[*record]contact.Counters{}, toldTotals: map[*record][4]int64{}, apart: map[[2]string]bool{},
		fought: map[spot]int{}, wentOn: map[spot]bool{},
	}
	w.catalogue = catalogue
	for i := range w.directions {
		w.directions[i] = catalogue[i].Direction
	}
	w.mapper = mapper{store: newStore(), epoch: [2]int64{1, 1}}
	for i, system := range contact.Systems {
		w.writers[i] = writer{system: system, sent: map[contact.Key]row.Delivered{}}
	}
	for person := range mostPeople {
		w.merged = append(w.merged, person)
		w.identities[phone][person], w.identities[email][person] = person, person
	}
	w.rules = &resolve.Rules{Region: "US", Creation: resolve.FlowBoth, Updates: resolve.FlowBoth}
	w.rules.Set = w.fieldSet(1)
	return w
}

func (w *world) trace(format string, args ...any) {
	if w.tracing {
		w.log = append(w.log, fmt.Sprintf("%d ", w.now-1_700_000_000_000)+fmt.Sprintf(format, args...))
	}
}

// arrive brings an event from its way into the stream of changes.
func (w *world) arrive(stream int, events ...*event) {
	m := make(message, 0, len(events))
	for _, e := range events {
		arrived := *e
		arrived.received = w.now
		if c := e.in.Change; c != nil {
			received := *c
			received.ReceivedAt = w.now
			arrived.in.Change = &received
		}
		if c := e.in.Communication; c != nil {
			w.hear(c)
			received := *c
			received.ReceivedAt = w.now
			arrived.in.Communication = &received
		}
		m = append(m, &arrived)
	}
	w.changes[stream] = append(w.changes[stream], m)
}

// poll reads all records of a system again.
func (w *world) poll(system contact.System, stream int) {
	if w.documented && system == contact.Aloware {
		return
	}
	for _, r := range w.records[index(system)] {
		if r.alive() && !w.erasedOf[r.person] {
			w.arrive(stream, w.reading(r))
		}
	}
}

// rest lets everything arrive without further disorder, with a reading of both
// systems at the end; it fails when that comes to no end.
func (w *world) rest() {
	most := 60
	if len(w.robots) > 0 {
		most = 240 // twenty rounds take their time
	}
	quiet := 0
	w.now = max(w.now, w.writers[0].pause, w.writers[1].pause)
	for round := 0; round < most; round++ {
		w.pass(1500)
		before := w.landings
		w.arriveAll()
		w.settleAll()
		if w.landings == before && w.idle() {
			quiet++
			switch quiet {
			case 1, 2:
				w.poll(contact.HubSpot, live)
				w.poll(contact.Aloware, live)
			default:
				return
			}
			continue
		}
		if !w.idle() {
			continue
		}
		quiet = min(quiet, 1)
	}
	w.fail("rest", "writes come to no end: %d values written since the last edit", w.landings)
}

func (w *world) arriveAll() {
	for _, e := range w.transit {
		w.arrive(live, e)
	}
	w.transit = nil
}

// settleAll runs the services until nothing is to be done at this time.
func (w *world) settleAll() {
	for range 40 {
		for stream := range w.changes {
			w.handle(stream, len(w.changes[stream]))
		}
		for i := range w.writers {
			wr := &w.writers[i]
			for stream := range w.patches {
				w.read(wr, stream, len(w.patches[stream]))
			}
			for len(wr.calls) > 0 {
				w.end(wr, wr.calls[0], answered)
			}
			for _, l := range w.due(wr) {
				if c := w.begin(wr, l); c != nil {
					w.end(wr, c, answered)
				}
			}
		}
		w.arriveAll()
		if w.still() {
			return
		}
		w.pass(1)
	}
	w.fail("rest", "the services come to no rest")
}

// still reports whether nothing can be done at this time.
func (w *world) still() bool {
	for stream := range w.changes {
		if w.mapper.position[stream] < len(w.changes[stream]) {
			return false
		}
		for i := range w.writers {
			if w.writers[i].position[stream] < len(w.patches[stream]) {
				return false
			}
		}
	}
	for i := range w.writers {
		if len(w.due(&w.writers[i])) > 0 || len(w.writers[i].calls) > 0 {
			return false
		}
	}
	return len(w.transit) == 0
}

// idle reports whether nothing is left to be done later either.
func (w *world) idle() bool {
	return w.still() && len(w.writers[0].lanes) == 0 && len(w.writers[1].lanes) == 0 && len(w.reactions) == 0
}

func resultName(o *contact.Outcome) string {
	return [...]string{"", "written", "made", "fetched", "absent", "rejected", "gone", "conflict", "archived", "dropped"}[o.Result]
}

func eventName(e contact.Event) string {
	return [...]string{"", "changed", "created", "snapshot", "deleted", "merged", "restored", "erased"}[e]
}

func changeText(c *contact.Change) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %s %s@%d", eventName(c.Event), c.System, c.ID, c.OccurredAt-1_700_000_000_000)
	for _, v := range c.Values {
		fmt.Fprintf(&b, " %s=%q", v.Name, v.Text)
		if v.OccurredAt != 0 && v.OccurredAt != c.OccurredAt {
			fmt.Fprintf(&b, "@%d", v.OccurredAt-1_700_000_000_000)
		}
	}
	return b.String()
}

func outcomeText(o *contact.Outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s@%d", o.TargetID, o.AppliedAt-1_700_000_000_000)
	for _, v := range o.Holds {
		fmt.Fprintf(&b, " %s=%q", v.Name, v.Text)
	}
	return b.String()
}
