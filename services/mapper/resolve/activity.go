package resolve

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"lockstep.internal/pkg/contact"
)

// Activity is what a contact's calls and texts add up to, the same in
// whatever order and however often they arrive.
type Activity struct {
	InboundCalls, OutboundCalls, InboundTexts, OutboundTexts Line
}

// Line is one kind of communication in one direction.
type Line struct {
	Count int64 // communications counted by id
	// Base is Aloware's own total without those that were counted, as the first
	// counter that was told shows it; Based tells whether one was, and BasedAt
	// when, by Aloware's clock.
	Base        int64
	Based       bool
	BasedAt     contact.Millis
	Told        int64    // highest total that Aloware told; 0 for none
	Open        []string // ids that were counted and are not over, as far as told
	First, Last contact.Millis
	LastID      string
	LastBody    string
	// The latest communication that has an outcome.
	Disposed        contact.Millis
	DisposedID      string
	DisposedUpdated contact.Millis
	Disposition     string
}

func (a *Activity) line(c *contact.Communication) *Line {
	switch {
	case c.Text && c.Inbound:
		return &a.InboundTexts
	case c.Text:
		return &a.OutboundTexts
	case c.Inbound:
		return &a.InboundCalls
	}
	return &a.OutboundCalls
}

func (a *Activity) join(other *Activity) {
	for _, pair := range [][2]*Line{
		{&a.InboundCalls, &other.InboundCalls}, {&a.OutboundCalls, &other.OutboundCalls},
		{&a.InboundTexts, &other.InboundTexts}, {&a.OutboundTexts, &other.OutboundTexts},
	} {
		ours, theirs := pair[0], pair[1]
		ours.Count += theirs.Count
		ours.Base += theirs.Base
		ours.Based, ours.BasedAt = ours.Based || theirs.Based, max(ours.BasedAt, theirs.BasedAt)
		ours.Open = append(ours.Open, theirs.Open...)
		ours.Told += theirs.Told
		ours.span(theirs.First, "", "")
		ours.span(theirs.Last, theirs.LastID, theirs.LastBody)
		ours.dispose(theirs.Disposed, theirs.DisposedUpdated, theirs.DisposedID, theirs.Disposition)
	}
}

// Count judges one state of one communication. first tells that its id was
// never counted before (the caller keeps the ids).
func (j *Judge) Count(c *contact.Communication, first bool) {
	// A delivery tells of the contact too, under the same id.
	if j.seenBefore("communication/" + c.EventID) {
		j.verdict.Stale++
		return
	}
	j.follows(false)
	if j.state.Side(contact.Aloware).ID == "" {
		j.link(contact.Aloware, c.ContactID)
	}
	if j.state.Activity == nil {
		j.state.Activity = &Activity{}
	}
	line := j.state.Activity.line(c)
	missing := j.state.Activity.missing()
	line.count(c, first)
	j.state.Activity.told(c.Counters, ended(c))
	j.lose(missing, c.UpdatedAt)
	line.span(c.StartedAt, c.ID, c.Body)
	if !c.Text {
		line.dispose(c.StartedAt, c.UpdatedAt, c.ID, c.Disposition)
	}
	j.received = max(j.received, c.ReceivedAt)
	j.publish(c)
}

// ended is when Aloware's counters have a communication at the latest, as far
// as this state of it tells.
func ended(c *contact.Communication) contact.Millis {
	if c.Finished {
		return max(c.StartedAt, c.UpdatedAt)
	}
	return c.StartedAt
}

// totals takes the counters that the contact itself tells: they show what was
// lost also where no communication comes after it.
func (j *Judge) totals(c *contact.Change) {
	if j.state.Activity == nil {
		if max(c.Counters.InboundCalls, c.Counters.OutboundCalls, c.Counters.InboundTexts, c.Counters.OutboundTexts) <= 0 {
			return // nothing was ever said
		}
		j.state.Activity = &Activity{}
	}
	missing := j.state.Activity.missing()
	// What ended within the contact's tick is in its counters.
	j.state.Activity.told(*c.Counters, c.OccurredAt+c.Precision+1)
	j.lose(missing, c.OccurredAt)
	j.publish(&contact.Communication{UpdatedAt: c.OccurredAt, ReceivedAt: c.ReceivedAt})
}

// lose counts by how many the communications have grown that Aloware counted
// and never told of.
func (j *Judge) lose(before int64, at contact.Millis) {
	lost := j.state.Activity.missing() - before
	j.verdict.Lost += lost
	if lost > 0 {
		j.step(Step{Side: contact.Aloware, Rule: "lost", At: at, Reason: fmt.Sprintf("Aloware counts %d more than it told of; the totals follow its count", lost)})
	}
}

// count counts a communication once. From its end on Aloware's counters include
// it (an assumption of the reference): one that had ended when the base was
// told, and that we hear of later, is in the base already.
func (l *Line) count(c *contact.Communication, first bool) {
	const most = 8
	at := slices.Index(l.Open, c.ID)
	switch {
	case first:
		l.Count++
	case at < 0 || !c.Finished:
		return
	default:
		l.Open = slices.Delete(l.Open, at, at+1)
	}
	switch {
	case !c.Finished:
		if l.Open = append(l.Open, c.ID); len(l.Open) > most {
			l.Open = l.Open[1:]
		}
	case l.Base > 0 && ended(c) < l.BasedAt:
		l.Base--
	}
}

// told keeps the highest counters, which are Aloware's own totals; the first of
// a line gives its base.
func (a *Activity) told(c contact.Counters, at contact.Millis) {
	a.InboundCalls.told(c.InboundCalls, at)
	a.OutboundCalls.told(c.OutboundCalls, at)
	a.InboundTexts.told(c.InboundTexts, at)
	a.OutboundTexts.told(c.OutboundTexts, at)
}

