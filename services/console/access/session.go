package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"lockstep.internal/pkg/postgres"
)

// SignedIn is a new session.
type SignedIn struct {
	// Token is the session's secret, for the browser's cookie.
	Token   string
	Expires time.Time
	// Caller may have to change the password first.
	Caller Caller
}

// errSignIn tells nothing of which of the two is wrong.
var errSignIn = &Error{"sign_in", "", "login or password are wrong"}

// login is a login as it is stored.
func normalLogin(text string) string {
	return strings.ToLower(norm.NFC.String(strings.TrimSpace(text)))
}

const mostLogin = 254 // bytes of the longest e-mail address

// checkLogin tells what is wrong with a login.
func checkLogin(login string) error {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || unicode.IsSpace(r) }
	if login == "" || len(login) > mostLogin || !utf8.ValidString(login) || strings.ContainsFunc(login, odd) {
		return &Error{"invalid", "login", fmt.Sprintf("a login is an e-mail address or a name, without spaces and of at most %d bytes", mostLogin)}
	}
	return nil
}

// SignIn begins a session by a password. It takes as long for an unknown login
// as for a known one. After too many wrong passwords of one login, or attempts
// from one remote address, it gives TooMany.
func (s *Service) SignIn(ctx context.Context, login, password, remote string) (SignedIn, error) {
	login = normalLogin(login)
	now := s.now()
	if checkLogin(login) != nil {
		login = "" // nobody's
	}
	if err := s.remotes.take(remote, now); err != nil {
		return SignedIn{}, err
	}
	if err := s.logins.take(login, now); err != nil {
		return SignedIn{}, err
	}
	var p *postgres.PersonRow
	var err error
	if login != "" {
		if p, err = s.config.DB.Person(ctx, postgres.PersonBy{Login: login}); err != nil {
			return SignedIn{}, err
		}
	}
	hashed := ""
	if p != nil && !p.Disabled {
		hashed = p.Password
	}
	right, err := s.verify(ctx, hashed, password)
	if err != nil {
		return SignedIn{}, fmt.Errorf("check a password: %w", err)
	}
	if !right {
		// A text that is nobody's login could be a password in the wrong field.
		known := ""
		if p != nil {
			known = login
		}
		s.signInRefused(ctx, known, "password", remote)
		return SignedIn{}, errSignIn
	}
	if !p.PasswordUntil.IsZero() && !now.Before(p.PasswordUntil) {
		s.signInRefused(ctx, login, "expired", remote)
		return SignedIn{}, &Error{"expired", login, "this one-time password is too old; ask an operator for a new one"}
	}
	s.logins.clear(login)
	return s.begin(ctx, p, "password", remote)
}

// begin begins a session of a person who has proved who that is.
func (s *Service) begin(ctx context.Context, p *postgres.PersonRow, how, remote string) (SignedIn, error) {
	var out SignedIn
	caller := callerOf(p)
	recording, err := s.Record(With(ctx, caller), Entry{Action: "SignIn", Object: p.Login, Detail: detail("how", how, "remote", remote)})
	if err != nil {
		return out, err
	}
	err = s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.LockPeople(ctx); err != nil {
			return err
		}
		now, err := tx.Person(ctx, postgres.PersonBy{ID: p.ID})
		if err != nil {
			return err
		}
		if now == nil || now.Disabled || now.Password != p.Password {
			return errSignIn // that changed since the proof
		}
		out, err = s.addSession(ctx, tx, now)
		return err
	})
	recording.Done(ctx, err)
	return out, err
}

// addSession adds a session within a transaction.
func (s *Service) addSession(ctx context.Context, tx *postgres.Tx, p *postgres.PersonRow) (SignedIn, error) {
	out := SignedIn{Token: rand.Text() + rand.Text(), Expires: s.now().Add(sessionLife), Caller: callerOf(p)}
	key := digest(out.Token)
	return out, tx.AddSession(ctx, postgres.SessionRow{Hash: key[:], Created: s.now(), Expires: out.Expires, Person: *p})
}

func (s *Service) signInRefused(ctx context.Context, login, why, remote string) {
	row := storable(postgres.AuditRow{At: s.now(), Caller: login, Kind: "none", Action: "SignIn", Object: login, Detail: detail("remote", remote), Outcome: outcomeRefused, Reason: why})
	if _, err := s.config.DB.AddAudit(ctx, &row); err != nil {
		s.config.Logger.WarnContext(ctx, "a refused sign-in is missing in the audit", "error", err)
	}
}

