package bus

import (
	"errors"
	"fmt"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	contactv1 "lockstep.internal/proto/contact/v1"
)

// decodeChanges reads a run of events. Events that it cannot read are left out
// and told in the error; the others are returned in their order, and keep parts of
// the data.
func decodeChanges(data []byte, tenant contact.Tenant) ([]contact.Incoming, error) {
	var run contactv1.ChangeRun
	if err := run.UnmarshalVTUnsafe(data); err != nil {
		return nil, fmt.Errorf("%w: no change run: %w", ErrUndecodable, err)
	}
	if run.GetTenant() != string(tenant) {
		return nil, fmt.Errorf("%w: change run is not of the subject's tenant", ErrUndecodable)
	}
	if len(run.GetEvents()) == 0 {
		return nil, fmt.Errorf("%w: change run without events", ErrUndecodable)
	}
	events := make([]contact.Incoming, 0, len(run.GetEvents()))
	var faults []error
	for i, e := range run.GetEvents() {
		in, err := decodeIncoming(e)
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: event %d: %w", ErrUndecodable, i, err))
			continue
		}
		events = append(events, in)
	}
	return events, joinFew(faults)
}

// decodePatches reads a run of patches, in the manner of decodeChanges.
func decodePatches(data []byte, tenant contact.Tenant, system contact.System) ([]contact.Patch, error) {
	var run contactv1.PatchRun
	if err := run.UnmarshalVTUnsafe(data); err != nil {
		return nil, fmt.Errorf("%w: no patch run: %w", ErrUndecodable, err)
	}
	if run.GetTenant() != string(tenant) {
		return nil, fmt.Errorf("%w: patch run is not of the subject's tenant", ErrUndecodable)
	}
	if got, err := decodeSystem(run.GetSystem()); err != nil || got != system {
		return nil, fmt.Errorf("%w: patch run is not for the subject's system", ErrUndecodable)
	}
	if len(run.GetPatches()) == 0 {
		return nil, fmt.Errorf("%w: patch run without patches", ErrUndecodable)
	}
	patches := make([]contact.Patch, 0, len(run.GetPatches()))
	var faults []error
	for i, p := range run.GetPatches() {
		patch, err := decodePatch(p, system)
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: patch %d: %w", ErrUndecodable, i, err))
			continue
		}
		patches = append(patches, patch)
	}
	return patches, joinFew(faults)
}

// joinFew joins errors, naming only the first few of many.
func joinFew(faults []error) error {
	const few = 5
	if len(faults) > few {
		faults = append(faults[:few:few], fmt.Errorf("%w: and %d more", ErrUndecodable, len(faults)-few))
	}
	return errors.Join(faults...)
}

func decodeIncoming(e *contactv1.ChangeEvent) (contact.Incoming, error) {
	switch kind := e.GetKind().(type) {
	case *contactv1.ChangeEvent_ContactChanged:
		c, err := decodeChange(kind.ContactChanged)
		return contact.Incoming{Change: c}, err
	case *contactv1.ChangeEvent_CommunicationLogged:
		c, err := decodeCommunication(kind.CommunicationLogged)
		return contact.Incoming{Communication: c}, err
	case *contactv1.ChangeEvent_PatchOutcome:
		o, err := decodeOutcome(kind.PatchOutcome)
		return contact.Incoming{Outcome: o}, err
	case *contactv1.ChangeEvent_DirectoryListed:
		d, err := decodeDirectory(kind.DirectoryListed)
		return contact.Incoming{Directory: d}, err
	case *contactv1.ChangeEvent_ContactCommand:
		c, err := decodeCommand(kind.ContactCommand)
		return contact.Incoming{Command: c}, err
	}
	return contact.Incoming{}, errors.New("no kind, or one that this version does not know")
}

