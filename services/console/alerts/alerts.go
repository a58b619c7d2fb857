// Package alerts tells tenants of changes of state: what stopped and what
// goes on again, with the cause, the contact and the field, by webhook or mail.
//
// It promises that each change is told once to each target, also over restarts
// and however many consoles run: a delivery is repeated only where its answer
// is not known, under the same id. A state is told when it has lasted, and what
// goes back and forth is told once. No contact's value is in an alert.
//
// It looks at all tenants at once and by turns with the other consoles; a
// tenant whose state stays the same costs nothing.
package alerts

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/roster"
	"lockstep.internal/pkg/seal"
)

// Config is what the room stands on.
type Config struct {
	DB     *postgres.DB
	Roster *roster.Roster
	Seal   *seal.Sealer
	Logger *slog.Logger
	// ConsoleURL is where people reach the console; "" leaves links out.
	ConsoleURL string
	Settings
}

// Settings are what an installation says of alerts.
type Settings struct {
	// Mail is how mail is sent; the zero value sends none.
	Mail Mail
	// Reach is where webhooks may lead beside public addresses.
	Reach Reach
	// Hold is how long a state must last before it is told; 0 means 30 s. Two
	// alerts of a tenant are twice as far apart, and what comes back within
	// twenty times of it is not told again before.
	Hold time.Duration
	// Paused is how long writing to a system must rest before that is told; 0
	// means 5 min.
	Paused time.Duration
}

// Alerts is the room. It is safe for concurrent use.
type Alerts struct {
	config Config
	rules  rules
	every  time.Duration // between two looks
	share  time.Duration // how many times as long as a look takes the next one waits
	first  time.Duration // wait after the first attempt that failed
	clock  func(database time.Time) time.Time
	http   *http.Client
	tests  *rate.Limiter
	nudged chan struct{} // something is to be delivered

	// Of the one goroutine that looks.
	cleaned time.Time
	seen    struct {
		version int64
		facts   []fact
	}

	mu   sync.Mutex // guards busy
	busy map[contact.Tenant]int
}

// New makes the room.
func New(config Config) *Alerts {
	if config.Logger == nil {
		config.Logger = slog.Default()
	}
	if config.Hold <= 0 {
		config.Hold = 30 * time.Second
	}
	if config.Paused <= 0 {
		config.Paused = 5 * time.Minute
	}
	return &Alerts{
		config: config, rules: rules{hold: config.Hold, flap: 20 * config.Hold, gap: 2 * config.Hold}, every: min(lookEvery, config.Hold/2), share: lookShare, first: firstWait,
		clock: func(database time.Time) time.Time { return database }, http: config.Reach.client(), tests: rate.NewLimiter(1, 10),
		nudged: make(chan struct{}, 1), busy: make(map[contact.Tenant]int),
	}
}

// Run looks for changes and delivers alerts until ctx ends; what is being
// delivered then is finished.
func (a *Alerts) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.watch(ctx) })
	group.Go(func() error { return a.deliver(ctx) })
	return group.Wait()
}

// nudge says that something may be due.
func (a *Alerts) nudge() {
	select {
	case a.nudged <- struct{}{}:
	default:
	}
}

// Error is a refusal by a rule, which the caller can do something about.
type Error struct{ Rule, Subject, Message string }

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Refusal gives the rule's stable word, what it is about, and the message.
func (e *Error) Refusal() (rule, subject, message string) { return e.Rule, e.Subject, e.Message }

func refuse(rule, subject, message string) error { return &Error{rule, subject, message} }
