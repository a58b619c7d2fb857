package bus

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	contactv1 "lockstep.internal/proto/contact/v1"
)

// Payload limits in bytes. A run is cut where it would grow beyond runLimit;
// one event may go up to eventLimit in a message of its own. That is what a
// server takes without settings of its own (1 MiB), less room for headers and
// for what a dead letter adds: one text of HubSpot may have 65,536 characters,
// and a snapshot holds several.
const (
	runLimit    = 48 << 10
	eventLimit  = 768 << 10
	headerSlack = 4 << 10
)

// payload is the body of one message and the number of events in it.
type payload struct {
	data   []byte
	prefix int // bytes of its head
	events int
}

var marshal = proto.MarshalOptions{Deterministic: true}

// encodeRun turns a message into one or more payloads, each below the limits,
// in the order of the events. The events that cannot travel are left out and
// told in refused, one error each; the rest is complete.
//
// Serialized protobuf messages may be joined: a run is the encoding of its
// head followed by encodings of the run with one event each, so that every
// event is marshalled once and its size is exact.
func encodeRun(s Stream, m Message) (payloads []payload, refused []error) {
	if _, err := contact.ParseTenant(string(m.Tenant)); err != nil {
		return nil, []error{fmt.Errorf("message on %s: %w: %w", s, ErrInvalid, err)}
	}
	var head proto.Message
	var count int
	var event func(i int) (proto.Message, string, error)
	if s.carriesPatches() {
		if len(m.Incoming) > 0 || !knownSystem(m.System) {
			return nil, []error{fmt.Errorf("message of %s on %s: want patches and a system: %w", m.Tenant, s, ErrInvalid)}
		}
		head, count = &contactv1.PatchRun{Tenant: string(m.Tenant), System: contactv1.System(m.System)}, len(m.Patches)
		event = func(i int) (proto.Message, string, error) {
			p := &m.Patches[i]
			name := fmt.Sprintf("patch caused by %q", p.CauseEventID)
			if p.System != m.System {
				return nil, name, fmt.Errorf("system %s in a run for %s: %w", p.System, m.System, ErrInvalid)
			}
			encoded, err := encodePatch(p)
			return &contactv1.PatchRun{Patches: []*contactv1.PropertyPatch{encoded}}, name, err
		}
	} else {
		if len(m.Patches) > 0 {
			return nil, []error{fmt.Errorf("message of %s on %s: want events, not patches: %w", m.Tenant, s, ErrInvalid)}
		}
		head, count = &contactv1.ChangeRun{Tenant: string(m.Tenant)}, len(m.Incoming)
		event = func(i int) (proto.Message, string, error) {
			encoded, name, err := encodeIncoming(&m.Incoming[i])
			return &contactv1.ChangeRun{Events: []*contactv1.ChangeEvent{encoded}}, name, err
		}
	}
	if count == 0 {
		return nil, []error{fmt.Errorf("message of %s on %s: no events: %w", m.Tenant, s, ErrInvalid)}
	}
	prefix, err := marshal.Marshal(head)
	if err != nil {
		return nil, []error{fmt.Errorf("message on %s: tenant: %w: %w", s, ErrInvalid, err)}
	}

	run := payload{data: append([]byte(nil), prefix...), prefix: len(prefix)}
	cut := func() {
		if run.events > 0 {
			payloads = append(payloads, run)
		}
		run = payload{data: append([]byte(nil), prefix...), prefix: len(prefix)}
	}
	for i := range count {
		encoded, name, err := event(i)
		if err != nil {
			refused = append(refused, fmt.Errorf("%s of %s: %w", name, m.Tenant, err))
			continue
		}
		size := marshal.Size(encoded)
		if len(prefix)+size > eventLimit {
			refused = append(refused, fmt.Errorf("%s of %s has %d bytes, %d allowed: %w", name, m.Tenant, size, eventLimit, ErrTooLarge))
			continue
		}
		if run.events > 0 && len(run.data)+size > runLimit {
			cut()
		}
		before := len(run.data)
		data, err := marshal.MarshalAppend(run.data, encoded)
		if err != nil { // only a text that is not UTF-8
			run.data = run.data[:before]
			refused = append(refused, fmt.Errorf("%s of %s: text that is not UTF-8: %w", name, m.Tenant, ErrInvalid))
			continue
		}
		run.data = data
		run.events++
	}
	cut()
	return payloads, refused
}

