package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"lockstep.internal/pkg/daemon"
	"lockstep.internal/pkg/tenant"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
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

// AlertsFromEnv reads how tenants are told of changes of state.
func AlertsFromEnv(env *daemon.Env) alerts.Settings {
	mail, err := alerts.ParseMail(env.String("LOCKSTEP_SMTP_URL", ""), env.String("LOCKSTEP_MAIL_FROM", ""))
	if err != nil {
		env.Fault(err)
	}
	s := alerts.Settings{
		Mail: mail, Reach: alerts.Reach{Private: env.Bool("LOCKSTEP_ALERT_PRIVATE", false)},
		Hold: env.Duration("LOCKSTEP_ALERT_HOLD", 30*time.Second), Paused: env.Duration("LOCKSTEP_ALERT_PAUSED", 5*time.Minute),
	}
	if s.Hold <= 0 || s.Paused <= 0 {
		env.Fault(errors.New("LOCKSTEP_ALERT_HOLD and LOCKSTEP_ALERT_PAUSED are lengths of time above zero, such as 30s"))
	}
	return s
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