// callerOf is a person as a caller.
func callerOf(p *postgres.PersonRow) Caller {
	if p.MustChange {
		return Caller{Name: p.Login, Kind: Human, ID: p.ID, MustChange: true}
	}
	return recognised(p.Login, Human, p.ID, p.Roles)
}

// Session recognises the token of a browser's cookie; ErrUnknown where the
// session has ended. It knows the roles of this moment, or of 5 s ago.
func (s *Service) Session(ctx context.Context, token string) (Caller, error) {
	if token == "" {
		return Caller{}, ErrUnknown
	}
	key := digest(token)
	if caller, ok := s.recall(key); ok {
		return caller, nil
	}
	found, err := s.session(ctx, token)
	if err != nil {
		return Caller{}, err
	}
	if s.now().Sub(found.Used) >= touchEvery {
		if err := s.config.DB.TouchSession(ctx, key[:], s.now()); err != nil {
			return Caller{}, err
		}
	}
	caller := callerOf(&found.Person)
	s.remember(key, caller, found.Expires)
	return caller, nil
}

// Browsers is a Guard for what a browser's cookie holds: the token of a
// session, or else an API token that somebody typed in.
func (s *Service) Browsers() Guard { return browsers{s} }

type browsers struct{ service *Service }

// Bearer recognises a session or an API token.
func (b browsers) Bearer(ctx context.Context, token string) (Caller, error) {
	caller, err := b.service.Session(ctx, token)
	if errors.Is(err, ErrUnknown) {
		return b.service.Bearer(ctx, token)
	}
	return caller, err
}

// session gives a session that has not ended.
func (s *Service) session(ctx context.Context, token string) (*postgres.SessionRow, error) {
	key := digest(token)
	found, err := s.config.DB.Session(ctx, key[:])
	if err != nil {
		return nil, err
	}
	now := s.now()
	if found == nil || found.Person.Disabled || !now.Before(found.Expires) || now.Sub(found.Used) >= sessionIdle {
		return nil, ErrUnknown
	}
	return found, nil
}

// SignOut ends a session; one that has ended is no error.
func (s *Service) SignOut(ctx context.Context, token string) error {
	caller, err := s.Session(ctx, token)
	if errors.Is(err, ErrUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	recording, err := s.Record(With(ctx, caller), Entry{Action: "SignOut", Object: caller.Name})
	if err != nil {
		return err
	}
	key := digest(token)
	err = s.config.DB.EndSession(ctx, key[:])
	s.forget()
	recording.Done(ctx, err)
	return err
}

// ChangePassword gives the person of a session a new password. All sessions of
// that person end, and a new one takes the place of this.
func (s *Service) ChangePassword(ctx context.Context, token, old, password string) (SignedIn, error) {
	var out SignedIn
	found, err := s.session(ctx, token)
	if err != nil {
		return out, err
	}
	p := found.Person
	if err := s.logins.take(p.Login, s.now()); err != nil {
		return out, err
	}
	if err := checkPassword(p.Login, old, password); err != nil {
		return out, err
	}
	recording, err := s.Record(With(ctx, callerOf(&p)), Entry{Action: "ChangePassword", Object: p.Login})
	if err != nil {
		return out, err
	}
	out, err = s.changePassword(ctx, p.ID, old, password)
	recording.Done(ctx, err)
	if err == nil {
		s.logins.clear(p.Login)
		s.forget()
	}
	return out, err
}

func (s *Service) changePassword(ctx context.Context, person, old, password string) (out SignedIn, err error) {
	before, err := s.config.DB.Person(ctx, postgres.PersonBy{ID: person})
	if err != nil {
		return out, err
	}
	if before == nil {
		return out, ErrUnknown
	}
	right, err := s.verify(ctx, before.Password, old)
	if err != nil {
		return out, err
	}
	if !right {
		return out, &Error{"sign_in", "password", "the old password is wrong"}
	}
	hashed, err := s.hash(ctx, password)
	if err != nil {
		return out, err
	}
	err = s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.LockPeople(ctx); err != nil {
			return err
		}
		p, err := tx.Person(ctx, postgres.PersonBy{ID: person})
		if err != nil {
			return err
		}
		if p == nil || p.Disabled || p.Password != before.Password {
			return ErrUnknown // somebody disabled the person or reset the password meanwhile
		}
		p.Password, p.MustChange, p.PasswordUntil = hashed, false, time.Time{}
		if err := tx.SavePerson(ctx, p); err != nil {
			return err
		}
		if err := tx.EndSessions(ctx, person); err != nil {
			return err
		}
		out, err = s.addSession(ctx, tx, p)
		return err
	})
	return out, err
}
