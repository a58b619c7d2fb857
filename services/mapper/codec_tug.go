package mapper

import (
	"google.golang.org/protobuf/encoding/protowire"

	"lockstep.internal/pkg/contact"
	contactv1 "lockstep.internal/proto/contact/v1"
	"lockstep.internal/services/mapper/resolve"
)

func (w *wire) tug(t *resolve.Tug) {
	for i := range t.Sides {
		if r := &t.Sides[i]; len(r.Rounds) > 0 || r.Last != "" || r.By != "" || r.Edited != 0 {
			w.message(protowire.Number(i+1), func() { w.rewriting(r) })
		}
	}
	if r := t.Rest; r != nil {
		w.message(3, func() {
			w.number(1, int64(r.Side))
			w.number(2, int64(r.Rounds))
			w.number(3, int64(r.Took))
			w.text(5, r.By)
			w.text(6, r.Ours)
			w.flag(9, r.Apart)
			w.hash(10, r.Form)
			w.text(11, r.Theirs)
		})
	}
	w.texts(4, t.Values)
	w.number(5, int64(t.Last))
}

func (w *wire) rewriting(r *resolve.Rewriting) {
	if len(r.Rounds) > 0 {
		w.message(1, func() {
			for i := range r.Rounds {
				*w = protowire.AppendVarint(*w, uint64(r.Rounds[i].At))
			}
		})
		w.message(2, func() {
			for i := range r.Rounds {
				*w = protowire.AppendVarint(*w, protowire.EncodeBool(r.Rounds[i].Back))
			}
		})
	}
	w.text(3, r.Last)
	w.text(4, r.By)
	w.number(5, int64(r.Edited))
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
