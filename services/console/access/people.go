package access

import (
	"context"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// Person is somebody who may sign in.
type Person struct {
	ID    string
	Login string
	Name  string
	// Roles are those that the caller may see.
	Roles Roles
	// Password tells that this one may sign in by a password, Provider that
	// the organisation's provider knows who this is.
	Password, Provider bool
	MustChange         bool
	Disabled           bool
	Created, Seen      time.Time // Seen is zero of who was never here
}

// PersonChange is how a person shall be.
type PersonChange struct {
	Login string
	Name  string // "" keeps it
	// Roles are all that the person shall have where the caller manages access;
	// roles elsewhere stay.
	Roles Roles
	// Password makes a one-time password for a new person, who can else sign in
	// by the organisation's provider only.
	Password bool
}

// personOf is a person as a caller may see it.
func personOf(p *postgres.PersonRow, caller Caller) Person {
	out := Person{
		ID: p.ID, Login: p.Login, Name: p.Name, Roles: make(Roles), Password: p.Password != "", Provider: p.Subject != "", MustChange: p.MustChange,
		Disabled: p.Disabled, Created: p.Created, Seen: p.Seen,
	}
	for tenant, rank := range p.Roles {
		if caller.operates(tenant) {
			out.Roles[tenant] = Role(rank)
		}
	}
	return out
}

// People gives the people whom the caller may see, by login: an operator of
// everywhere sees all, one of a tenant those who have a role there.
func (s *Service) People(ctx context.Context) ([]Person, error) {
	caller := From(ctx)
	if !caller.manages() {
		return nil, ErrDenied
	}
	rows, err := s.config.DB.People(ctx)
	if err != nil {
		return nil, err
	}
	var people []Person
	for i := range rows {
		if p := personOf(&rows[i], caller); len(p.Roles) > 0 || caller.operates(Everywhere) {
			people = append(people, p)
		}
	}
	return people, nil
}

// grantable tells why a caller may not give these roles; nil where it may.
func grantable(caller Caller, roles Roles) error {
	for tenant, role := range roles {
		switch {
		case role < Viewer || role > Operator:
			return &Error{"invalid", "role", "a role is viewer, agent, administrator or operator"}
		case tenant == "" || !printable(string(tenant)):
			return &Error{"invalid", "tenant", "a role names a tenant, or * for everywhere"}
		case !caller.operates(tenant):
			return &Error{"role", string(tenant), "you may not give roles there: it needs the role operator"}
		}
	}
	return nil
}

func stored(roles Roles) postgres.Roles {
	out := make(postgres.Roles, len(roles))
	for tenant, role := range roles {
		out[tenant] = int16(role)
	}
	return out
}

// SavePerson adds a person or changes roles and name of one, by login. An
// operator of everywhere may do all of it; one of a tenant gives and takes
// roles of that tenant to people who are known already. The one-time password
// of a new person is given once, and "" where none was made.
func (s *Service) SavePerson(ctx context.Context, change PersonChange) (Person, string, error) {
	caller := From(ctx)
	login := normalLogin(change.Login)
	if !caller.manages() {
		return Person{}, "", ErrDenied
	}
	if err := checkLogin(login); err != nil {
		return Person{}, "", err
	}
	if len(change.Name) > mostLogin || !printable(change.Name) {
		return Person{}, "", &Error{"invalid", "name", "a name is a line of text"}
	}
	if err := grantable(caller, change.Roles); err != nil {
		return Person{}, "", err
	}
	password, hashed := "", ""
	if change.Password && caller.operates(Everywhere) {
		password = oneTimePassword()
		var err error
		if hashed, err = s.hash(ctx, password); err != nil {
			return Person{}, "", err
		}
	}
	var out Person
	err := s.changePeople(ctx, func(tx *postgres.Tx) error {
		if unknown, err := tx.UnknownTenant(ctx, stored(change.Roles)); err != nil || unknown != "" {
			return orError(err, &Error{"not_found", string(unknown), "there is no such tenant"})
		}
		p, err := tx.Person(ctx, postgres.PersonBy{Login: login})
		if err != nil {
			return err
		}
		switch {
		case p == nil && !caller.operates(Everywhere):
			return &Error{"not_found", login, "nobody has this login; an operator of the whole installation can add people"}
		case p == nil:
			p = &postgres.PersonRow{ID: newID(), Login: login, Name: change.Name, Created: s.now()}
			if hashed != "" {
				p.Password, p.MustChange, p.PasswordUntil = hashed, true, s.now().Add(oneTimeLife)
			}
			if err := tx.AddPerson(ctx, *p); err != nil {
				return err
			}
		default:
			if change.Password {
				return &Error{"exists", login, "this person is known already; reset the password instead"}
			}
			if change.Name != "" && change.Name != p.Name {
				if !caller.operates(Everywhere) {
					return ErrDenied
				}
				p.Name = change.Name
				if err := tx.SavePerson(ctx, p); err != nil {
					return err
				}
			}
		}
		roles := make(postgres.Roles)
		for tenant, rank := range p.Roles {
			if !caller.operates(tenant) {
				roles[tenant] = rank
			}
		}
		maps.Copy(roles, stored(change.Roles))
		p.Roles = roles
		out = personOf(p, caller)
		return tx.SaveRoles(ctx, p.ID, roles)
	})
	if err != nil {
		return Person{}, "", err
	}
	return out, password, nil
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func printable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// changePeople changes people in one transaction, one change after the other,
// and refuses one that leaves nobody who can operate everywhere.
func (s *Service) changePeople(ctx context.Context, change func(*postgres.Tx) error) error {
	err := s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.LockPeople(ctx); err != nil {
			return err
		}
		_, before, err := tx.CountPeople(ctx, int16(Operator))
		if err != nil {
			return err
		}
		if err := change(tx); err != nil {
			return err
		}
		_, after, err := tx.CountPeople(ctx, int16(Operator))
		if err != nil {
			return err
		}
		if before > 0 && after == 0 {
			return &Error{"last_operator", "", "nobody else could operate the installation: make somebody else operator everywhere first"}
		}
		return nil
	})
	s.forget()
	return err
}

