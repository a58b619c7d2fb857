package mapper

import (
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/mapping"
	contactv1 "lockstep.internal/proto/contact/v1"
	"lockstep.internal/services/mapper/resolve"
)

// encodeState makes the stored form of a contact's state, the message ContactState.
// It is written field by field, by the numbers of state.proto: a state is encoded
// each time that its contact is heard of, and messages made for that alone would
// cost more than all of the rules.
func encodeState(s *resolve.State) []byte {
	const usual = 3 << 10 // bytes of a state
	w := wire(make([]byte, 0, usual))
	w.number(1, int64(s.Version))
	w.message(2, func() { w.side(&s.Sides[0]) })
	w.message(3, func() { w.side(&s.Sides[1]) })
	for _, key := range slices.Sorted(maps.Keys(s.Fields)) {
		w.message(4, func() { w.field(key, s.Fields[key]) })
	}
	w.hashes(5, s.Seen)
	if a := s.Activity; a != nil {
		w.message(6, func() {
			for i, line := range []*resolve.Line{&a.InboundCalls, &a.OutboundCalls, &a.InboundTexts, &a.OutboundTexts} {
				w.message(protowire.Number(i+1), func() { w.line(line) })
			}
		})
	}
	w.flag(7, s.Outside)
	return w
}

func (w *wire) side(s *resolve.Side) {
	w.text(1, s.ID)
	w.texts(2, s.Aliases)
	w.flag(3, s.Read)
	w.flag(4, s.Gone)
	w.number(5, int64(s.Creating))
	w.number(6, int64(s.Fetching))
	w.refusal(7, s.Refused)
	w.texts(8, s.Candidates)
	w.text(9, s.Phone)
	w.text(10, s.Email)
	w.text(11, s.Sought)
	w.text(12, s.Mobile)
	w.number(13, int64(s.Doubt))
	w.number(14, int64(s.Pull))
	w.texts(20, s.Apart)
	w.number(21, int64(s.Leaving))
	w.flag(22, s.Left)
	w.number(23, int64(s.Archiving))
	w.number(24, int64(s.Made))
}

func (w *wire) field(key string, f *resolve.Field) {
	w.text(1, key)
	w.edit(2, f.Edits[0])
	w.fieldSide(3, &f.Sides[0])
	w.fieldSide(4, &f.Sides[1])
	w.edit(5, f.Edits[1])
	w.flag(6, f.Asked)
	w.edit(7, f.Approved)
	w.number(8, f.Binding.Since[0])
	w.number(9, f.Binding.Since[1])
	w.number(10, f.Binding.Formed)
	w.number(11, f.Binding.Renewed)
	if f.Tug != nil {
		w.message(12, func() { w.tug(f.Tug) })
	}
	w.edit(13, f.Former[0])
	w.edit(14, f.Former[1])
	w.flag(15, f.Guessed[0])
	w.flag(16, f.Guessed[1])
	if h := f.Held; h != nil {
		w.message(30, func() {
			w.text(1, h.Hold)
			w.edit(2, h.Edit)
			w.text(3, h.Text)
			w.text(4, h.Former)
		})
	}
	w.edit(31, f.LetBe)
	w.edit(32, f.Undone)
	w.number(33, int64(f.Counted))
}

func (w *wire) edit(n protowire.Number, e resolve.Edit) {
	if e.Side == 0 {
		return
	}
	w.message(n, func() {
		w.text(1, e.Value)
		w.number(2, int64(e.At))
		w.number(3, int64(e.Side))
	})
}

func (w *wire) fieldSide(n protowire.Number, f *resolve.FieldSide) {
	if !f.Known && len(f.Writes) == 0 && f.Rejected == nil && !f.Forgotten {
		return
	}
	w.message(n, func() {
		w.flag(1, f.Known)
		w.text(2, f.Value)
		w.number(3, int64(f.Since))
		w.number(4, int64(f.Seen.At))
		for i := range f.Past {
			p := &f.Past[i]
			w.message(5, func() {
				w.text(1, p.Value)
				w.number(2, int64(p.Since))
				w.number(3, int64(p.Until))
				w.number(4, int64(p.Last))
			})
		}
		for i := range f.Writes {
			w.message(6, func() { w.write(&f.Writes[i]) })
		}
		if r := f.Rejected; r != nil {
			w.message(7, func() {
				w.text(1, r.Value)
				w.number(2, int64(r.Version))
				w.refusal(3, &r.Refusal)
				w.text(4, r.Profile)
			})
		}
		w.number(8, int64(f.Seen.From))
		w.number(9, int64(f.Seen.To))
		w.flag(10, f.Forgotten)
		w.text(11, f.Native)
		w.flag(12, f.Stale)
	})
}

func (w *wire) write(write *resolve.Write) {
	w.number(1, int64(write.Version))
	w.text(2, write.Value)
	w.number(3, int64(write.After))
	w.number(4, int64(write.Applied))
	w.flag(5, write.Sought)
	w.flag(6, write.Replaced)
	w.flag(7, write.Doubtful)
}

func (w *wire) refusal(n protowire.Number, r *fault.Refusal) {
	if r == nil {
		return
	}
	w.message(n, func() {
		w.text(1, r.Class.String())
		w.text(2, r.Reason)
		w.text(3, r.Message)
		w.number(4, int64(r.Status))
		w.text(5, r.CorrelationID)
	})
}

func (w *wire) line(l *resolve.Line) {
	w.number(1, l.Count)
	w.number(2, l.Base)
	w.number(3, int64(l.First))
	w.number(4, int64(l.Last))
	w.text(5, l.LastID)
	w.text(6, l.LastBody)
	w.number(7, int64(l.Disposed))
	w.text(8, l.DisposedID)
	w.number(9, int64(l.DisposedUpdated))
	w.text(10, l.Disposition)
	w.number(20, l.Told)
	w.flag(21, l.Based)
	w.number(22, int64(l.BasedAt))
	w.texts(23, l.Open)
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

func editFromProto(e *contactv1.Edit) resolve.Edit {
	if e == nil {
		return resolve.Edit{}
	}
	return resolve.Edit{Value: e.Value, At: contact.Millis(e.AtMs), Side: contact.System(e.Side)}
}

func heldFromProto(h *contactv1.HeldEdit) *resolve.Held {
	if h == nil {
		return nil
	}
	return &resolve.Held{Hold: h.Hold, Edit: editFromProto(h.Edit), Text: h.Text, Former: h.Former}
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

func refusalFromProto(e *contactv1.Error) *fault.Refusal {
	if e == nil {
		return nil
	}
	return &fault.Refusal{
		Class: fault.ParseClass(e.Class), Reason: e.Reason, Message: e.Message, Status: int(e.Status), CorrelationID: e.CorrelationId,
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
