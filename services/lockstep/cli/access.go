package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) access() *cobra.Command {
	group := group("access", "Who may use the console: people, roles and API tokens")
	group.AddCommand(
		c.whoAmI(), c.people(), c.personSave(), c.personDisable(false), c.personDisable(true), c.passwordReset(),
		c.tokens(), c.tokenCreate(), c.tokenRevoke(),
	)
	return group
}

// onAccess makes a command over the client of access with exactly n arguments.
func (c *CLI) onAccess(use, short string, n int, do func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: exactly(n),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := newClient(c, consolev1connect.NewAccessServiceClient)
			if err != nil {
				return err
			}
			return do(cmd, client, args)
		},
	}
}

// roleHelp tells how roles are written.
const roleHelp = "TENANT=ROLE, with * for everywhere; roles are viewer, agent, administrator, operator; may be repeated"

// grants reads roles as they are written on the command line.
func grants(texts []string) ([]*consolev1.RoleGrant, error) {
	var grants []*consolev1.RoleGrant
	for _, text := range texts {
		tenant, role, ok := strings.Cut(text, "=")
		if !ok || tenant == "" || role == "" {
			return nil, usage("--role %q: want %s", text, roleHelp)
		}
		grants = append(grants, &consolev1.RoleGrant{Tenant: tenant, Role: role})
	}
	return grants, nil
}

func roleText(grants []*consolev1.RoleGrant) string {
	var texts []string
	for _, g := range grants {
		texts = append(texts, g.GetTenant()+"="+g.GetRole())
	}
	return strings.Join(texts, " ")
}

func (c *CLI) whoAmI() *cobra.Command {
	return c.onAccess("whoami", "Show whose token this is, and its roles", 0, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, _ []string) error {
		answer, err := client.WhoAmI(cmd.Context(), &consolev1.WhoAmIRequest{})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"NAME", "KIND", "ROLES"}, {answer.GetName(), answer.GetKind(), roleText(answer.GetRoles())}})
	})
}

func personRows(people ...*consolev1.Person) [][]string {
	rows := [][]string{{"LOGIN", "NAME", "ROLES", "SIGN-IN", "STATE", "LAST SEEN"}}
	for _, p := range people {
		var ways []string
		if p.GetHasPassword() {
			ways = append(ways, "password")
		}
		if p.GetHasProvider() {
			ways = append(ways, "provider")
		}
		state := "active"
		switch {
		case p.GetDisabled():
			state = "disabled"
		case p.GetMustChange():
			state = "must change password"
		}
		rows = append(rows, []string{p.GetLogin(), p.GetName(), roleText(p.GetRoles()), strings.Join(ways, ", "), state, when(p.GetSeenMs())})
	}
	return rows
}

func (c *CLI) people() *cobra.Command {
	return c.onAccess("people", "List people and their roles", 0, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, _ []string) error {
		answer, err := client.ListPeople(cmd.Context(), &consolev1.ListPeopleRequest{})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, personRows(answer.GetPeople()...))
	})
}

func (c *CLI) personSave() *cobra.Command {
	r := &consolev1.SavePersonRequest{}
	var roles []string
	var none bool
	cmd := c.onAccess("save LOGIN", "Add a person, or set roles and name of one", 1, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error {
		var err error
		r.Login = args[0]
		if r.Roles, err = grants(roles); err != nil {
			return err
		}
		if none == (len(roles) > 0) {
			return usage("say which roles the person shall have, all of them: --role, or --no-roles")
		}
		answer, err := client.SavePerson(cmd.Context(), r)
		if err != nil {
			return err
		}
		rows := personRows(answer.GetPerson())
		if answer.GetOneTimePassword() != "" {
			rows = append(rows, []string{""}, []string{"password for the first sign-in, within three days: " + answer.GetOneTimePassword()})
		}
		return c.print(cmd, answer, rows)
	})
	f := cmd.Flags()
	f.StringVar(&r.Name, "name", "", "name for people; empty keeps it")
	f.StringArrayVar(&roles, "role", nil, roleHelp)
	f.BoolVar(&none, "no-roles", false, "take all roles")
	f.BoolVar(&r.WithPassword, "with-password", false, "of a new person: make a password for the first sign-in")
	return cmd
}

func (c *CLI) personDisable(undo bool) *cobra.Command {
	use, short := "disable LOGIN", "Keep a person out: ends the sessions, and revokes the tokens that the person made"
	if undo {
		use, short = "enable LOGIN", "Let a disabled person in again"
	}
	return c.onAccess(use, short, 1, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error {
		answer, err := client.DisablePerson(cmd.Context(), &consolev1.DisablePersonRequest{Login: args[0], Undo: undo})
		if err != nil {
			return err
		}
		text := args[0] + " may sign in again"
		if !undo {
			text = args[0] + " is kept out; " + many(answer.GetRevokedTokens(), "API token was", "API tokens were") + " revoked"
		}
		return c.print(cmd, answer, [][]string{{text}})
	})
}

