package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"lockstep.internal/pkg/contact"
)

// SetProperty gives one property of a contact a value, in HubSpot's own form,
// at once: what a person asks for who waits for the answer. It gives the time of
// it by HubSpot's clock. Faults are Permanent where HubSpot refuses the value.
func (c *Client) SetProperty(ctx context.Context, id, name, value string) (contact.Millis, error) {
	body := struct {
		Properties map[string]string `json:"properties"`
	}{map[string]string{name: value}}
	var answer record
	_, err := c.do(ctx, request{method: http.MethodPatch, path: c.contacts("/" + url.PathEscape(id)), pattern: c.contacts("/{id}"), body: body}, &answer)
	if err != nil {
		return 0, fmt.Errorf("set %s of a contact: %w", name, err)
	}
	return answer.modified(), nil
}