// onPerson changes one person; an operator of everywhere may.
func (s *Service) onPerson(ctx context.Context, login string, change func(*postgres.Tx, *postgres.PersonRow) error) error {
	if !From(ctx).operates(Everywhere) {
		return ErrDenied
	}
	login = normalLogin(login)
	if err := checkLogin(login); err != nil {
		return err
	}
	return s.changePeople(ctx, func(tx *postgres.Tx) error {
		p, err := tx.Person(ctx, postgres.PersonBy{Login: login})
		if err != nil {
			return err
		}
		if p == nil {
			return &Error{"not_found", login, "nobody has this login"}
		}
		return change(tx, p)
	})
}

// DisablePerson keeps a person out, or lets one in again. It ends the person's
// sessions and revokes the API tokens that the person made, and tells how many
// of these; they stay revoked.
func (s *Service) DisablePerson(ctx context.Context, login string, disabled bool) (revoked int, err error) {
	err = s.onPerson(ctx, login, func(tx *postgres.Tx, p *postgres.PersonRow) error {
		p.Disabled = disabled
		if err := tx.SavePerson(ctx, p); err != nil || !disabled {
			return err
		}
		if err := tx.EndSessions(ctx, p.ID); err != nil {
			return err
		}
		revoked, err = tx.RevokeTokensOf(ctx, p.ID, s.now())
		return err
	})
	if err != nil {
		return 0, err
	}
	return revoked, nil
}

// ResetPassword gives a person a one-time password, which is good for three
// days and must be changed at the next sign-in. All sessions of the person end.
func (s *Service) ResetPassword(ctx context.Context, login string) (password string, err error) {
	if !From(ctx).operates(Everywhere) {
		return "", ErrDenied
	}
	made := oneTimePassword()
	hashed, err := s.hash(ctx, made)
	if err != nil {
		return "", err
	}
	err = s.onPerson(ctx, login, func(tx *postgres.Tx, p *postgres.PersonRow) error {
		p.Password, p.MustChange, p.PasswordUntil = hashed, true, s.now().Add(oneTimeLife)
		if err := tx.SavePerson(ctx, p); err != nil {
			return err
		}
		return tx.EndSessions(ctx, p.ID)
	})
	if err != nil {
		return "", err
	}
	s.logins.clear(normalLogin(login))
	return made, nil
}

// within reports whether there are roles, all in tenants of a kind.
func (r Roles) within(may func(contact.Tenant) bool) bool {
	for tenant := range r {
		if !may(tenant) {
			return false
		}
	}
	return len(r) > 0
}