func (l *Line) told(counter int64, at contact.Millis) {
	if counter < 0 {
		return
	}
	if !l.Based {
		l.Based, l.BasedAt = true, at
		l.Base = max(0, counter-l.Count+int64(len(l.Open)))
	}
	l.Told = max(l.Told, counter)
}

// missing is how many communications Aloware counted and never told of. It
// falls again when they come late.
func (a *Activity) missing() int64 {
	return a.InboundCalls.missing() + a.OutboundCalls.missing() + a.InboundTexts.missing() + a.OutboundTexts.missing()
}

func (l *Line) missing() int64 { return max(0, l.Told-l.Count-l.Base) }

func (l *Line) span(at contact.Millis, id, body string) {
	if at == 0 {
		return
	}
	if l.First == 0 || at < l.First {
		l.First = at
	}
	if at > l.Last || at == l.Last && (id > l.LastID || id == l.LastID && body != "") {
		l.Last, l.LastID, l.LastBody = at, id, body
	}
}

func (l *Line) dispose(at, updated contact.Millis, id, disposition string) {
	if disposition == "" {
		return
	}
	newer := at > l.Disposed || at == l.Disposed && id > l.DisposedID
	if newer || id == l.DisposedID && updated >= l.DisposedUpdated {
		l.Disposed, l.DisposedUpdated, l.DisposedID, l.Disposition = at, updated, id, disposition
	}
}

// publish turns the totals into intents of the computed fields.
func (j *Judge) publish(c *contact.Communication) {
	for key, value := range j.state.Activity.fields(j.rules.Zone) {
		m := j.rules.Set.ByKey(key)
		if m == nil || m.Stopped != "" || value == "" {
			continue
		}
		f := j.field(m)
		fs := &f.Sides[index(contact.Aloware)]
		if fs.Known && fs.Value == value {
			continue
		}
		at := max(f.Edits[index(contact.Aloware)].At, c.UpdatedAt)
		fs.Known, fs.Value, fs.Since, fs.Seen = true, value, at, Span{at, at, at}
		j.intend(m, f, Edit{Value: value, At: at, Side: contact.Aloware}, false, nil, c.ReceivedAt)
	}
}

// fields are the canonical values of all computed fields; "" where there is
// nothing to tell.
func (a *Activity) fields(zone *time.Location) map[string]string {
	if zone == nil {
		zone = time.UTC
	}
	inCall, outCall, inText, outText := &a.InboundCalls, &a.OutboundCalls, &a.InboundTexts, &a.OutboundTexts
	lastCall := latest(inCall, outCall)
	return map[string]string{
		"last_inbound_text_message":            inText.LastBody,
		"last_outbound_text_message":           outText.LastBody,
		"total_inbound_text_messages":          inText.total(),
		"total_outbound_text_messages":         outText.total(),
		"last_inbound_text_message_date":       day(inText.Last, zone),
		"last_outbound_text_message_date":      day(outText.Last, zone),
		"last_inbound_text_message_datetime":   instant(inText.Last),
		"last_outbound_text_message_datetime":  instant(outText.Last),
		"total_inbound_calls":                  inCall.total(),
		"total_outbound_calls":                 outCall.total(),
		"last_inbound_call_date":               day(inCall.Last, zone),
		"last_outbound_call_date":              day(outCall.Last, zone),
		"last_inbound_call_datetime":           instant(inCall.Last),
		"last_outbound_call_datetime":          instant(outCall.Last),
		"last_inbound_call_time":               clock(inCall.Last, zone),
		"last_outbound_call_time":              clock(outCall.Last, zone),
		"last_inbound_message_time":            clock(inText.Last, zone),
		"last_outbound_message_time":           clock(outText.Last, zone),
		"last_call_disposition":                lastCall.Disposition,
		"last_inbound_call_disposition":        inCall.Disposition,
		"last_outbound_call_disposition":       outCall.Disposition,
		"last_inbound_engagement":              instant(max(inCall.Last, inText.Last)),
		"last_outbound_engagement":             instant(max(outCall.Last, outText.Last)),
		"last_inbound_and_outbound_engagement": instant(max(inCall.Last, inText.Last, outCall.Last, outText.Last)),
		"first_inbound_call_datetime":          instant(inCall.First),
		"first_outbound_call_datetime":         instant(outCall.First),
		"first_inbound_text_message_datetime":  instant(inText.First),
		"first_outbound_text_message_datetime": instant(outText.First),
		"first_inbound_engagement_datetime":    instant(earliest(inCall.First, inText.First)),
		"first_outbound_engagement_datetime":   instant(earliest(outCall.First, outText.First)),
	}
}

func (l *Line) total() string {
	total := max(l.Count+l.Base, l.Told)
	if total == 0 {
		return ""
	}
	return strconv.FormatInt(total, 10)
}

func latest(a, b *Line) *Line {
	if b.Disposed > a.Disposed {
		return b
	}
	return a
}

func earliest(a, b contact.Millis) contact.Millis {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

func instant(at contact.Millis) string {
	if at == 0 {
		return ""
	}
	return contact.FormatInstant(at)
}

func day(at contact.Millis, zone *time.Location) string {
	if at == 0 {
		return ""
	}
	return time.UnixMilli(int64(at)).In(zone).Format(time.DateOnly)
}

func clock(at contact.Millis, zone *time.Location) string {
	if at == 0 {
		return ""
	}
	return time.UnixMilli(int64(at)).In(zone).Format("15:04:05")
}
