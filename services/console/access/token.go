package access

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"lockstep.internal/pkg/postgres"
)

// tokenPrefix begins each API token, so that people and scanners see what it
// is.
const tokenPrefix = "lockstep_"

// APIToken is a program that may call the API.
type APIToken struct {
	ID        string
	Name      string
	CreatedBy string
	Roles     Roles
	Created   time.Time
	Expires   time.Time // zero: never
	Used      time.Time // zero: never
	Revoked   time.Time // zero: it holds
}

func tokenOf(t *postgres.TokenRow) APIToken {
	out := APIToken{
		ID: t.ID, Name: t.Name, CreatedBy: t.CreatedBy, Roles: make(Roles), Created: t.Created, Expires: t.Expires, Used: t.Used, Revoked: t.Revoked,
	}
	for tenant, rank := range t.Roles {
		out.Roles[tenant] = Role(rank)
	}
	return out
}

// Bearer recognises an API token, or the installation's own; ErrUnknown where
// it is nobody's, has expired, or was revoked. A token that goes back to a
// person may never do more than that person may now.
func (s *Service) Bearer(ctx context.Context, token string) (Caller, error) {
	if caller, err := s.config.Token.Bearer(ctx, token); err == nil {
		return caller, nil
	}
	if !strings.HasPrefix(token, tokenPrefix) {
		return Caller{}, ErrUnknown
	}
	key := digest(token)
	if caller, ok := s.recall(key); ok {
		return caller, nil
	}
	t, err := s.config.DB.TokenByHash(ctx, key[:])
	if err != nil {
		return Caller{}, err
	}
	now := s.now()
	if t == nil || !t.Revoked.IsZero() || !t.Expires.IsZero() && !now.Before(t.Expires) {
		return Caller{}, ErrUnknown
	}
	caller := recognised(t.Name, Program, t.ID, t.Roles)
	if t.Maker != "" {
		maker, err := s.config.DB.Person(ctx, postgres.PersonBy{ID: t.Maker})
		if err != nil {
			return Caller{}, err
		}
		if maker == nil || maker.Disabled {
			return Caller{}, ErrUnknown
		}
		caller = caller.within(recognised(maker.Login, Human, maker.ID, maker.Roles))
	}
	if now.Sub(t.Used) >= touchEvery {
		if err := s.config.DB.TouchToken(ctx, t.ID, now); err != nil {
			return Caller{}, err
		}
	}
	s.remember(key, caller, t.Expires)
	return caller, nil
}

// Tokens gives the API tokens that the caller may see, the newest first: those
// all of whose roles are where the caller manages access.
func (s *Service) Tokens(ctx context.Context) ([]APIToken, error) {
	caller := From(ctx)
	if !caller.manages() {
		return nil, ErrDenied
	}
	rows, err := s.config.DB.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var tokens []APIToken
	for i := range rows {
		if t := tokenOf(&rows[i]); caller.operates(Everywhere) || t.Roles.within(caller.operates) {
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

// CreateToken makes an API token with roles that the caller could give a
// person. Its text is given this once. It expires after a while, or never
// with 0.
func (s *Service) CreateToken(ctx context.Context, name string, roles Roles, life time.Duration) (APIToken, string, error) {
	caller := From(ctx)
	name = strings.TrimSpace(name)
	switch {
	case !caller.manages():
		return APIToken{}, "", ErrDenied
	case name == "" || len(name) > mostLogin || !printable(name):
		return APIToken{}, "", &Error{"invalid", "name", "a token has a name that tells what it is for"}
	case len(roles) == 0:
		return APIToken{}, "", &Error{"invalid", "roles", "a token without a role may nothing: give it one"}
	case life < 0:
		return APIToken{}, "", &Error{"invalid", "life", "a token cannot have expired already"}
	}
	if err := grantable(caller, roles); err != nil {
		return APIToken{}, "", err
	}
	text := tokenPrefix + rand.Text() + rand.Text()
	key := digest(text)
	row := postgres.TokenRow{ID: newID(), Hash: key[:], Name: name, CreatedBy: caller.Name, Created: s.now(), Roles: stored(roles)}
	switch caller.Kind {
	case Human:
		row.Maker = caller.ID
	case Program: // what a token makes goes back to who made that one
		maker, err := s.config.DB.Token(ctx, caller.ID)
		if err != nil {
			return APIToken{}, "", err
		}
		if maker == nil || !maker.Revoked.IsZero() {
			return APIToken{}, "", ErrUnknown
		}
		row.Maker = maker.Maker
	}
	if life > 0 {
		row.Expires = row.Created.Add(life)
	}
	err := s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if unknown, err := tx.UnknownTenant(ctx, row.Roles); err != nil || unknown != "" {
			return orError(err, &Error{"not_found", string(unknown), "there is no such tenant"})
		}
		return tx.AddToken(ctx, row)
	})
	if err != nil {
		return APIToken{}, "", err
	}
	return tokenOf(&row), text, nil
}

// RevokeToken ends an API token that the caller may see, for good.
func (s *Service) RevokeToken(ctx context.Context, id string) error {
	caller := From(ctx)
	if !caller.manages() {
		return ErrDenied
	}
	missing := &Error{"not_found", "token", "there is no such token"}
	if !printable(id) {
		return missing
	}
	t, err := s.config.DB.Token(ctx, id)
	if err != nil {
		return err
	}
	if t == nil || !caller.operates(Everywhere) && !tokenOf(t).Roles.within(caller.operates) {
		return missing
	}
	err = s.config.DB.RevokeToken(ctx, id, s.now())
	s.forget()
	return err
}