// encodeIncoming gives the event and a name for it in errors.
func encodeIncoming(in *contact.Incoming) (*contactv1.ChangeEvent, string, error) {
	var event contactv1.ChangeEvent
	var name string
	var err error
	set := 0
	if in.Change != nil {
		set++
		var e *contactv1.ContactChanged
		e, err = encodeChange(in.Change)
		name = fmt.Sprintf("change %q", in.Change.EventID)
		event.Kind = &contactv1.ChangeEvent_ContactChanged{ContactChanged: e}
	}
	if in.Communication != nil {
		set++
		name = fmt.Sprintf("communication %q", in.Communication.EventID)
		event.Kind = &contactv1.ChangeEvent_CommunicationLogged{CommunicationLogged: encodeCommunication(in.Communication)}
	}
	if in.Outcome != nil {
		set++
		var e *contactv1.PatchOutcome
		e, err = encodeOutcome(in.Outcome)
		name = fmt.Sprintf("outcome %q", in.Outcome.EventID)
		event.Kind = &contactv1.ChangeEvent_PatchOutcome{PatchOutcome: e}
	}
	if in.Directory != nil {
		set++
		var e *contactv1.DirectoryListed
		e, err = encodeDirectory(in.Directory)
		name = fmt.Sprintf("directory %q", in.Directory.List)
		event.Kind = &contactv1.ChangeEvent_DirectoryListed{DirectoryListed: e}
	}
	if in.Command != nil {
		set++
		var e *contactv1.ContactCommand
		e, err = encodeCommand(in.Command)
		name = fmt.Sprintf("command %q", in.Command.EventID)
		event.Kind = &contactv1.ChangeEvent_ContactCommand{ContactCommand: e}
	}
	if set != 1 {
		return nil, "event", fmt.Errorf("%d members are set, want one: %w", set, ErrInvalid)
	}
	return &event, name, err
}

func encodeChange(c *contact.Change) (*contactv1.ContactChanged, error) {
	if err := known("system", uint8(c.System), 1, uint8(contact.Aloware)); err != nil {
		return nil, err
	}
	if err := known("event", uint8(c.Event), 1, uint8(contact.Erased)); err != nil {
		return nil, err
	}
	if err := known("channel", uint8(c.Channel), 1, uint8(contact.Read)); err != nil {
		return nil, err
	}
	if err := known("origin", uint8(c.Origin), 0, uint8(contact.Ours)); err != nil {
		return nil, err
	}
	out := &contactv1.ContactChanged{
		System: contactv1.System(c.System), ContactId: c.ID, EventId: c.EventID, Event: contactv1.ContactEvent(c.Event),
		OccurredMs: int64(c.OccurredAt), PrecisionMs: int64(c.Precision), ReceivedMs: int64(c.ReceivedAt),
		Channel: contactv1.Channel(c.Channel), Origin: contactv1.Origin(c.Origin), Cause: c.Cause, MergedIds: c.MergedIDs,
	}
	if n := c.Counters; n != nil {
		out.Counters = &contactv1.Counters{InboundCalls: n.InboundCalls, OutboundCalls: n.OutboundCalls, InboundTexts: n.InboundTexts, OutboundTexts: n.OutboundTexts}
	}
	for i := range c.Values {
		v := &c.Values[i]
		if err := known("origin", uint8(v.Origin), 0, uint8(contact.Ours)); err != nil {
			return nil, err
		}
		out.Properties = append(out.Properties, &contactv1.PropertyValue{
			Name: v.Name, Value: v.Text, OccurredMs: int64(v.OccurredAt), Origin: contactv1.Origin(v.Origin),
		})
	}
	return out, nil
}

func encodeCommunication(c *contact.Communication) *contactv1.CommunicationLogged {
	kind := contactv1.CommunicationKind_COMMUNICATION_KIND_CALL
	if c.Text {
		kind = contactv1.CommunicationKind_COMMUNICATION_KIND_TEXT
	}
	return &contactv1.CommunicationLogged{
		CommunicationId: c.ID, ContactId: c.ContactID, EventId: c.EventID, CommunicationKind: kind, Inbound: c.Inbound,
		StartedMs: int64(c.StartedAt), UpdatedMs: int64(c.UpdatedAt), ReceivedMs: int64(c.ReceivedAt),
		Body: c.Body, Disposition: c.Disposition, Finished: c.Finished,
		InboundCalls: c.Counters.InboundCalls, OutboundCalls: c.Counters.OutboundCalls,
		InboundTexts: c.Counters.InboundTexts, OutboundTexts: c.Counters.OutboundTexts,
	}
}