func (c *CLI) passwordReset() *cobra.Command {
	return c.onAccess("reset-password LOGIN", "Make a password for a person's next sign-in", 1, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error {
		answer, err := client.ResetPassword(cmd.Context(), &consolev1.ResetPasswordRequest{Login: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"password for the next sign-in, within three days: " + answer.GetOneTimePassword()}})
	})
}

func tokenRows(tokens ...*consolev1.Token) [][]string {
	rows := [][]string{{"ID", "NAME", "ROLES", "MADE BY", "LAST USED", "EXPIRES", "REVOKED"}}
	for _, t := range tokens {
		rows = append(rows, []string{t.GetId(), t.GetName(), roleText(t.GetRoles()), t.GetCreatedBy(), when(t.GetUsedMs()), when(t.GetExpiresMs()), when(t.GetRevokedMs())})
	}
	return rows
}

func (c *CLI) tokens() *cobra.Command {
	return c.onAccess("tokens", "List API tokens", 0, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, _ []string) error {
		answer, err := client.ListTokens(cmd.Context(), &consolev1.ListTokensRequest{})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, tokenRows(answer.GetTokens()...))
	})
}

func (c *CLI) tokenCreate() *cobra.Command {
	var roles []string
	var life time.Duration
	cmd := c.onAccess("create-token NAME", "Make an API token for a program; its text is shown this once", 1, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error {
		granted, err := grants(roles)
		if err != nil {
			return err
		}
		if len(granted) == 0 || life < 0 || life > 0 && life < time.Second {
			return usage("want --role, and --expires of a second or more, or 0 for never")
		}
		answer, err := client.CreateToken(cmd.Context(), &consolev1.CreateTokenRequest{Name: args[0], Roles: granted, LifeSeconds: int64(life / time.Second)})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, append(tokenRows(answer.GetToken()), []string{""}, []string{"token: " + answer.GetText()}))
	})
	cmd.Flags().StringArrayVar(&roles, "role", nil, roleHelp)
	cmd.Flags().DurationVar(&life, "expires", 0, "how long it holds, such as 720h; 0 is for ever")
	return cmd
}

func (c *CLI) tokenRevoke() *cobra.Command {
	return c.onAccess("revoke-token ID", "End an API token for good", 1, func(cmd *cobra.Command, client consolev1connect.AccessServiceClient, args []string) error {
		answer, err := client.RevokeToken(cmd.Context(), &consolev1.RevokeTokenRequest{Id: args[0]})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"the token holds no more"}})
	})
}

func (c *CLI) audit() *cobra.Command {
	r := &consolev1.ListAuditRequest{}
	var since time.Duration
	var limit int
	cmd := &cobra.Command{
		Use: "audit [TENANT]", Short: "Who changed what, the newest first; the tenant \"*\" is the installation as a whole", Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("want: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || since < 0 {
				return usage("--limit and --since must be above zero")
			}
			client, err := newClient(c, consolev1connect.NewAccessServiceClient)
			if err != nil {
				return err
			}
			if len(args) == 1 {
				r.Tenant = args[0]
			}
			if since > 0 {
				r.FromMs = time.Now().Add(-since).UnixMilli()
			}
			all := &consolev1.ListAuditResponse{}
			err = pages(func(token string) (string, error) {
				r.PageToken, r.PageSize = token, int32(min(500, limit-len(all.Entries)))
				answer, err := client.ListAudit(cmd.Context(), r)
				if err != nil {
					return "", err
				}
				all.Entries = append(all.Entries, answer.GetEntries()...)
				if len(all.Entries) >= limit {
					return "", nil
				}
				return answer.GetNextPageToken(), nil
			})
			if err != nil {
				return err
			}
			rows := [][]string{{"AT", "WHO", "TENANT", "ACTION", "OBJECT", "OUTCOME", "DETAIL"}}
			for _, a := range all.GetEntries() {
				rows = append(rows, []string{
					when(a.GetAtMs()), a.GetCaller(), a.GetTenant(), a.GetAction(), a.GetObject(), strings.TrimSpace(a.GetOutcome() + " " + a.GetReason()), a.GetDetail(),
				})
			}
			return c.print(cmd, all, rows)
		},
	}
	f := cmd.Flags()
	f.StringVar(&r.Caller, "by", "", "login of a person or name of a token")
	f.StringVar(&r.Action, "action", "", "such as SaveTenant")
	f.DurationVar(&since, "since", 0, "only what is younger, such as 24h")
	f.IntVar(&limit, "limit", 100, "entries at most")
	return cmd
}
