package inbox

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// Letters gives the dead letters of a tenant, or of all, behind a place, the oldest first, and
// the place to go on from (0 at the end). Events about people who were erased
// are left out.
func (i *Inbox) Letters(ctx context.Context, f bus.LetterFilter, after uint64, limit int) ([]bus.Letter, uint64, error) {
	letters, err := i.Bus.DeadLetters(ctx, f, after, limit)
	if err != nil {
		return nil, 0, err
	}
	next := uint64(0)
	if len(letters) == limit {
		next = letters[limit-1].Seq
	}
	drop, err := i.erased(ctx, letters)
	if err != nil {
		return nil, 0, err
	}
	shown := letters[:0:0]
	for _, l := range letters {
		if left, some, _ := l.Redact(drop(l.Delivery.Tenant)); some {
			shown = append(shown, left)
		}
	}
	return shown, next, nil
}

// erased tells of each tenant who of those whom letters are about was erased.
func (i *Inbox) erased(ctx context.Context, letters []bus.Letter) (func(contact.Tenant) func(contact.Mention) bool, error) {
	var refs []postgres.Ref
	for _, l := range letters {
		for k := range l.Delivery.Incoming {
			refs = append(refs, hashes(l.Delivery.Tenant, l.Delivery.Incoming[k].Mention())...)
		}
		for k := range l.Delivery.Patches {
			refs = append(refs, hashes(l.Delivery.Tenant, l.Delivery.Patches[k].Mention())...)
		}
	}
	known, err := i.DB.Erased(ctx, refs)
	if err != nil {
		return nil, err
	}
	return func(tenant contact.Tenant) func(contact.Mention) bool {
		return func(m contact.Mention) bool {
			return slices.ContainsFunc(hashes(tenant, m), func(ref postgres.Ref) bool { return known[ref] })
		}
	}, nil
}

// hashes are what would remain of somebody who was erased.
func hashes(tenant contact.Tenant, m contact.Mention) []postgres.Ref {
	var refs []postgres.Ref
	for _, id := range m.IDs {
		refs = append(refs, contact.ErasedRef(tenant, id.System, id.ID))
	}
	for _, key := range m.Keys { // a key is made of an id
		refs = append(refs, contact.ErasedKey(tenant, key))
		if name, id, ok := strings.Cut(string(key), ":"); ok {
			if system, err := contact.ParseSystem(name); err == nil {
				refs = append(refs, contact.ErasedRef(tenant, system, id))
			}
		}
	}
	return refs
}

// Selection chooses dead letters of a tenant, "" for all: by number, else all
// of a kind and reason.
type Selection struct {
	Tenant  contact.Tenant
	Numbers []uint64
	Kind    string
	Reason  string
}

// Replay puts the chosen letters back where they came from, in order, without
// what is about people who were erased, and gives their number.
func (i *Inbox) Replay(ctx context.Context, s Selection) (int, error) {
	letters, err := i.chosen(ctx, s)
	if err != nil {
		return 0, err
	}
	drop, err := i.erased(ctx, letters)
	if err != nil {
		return 0, err
	}
	var back, gone []bus.Letter
	for _, l := range letters {
		if left, some, _ := l.Redact(drop(l.Delivery.Tenant)); some {
			back = append(back, left)
		} else {
			gone = append(gone, l)
		}
	}
	if err := i.Bus.Discard(ctx, gone...); err != nil {
		return 0, err
	}
	return len(back), i.Bus.Replay(ctx, back...)
}

// Discard removes the chosen letters for good, and gives their number.
func (i *Inbox) Discard(ctx context.Context, s Selection) (int, error) {
	letters, err := i.chosen(ctx, s)
	if err != nil {
		return 0, err
	}
	return len(letters), i.Bus.Discard(ctx, letters...)
}

// chosen reads the letters of a selection. It reads a bounded number at once;
// whoever has more calls again.
func (i *Inbox) chosen(ctx context.Context, s Selection) ([]bus.Letter, error) {
	const page, most = 200, 10_000
	if len(s.Numbers) == 0 && s.Kind == "" {
		return nil, &Error{"invalid", "kind", "say which: numbers, or a kind and perhaps a reason"}
	}
	var chosen []bus.Letter
	after := uint64(0)
	for range most / page {
		letters, err := i.Bus.DeadLetters(ctx, bus.LetterFilter{Tenant: s.Tenant, Kind: s.Kind}, after, page)
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			after = l.Seq
			if len(s.Numbers) > 0 && !slices.Contains(s.Numbers, l.Seq) || s.Reason != "" && s.Reason != l.Reason {
				continue
			}
			chosen = append(chosen, l)
		}
		if len(letters) < page {
			break
		}
	}
	if len(chosen) < len(s.Numbers) {
		return nil, &Error{"not_found", "numbers", fmt.Sprintf("%d of %d dead letters are there; they may have been replayed or discarded meanwhile", len(chosen), len(s.Numbers))}
	}
	return chosen, nil
}

// Events are what a letter holds, as JSON: each event by the name of its kind,
// and patches.
func Events(l *bus.Letter) ([]string, error) {
	d := &l.Delivery
	var events []any
	for i := range d.Incoming {
		events = append(events, present(&d.Incoming[i]))
	}
	for i := range d.Patches {
		events = append(events, &d.Patches[i])
	}
	var texts []string
	for _, event := range events {
		raw, err := json.Marshal(event)
		if err != nil {
			return nil, fmt.Errorf("write the events of dead letter %d: %w", l.Seq, err)
		}
		texts = append(texts, string(raw))
	}
	return texts, nil
}

// present is the one member of an event that is set, by its name.
func present(in *contact.Incoming) map[string]any {
	switch {
	case in.Change != nil:
		return map[string]any{"change": in.Change}
	case in.Communication != nil:
		return map[string]any{"communication": in.Communication}
	case in.Outcome != nil:
		return map[string]any{"outcome": in.Outcome}
	case in.Directory != nil:
		return map[string]any{"directory": in.Directory}
	}
	return map[string]any{"command": in.Command}
}
