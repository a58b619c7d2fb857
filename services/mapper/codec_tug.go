package mapper

import (
	"lockstep.internal/pkg/contact"
	contactv1 "lockstep.internal/proto/contact/v1"
	"lockstep.internal/services/mapper/resolve"
)

func tugToProto(t *resolve.Tug) *contactv1.FieldTug {
	if t == nil {
		return nil
	}
	out := &contactv1.FieldTug{Hubspot: rewritingToProto(&t.Sides[0]), Aloware: rewritingToProto(&t.Sides[1]), Values: t.Values, LastMs: int64(t.Last)}
	if r := t.Rest; r != nil {
		out.Rest = &contactv1.FieldRest{
			Side: contactv1.System(r.Side), Rounds: int32(r.Rounds), TookMs: int64(r.Took), By: r.By, Ours: r.Ours, Theirs: r.Theirs,
			Apart: r.Apart, Form: r.Form,
		}
	}
	return out
}

func tugFromProto(t *contactv1.FieldTug) *resolve.Tug {
	if t == nil {
		return nil
	}
	out := &resolve.Tug{Sides: [2]resolve.Rewriting{rewritingFromProto(t.Hubspot), rewritingFromProto(t.Aloware)}, Values: t.Values, Last: contact.Millis(t.LastMs)}
	if r := t.Rest; r != nil {
		out.Rest = &resolve.Rest{
			Side: contact.System(r.Side), Rounds: int(r.Rounds), Took: contact.Millis(r.TookMs), By: r.By, Ours: r.Ours, Theirs: r.Theirs,
			Apart: r.Apart, Form: r.Form,
		}
	}
	return out
}

func rewritingToProto(r *resolve.Rewriting) *contactv1.Rewriting {
	if len(r.Rounds) == 0 && r.Last == "" && r.By == "" && r.Edited == 0 {
		return nil
	}
	out := &contactv1.Rewriting{Last: r.Last, By: r.By, EditedMs: int64(r.Edited)}
	for _, round := range r.Rounds {
		out.RoundsMs, out.Back = append(out.RoundsMs, int64(round.At)), append(out.Back, round.Back)
	}
	return out
}

func rewritingFromProto(r *contactv1.Rewriting) resolve.Rewriting {
	if r == nil {
		return resolve.Rewriting{}
	}
	out := resolve.Rewriting{Last: r.Last, By: r.By, Edited: contact.Millis(r.EditedMs)}
	for i, at := range r.RoundsMs {
		out.Rounds = append(out.Rounds, resolve.Round{At: contact.Millis(at), Back: i < len(r.Back) && r.Back[i]})
	}
	return out
}
