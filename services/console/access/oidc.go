package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// OIDC says how people sign in by their organisation's provider (OpenID
// Connect, authorization code with PKCE).
type OIDC struct {
	// Issuer is the provider's address; "" is no provider.
	Issuer       string
	ClientID     string
	ClientSecret tenant.Secret
	// Redirect is where the provider sends people back to:
	// <address of the console>/oidc/callback.
	Redirect string
	// Create adds people who are not known yet, without roles.
	Create bool
}

func (c OIDC) check() error {
	if c.Issuer == "" {
		return nil
	}
	var faults []error
	if c.ClientID == "" {
		faults = append(faults, errors.New("a client id is needed"))
	}
	if u, err := url.Parse(c.Redirect); err != nil || u.Scheme == "" || u.Host == "" {
		faults = append(faults, errors.New("the address of the console is needed, for the provider to send people back to"))
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("sign-in by %s: %w", c.Issuer, err)
	}
	return nil
}

// provider is what was read of the provider; it is read when it is first
// needed, so that the console starts without it.
type provider struct {
	mu     sync.Mutex // guards what follows
	found  *oidc.Provider
	client *oauth2.Config // remembers how the provider wants to be spoken to
	failed time.Time      // when it could not be read
}

// signInAgain is for whatever can be put right by beginning again.
func signInAgain(why string) error {
	return &Error{"sign_in", "oidc", why + "; sign in again"}
}

var errProvider = &Error{"unavailable", "oidc", "the organisation's sign-in does not answer just now; try again in a minute"}

// OIDC reports whether people can sign in by their organisation's provider.
func (s *Service) OIDC() bool { return s.config.OIDC.Issuer != "" }

// provided gives the provider and this console as its client.
func (s *Service) provided(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	c := s.config.OIDC
	if c.Issuer == "" {
		return nil, nil, &Error{"not_found", "oidc", "no provider is configured"}
	}
	s.oidc.mu.Lock()
	defer s.oidc.mu.Unlock()
	if s.oidc.found == nil {
		if s.now().Sub(s.oidc.failed) < 5*time.Second {
			return nil, nil, errProvider
		}
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, s.config.HTTP), c.Issuer)
		if err != nil {
			if ctx.Err() == nil {
				s.oidc.failed = s.now()
			}
			s.config.Logger.WarnContext(ctx, "the provider of sign-ins could not be read", "issuer", c.Issuer, "error", err)
			return nil, nil, errProvider
		}
		s.oidc.found, s.oidc.client = found, &oauth2.Config{
			ClientID: c.ClientID, ClientSecret: c.ClientSecret.Reveal(), RedirectURL: c.Redirect,
			Endpoint: found.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
		}
	}
	return s.oidc.found, s.oidc.client, nil
}

// BeginOIDC gives the address of the provider to send the browser to, and the
// state to keep in a cookie of it (10 minutes, for the callback's path only).
func (s *Service) BeginOIDC(ctx context.Context, remote string) (address, state string, err error) {
	if err := s.remotes.take(remote, s.now()); err != nil {
		return "", "", err
	}
	_, client, err := s.provided(ctx)
	if err != nil {
		return "", "", err
	}
	state = rand.Text()
	key := digest(state)
	attempt := postgres.AttemptRow{State: key[:], Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Expires: s.now().Add(attemptLife)}
	if err := s.config.DB.AddAttempt(ctx, attempt); err != nil {
		return "", "", err
	}
	return client.AuthCodeURL(state, oidc.Nonce(attempt.Nonce), oauth2.S256ChallengeOption(attempt.Verifier)), state, nil
}

// OIDCAnswer is what the browser brings back from the provider.
type OIDCAnswer struct {
	Cookie string // state that BeginOIDC gave
	State  string // parameter "state"
	Code   string // parameter "code"
	Error  string // parameter "error"
	Remote string // the browser's address
}

// FinishOIDC begins a session of the person whom the provider names. An answer
// counts once, in the browser that began, within ten minutes.
func (s *Service) FinishOIDC(ctx context.Context, answer OIDCAnswer) (SignedIn, error) {
	if err := s.remotes.take(answer.Remote, s.now()); err != nil {
		return SignedIn{}, err
	}
	claims, err := s.claims(ctx, answer)
	if err == nil {
		var p *postgres.PersonRow
		if p, err = s.provedPerson(ctx, claims); err == nil {
			return s.begin(ctx, p, "oidc", answer.Remote)
		}
	}
	var refused *Error
	if errors.As(err, &refused) {
		s.signInRefused(ctx, "", "oidc", answer.Remote)
	}
	return SignedIn{}, err
}

