package ingest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/hubspot"
	"lockstep.internal/pkg/tenant"
)

// maxBody bounds a webhook's body: HubSpot sends up to 100 events (about
// 40 KB), Aloware one communication (4 to 10 KB).
const maxBody = 1 << 20

// hubspotWebhook takes a delivery of HubSpot. Anything but 2xx makes HubSpot
// send the whole delivery again.
func (in *Ingest) hubspotWebhook(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		in.refuseBody(w, r, contact.HubSpot, err)
		return
	}
	app, reason := in.hubspotApp(r, body)
	if reason != "" {
		in.refuse(w, r, contact.HubSpot, http.StatusUnauthorized, reason)
		return
	}
	batch, err := hubspot.DecodeWebhook(body, in.config.Now(), app.AppID)
	if err != nil {
		in.refuse(w, r, contact.HubSpot, http.StatusBadRequest, "body: want a JSON array of webhook events")
		return
	}
	for _, ignored := range batch.Ignored {
		in.config.Observer.Refused(ctx, contact.HubSpot, ignored.Reason)
	}
	ctx, cancel := context.WithTimeout(ctx, in.config.PublishTimeout)
	defer cancel()
	sum := sha256.Sum256(body)
	for _, portal := range batch.Portals {
		t, known := in.config.Roster.ByPortal(portal.PortalID)
		if !known || t.HubSpot.AppID != app.AppID {
			in.config.Observer.Refused(ctx, contact.HubSpot, "unknown portal")
			in.config.Logger.WarnContext(ctx, "webhook events of a portal that no tenant is connected to were skipped",
				"portal", portal.PortalID, "events", len(portal.Changes))
			continue
		}
		if err := in.forgetWalked(ctx, t.ID, portal.Changes); err != nil {
			in.config.Logger.ErrorContext(ctx, "who asked to be forgotten was not; HubSpot will send it again", "tenant", t.ID, "error", err)
			in.refuse(w, r, contact.HubSpot, http.StatusServiceUnavailable, "not durable yet: send it again")
			return
		}
		id := "hubspot/" + hex.EncodeToString(sum[:16]) + "/" + strconv.FormatInt(portal.PortalID, 10)
		if err := in.publishHeard(ctx, t.ID, id, portal.Changes); err != nil {
			in.config.Logger.ErrorContext(ctx, "webhook was not taken; HubSpot will send it again", "tenant", t.ID, "error", err)
			in.refuse(w, r, contact.HubSpot, http.StatusServiceUnavailable, "not durable yet: send it again")
			return
		}
		in.config.Observer.Received(ctx, contact.HubSpot, "webhook", portal.Events)
	}
	w.WriteHeader(http.StatusOK)
}

// publishHeard publishes what a webhook told: what people and others did on the live
// stream, and our own writes with what HubSpot computed, which comes of those most of
// all and a delivery later now and then, on that of echoes. Which it is matters only for
// how soon it is judged.
func (in *Ingest) publishHeard(ctx context.Context, id contact.Tenant, delivery string, heard []contact.Change) error {
	var live, echoes []contact.Change
	for _, c := range heard {
		if c.Origin == contact.Ours || hubspot.Derived(&c) {
			echoes = append(echoes, c)
		} else {
			live = append(live, c)
		}
	}
	if len(echoes) > 0 {
		if err := in.publish(ctx, bus.ChangesEcho, contact.HubSpot, id, delivery+"/echo", changes(echoes)); err != nil {
			return err
		}
	}
	if len(live) == 0 {
		return nil
	}
	return in.publish(ctx, bus.Changes, contact.HubSpot, id, delivery, changes(live))
}

// forgetWalked removes who asked to be forgotten from what jobs have kept of the
// contacts that they walked.
func (in *Ingest) forgetWalked(ctx context.Context, id contact.Tenant, changes []contact.Change) error {
	var ids []string
	for i := range changes {
		if changes[i].Event == contact.Erased {
			ids = append(ids, changes[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return in.config.DB.ForgetWalked(ctx, id, ids)
}

// hubspotApp finds the app whose secret signed the request. reason says why
// none did.
func (in *Ingest) hubspotApp(r *http.Request, body []byte) (app tenant.App, reason string) {
	apps := in.config.Roster.Apps()
	if name := r.PathValue("app"); name != "" {
		id, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return tenant.App{}, "unknown app"
		}
		wanted := apps[:0:0]
		for _, a := range apps {
			if a.AppID == id {
				wanted = append(wanted, a)
			}
		}
		apps = wanted
	}
	if len(apps) == 0 {
		return tenant.App{}, "unknown app"
	}
	for _, a := range apps {
		switch err := in.verify(r, body, a); {
		case err == nil:
			return a, ""
		case errors.Is(err, hubspot.ErrTimestamp):
			reason = "timestamp: missing, older than 5 minutes, or in the future"
		case reason == "":
			reason = "signature: does not fit the app's client secret and this URL"
		}
	}
	return tenant.App{}, reason
}

// verify prefers the v3 signature; v1 counts only where v3 is absent and the
// app's settings allow it.
func (in *Ingest) verify(r *http.Request, body []byte, app tenant.App) error {
	secret := app.ClientSecret.Reveal()
	if v3 := r.Header.Get("X-HubSpot-Signature-v3"); v3 != "" || !app.SignatureV1 {
		url := strings.TrimSuffix(in.config.PublicURL, "/") + r.URL.RequestURI()
		return hubspot.VerifyV3(secret, r.Method, url, body, r.Header.Get("X-HubSpot-Request-Timestamp"), v3, in.config.Now())
	}
	return hubspot.VerifyV1(secret, body, r.Header.Get("X-HubSpot-Signature"))
}

// refuseBody answers a body that could not be read.
func (in *Ingest) refuseBody(w http.ResponseWriter, r *http.Request, system contact.System, err error) {
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		in.refuse(w, r, system, http.StatusRequestEntityTooLarge, fmt.Sprintf("body: larger than %d bytes", maxBody))
		return
	}
	in.refuse(w, r, system, http.StatusBadRequest, "body: could not be read")
}

// refuse answers with a reason and counts it. The part before the colon is the
// counted reason.
func (in *Ingest) refuse(w http.ResponseWriter, r *http.Request, system contact.System, status int, reason string) {
	short, _, _ := strings.Cut(reason, ":")
	in.config.Observer.Refused(r.Context(), system, short)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, "{\"error\":%q}\n", reason)
}
