package alerts

import (
	"cmp"
	"context"
	"errors"
	"net/mail"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/pkg/tenant"
)

// Limits of a tenant.
const (
	mostTargets   = 20
	mostAddresses = 20
)

// Target is where alerts of a tenant go. Its URL and Secret are not shown.
type Target = postgres.AlertTarget

// TargetChange tells how a target shall be.
type TargetChange struct {
	ID   string // "" adds one
	Kind string // "webhook" or "mail"; "" keeps it
	Name string // "" keeps it, or names it as what it leads to
	// URL of a webhook; "" keeps it.
	URL       tenant.Secret
	Addresses []string // of mail; none keeps them
	Kinds     []Kind   // that are wanted; none is all
	Words     bool     // with the systems' own words, masked
	NewSecret bool     // make another secret for a webhook
}

// Targets gives a tenant's targets, the oldest first.
func (a *Alerts) Targets(ctx context.Context, id contact.Tenant) ([]Target, error) {
	if err := a.exists(id); err != nil {
		return nil, err
	}
	return a.config.DB.AlertTargets(ctx, id, a.config.Seal)
}

func (a *Alerts) exists(id contact.Tenant) error {
	if _, ok := a.config.Roster.Tenant(id); !ok {
		return refuse("not_found", "tenant", "there is no tenant "+string(id))
	}
	return nil
}

func (a *Alerts) target(ctx context.Context, id contact.Tenant, target string) (*Target, error) {
	if err := a.exists(id); err != nil {
		return nil, err
	}
	t, err := a.config.DB.AlertTarget(ctx, id, target, a.config.Seal)
	if errors.Is(err, postgres.ErrTargetAbsent) {
		return nil, refuse("not_found", "target", "there is no target "+target)
	}
	return t, err
}

// Save adds a target or changes one. It gives the secret of a webhook when it
// was made just now, which is the only time that anybody sees it.
func (a *Alerts) Save(ctx context.Context, id contact.Tenant, c TargetChange, author string) (saved *Target, secret tenant.Secret, err error) {
	if err := a.exists(id); err != nil {
		return nil, "", err
	}
	t := &Target{Tenant: id, ID: newID("target"), Kind: c.Kind, CreatedBy: author}
	if c.ID != "" {
		if t, err = a.target(ctx, id, c.ID); err != nil {
			return nil, "", err
		}
		if c.Kind != "" && c.Kind != t.Kind {
			return nil, "", refuse("invalid", "kind", "a target stays what it is: add another one")
		}
	}
	switch t.Kind {
	case postgres.AlertWebhook:
		secret, err = a.changeWebhook(t, c)
	case postgres.AlertMail:
		err = a.changeMail(t, c)
	default:
		err = refuse("invalid", "kind", "want webhook or mail")
	}
	if err != nil {
		return nil, "", err
	}
	if t.Kinds, err = chosen(c.Kinds); err != nil {
		return nil, "", err
	}
	t.Words = c.Words
	if name := strings.TrimSpace(c.Name); name != "" {
		t.Name = name
	}
	if len(t.Name) > 100 || strings.ContainsFunc(t.Name, func(r rune) bool { return r < ' ' }) {
		return nil, "", refuse("invalid", "name", "want a name of at most 100 letters in one line")
	}
	known, err := a.config.DB.SaveAlertTarget(ctx, t, a.config.Seal, mostTargets)
	if err != nil {
		return nil, "", err
	}
	if !known {
		return nil, "", refuse("too_many", "target", "a tenant has twenty targets at most: remove one")
	}
	saved, err = a.target(ctx, id, t.ID)
	return saved, secret, err
}

func (a *Alerts) changeWebhook(t *Target, c TargetChange) (secret tenant.Secret, err error) {
	if len(c.Addresses) > 0 {
		return "", refuse("invalid", "addresses", "a webhook has an address of the web, not of mail")
	}
	if text := strings.TrimSpace(c.URL.Reveal()); text != "" {
		shown, err := a.config.Reach.check(text)
		if err != nil {
			return "", err
		}
		if t.Name == "" || t.Name == t.Shown {
			t.Name = shown
		}
		t.URL, t.Shown = tenant.Secret(text), shown
	}
	if t.URL == "" {
		return "", refuse("invalid", "url", "give the address of the webhook")
	}
	if t.Secret == "" || c.NewSecret {
		t.Secret = newSecret()
		return t.Secret, nil
	}
	return "", nil
}

