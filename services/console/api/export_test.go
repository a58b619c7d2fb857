package api

import (
	"context"

	"lockstep.internal/services/console/access"
)

// Needed tells who may call a procedure.
func Needed(procedure string) (role access.Role, anywhere bool) {
	return needs[procedure].role, needs[procedure].anywhere
}

// Allow checks one request of a caller against the table.
func Allow(ctx context.Context, procedure string, request any) error {
	return allow(ctx, procedure, request)
}
