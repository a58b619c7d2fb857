package hubspot

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// SetProperty gives one property of a contact a value, in HubSpot's own form,
// at once: what a person asks for who waits for the answer. Faults are
// Permanent where HubSpot refuses the value.
func (c *Client) SetProperty(ctx context.Context, id, name, value string) error {
	body := struct {
		Properties map[string]string `json:"properties"`
	}{map[string]string{name: value}}
	_, err := c.do(ctx, request{method: http.MethodPatch, path: c.contacts("/" + url.PathEscape(id)), pattern: c.contacts("/{id}"), body: body}, nil)
	if err != nil {
		return fmt.Errorf("set %s of a contact: %w", name, err)
	}
	return nil
}
