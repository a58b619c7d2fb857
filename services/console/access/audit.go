package access

import (
	"context"
	"encoding/json"
	"errors"
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
	if len(e.Detail) > mostDetail {
		e.Detail = json.RawMessage(`{"omitted": "the request is too long"}`)
	}
	r := &Recording{service: s, row: postgres.AuditRow{
		Tenant: e.Tenant, At: s.now(), Caller: caller.Name, Kind: string(caller.Kind), ID: caller.ID, Action: e.Action, Object: e.Object,
		Detail: e.Detail, Outcome: outcomeBegun,
	}}
	var err error
	r.row.Number, err = s.config.DB.AddAudit(ctx, &r.row)
	return r, err
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
