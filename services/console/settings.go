package console

import (
	"context"
	"fmt"
	"io"
	"strings"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
)

// OIDCFromEnv reads how people sign in by their organisation's provider, with
// the address under which browsers reach the console ("" is not known).
func OIDCFromEnv(env *daemon.Env, publicURL string) access.OIDC {
	c := access.OIDC{
		Issuer: env.URL("LOCKSTEP_OIDC_ISSUER", ""), ClientID: env.String("LOCKSTEP_OIDC_CLIENT_ID", ""),
		ClientSecret: tenant.Secret(env.String("LOCKSTEP_OIDC_CLIENT_SECRET", "")), Create: env.Bool("LOCKSTEP_OIDC_CREATE", false),
	}
	if publicURL != "" {
		c.Redirect = strings.TrimRight(publicURL, "/") + "/oidc/callback"
	}
	return c
}

// FirstStart makes the first operator of a new installation, and prints how to
// sign in; on later starts it prints nothing.
func (c *Console) FirstStart(ctx context.Context, out io.Writer) error {
	password, err := c.access.FirstStart(ctx)
	if err != nil || password == "" {
		return err
	}
	_, err = fmt.Fprintf(out, "  console sign-in: %s / %s\n", access.FirstLogin, password)
	return err
}
