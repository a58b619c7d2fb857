package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// The outcomes of what is audited.
const (
	outcomeBegun   = "begun" // nothing is known of its end: the process ended, or it still runs
	outcomeDone    = "done"
	outcomeRefused = "refused"
	outcomeFailed  = "failed"
)

// mostDetail is how many bytes of JSON an entry keeps of its request.
const mostDetail = 32 << 10

// Entry is a change that somebody is about to make. The caller is the
// context's.
type Entry struct {
	Tenant contact.Tenant // "" is the installation
	Action string         // such as SaveTenant
	Object string         // what is changed, if that has a name
	// Subject is the contact that it is about, "" for none. It is the Object
	// then, until the person is erased.
	Subject contact.Key
	// Erases tells that it erases the Subject, of whom only a hash is written.
	Erases bool
	// Detail is JSON. Whoever makes it leaves secrets out.
	Detail json.RawMessage
}

// Recording is an entry whose outcome is not known yet.
type Recording struct {
	service *Service
	row     postgres.AuditRow
}

// Record writes an entry before the change is made, so that nothing is changed
// without a trace: where it gives an error, the change must not be made.
// Whoever records ends it with Done.
func (s *Service) Record(ctx context.Context, e Entry) (*Recording, error) {
	caller := From(ctx)
	subject := ""
	if e.Subject != "" {
		subject = contact.ErasedKey(e.Tenant, e.Subject).Value
		if e.Object = string(e.Subject); e.Erases {
			e.Object = ""
		}
	}
	r := &Recording{service: s, row: storable(postgres.AuditRow{
		Tenant: e.Tenant, At: s.now(), Caller: caller.Name, Kind: string(caller.Kind), ID: caller.ID, Action: e.Action, Object: e.Object,
		Subject: subject, Detail: e.Detail, Outcome: outcomeBegun,
	})}
	var err error
	r.row.Number, err = s.config.DB.AddAudit(ctx, &r.row)
	return r, err
}

// storable is an entry that the database takes, whatever somebody sent.
func storable(a postgres.AuditRow) postgres.AuditRow {
	const most = 300 // bytes; an e-mail address fits
	text := func(s string) string {
		s = strings.ReplaceAll(strings.ToValidUTF8(s, "\ufffd"), "\x00", "\ufffd")
		if len(s) > most {
			s = strings.ToValidUTF8(s[:most], "") + "…"
		}
		return s
	}
	a.Tenant, a.Object = contact.Tenant(text(string(a.Tenant))), text(a.Object)
	a.Detail = bytes.ReplaceAll(a.Detail, []byte(`\u0000`), []byte(`\ufffd`))
	if len(a.Detail) > mostDetail {
		a.Detail = []byte(`{"omitted": "the request is too long"}`)
	}
	return a
}

// Done tells what came of the change, also when its context has ended.
func (r *Recording) Done(ctx context.Context, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	outcome, reason := outcomeDone, ""
	var refused interface {
		Refusal() (rule, subject, message string)
	}
	switch {
	case err == nil:
	case errors.As(err, &refused):
		outcome = outcomeRefused
		reason, _, _ = refused.Refusal()
	case errors.Is(err, ErrUnknown):
		outcome, reason = outcomeRefused, "unknown"
	default:
		outcome = outcomeFailed
	}
	if err := r.service.config.DB.EndAudit(ctx, r.row.Tenant, r.row.At, r.row.Number, outcome, reason); err != nil {
		r.service.config.Logger.ErrorContext(ctx, "the outcome of a change is missing in the audit", "action", r.row.Action, "outcome", outcome, "error", err)
	}
}

// AuditFilter chooses entries of the audit.
type AuditFilter = postgres.AuditFilter

// AuditEntry is one entry of the audit.
type AuditEntry = postgres.AuditRow

// mostEntries is how long a page of the audit is at most.
const mostEntries = 500

// Audit gives entries that the caller may see, the newest first: an
// administrator sees those of the tenant, one of everywhere all.
func (s *Service) Audit(ctx context.Context, f AuditFilter) ([]AuditEntry, error) {
	caller := From(ctx)
	if caller.Everywhere < Administrator && (f.Tenant == nil || !caller.May(*f.Tenant, Administrator)) {
		return nil, &Error{"role", "", "you may not do this here: it needs the role administrator"}
	}
	if !printable(f.Caller) || !printable(f.Action) || f.Tenant != nil && !printable(string(*f.Tenant)) {
		return nil, &Error{"invalid", "filter", "tenant, caller and action are lines of text"}
	}
	if f.Limit <= 0 || f.Limit > mostEntries {
		f.Limit = mostEntries
	}
	return s.config.DB.Audit(ctx, f)
}

// detail is JSON of names and texts.
func detail(pairs ...string) json.RawMessage {
	all := make(map[string]string, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		all[pairs[i]] = pairs[i+1]
	}
	raw, err := json.Marshal(all)
	if err != nil {
		panic(err) // texts always have JSON
	}
	return raw
}
