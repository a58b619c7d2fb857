package alerts

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// secretPrefix begins the text of a webhook's secret; behind it stands base64.
// Form, headers and signature are those of standardwebhooks.com, so that
// receivers find a library that checks them.
const secretPrefix = "whsec_"

func newSecret() tenant.Secret {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return tenant.Secret(secretPrefix + base64.StdEncoding.EncodeToString(key))
}

// sign gives the signature of a body that is sent under an id at a time.
func sign(secret tenant.Secret, id string, at time.Time, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret.Reveal(), secretPrefix))
	if err != nil || len(key) == 0 {
		return "", errors.New("the secret of the webhook cannot be read")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", id, at.Unix(), body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// outcome is what came of an attempt.
type outcome struct {
	done   bool
	never  bool          // to try again is of no use
	wait   time.Duration // that the receiver asks for; 0 for none
	answer string        // for people
}

// post sends a message to a webhook once.
func (a *Alerts) post(ctx context.Context, target *postgres.AlertTarget, m *Message) outcome {
	if target.URL == "" || target.Secret == "" {
		return outcome{answer: "the address or the secret does not open (was it stored under another key?): give the address again, and make a new secret"}
	}
	body, err := json.Marshal(m)
	if err != nil {
		return outcome{answer: err.Error()}
	}
	now := time.Now()
	signature, err := sign(target.Secret, m.ID, now, body)
	if err != nil {
		return outcome{answer: err.Error()}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.URL.Reveal(), bytes.NewReader(body))
	if err != nil {
		return outcome{answer: "the address cannot be read"}
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "Lockstep", "Webhook-Id": m.ID,
		"Idempotency-Key":   m.ID, // also lets the client send it again on a fresh connection
		"Webhook-Timestamp": strconv.FormatInt(now.Unix(), 10), "Webhook-Signature": signature,
	} {
		request.Header.Set(name, value)
	}
	answer, err := a.http.Do(request)
	took := time.Since(now).Round(time.Millisecond)
	if err != nil {
		return outcome{answer: unreached(err)}
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection can serve again
	out := outcome{done: answer.StatusCode/100 == 2, never: answer.StatusCode == http.StatusGone, answer: fmt.Sprintf("%s in %v", answer.Status, took)}
	switch {
	case answer.StatusCode/100 == 3:
		out.answer = answer.Status + ": it leads elsewhere, which is not followed; give the address that it leads to"
	case out.never:
		out.answer = answer.Status + ": the receiver wants no more"
	}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		out.wait = min(time.Duration(seconds)*time.Second, time.Hour)
	}
	return out
}

// unreached says why no answer came, without the address, which can be a secret.
func unreached(err error) string {
	var refused *Error
	switch {
	case errors.As(err, &refused):
		return refused.Message
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer within " + attemptDeadline.String()
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner // the innermost says what, without where
	}
	return "not reached: " + err.Error()
}