func encodeOutcome(o *contact.Outcome) (*contactv1.PatchOutcome, error) {
	if err := known("system", uint8(o.System), 1, uint8(contact.Aloware)); err != nil {
		return nil, err
	}
	if err := known("result", uint8(o.Result), 1, uint8(contact.Dropped)); err != nil {
		return nil, err
	}
	attempts, err := encodeInt("attempts", o.Attempts)
	if err != nil {
		return nil, err
	}
	refusal, err := encodeRefusal(o.Refusal)
	if err != nil {
		return nil, err
	}
	out := &contactv1.PatchOutcome{
		System: contactv1.System(o.System), Contact: string(o.Contact), Version: int64(o.Version), TargetId: o.TargetID,
		Result: contactv1.PatchResult(o.Result), AppliedMs: int64(o.AppliedAt), PrecisionMs: int64(o.Precision),
		AnsweredMs: int64(o.AnsweredAt), Error: refusal, Candidates: o.Candidates, MergedIds: o.MergedIDs,
		Attempts: attempts, EditedMs: int64(o.EditedAt), ReceivedMs: int64(o.ReceivedAt), EventId: o.EventID,
		ClockMs: int64(o.ClockAt),
	}
	for i := range o.Properties {
		p := &o.Properties[i]
		refusal, err := encodeRefusal(p.Refusal)
		if err != nil {
			return nil, err
		}
		out.Properties = append(out.Properties, &contactv1.PropertyOutcome{
			Name: p.Name, Version: int64(p.Version), Value: p.Value, Error: refusal,
		})
	}
	for i := range o.Holds {
		v := &o.Holds[i]
		if err := known("origin", uint8(v.Origin), 0, uint8(contact.Ours)); err != nil {
			return nil, err
		}
		out.Holds = append(out.Holds, &contactv1.ReadValue{
			Name: v.Name, Value: v.Text, OccurredMs: int64(v.OccurredAt), Origin: contactv1.Origin(v.Origin),
		})
	}
	return out, nil
}

func encodeDirectory(d *contact.Directory) (*contactv1.DirectoryListed, error) {
	if err := known("system", uint8(d.System), 1, uint8(contact.Aloware)); err != nil {
		return nil, err
	}
	out := &contactv1.DirectoryListed{System: contactv1.System(d.System), List: d.List, ReadMs: int64(d.ReadAt)}
	for _, e := range d.Entries {
		out.Entries = append(out.Entries, &contactv1.DirectoryEntry{Value: e.Value, Match: e.Match, Label: e.Label, Active: e.Active})
	}
	return out, nil
}

func encodeCommand(c *contact.Command) (*contactv1.ContactCommand, error) {
	if err := known("command", uint8(c.Kind), 1, uint8(contact.Release)); err != nil {
		return nil, err
	}
	if err := known("system", uint8(c.System), 0, uint8(contact.Aloware)); err != nil {
		return nil, err
	}
	return &contactv1.ContactCommand{
		EventId: c.EventID, Contact: string(c.Contact), System: contactv1.System(c.System), ContactId: c.ID,
		CommandKind: contactv1.CommandKind(c.Kind), Fields: c.Fields, Author: c.Author, AskedMs: int64(c.AskedAt),
		Hold: c.Hold, Answer: string(c.Answer),
	}, nil
}

func encodePatch(p *contact.Patch) (*contactv1.PropertyPatch, error) {
	out := &contactv1.PropertyPatch{
		Contact: string(p.Contact), Version: int64(p.Version), TargetId: p.TargetID, CauseEventId: p.CauseEventID,
		EditedMs: int64(p.EditedAt), ReceivedMs: int64(p.ReceivedAt), MappingVersion: p.MappingVersion,
		Traceparent: p.Traceparent, MergedTraceparents: p.Merged, Archive: p.Archive, Wake: p.Wake, Unfetch: p.Unfetch, Forget: p.Forget,
	}
	for i := range p.Properties {
		v := &p.Properties[i]
		if err := known("type", uint8(v.Type), 1, uint8(contact.User)); err != nil {
			return nil, err
		}
		out.Properties = append(out.Properties, &contactv1.PatchedProperty{
			Name: v.Name, Type: contactv1.ValueType(v.Type), Value: v.Value, Version: int64(v.Version),
		})
	}
	if c := p.Create; c != nil {
		out.Create = &contactv1.CreateContact{Phones: c.Phones, Email: c.Email, MayCreate: c.MayCreate}
	}
	if f := p.Fetch; f != nil {
		out.Fetch = &contactv1.FetchContact{Properties: f.Properties, NotBeforeMs: int64(f.NotBefore)}
	}
	return out, nil
}

func encodeRefusal(r *fault.Refusal) (*contactv1.Error, error) {
	if r == nil {
		return nil, nil
	}
	if err := known("fault class", uint8(r.Class), 0, uint8(fault.Unknown)); err != nil {
		return nil, err
	}
	status, err := encodeInt("status", r.Status)
	if err != nil {
		return nil, err
	}
	return &contactv1.Error{
		Class: r.Class.String(), Reason: r.Reason, Message: r.Message, Status: status, CorrelationId: r.CorrelationID,
	}, nil
}

func encodeInt(what string, n int) (int32, error) {
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, fmt.Errorf("%s %d: %w", what, n, ErrInvalid)
	}
	return int32(n), nil
}

func knownSystem(s contact.System) bool { return s == contact.HubSpot || s == contact.Aloware }

// known refuses a word that the vocabulary does not have, so that it never
// gets into the log.
func known(what string, n, first, last uint8) error {
	if n < first || n > last {
		return fmt.Errorf("%s %d: %w", what, n, ErrInvalid)
	}
	return nil
}
