package chaos

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep.internal/pkg/contact"
)

// tick is Aloware's clock, which has whole seconds, and a little more: which of
// two edits on different sides was later cannot be told within it.
const tick = 2 * time.Second

// findings are what a comparison of both sides gave.
type findings struct {
	wrong     []string // what is not as it must be, for people
	persons   int      // that are in one system more or less often than they should be
	differ    int      // fields on which the sides do not agree
	lost      int      // fields that do not hold the last edit
	ambiguous int      // fields whose last edit cannot be told by the systems' own clocks
	standing  int      // targets' own edits that stand, as they should
	fields    int      // compared
	texts     int      // that people sent
	unheard   int      // of them, not in HubSpot's totals since Aloware's only word of them was lost
}

func (f *findings) add(count *int, format string, values ...any) {
	*count++
	f.wrong = append(f.wrong, fmt.Sprintf(format, values...))
}

func (f *findings) join(other findings) {
	f.wrong = append(f.wrong, other.wrong...)
	f.persons += other.persons
	f.differ += other.differ
	f.lost += other.lost
	f.ambiguous += other.ambiguous
	f.standing += other.standing
	f.fields += other.fields
	f.texts += other.texts
	f.unheard += other.unheard
}

// compare compares both sides by the rules, and with what people did.
func (a *account) compare(ctx context.Context) (f findings, err error) {
	hubspot, err := contacts(ctx, a.hubspot, "")
	if err != nil {
		return f, err
	}
	aloware, err := contacts(ctx, a.alo, "")
	if err != nil {
		return f, err
	}
	inHubSpot, inAloware := byNumber(hubspot, "phone"), byNumber(aloware, "phone_number")
	a.mu.Lock()
	defer a.mu.Unlock()
	present := 0
	for _, p := range a.people {
		want := 1
		if p.gone {
			want = 0
		}
		present += want
		h, l := inHubSpot[p.phone], inAloware[p.phone]
		if len(h) != want {
			f.add(&f.persons, "%s %s is %d times in HubSpot %v, want %d", a.ID, p.phone, len(h), h, want)
		}
		if len(l) != 1 {
			f.add(&f.persons, "%s %s is %d times in Aloware %v, want once", a.ID, p.phone, len(l), l)
		}
		if len(h) == 1 && len(l) == 1 && want == 1 {
			for i := range rules {
				a.judge(&f, p, &rules[i], hubspot[h[0]], aloware[l[0]])
			}
			a.judgeTexts(&f, p, hubspot[h[0]])
		}
	}
	if len(hubspot) != present {
		f.add(&f.persons, "%s: HubSpot has %d contacts, want %d", a.ID, len(hubspot), present)
	}
	if len(aloware) != len(a.people) {
		f.add(&f.persons, "%s: Aloware has %d contacts, want %d", a.ID, len(aloware), len(a.people))
	}
	return f, nil
}

// judge judges one field of one person.
func (a *account) judge(f *findings, p *person, r *rule, inHubSpot, inAloware map[string]string) {
	f.fields++
	held := map[contact.System]string{contact.HubSpot: inHubSpot[r.hubspot], contact.Aloware: inAloware[r.read]}
	edits := p.edits[r.hubspot]
	name := fmt.Sprintf("%s %s (HubSpot %s, Aloware %s) %s", a.ID, p.phone, p.hubspot, p.aloware, r.hubspot)
	story := func() string {
		text := ""
		for _, side := range contact.Systems {
			if e := edits[side]; e.made() {
				text += fmt.Sprintf("; last edit in %v at %s to %q", side, clock(e.at), e.value)
			}
		}
		for _, event := range p.life {
			text += "; " + event
		}
		return fmt.Sprintf("HubSpot holds %q, Aloware %q%s", held[contact.HubSpot], held[contact.Aloware], text)
	}
	source := r.source()
	if source == 0 {
		if held[contact.HubSpot] != held[contact.Aloware] {
			f.add(&f.differ, "%s: the sides differ: %s", name, story())
			return
		}
		first, last := edits[contact.Aloware], edits[contact.HubSpot]
		earlier := contact.Aloware
		if first.at.After(last.at) {
			first, last, earlier = last, first, contact.HubSpot
		}
		switch {
		case !last.made() || held[contact.HubSpot] == last.value:
		case slices.Contains(last.also, held[contact.HubSpot]):
			f.ambiguous++
		case held[contact.HubSpot] == first.value && a.untold(earlier, first, last):
			f.ambiguous++
		default:
			f.add(&f.lost, "%s: the last edit is lost: %s", name, story())
		}
		return
	}
	target := source.Other()
	was, own := edits[source], edits[target]
	switch {
	case !was.made():
	case held[source] != was.value:
		f.add(&f.lost, "%s: the source was overwritten: %s", name, story())
	case held[target] == was.value:
	case slices.Contains(was.also, held[target]):
		f.ambiguous++
	case own.made() && held[target] == own.value && own.at.After(was.at):
		f.standing++
	case own.made() && held[target] == own.value && a.untold(target, own, was):
		f.ambiguous++
	default:
		f.add(&f.lost, "%s: the last edit has not arrived: %s", name, story())
	}
}

// judgeTexts judges the number of texts that HubSpot shows. One of which the
// only word was lost may be missing until the next one repairs the total.
func (a *account) judgeTexts(f *findings, p *person, inHubSpot map[string]string) {
	f.texts += len(p.texts)
	shown, _ := strconv.Atoi(inHubSpot["aloware_total_inbound_text_messages"]) // blank is none
	unheard := 0
	for _, at := range p.texts {
		if a.alowareWebhooks.wasLost(at) {
			unheard++
		}
	}
	switch {
	case shown == len(p.texts):
	case shown < len(p.texts) && shown >= len(p.texts)-unheard:
		f.unheard += len(p.texts) - shown
	default:
		f.add(&f.lost, "%s %s (HubSpot %s, Aloware %s): HubSpot shows %d texts of %d, of which %d may be unheard of", a.ID, p.phone, p.hubspot, p.aloware, shown, len(p.texts), unheard)
	}
}

// untold reports whether nobody could tell that one edit was made before
// another, on the other side: within a tick of Aloware's clock, or when the
// only word of it was lost, which Aloware sends once. Aloware tells the time of
// a contact, not of a field, so that a later event dates it later.
func (a *account) untold(side contact.System, earlier, later edit) bool {
	return later.at.Sub(earlier.at) <= tick || side == contact.Aloware && a.alowareWebhooks.wasLost(earlier.at)
}
