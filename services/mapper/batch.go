package mapper

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/stage"
	"lockstep.internal/services/mapper/people"
	"lockstep.internal/services/mapper/resolve"
)

// store is the database as the contacts of a batch are found in it.
type store struct {
	*postgres.DB
	claim *stage.Claim
}

// Find finds and loads contacts with one query, whatever the number of references. The
// batch claims these, and all that the contacts are found by; errStale tells that it had
// to wait for them.
func (s store) Find(ctx context.Context, refs []contact.Ref) (map[contact.Ref][]contact.Key, []*people.Entry, error) {
	if err := take(ctx, s.claim, refs); err != nil {
		return nil, nil, err
	}
	found, rows, err := s.FindContacts(ctx, refs)
	if err != nil {
		return nil, nil, err
	}
	var known []contact.Ref
	entries := make([]*people.Entry, len(rows))
	for i, row := range rows {
		state, err := decodeState(row.State)
		if err != nil {
			return nil, nil, fmt.Errorf("contact %s of %s: %w", row.Key, row.Tenant, err)
		}
		entries[i] = &people.Entry{Name: people.Name{Tenant: row.Tenant, Key: row.Key}, State: state, Revision: row.Revision, Problems: state.Problems(), Held: state.HeldValues(), Seen: state.SeenDisposition()}
		known = append(append(known, contact.KeyRef(row.Tenant, row.Key)), entries[i].Refs()...)
	}
	if err := take(ctx, s.claim, known); err != nil {
		return nil, nil, err
	}
	return found, entries, nil
}

// FormerKeys are the keys of contacts that were joined into one.
func (s store) FormerKeys(ctx context.Context, n people.Name) ([]contact.Key, error) {
	return s.DB.FormerKeys(ctx, n.Tenant, n.Key)
}

// Counted are the communications that were counted before.
func (s store) Counted(ctx context.Context, ids []contact.CommunicationID) (map[contact.CommunicationID]bool, error) {
	return s.CountedCommunications(ctx, ids)
}

// commit stores everything that changed.
func commit(ctx context.Context, tx *postgres.Tx, b *people.Batch, now time.Time) error {
	var save []postgres.StoredContact
	var refs []postgres.RefChange
	var gone, erased [2][]string
	var moved [3][]string
	change := func(key contact.Key, add, remove []contact.Ref) {
		for _, ref := range add {
			refs = append(refs, postgres.RefChange{Ref: ref, Contact: key})
		}
		for _, ref := range remove {
			refs = append(refs, postgres.RefChange{Ref: ref, Contact: key, Remove: true})
		}
	}
	buried, met := b.Tombstones()
	change("", buried, met)
	for _, e := range b.Entries() {
		switch {
		case e.Deleted:
			into := &gone
			if e.Erased {
				into = &erased
			} else if final := e.Into(); final != nil {
				moved[0], moved[1], moved[2] = append(moved[0], string(e.Tenant)), append(moved[1], string(e.Key)), append(moved[2], string(final.Key))
			}
			for _, key := range e.Keys() {
				into[0], into[1] = append(into[0], string(e.Tenant)), append(into[1], string(key))
			}
		case e.Changed:
			save = append(save, postgres.StoredContact{
				Tenant: e.Tenant, Key: e.Key, Revision: e.Revision, Version: e.State.Version,
				WaitsList: e.State.WaitsForList(), Name: e.State.Name(), State: encodeState(e.State),
			})
			add, remove := e.Changes()
			change(e.Key, add, remove)
		}
	}
	slices.SortFunc(save, func(a, b postgres.StoredContact) int {
		if a.Tenant != b.Tenant {
			return compare(a.Tenant, b.Tenant)
		}
		return compare(a.Key, b.Key)
	})
	if err := tx.MoveKeys(ctx, as[contact.Tenant](moved[0]), as[contact.Key](moved[1]), as[contact.Key](moved[2])); err != nil {
		return err
	}
	if err := tx.DeleteContacts(ctx, as[contact.Tenant](gone[0]), as[contact.Key](gone[1]), false); err != nil {
		return err
	}
	if err := tx.DeleteContacts(ctx, as[contact.Tenant](erased[0]), as[contact.Key](erased[1]), true); err != nil {
		return err
	}
	if err := tx.SaveContacts(ctx, save); err != nil {
		return err
	}
	if err := tx.ChangeRefs(ctx, refs); err != nil {
		return err
	}
	if err := tx.CountDispositions(ctx, dispositions(b.Entries()), now); err != nil {
		return err
	}
	if err := commitHeld(ctx, tx, b.Entries()); err != nil {
		return err
	}
	return commitProblems(ctx, tx, b.Entries(), now)
}

// dispositions are by how many contacts more or less have which unresolved
// disposition.
func dispositions(entries []*people.Entry) map[postgres.DispositionPair]int64 {
	more := make(map[postgres.DispositionPair]int64)
	count := func(e *people.Entry, seen resolve.SeenDisposition, n int64) {
		if seen.ID != "" {
			more[postgres.DispositionPair{Tenant: e.Tenant, ID: seen.ID, Value: seen.Value}] += n
		}
	}
	for _, e := range entries {
		if e.Deleted || e.Changed {
			count(e, e.Seen, -1)
		}
		if e.Changed && !e.Deleted {
			count(e, e.State.SeenDisposition(), +1)
		}
	}
	return more
}

// commitProblems stores the problems of the contacts whose problems changed.
func commitProblems(ctx context.Context, tx *postgres.Tx, entries []*people.Entry, now time.Time) error {
	var tenants []contact.Tenant
	var contacts []contact.Key
	var rows []postgres.ProblemRow
	for _, e := range entries {
		if e.Deleted || !e.Changed {
			continue
		}
		problems := e.State.Problems()
		if slices.Equal(problems, e.Problems) {
			continue
		}
		tenants, contacts = append(tenants, e.Tenant), append(contacts, e.Key)
		for _, p := range problems {
			rows = append(rows, postgres.ProblemRow{
				Tenant: e.Tenant, Contact: e.Key, Field: p.Field, System: p.System, Kind: p.Kind, Class: p.Refusal.Class.String(),
				Reason: p.Refusal.Reason, Message: p.Refusal.Message, Value: resolve.Shown(p.Value), Version: p.Version, Since: now,
			})
		}
	}
	return tx.SaveProblems(ctx, tenants, contacts, rows)
}

func compare[T ~string](a, b T) int {
	if a < b {
		return -1
	}
	if a > b {
		return 1
	}
	return 0
}

func as[T ~string](in []string) []T {
	out := make([]T, len(in))
	for i, text := range in {
		out[i] = T(text)
	}
	return out
}