// claims are what the provider says of a person, verified.
type claims struct {
	Subject  string `json:"sub"`
	Email    string `json:"email"`
	Verified any    `json:"email_verified"` // some providers send a text
	Name     string `json:"name"`
}

func (c *claims) login() string {
	if c.Verified != true && c.Verified != "true" {
		return ""
	}
	login := normalLogin(c.Email)
	if checkLogin(login) != nil {
		return ""
	}
	return login
}

func (s *Service) claims(ctx context.Context, answer OIDCAnswer) (*claims, error) {
	if answer.State == "" || subtle.ConstantTimeCompare([]byte(answer.State), []byte(answer.Cookie)) != 1 {
		return nil, signInAgain("this answer belongs to no sign-in of this browser")
	}
	key := digest(answer.State)
	attempt, err := s.config.DB.TakeAttempt(ctx, key[:])
	if err != nil {
		return nil, err
	}
	if attempt == nil || !s.now().Before(attempt.Expires) {
		return nil, signInAgain("this sign-in is over or took too long")
	}
	if answer.Error != "" || answer.Code == "" {
		return nil, signInAgain("the organisation's sign-in was not completed")
	}
	found, client, err := s.provided(ctx)
	if err != nil {
		return nil, err
	}
	ctx = oidc.ClientContext(ctx, s.config.HTTP)
	token, err := client.Exchange(ctx, answer.Code, oauth2.VerifierOption(attempt.Verifier))
	if err != nil {
		var told *oauth2.RetrieveError
		if errors.As(err, &told) && told.Response.StatusCode < 500 {
			s.config.Logger.WarnContext(ctx, "the provider of sign-ins refuses a code", "status", told.Response.StatusCode, "code", told.ErrorCode)
			return nil, signInAgain("the organisation's sign-in refuses the answer")
		}
		s.config.Logger.WarnContext(ctx, "the provider of sign-ins does not exchange a code just now")
		return nil, errProvider
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, signInAgain("the organisation's sign-in did not tell who you are")
	}
	verified, err := found.Verifier(&oidc.Config{ClientID: s.config.OIDC.ClientID, Now: s.config.Now}).Verify(ctx, raw)
	if err != nil {
		s.config.Logger.WarnContext(ctx, "an id token is not valid", "error", err)
		return nil, signInAgain("the organisation's answer is not valid")
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(attempt.Nonce)) != 1 {
		return nil, signInAgain("the organisation's answer belongs to another sign-in")
	}
	c := &claims{}
	if err := verified.Claims(c); err != nil || c.Subject == "" || len(c.Subject) > mostLogin || !printable(c.Subject) {
		return nil, signInAgain("the organisation's answer cannot be read")
	}
	return c, nil
}

// provedPerson is the person of verified claims: whom the provider's subject
// was joined with before, else who has the verified e-mail as login.
func (s *Service) provedPerson(ctx context.Context, c *claims) (p *postgres.PersonRow, err error) {
	issuer := s.config.OIDC.Issuer
	err = s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.LockPeople(ctx); err != nil {
			return err
		}
		if p, err = tx.Person(ctx, postgres.PersonBy{Issuer: issuer, Subject: c.Subject}); err != nil {
			return err
		}
		if p != nil {
			return s.proved(ctx, tx, p)
		}
		login := c.login()
		if login == "" {
			return &Error{"not_found", "email", "the organisation's sign-in names no verified e-mail address"}
		}
		if p, err = tx.Person(ctx, postgres.PersonBy{Login: login}); err != nil {
			return err
		}
		switch {
		case p == nil && !s.config.OIDC.Create:
			return &Error{"not_found", login, "nobody here has this e-mail address; ask an operator to add you"}
		case p == nil:
			p = &postgres.PersonRow{ID: newID(), Login: login, Issuer: issuer, Subject: c.Subject, Created: s.now()}
			if len(c.Name) <= mostLogin && printable(c.Name) {
				p.Name = c.Name
			}
			return tx.AddPerson(ctx, *p)
		case p.Subject != "":
			return &Error{"taken", login, "this e-mail address belongs to another account of the organisation; ask an operator"}
		}
		p.Issuer, p.Subject = issuer, c.Subject
		return s.proved(ctx, tx, p)
	})
	if err == nil && p.Disabled {
		err = &Error{"disabled", p.Login, "an operator has disabled this person"}
	}
	return p, err
}

// proved saves a person who has proved who that is; a password that somebody
// else made is not waited for.
func (s *Service) proved(ctx context.Context, tx *postgres.Tx, p *postgres.PersonRow) error {
	if p.MustChange {
		p.Password, p.MustChange, p.PasswordUntil = "", false, time.Time{}
	}
	return tx.SavePerson(ctx, p)
}
