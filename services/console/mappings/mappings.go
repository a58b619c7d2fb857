// Package mappings is what people do with a tenant's mappings: look, edit,
// compare, restore, preview, and pick from properties, users and dispositions.
//
// It promises that a version is saved whole or not at all, never over another
// that nobody looked at, and that all services hear of it at once. The rules of
// what may be edited are in package mapping; what a set would do is worked out
// by the mapper.
package mappings

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/tenant"
)

// Portal is what this room needs of a HubSpot portal.
type Portal interface {
	Properties(ctx context.Context) ([]hubspot.Definition, error)
	CreateGroup(ctx context.Context, name, label string) error
	CreateProperty(ctx context.Context, definition hubspot.Definition) error
	// Contacts reads contacts by their ids.
	Contacts(ctx context.Context, ids, properties []string) ([]contact.Change, error)
}

// Account is what this room needs of an Aloware account.
type Account interface {
	// Attributes are the fields that the account defined itself.
	Attributes(ctx context.Context) ([]mapping.Property, error)
	// ByPhone reads the contact with a phone number.
	ByPhone(ctx context.Context, phone string) ([]contact.Change, error)
}

// Config is what the room stands on.
type Config struct {
	DB      *postgres.DB
	Bus     *bus.Bus
	Roster  *roster.Roster
	Logger  *slog.Logger
	Portal  func(*tenant.Tenant) Portal
	Account func(*tenant.Tenant) (Account, error)
	// Now is our clock; nil is time.Now.
	Now func() time.Time
}

// Mappings is the room.
type Mappings struct {
	config Config

	mu      sync.Mutex
	schemas map[contact.Tenant]seenSchema
}

type seenSchema struct {
	schema mapping.Schema
	at     time.Time
}

// New makes the room.
func New(config Config) *Mappings {
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Mappings{config: config, schemas: make(map[contact.Tenant]seenSchema)}
}

// refuse makes a refusal of this room.
func refuse(rule mapping.Rule, subject, format string, args ...any) error {
	return &mapping.Refusal{Rule: rule, Key: subject, Message: fmt.Sprintf(format, args...)}
}

func (s *Mappings) tenant(id contact.Tenant) (*tenant.Tenant, error) {
	t, ok := s.config.Roster.Tenant(id)
	if !ok {
		return nil, refuse(mapping.RuleNotFound, string(id), "there is no such tenant")
	}
	return t, nil
}

// View is a version with what people need to know of it.
type View struct {
	postgres.MappingVersion
	Tenant *tenant.Tenant
	Schema mapping.Schema
	// Stopped says, by key, why mappings of the version in force are at rest.
	Stopped map[string]string
}

// Get gives a version, 0 for the one in force.
func (s *Mappings) Get(ctx context.Context, id contact.Tenant, version int64) (View, error) {
	t, err := s.tenant(id)
	if err != nil {
		return View{}, err
	}
	v, ok, err := s.config.DB.MappingVersion(ctx, id, version)
	if err != nil {
		return View{}, err
	}
	if !ok {
		if version == 0 {
			return View{}, refuse(mapping.RuleNotFound, "", "this tenant has no mappings yet; connect it to HubSpot first")
		}
		return View{}, refuse(mapping.RuleNotFound, "", "there is no version %d", version)
	}
	stored, err := s.config.DB.Properties(ctx, id)
	if err != nil {
		return View{}, err
	}
	return View{MappingVersion: v, Tenant: t, Schema: stored, Stopped: v.Set.Drift(stored)}, nil
}

// Versions lists versions, newest first.
func (s *Mappings) Versions(ctx context.Context, id contact.Tenant, before int64, limit int) ([]postgres.MappingVersion, error) {
	if _, err := s.tenant(id); err != nil {
		return nil, err
	}
	if limit <= 0 || limit > 200 {
		limit = 50
	}
	return s.config.DB.MappingVersions(ctx, id, before, limit)
}

// Compare gives the differences between two versions; after may be 0 for the
// one in force.
func (s *Mappings) Compare(ctx context.Context, id contact.Tenant, before, after int64) ([]mapping.Difference, error) {
	old, err := s.Get(ctx, id, before)
	if err != nil {
		return nil, err
	}
	now, err := s.Get(ctx, id, after)
	if err != nil {
		return nil, err
	}
	return mapping.Diff(old.Set, now.Set), nil
}