func decodeChange(c *contactv1.ContactChanged) (*contact.Change, error) {
	system, err := decodeSystem(c.GetSystem())
	if err != nil {
		return nil, err
	}
	event, err := decodeWord("contact event", int32(c.GetEvent()), 1, uint8(contact.Erased))
	if err != nil {
		return nil, err
	}
	channel, err := decodeWord("channel", int32(c.GetChannel()), 1, uint8(contact.Read))
	if err != nil {
		return nil, err
	}
	origin, err := decodeOrigin(c.GetOrigin())
	if err != nil {
		return nil, err
	}
	out := &contact.Change{
		System: system, ID: c.GetContactId(), EventID: c.GetEventId(), Event: contact.Event(event),
		OccurredAt: contact.Millis(c.GetOccurredMs()), Precision: contact.Millis(c.GetPrecisionMs()),
		ReceivedAt: contact.Millis(c.GetReceivedMs()), Channel: contact.Channel(channel), Origin: origin,
		Cause: c.GetCause(), MergedIDs: c.GetMergedIds(),
	}
	if n := c.GetCounters(); n != nil {
		out.Counters = &contact.Counters{InboundCalls: n.GetInboundCalls(), OutboundCalls: n.GetOutboundCalls(), InboundTexts: n.GetInboundTexts(), OutboundTexts: n.GetOutboundTexts()}
	}
	for _, v := range c.GetProperties() {
		origin, err := decodeOrigin(v.GetOrigin())
		if err != nil {
			return nil, err
		}
		out.Values = append(out.Values, contact.Value{
			Name: v.GetName(), Text: v.GetValue(), OccurredAt: contact.Millis(v.GetOccurredMs()), Origin: origin,
		})
	}
	return out, nil
}

func decodeCommunication(c *contactv1.CommunicationLogged) (*contact.Communication, error) {
	kind := c.GetCommunicationKind()
	if kind != contactv1.CommunicationKind_COMMUNICATION_KIND_CALL && kind != contactv1.CommunicationKind_COMMUNICATION_KIND_TEXT {
		return nil, fmt.Errorf("communication kind %d is not known", kind)
	}
	return &contact.Communication{
		ID: c.GetCommunicationId(), ContactID: c.GetContactId(), EventID: c.GetEventId(),
		Text: kind == contactv1.CommunicationKind_COMMUNICATION_KIND_TEXT, Inbound: c.GetInbound(),
		StartedAt: contact.Millis(c.GetStartedMs()), UpdatedAt: contact.Millis(c.GetUpdatedMs()),
		ReceivedAt: contact.Millis(c.GetReceivedMs()), Body: c.GetBody(), Disposition: c.GetDisposition(), Finished: c.GetFinished(),
		Counters: contact.Counters{
			InboundCalls: c.GetInboundCalls(), OutboundCalls: c.GetOutboundCalls(),
			InboundTexts: c.GetInboundTexts(), OutboundTexts: c.GetOutboundTexts(),
		},
	}, nil
}

func decodeOutcome(o *contactv1.PatchOutcome) (*contact.Outcome, error) {
	system, err := decodeSystem(o.GetSystem())
	if err != nil {
		return nil, err
	}
	result, err := decodeWord("patch result", int32(o.GetResult()), 1, uint8(contact.Dropped))
	if err != nil {
		return nil, err
	}
	out := &contact.Outcome{
		System: system, Contact: contact.Key(o.GetContact()), Version: contact.Version(o.GetVersion()),
		TargetID: o.GetTargetId(), Result: contact.Result(result), AppliedAt: contact.Millis(o.GetAppliedMs()),
		Precision: contact.Millis(o.GetPrecisionMs()), AnsweredAt: contact.Millis(o.GetAnsweredMs()),
		Refusal: decodeRefusal(o.GetError()), Candidates: o.GetCandidates(), MergedIDs: o.GetMergedIds(),
		Attempts: int(o.GetAttempts()), EditedAt: contact.Millis(o.GetEditedMs()),
		ReceivedAt: contact.Millis(o.GetReceivedMs()), EventID: o.GetEventId(),
		ClockAt: contact.Millis(o.GetClockMs()),
	}
	for _, p := range o.GetProperties() {
		out.Properties = append(out.Properties, contact.PropertyOutcome{
			Name: p.GetName(), Version: contact.Version(p.GetVersion()), Value: p.GetValue(), Refusal: decodeRefusal(p.GetError()),
		})
	}
	for _, v := range o.GetHolds() {
		origin, err := decodeOrigin(v.GetOrigin())
		if err != nil {
			return nil, err
		}
		out.Holds = append(out.Holds, contact.Value{
			Name: v.GetName(), Text: v.GetValue(), OccurredAt: contact.Millis(v.GetOccurredMs()), Origin: origin,
		})
	}
	return out, nil
}

