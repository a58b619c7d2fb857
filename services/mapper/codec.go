package mapper

import (
	"fmt"
	"maps"
	"slices"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
	contactv1 "lockstep.internal/proto/contact/v1"
	"lockstep.internal/services/mapper/resolve"
)

// encodeState makes the stored form of a contact's state.
func encodeState(s *resolve.State) ([]byte, error) {
	out := &contactv1.ContactState{
		Version: int64(s.Version), Seen: s.Seen, Outside: s.Outside,
		Hubspot: sideToProto(&s.Sides[0]), Aloware: sideToProto(&s.Sides[1]),
		Fields: make([]*contactv1.FieldState, 0, len(s.Fields)),
	}
	for _, key := range slices.Sorted(maps.Keys(s.Fields)) {
		f := s.Fields[key]
		out.Fields = append(out.Fields, &contactv1.FieldState{
			Key: key, HubspotEdit: editToProto(f.Edits[0]), AlowareEdit: editToProto(f.Edits[1]),
			Hubspot: fieldSideToProto(&f.Sides[0]), Aloware: fieldSideToProto(&f.Sides[1]),
			HubspotFormer: editToProto(f.Former[0]), AlowareFormer: editToProto(f.Former[1]),
			HubspotGuessed: f.Guessed[0], AlowareGuessed: f.Guessed[1],
			Asked: f.Asked, Approved: editToProto(f.Approved),
			HubspotSince: f.Binding.Since[0], AlowareSince: f.Binding.Since[1], Formed: f.Binding.Formed, Renewed: f.Binding.Renewed,
			Tug:  tugToProto(f.Tug),
			Held: heldToProto(f.Held), LetBe: editToProto(f.LetBe), Undone: editToProto(f.Undone), CountedMs: int64(f.Counted),
		})
	}
	if a := s.Activity; a != nil {
		out.Activity = &contactv1.ActivityState{
			InboundCalls: lineToProto(&a.InboundCalls), OutboundCalls: lineToProto(&a.OutboundCalls),
			InboundTexts: lineToProto(&a.InboundTexts), OutboundTexts: lineToProto(&a.OutboundTexts),
		}
	}
	raw, err := out.MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode contact state: %w", err)
	}
	return raw, nil
}

// decodeState is the inverse of encodeState. The state keeps parts of raw, which
// must not be written to any more.
func decodeState(raw []byte) (*resolve.State, error) {
	var in contactv1.ContactState
	if err := in.UnmarshalVTUnsafe(raw); err != nil {
		return nil, fmt.Errorf("decode contact state: %w", err)
	}
	s := &resolve.State{
		Version: contact.Version(in.Version), Seen: in.Seen, Outside: in.Outside,
		Sides:  [2]resolve.Side{sideFromProto(in.Hubspot), sideFromProto(in.Aloware)},
		Fields: make(map[string]*resolve.Field, len(in.Fields)),
	}
	for _, f := range in.Fields {
		s.Fields[f.Key] = &resolve.Field{
			Edits:   [2]resolve.Edit{editFromProto(f.HubspotEdit), editFromProto(f.AlowareEdit)},
			Former:  [2]resolve.Edit{editFromProto(f.HubspotFormer), editFromProto(f.AlowareFormer)},
			Guessed: [2]bool{f.HubspotGuessed, f.AlowareGuessed},
			Sides:   [2]resolve.FieldSide{fieldSideFromProto(f.Hubspot), fieldSideFromProto(f.Aloware)},
			Asked:   f.Asked, Approved: editFromProto(f.Approved),
			Binding: mapping.Binding{Since: [2]int64{f.HubspotSince, f.AlowareSince}, Formed: f.Formed, Renewed: f.Renewed},
			Tug:     tugFromProto(f.Tug),
			Held:    heldFromProto(f.Held), LetBe: editFromProto(f.LetBe), Undone: editFromProto(f.Undone), Counted: contact.Millis(f.CountedMs),
		}
	}
	if a := in.Activity; a != nil {
		s.Activity = &resolve.Activity{
			InboundCalls: lineFromProto(a.InboundCalls, a.BaseMs), OutboundCalls: lineFromProto(a.OutboundCalls, a.BaseMs),
			InboundTexts: lineFromProto(a.InboundTexts, a.BaseMs), OutboundTexts: lineFromProto(a.OutboundTexts, a.BaseMs),
		}
	}
	return s, nil
}

