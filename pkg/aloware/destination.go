package aloware

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

// Options of a Destination; the zero value is good.
type Options struct {
	Parallel int // patches under way at once; 0 is 3
}

// Destination carries out patches in Aloware. It is safe for concurrent use.
type Destination struct {
	client   *Client
	parallel int
	keys     keys
}

// NewDestination makes a destination of a client.
func NewDestination(c *Client, o Options) *Destination {
	if o.Parallel <= 0 {
		o.Parallel = 3
	}
	return &Destination{client: c, parallel: o.Parallel}
}

// batch is how many patches are worth handing over at once: Aloware takes one
// contact per call, so more would only wait inside.
const batch = 10

// Batch is how many patches are worth handing over at once.
func (d *Destination) Batch() int { return batch }

// Deliver carries patches out and answers in their order. A delivery without
// an error is final; one with an error left something undone and may be
// repeated as a whole, whatever had been carried out. Once the connection is
// refused or throttled, patches that have not begun get the same error
// without a call.
func (d *Destination) Deliver(ctx context.Context, patches []contact.Patch) []contact.Delivery {
	deliveries := make([]contact.Delivery, len(patches))
	var stop atomic.Pointer[error]
	var group errgroup.Group
	group.SetLimit(d.parallel)
	for i := range patches {
		group.Go(func() error {
			if err := stop.Load(); err != nil {
				deliveries[i].Err = *err
				return nil
			}
			deliveries[i] = d.deliver(ctx, &patches[i])
			if err := deliveries[i].Err; fault.Is(err, fault.Unauthorized) || fault.Is(err, fault.Throttled) {
				stop.CompareAndSwap(nil, &err)
			}
			return nil
		})
	}
	_ = group.Wait() // no member fails
	return deliveries
}

// job is one patch under way.
type job struct {
	*Destination
	patch   *contact.Patch
	refused map[string]*fault.Refusal // by property
	calls   int
	answer  answer // the latest accepted one
}

func (d *Destination) deliver(ctx context.Context, p *contact.Patch) contact.Delivery {
	j := &job{Destination: d, patch: p, refused: map[string]*fault.Refusal{}}
	var o contact.Outcome
	unlock, err := d.keys.lock(ctx, j.lockKeys())
	if err == nil {
		o, err = j.run(ctx)
		unlock()
	}
	if err != nil {
		o, err = j.settle(err)
	}
	if err != nil {
		return contact.Delivery{Err: err, Outcome: contact.Outcome{System: contact.Aloware, Contact: p.Contact, Version: p.Version, Attempts: j.calls}}
	}
	return contact.Delivery{Outcome: o}
}

// lockKeys are what two patches must not use to look for a contact at the same
// time, lest both create it.
func (j *job) lockKeys() []string {
	if j.patch.TargetID != "" || j.patch.Create == nil {
		return nil
	}
	names := append([]string(nil), j.patch.Create.Phones...)
	if j.patch.Create.Email != "" {
		names = append(names, j.patch.Create.Email)
	}
	return names
}

// settle turns an error that no repetition can mend into a final outcome.
func (j *job) settle(err error) (contact.Outcome, error) {
	var f *fault.Fault
	if !errors.As(err, &f) {
		return contact.Outcome{}, err
	}
	switch f.Class {
	case fault.Permanent:
		return j.whole(contact.Rejected, f.Refusal), nil
	case fault.Gone:
		return j.whole(contact.Gone, f.Refusal), nil
	}
	return contact.Outcome{}, err
}

// outcome is the frame of an answer for the patch.
func (j *job) outcome(result contact.Result, id string) contact.Outcome {
	p := j.patch
	o := contact.Outcome{
		System: contact.Aloware, Contact: p.Contact, Version: p.Version, TargetID: id, Result: result,
		AppliedAt: j.answer.at, Precision: tick, AnsweredAt: contact.Millis(j.client.now().UnixMilli()), ClockAt: j.answer.said, Attempts: j.calls,
		EditedAt: p.EditedAt, ReceivedAt: p.ReceivedAt,
		EventID: "aloware/" + string(p.Contact) + "/" + strconv.FormatInt(int64(p.Version), 10) + "/" + unique(),
	}
	if o.AppliedAt == 0 { // no call was made
		o.AppliedAt = o.AnsweredAt - o.AnsweredAt%1000
	}
	for _, property := range p.Properties {
		o.Properties = append(o.Properties, contact.PropertyOutcome{
			Name: property.Name, Version: property.Version, Value: property.Value, Refusal: j.refused[property.Name],
		})
	}
	return o
}

// whole is the answer when nothing was written; every property says why.
func (j *job) whole(result contact.Result, why fault.Refusal) contact.Outcome {
	o := j.outcome(result, j.patch.TargetID)
	o.Refusal = &why
	for i := range o.Properties {
		if o.Properties[i].Refusal == nil {
			o.Properties[i].Refusal = &why
		}
	}
	return o
}

func unique() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// tick is the width of Aloware's clock, in milliseconds: times are seconds.
const tick = 999