func decodeDirectory(d *contactv1.DirectoryListed) (*contact.Directory, error) {
	system, err := decodeSystem(d.GetSystem())
	if err != nil {
		return nil, err
	}
	out := &contact.Directory{System: system, List: d.GetList(), ReadAt: contact.Millis(d.GetReadMs())}
	for _, e := range d.GetEntries() {
		out.Entries = append(out.Entries, contact.DirectoryEntry{
			Value: e.GetValue(), Match: e.GetMatch(), Label: e.GetLabel(), Active: e.GetActive(),
		})
	}
	return out, nil
}

func decodePatch(p *contactv1.PropertyPatch, system contact.System) (contact.Patch, error) {
	out := contact.Patch{
		Contact: contact.Key(p.GetContact()), System: system, Version: contact.Version(p.GetVersion()), TargetID: p.GetTargetId(),
		Archive: p.GetArchive(), Wake: p.GetWake(), Unfetch: p.GetUnfetch(), Forget: p.GetForget(), CauseEventID: p.GetCauseEventId(), EditedAt: contact.Millis(p.GetEditedMs()),
		ReceivedAt: contact.Millis(p.GetReceivedMs()), MappingVersion: p.GetMappingVersion(), Traceparent: p.GetTraceparent(), Merged: p.GetMergedTraceparents(),
	}
	for _, v := range p.GetProperties() {
		kind, err := decodeWord("value type", int32(v.GetType()), 1, uint8(contact.User))
		if err != nil {
			return contact.Patch{}, err
		}
		out.Properties = append(out.Properties, contact.Property{
			Name: v.GetName(), Type: contact.Type(kind), Value: v.GetValue(), Version: contact.Version(v.GetVersion()),
		})
	}
	if c := p.GetCreate(); c != nil {
		out.Create = &contact.Create{Phones: c.GetPhones(), Email: c.GetEmail(), MayCreate: c.GetMayCreate()}
	}
	if f := p.GetFetch(); f != nil {
		out.Fetch = &contact.Fetch{Properties: f.GetProperties(), NotBefore: contact.Millis(f.GetNotBeforeMs())}
	}
	return out, nil
}

// decodeRefusal reads a class that this version does not know as transient,
// as package fault has it.
func decodeRefusal(e *contactv1.Error) *fault.Refusal {
	if e == nil {
		return nil
	}
	return &fault.Refusal{
		Class: fault.ParseClass(e.GetClass()), Reason: e.GetReason(), Message: e.GetMessage(),
		Status: int(e.GetStatus()), CorrelationID: e.GetCorrelationId(),
	}
}

func decodeSystem(s contactv1.System) (contact.System, error) {
	word, err := decodeWord("system", int32(s), 1, uint8(contact.Aloware))
	return contact.System(word), err
}

func decodeOrigin(o contactv1.Origin) (contact.Origin, error) {
	word, err := decodeWord("origin", int32(o), 0, uint8(contact.Ours))
	return contact.Origin(word), err
}

// decodeWord reads an enumeration; the numbers are the same on the wire and
// in package contact.
func decodeWord(what string, n int32, first, last uint8) (uint8, error) {
	if n < int32(first) || n > int32(last) {
		return 0, fmt.Errorf("%s %d is not known", what, n)
	}
	return uint8(n), nil
}

func decodeCommand(c *contactv1.ContactCommand) (*contact.Command, error) {
	kind, err := decodeWord("command", int32(c.GetCommandKind()), 1, uint8(contact.Release))
	if err != nil {
		return nil, err
	}
	answer := contact.HoldAnswer(c.GetAnswer())
	if (contact.CommandKind(kind) == contact.Release) != answer.Known() {
		return nil, fmt.Errorf("answer %q about a hold is not known to command %d", answer, kind)
	}
	system, err := decodeWord("system", int32(c.GetSystem()), 0, uint8(contact.Aloware))
	if err != nil {
		return nil, err
	}
	return &contact.Command{
		EventID: c.GetEventId(), Contact: contact.Key(c.GetContact()), System: contact.System(system), ID: c.GetContactId(),
		Kind: contact.CommandKind(kind), Fields: c.GetFields(), Author: c.GetAuthor(), AskedAt: contact.Millis(c.GetAskedMs()),
		Hold: c.GetHold(), Answer: answer,
	}, nil
}