func sideToProto(s *resolve.Side) *contactv1.ContactSide {
	return &contactv1.ContactSide{
		Id: s.ID, Aliases: s.Aliases, Read: s.Read, Gone: s.Gone,
		Creating: int64(s.Creating), Fetching: int64(s.Fetching), DoubtMs: int64(s.Doubt),
		Refused: refusalToProto(s.Refused), Candidates: s.Candidates,
		Phone: s.Phone, Mobile: s.Mobile, Email: s.Email, Sought: s.Sought, PullMs: int64(s.Pull), Apart: s.Apart,
		LeavingMs: int64(s.Leaving), Left: s.Left, Archiving: int64(s.Archiving), MadeMs: int64(s.Made),
	}
}

func sideFromProto(s *contactv1.ContactSide) resolve.Side {
	if s == nil {
		return resolve.Side{}
	}
	return resolve.Side{
		ID: s.Id, Aliases: s.Aliases, Read: s.Read, Gone: s.Gone,
		Creating: contact.Version(s.Creating), Fetching: contact.Version(s.Fetching), Doubt: contact.Millis(s.DoubtMs),
		Refused: refusalFromProto(s.Refused), Candidates: s.Candidates,
		Phone: s.Phone, Mobile: s.Mobile, Email: s.Email, Sought: s.Sought, Pull: contact.Millis(s.PullMs), Apart: s.Apart,
		Leaving: contact.Millis(s.LeavingMs), Left: s.Left, Archiving: contact.Version(s.Archiving), Made: contact.Millis(s.MadeMs),
	}
}

func editToProto(e resolve.Edit) *contactv1.Edit {
	if e.Side == 0 {
		return nil
	}
	return &contactv1.Edit{Value: e.Value, AtMs: int64(e.At), Side: contactv1.System(e.Side)}
}

func editFromProto(e *contactv1.Edit) resolve.Edit {
	if e == nil {
		return resolve.Edit{}
	}
	return resolve.Edit{Value: e.Value, At: contact.Millis(e.AtMs), Side: contact.System(e.Side)}
}

func heldToProto(h *resolve.Held) *contactv1.HeldEdit {
	if h == nil {
		return nil
	}
	return &contactv1.HeldEdit{Hold: h.Hold, Edit: editToProto(h.Edit), Text: h.Text, Former: h.Former}
}

func heldFromProto(h *contactv1.HeldEdit) *resolve.Held {
	if h == nil {
		return nil
	}
	return &resolve.Held{Hold: h.Hold, Edit: editFromProto(h.Edit), Text: h.Text, Former: h.Former}
}

func fieldSideToProto(f *resolve.FieldSide) *contactv1.FieldSide {
	if !f.Known && len(f.Writes) == 0 && f.Rejected == nil && !f.Forgotten {
		return nil
	}
	out := &contactv1.FieldSide{
		Known: f.Known, Value: f.Value, SinceMs: int64(f.Since),
		SeenFromMs: int64(f.Seen.From), SeenAtMs: int64(f.Seen.At), SeenToMs: int64(f.Seen.To),
		Forgotten: f.Forgotten, Native: f.Native, Stale: f.Stale,
	}
	for _, p := range f.Past {
		out.Past = append(out.Past, &contactv1.PastValue{Value: p.Value, SinceMs: int64(p.Since), LastMs: int64(p.Last), UntilMs: int64(p.Until)})
	}
	for _, w := range f.Writes {
		out.Writes = append(out.Writes, &contactv1.FieldWrite{
			Version: int64(w.Version), Value: w.Value, AfterMs: int64(w.After), AppliedMs: int64(w.Applied), Sought: w.Sought,
			Replaced: w.Replaced, Doubtful: w.Doubtful,
		})
	}
	if r := f.Rejected; r != nil {
		out.Rejected = &contactv1.FieldRejection{Value: r.Value, Version: int64(r.Version), Error: refusalToProto(&r.Refusal), Profile: r.Profile}
	}
	return out
}