// Edit is a change that somebody asks for: one of package mapping's, or the
// restoring of a version.
type Edit struct {
	mapping.Edit
	Restore int64 // used when Edit is nil
}

// Proposal is what edits lead to, not saved yet.
type Proposal struct {
	Before, After *mapping.Set
	Differences   []mapping.Difference
}

// mostEdits bounds the edits of one request.
const mostEdits = 1000

// Propose works out what edits of the newest version lead to. basedOn is the
// version that the caller looked at.
func (s *Mappings) Propose(ctx context.Context, id contact.Tenant, basedOn int64, edits []Edit) (Proposal, error) {
	t, err := s.tenant(id)
	if err != nil {
		return Proposal{}, err
	}
	if len(edits) > mostEdits {
		return Proposal{}, refuse(mapping.RuleInvalid, "", "at most %d edits at once", mostEdits)
	}
	now, err := s.Get(ctx, id, 0)
	if err != nil {
		return Proposal{}, err
	}
	if now.Version != basedOn {
		return Proposal{}, stale(now.MappingVersion)
	}
	schema, err := s.schema(ctx, t, len(edits) == 0)
	if err != nil {
		return Proposal{}, err
	}
	list := make([]mapping.Edit, 0, len(edits))
	for _, e := range edits {
		if e.Edit != nil {
			list = append(list, e.Edit)
			continue
		}
		old, err := s.Get(ctx, id, e.Restore)
		if err != nil {
			return Proposal{}, err
		}
		list = append(list, mapping.Replace{With: old.Set})
	}
	next, err := now.Set.Apply(schema, list...)
	if err != nil {
		return Proposal{}, err
	}
	return Proposal{Before: now.Set, After: next, Differences: mapping.Diff(now.Set, next)}, nil
}

// RuleStale refuses edits of a version that is not the newest any more.
const RuleStale mapping.Rule = "stale"

func stale(newest postgres.MappingVersion) error {
	return refuse(RuleStale, "", "%s saved version %d meanwhile (%s); look at it, then do your change again", newest.Author, newest.Version, newest.Reason)
}

// mostReason bounds the reason of a version.
const mostReason = 500

// Save makes a new version of edits. Edits that change nothing are refused.
func (s *Mappings) Save(ctx context.Context, id contact.Tenant, basedOn int64, edits []Edit, author, reason string) (postgres.MappingVersion, []mapping.Difference, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case len(edits) == 0:
		return postgres.MappingVersion{}, nil, refuse(mapping.RuleInvalid, "edits", "there is nothing to save")
	case len(reason) > mostReason:
		return postgres.MappingVersion{}, nil, refuse(mapping.RuleInvalid, "reason", "a reason has at most %d bytes", mostReason)
	}
	p, err := s.Propose(ctx, id, basedOn, edits)
	if err != nil {
		return postgres.MappingVersion{}, nil, err
	}
	if len(p.Differences) == 0 {
		return postgres.MappingVersion{}, nil, refuse(mapping.RuleInvalid, "edits", "this is how it is already; no new version was made")
	}
	version, err := s.config.DB.ReplaceMapping(ctx, id, basedOn, p.After, author, reason)
	if errors.Is(err, postgres.ErrStale) {
		now, err := s.Get(ctx, id, 0)
		if err != nil {
			return postgres.MappingVersion{}, nil, err
		}
		return postgres.MappingVersion{}, nil, stale(now.MappingVersion)
	}
	if err != nil {
		return postgres.MappingVersion{}, nil, err
	}
	if err := s.tell(ctx); err != nil {
		return postgres.MappingVersion{}, nil, err
	}
	saved, _, err := s.config.DB.MappingVersion(ctx, id, version)
	return saved, p.Differences, err
}

// tell lets all services hear of a change now, this process first.
func (s *Mappings) tell(ctx context.Context) error {
	if err := s.config.Roster.Refresh(ctx); err != nil {
		return err
	}
	if err := s.config.Bus.Announce(ctx, roster.Topic); err != nil {
		// The others look by age too.
		s.config.Logger.WarnContext(ctx, "a change of mappings was saved and could not be announced", "error", err)
	}
	return nil
}