func (a *Alerts) changeMail(t *Target, c TargetChange) error {
	if c.URL != "" || c.NewSecret {
		return refuse("invalid", "url", "mail has no address of the web and no secret")
	}
	if a.config.Mail.Host == "" {
		return refuse("unavailable", "mail", "this installation sends no mail: its operator sets LOCKSTEP_SMTP_URL and LOCKSTEP_MAIL_FROM")
	}
	var clean []string
	for _, text := range c.Addresses {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		parsed, err := mail.ParseAddress(text)
		if err != nil || parsed.Name != "" || len(text) > 254 || parsed.Address != text {
			return refuse("invalid", "addresses", "\""+text+"\" is no e-mail address: want addresses such as ada@example.com")
		}
		if !slices.Contains(clean, text) {
			clean = append(clean, text)
		}
	}
	shown := strings.Join(t.Addresses, ", ")
	switch {
	case len(clean) > mostAddresses:
		return refuse("invalid", "addresses", "a target has twenty addresses at most: a list's address reaches more")
	case len(clean) > 0:
		t.Addresses = clean
	case len(t.Addresses) == 0:
		return refuse("invalid", "addresses", "give at least one e-mail address")
	}
	if t.Name == "" || t.Name == cut(shown) {
		t.Name = cut(strings.Join(t.Addresses, ", "))
	}
	return nil
}

// cut is a text that fits as a name.
func cut(text string) string {
	if len(text) <= 100 {
		return text
	}
	return strings.ToValidUTF8(text[:90], "") + hidden
}

// Remove removes a target; what it was still to be told is forgotten.
func (a *Alerts) Remove(ctx context.Context, id contact.Tenant, target string) error {
	if err := a.exists(id); err != nil {
		return err
	}
	err := a.config.DB.RemoveAlertTarget(ctx, id, target)
	if errors.Is(err, postgres.ErrTargetAbsent) {
		return refuse("not_found", "target", "there is no target "+target)
	}
	return err
}

// Tried is what came of a test at one recipient.
type Tried struct {
	Recipient string // address of mail, or what is shown of a webhook's
	Done      bool
	Answer    string
}

// Test sends a target a message that says that it is a test, and tells what
// each recipient answers.
func (a *Alerts) Test(ctx context.Context, id contact.Tenant, target, author string) ([]Tried, error) {
	to, err := a.target(ctx, id, target)
	if err != nil {
		return nil, err
	}
	if !a.tests.Allow() {
		return nil, refuse("too_many", "", "there were too many tests just now; wait for a few seconds")
	}
	t, _ := a.config.Roster.Tenant(id)
	m := &Message{
		ID: newID("test"), Type: "test", At: time.Now().UTC().Truncate(time.Millisecond), Tenant: string(id), TenantName: t.Name,
		Text: t.Name + ": this is a test of alerts, asked for by " + author, Link: a.link(id, "alerts", nil), Changes: []Change{},
	}
	recipients := to.Addresses
	if to.Kind == postgres.AlertWebhook {
		recipients = []string{""}
	}
	tried := make([]Tried, len(recipients))
	var group errgroup.Group
	group.SetLimit(5)
	for i, r := range recipients {
		group.Go(func() error {
			sending, cancel := context.WithTimeout(ctx, attemptDeadline)
			defer cancel()
			out := a.transmit(sending, to, r, m)
			tried[i] = Tried{Recipient: cmp.Or(r, to.Shown), Done: out.done, Answer: out.answer}
			return nil
		})
	}
	return tried, group.Wait()
}

// Told is an alert with what became of it.
type Told struct {
	postgres.Alert
	Deliveries []postgres.AlertDelivery
}

// Recent gives a tenant's alerts before a number (0 for the newest), the newest
// first.
func (a *Alerts) Recent(ctx context.Context, id contact.Tenant, before int64, limit int) ([]Told, error) {
	if err := a.exists(id); err != nil {
		return nil, err
	}
	alerts, err := a.config.DB.Alerts(ctx, id, before, limit)
	if err != nil || len(alerts) == 0 {
		return nil, err
	}
	became, err := a.config.DB.AlertDeliveries(ctx, id, alerts[len(alerts)-1].Number, alerts[0].Number)
	if err != nil {
		return nil, err
	}
	told := make([]Told, len(alerts))
	for i, alert := range alerts {
		told[i] = Told{alert, became[alert.Number]}
	}
	return told, nil
}

// Open gives what is the case for a tenant now and was told, the oldest first.
func (a *Alerts) Open(ctx context.Context, id contact.Tenant) ([]postgres.AlertChange, error) {
	const most = 100
	if err := a.exists(id); err != nil {
		return nil, err
	}
	states, err := a.config.DB.OpenAlerts(ctx, id, most)
	if err != nil {
		return nil, err
	}
	open := make([]postgres.AlertChange, len(states))
	for i, s := range states {
		open[i] = postgres.AlertChange{Kind: s.Kind, Key: s.Key, Open: true, Since: s.Since, Contact: s.Contact, Detail: s.Detail}
	}
	return open, nil
}

// SendsMail reports whether this installation sends mail.
func (a *Alerts) SendsMail() bool { return a.config.Mail.Host != "" }