func fieldSideFromProto(f *contactv1.FieldSide) resolve.FieldSide {
	if f == nil {
		return resolve.FieldSide{}
	}
	out := resolve.FieldSide{
		Known: f.Known, Value: f.Value, Since: contact.Millis(f.SinceMs),
		Seen:      resolve.Span{From: contact.Millis(f.SeenFromMs), At: contact.Millis(f.SeenAtMs), To: contact.Millis(f.SeenToMs)},
		Forgotten: f.Forgotten, Native: f.Native, Stale: f.Stale,
	}
	for _, p := range f.Past {
		out.Past = append(out.Past, resolve.Past{Value: p.Value, Since: contact.Millis(p.SinceMs), Last: contact.Millis(p.LastMs), Until: contact.Millis(p.UntilMs)})
	}
	for _, w := range f.Writes {
		out.Writes = append(out.Writes, resolve.Write{
			Version: contact.Version(w.Version), Value: w.Value, After: contact.Millis(w.AfterMs), Applied: contact.Millis(w.AppliedMs), Sought: w.Sought,
			Replaced: w.Replaced, Doubtful: w.Doubtful,
		})
	}
	if r := f.Rejected; r != nil {
		out.Rejected = &resolve.Rejection{Value: r.Value, Version: contact.Version(r.Version), Profile: r.Profile}
		if refusal := refusalFromProto(r.Error); refusal != nil {
			out.Rejected.Refusal = *refusal
		}
	}
	return out
}

func refusalToProto(r *fault.Refusal) *contactv1.Error {
	if r == nil {
		return nil
	}
	return &contactv1.Error{
		Class: r.Class.String(), Reason: r.Reason, Message: r.Message, Status: int32(r.Status), CorrelationId: r.CorrelationID,
	}
}

func refusalFromProto(e *contactv1.Error) *fault.Refusal {
	if e == nil {
		return nil
	}
	return &fault.Refusal{
		Class: fault.ParseClass(e.Class), Reason: e.Reason, Message: e.Message, Status: int(e.Status), CorrelationID: e.CorrelationId,
	}
}

func lineToProto(l *resolve.Line) *contactv1.ActivityLine {
	return &contactv1.ActivityLine{
		Count: l.Count, Base: l.Base, FirstMs: int64(l.First), LastMs: int64(l.Last), LastId: l.LastID, LastBody: l.LastBody,
		DisposedMs: int64(l.Disposed), DisposedId: l.DisposedID, DisposedUpdatedMs: int64(l.DisposedUpdated), Disposition: l.Disposition,
		Told: l.Told, Based: l.Based, BasedMs: int64(l.BasedAt), Open: l.Open,
	}
}

// lineFromProto reads a line; base is when the bases of all lines were told,
// of a state that was stored before each line knew its own.
func lineFromProto(l *contactv1.ActivityLine, base int64) resolve.Line {
	if l == nil {
		return resolve.Line{}
	}
	if base != 0 && !l.Based {
		l.Based, l.BasedMs = true, base
	}
	return resolve.Line{
		Count: l.Count, Base: l.Base, First: contact.Millis(l.FirstMs), Last: contact.Millis(l.LastMs), LastID: l.LastId, LastBody: l.LastBody,
		Disposed: contact.Millis(l.DisposedMs), DisposedID: l.DisposedId, DisposedUpdated: contact.Millis(l.DisposedUpdatedMs), Disposition: l.Disposition,
		Told: l.Told, Based: l.Based, BasedAt: contact.Millis(l.BasedMs), Open: l.Open,
	}
}
