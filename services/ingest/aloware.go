package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"time"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/tenant"
)

// alowareWebhook takes a delivery of Aloware, which is sent at most once: it
// is never shed. While the bus is away, or older deliveries still wait, it goes
// to the spool.
func (in *Ingest) alowareWebhook(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	t, known := in.config.Roster.Tenant(contact.Tenant(r.PathValue("tenant")))
	if !known {
		in.refuse(w, r, contact.Aloware, http.StatusNotFound, "unknown tenant: check the webhook's URL against the console")
		return
	}
	if err := aloware.Authorize(r.Header.Get("Authorization"), credential(t)); err != nil {
		in.refuse(w, r, contact.Aloware, http.StatusUnauthorized, "credential: does not fit the webhook's settings in the console")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		in.refuseBody(w, r, contact.Aloware, err)
		return
	}
	delivery := delivery{Tenant: t.ID, ReceivedAt: in.config.Now(), Body: body}
	events, err := in.decodeAloware(ctx, delivery)
	if err != nil {
		in.refuse(w, r, contact.Aloware, http.StatusBadRequest, "body: want a JSON object")
		return
	}
	if len(events) == 0 {
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := in.keep(context.WithoutCancel(ctx), delivery, events); err != nil {
		in.config.Logger.ErrorContext(ctx, "a delivery of Aloware is lost: neither bus nor spool took it", "tenant", t.ID, "error", err)
		in.refuse(w, r, contact.Aloware, http.StatusServiceUnavailable, "not durable: neither the bus nor the spool took it")
		return
	}
	w.WriteHeader(http.StatusOK)
}

// keep makes a delivery durable: in the stream, or else in the spool. It goes
// on when the sender has gone, since nothing is sent again. Deliveries of a
// tenant take turns, and one that waited long for its turn goes to the spool at
// once, so that all that wait are answered soon.
func (in *Ingest) keep(ctx context.Context, d delivery, events []contact.Incoming) error {
	publishing, cancel := context.WithTimeout(ctx, in.config.PublishTimeout)
	defer cancel()
	made, _ := in.turns.LoadOrStore(d.Tenant, make(chan struct{}, 1))
	turn := made.(chan struct{})
	turn <- struct{}{}
	defer func() { <-turn }()
	if in.spool.empty() {
		err := in.publish(publishing, bus.Changes, contact.Aloware, d.Tenant, d.id(), events)
		if err == nil {
			in.config.Observer.Received(ctx, contact.Aloware, "webhook", len(events))
			return nil
		}
		in.config.Logger.WarnContext(ctx, "the bus did not take a delivery; it goes to the spool", "tenant", d.Tenant, "error", err)
	}
	return in.spool.add(d)
}

func credential(t *tenant.Tenant) aloware.Credential {
	return aloware.Credential{
		Scheme: aloware.Scheme(t.Aloware.WebhookAuth), User: t.Aloware.WebhookUser,
		Password: t.Aloware.WebhookPassword.Reveal(), Token: t.Aloware.WebhookToken.Reveal(),
	}
}

// decodeAloware turns a delivery into events and counts what is ignored.
func (in *Ingest) decodeAloware(ctx context.Context, d delivery) ([]contact.Incoming, error) {
	webhook, err := aloware.DecodeWebhook(d.Body, d.ReceivedAt)
	if err != nil {
		return nil, err
	}
	if webhook.Ignored != "" {
		in.config.Observer.Refused(ctx, contact.Aloware, webhook.Ignored)
	}
	events := changes(webhook.Changes)
	for i := range webhook.Communications {
		events = append(events, contact.Incoming{Communication: &webhook.Communications[i]})
	}
	return events, nil
}

// drain publishes what lies in the spool, in order, until ctx ends.
func (in *Ingest) drain(ctx context.Context) error {
	const pause = time.Second
	for {
		if err := in.spool.wait(ctx); err != nil {
			return nil
		}
		err := in.spool.drain(func(d delivery) error {
			events, err := in.decodeAloware(ctx, d)
			if err != nil {
				return nil // it was read when it was taken, so that nothing can come of it
			}
			publishing, cancel := context.WithTimeout(ctx, in.config.PublishTimeout)
			defer cancel()
			if err := in.publish(publishing, bus.Changes, contact.Aloware, d.Tenant, d.id(), events); err != nil {
				return err
			}
			in.config.Observer.Received(ctx, contact.Aloware, "spool", len(events))
			return nil
		})
		if err != nil {
			waiting, oldest := in.spool.depth()
			in.config.Logger.WarnContext(ctx, "the spool waits for the bus", "deliveries", waiting, "oldest", oldest, "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(pause):
			}
		}
	}
}

// id names a delivery: two equal bodies are the same state.
func (d delivery) id() string {
	sum := sha256.Sum256(d.Body)
	return "aloware/" + string(d.Tenant) + "/" + hex.EncodeToString(sum[:16])
}
