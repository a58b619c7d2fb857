package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"lockstep.internal/pkg/postgres"
)

// The times of the room.
const (
	sessionIdle   = 12 * time.Hour
	sessionLife   = 7 * 24 * time.Hour
	oneTimeLife   = 72 * time.Hour // of a password that an operator made
	attemptLife   = 10 * time.Minute
	cacheLife     = 5 * time.Second // how late other processes see a change of roles
	touchEvery    = time.Minute     // how exact "last used" is
	cleanEvery    = time.Hour
	eraseEvery    = 5 * time.Second      // people who were erased, from the audit
	fewSignIns    = 10                   // wrong passwords of one login in a row,
	signInEvery   = time.Minute          // and one more each of these
	fewRemote     = 50                   // sign-ins from one address in a row,
	remoteEvery   = 2 * time.Second      // and one more each of these
	remembered    = 10_000               // logins, addresses and callers held in memory
	keepAuditDays = 400 * 24 * time.Hour // default of Config.KeepAudit
)

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Logger *slog.Logger
	// Token is the installation's own API token; "" is none.
	Token Token
	// OIDC is the organisation's provider; without an Issuer there is none.
	OIDC OIDC
	// KeepAudit is how long the audit is kept; 0 means 400 days.
	KeepAudit time.Duration
	// HTTP calls the provider; nil is a client with a deadline of 10 s.
	HTTP *http.Client
	// Now is our clock; nil is the system's.
	Now func() time.Time
}

// Service is the room. It is safe for concurrent use.
type Service struct {
	config  Config
	logins  *limiter
	remotes *limiter
	hashing chan struct{} // bounds the memory of password hashing
	nobody  string        // hash that no password has, for the work of unknown logins
	oidc    provider

	mu     sync.Mutex // guards recent
	recent map[[sha256.Size]byte]recent
}

// recent is a caller that was looked up a moment ago.
type recent struct {
	caller  Caller
	at      time.Time
	expires time.Time // zero: never
}

// New makes the room.
func New(config Config) (*Service, error) {
	if config.DB == nil {
		return nil, errors.New("access: a database is needed")
	}
	if err := config.OIDC.check(); err != nil {
		return nil, err
	}
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.KeepAudit == 0 {
		config.KeepAudit = keepAuditDays
	}
	if config.HTTP == nil {
		config.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	s := &Service{
		config: config, hashing: make(chan struct{}, 2), nobody: hash(rand.Text()), recent: make(map[[sha256.Size]byte]recent),
		logins: newLimiter(signInEvery, fewSignIns, remembered), remotes: newLimiter(remoteEvery, fewRemote, remembered),
	}
	return s, nil
}

// now is our clock, as exact as the database.
func (s *Service) now() time.Time { return s.config.Now().Truncate(time.Microsecond) }

// Run removes what has become old, and who was erased, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	ticker := time.NewTicker(eraseEvery)
	defer ticker.Stop()
	cleaned := time.Time{}
	for {
		if _, err := s.config.DB.EraseAudit(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.WarnContext(ctx, "the audit still names people who were erased, and shows none of them; it is tried again", "error", err)
		}
		if s.now().Sub(cleaned) >= cleanEvery {
			cleaned = s.now()
			err := s.config.DB.CleanAccess(ctx, s.now(), s.now().Add(-sessionIdle))
			if err == nil {
				err = s.config.DB.KeepAudit(ctx, s.config.KeepAudit)
			}
			if err != nil && ctx.Err() == nil {
				s.config.Logger.WarnContext(ctx, "old sessions and audit entries were not removed; it is tried again in an hour", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// FirstLogin is the login of the administrator that a new installation has.
const FirstLogin = "admin"

// FirstStart makes the first operator if there are no people at all, and gives
// the password, which is good for the first sign-in. It is "" on all later
// starts; `lockstep access reset-password admin` makes another one.
func (s *Service) FirstStart(ctx context.Context) (password string, err error) {
	made := oneTimePassword()
	hashed := hash(made)
	err = s.config.DB.InTx(ctx, func(tx *postgres.Tx) error {
		if err := tx.LockPeople(ctx); err != nil {
			return err
		}
		all, _, err := tx.CountPeople(ctx, int16(Operator))
		if err != nil || all > 0 {
			return err
		}
		p := postgres.PersonRow{ID: newID(), Login: FirstLogin, Name: "First operator", Password: hashed, MustChange: true, Created: s.now()}
		if err := tx.AddPerson(ctx, p); err != nil {
			return err
		}
		password = made
		return tx.SaveRoles(ctx, p.ID, postgres.Roles{Everywhere: int16(Operator)})
	})
	if err != nil {
		return "", fmt.Errorf("make the first operator: %w", err)
	}
	return password, nil
}

// Error is a refusal by a rule, which the caller can do something about.
type Error struct{ Rule, Subject, Message string }

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Refusal gives the rule's stable word, what it is about, and the message.
func (e *Error) Refusal() (rule, subject, message string) { return e.Rule, e.Subject, e.Message }

// ErrDenied tells that the caller's roles do not allow it.
var ErrDenied = &Error{"role", "", "you may not do this here: it needs the role operator"}

// TooMany tells that there were too many sign-ins.
type TooMany struct {
	// RetryAfter is how long to wait before the next one.
	RetryAfter time.Duration
}

// Error is the message.
func (e *TooMany) Error() string {
	return fmt.Sprintf("there were too many attempts; try again in %s", e.RetryAfter.Round(time.Second))
}

// Refusal gives the rule's stable word, what it is about, and the message.
func (e *TooMany) Refusal() (rule, subject, message string) {
	return "too_many", "", e.Error()
}

func newID() string { return strings.ToLower(rand.Text()) }

func digest(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }

// remember keeps a caller for a moment, so that a page with many calls reads
// the database once.
func (s *Service) remember(key [sha256.Size]byte, caller Caller, expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent) >= remembered {
		clear(s.recent)
	}
	s.recent[key] = recent{caller, s.now(), expires}
}

func (s *Service) recall(key [sha256.Size]byte) (Caller, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.recent[key]
	now := s.now()
	if !ok || now.Sub(r.at) >= cacheLife || !r.expires.IsZero() && !now.Before(r.expires) {
		delete(s.recent, key)
		return Caller{}, false
	}
	return r.caller, true
}

// forget makes changes of this process hold at once here.
func (s *Service) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.recent)
}
