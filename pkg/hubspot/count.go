package hubspot

import (
	"context"
	"fmt"
)

// CountContacts tells how many contacts the portal has, as its search counts
// them: it lags behind what was just made.
func (c *Client) CountContacts(ctx context.Context) (int64, error) {
	found, _, err := c.search(ctx, searchBody{Groups: []filterGroup{}, Properties: []string{modifiedName}, Limit: 1})
	if err != nil {
		return 0, fmt.Errorf("count contacts: %w", err)
	}
	return found.Total, nil
}
