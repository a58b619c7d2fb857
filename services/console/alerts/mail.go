package alerts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"lockstep.internal/pkg/tenant"
)

// Mail is how mail is sent. The zero value sends none.
type Mail struct {
	Host     string
	Port     int
	Implicit bool // TLS from the first byte
	Plain    bool // no TLS at all: for a relay on the same network
	User     string
	Password tenant.Secret
	From     string // address, perhaps with a name
	TLS      *tls.Config
}

// ParseMail reads LOCKSTEP_SMTP_URL and LOCKSTEP_MAIL_FROM; both "" is no mail.
func ParseMail(server, from string) (Mail, error) {
	if server == "" && from == "" {
		return Mail{}, nil
	}
	const want = "want smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465, with ?tls=none for a relay without TLS"
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "" && u.Path != "/" {
		return Mail{}, errors.New("LOCKSTEP_SMTP_URL cannot be read: " + want) // it can hold a password
	}
	m := Mail{Host: u.Hostname(), Port: 587, Implicit: u.Scheme == "smtps", User: u.User.Username(), From: from}
	if m.Implicit {
		m.Port = 465
	}
	if text := u.Port(); text != "" {
		m.Port, _ = strconv.Atoi(text) // url.Parse takes digits only
	}
	password, _ := u.User.Password()
	m.Password = tenant.Secret(password)
	switch u.Query().Get("tls") {
	case "":
	case "none":
		m.Plain = true
	default:
		return Mail{}, errors.New("LOCKSTEP_SMTP_URL: tls is \"none\" or left out: " + want)
	}
	if m.Plain && (m.Implicit || m.User != "") {
		return Mail{}, errors.New("LOCKSTEP_SMTP_URL: a password is not sent without TLS: leave out tls=none or the user")
	}
	if _, err := mail.ParseAddress(from); err != nil {
		return Mail{}, fmt.Errorf("LOCKSTEP_MAIL_FROM is %q: want an address such as Lockstep <alerts@example.com>", from)
	}
	return m, nil
}

func (m *Mail) client() (*gomail.Client, error) {
	options := []gomail.Option{gomail.WithPort(m.Port), gomail.WithTimeout(attemptDeadline), gomail.WithTLSPolicy(gomail.TLSMandatory)}
	switch {
	case m.Implicit:
		options = append(options, gomail.WithSSL())
	case m.Plain:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if m.TLS != nil {
		options = append(options, gomail.WithTLSConfig(m.TLS))
	}
	if m.User != "" {
		options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(m.User), gomail.WithPassword(m.Password.Reveal()))
	}
	return gomail.NewClient(m.Host, options...)
}

// mail sends a message to one address once.
func (a *Alerts) mail(ctx context.Context, to string, m *Message) outcome {
	config := &a.config.Mail
	if config.Host == "" {
		return outcome{answer: "this installation sends no mail: its operator sets LOCKSTEP_SMTP_URL and LOCKSTEP_MAIL_FROM"}
	}
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := errors.Join(letter.From(config.From), letter.To(to)); err != nil {
		return outcome{never: true, answer: "the address cannot be read"}
	}
	from, err := mail.ParseAddress(config.From)
	if err != nil {
		return outcome{answer: "LOCKSTEP_MAIL_FROM cannot be read"}
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	letter.Subject(subject(m))
	letter.SetMessageIDWithValue(m.ID + "@" + domain) // the same again, so that a mailbox knows it
	letter.SetDateWithValue(m.At)
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // no holiday notes back
	letter.SetBodyString(gomail.TypeTextPlain, letterText(m))
	client, err := config.client()
	if err != nil {
		return outcome{answer: err.Error()}
	}
	begun := time.Now()
	if err := client.DialAndSendWithContext(ctx, letter); err != nil {
		return unsent(err)
	}
	return outcome{done: true, answer: "taken by " + config.Host + " in " + time.Since(begun).Round(time.Millisecond).String()}
}

// unsent is what a failed sending means: the server's final no to the
// address or the letter is final, all else is tried again.
func unsent(err error) outcome {
	var told *gomail.SendError
	if errors.As(err, &told) && !told.IsTemp() && told.ErrorCode() >= 500 {
		return outcome{never: told.Reason == gomail.ErrSMTPRcptTo || told.Reason == gomail.ErrSMTPDataClose, answer: firstLine(told.Error())}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return outcome{answer: "no answer within " + attemptDeadline.String()}
	}
	return outcome{answer: firstLine(err.Error())}
}

func firstLine(text string) string {
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	if len(text) > 300 {
		text = strings.ToValidUTF8(text[:300], "") + hidden
	}
	return strings.TrimSpace(text)
}

// subject is the headline as far as a list of mails shows it.
func subject(m *Message) string {
	const most = 120
	text := []rune(strings.Join(strings.Fields(m.Text), " "))
	if len(text) > most {
		text = append(text[:most-1], '…')
	}
	return "[Lockstep] " + string(text)
}

// letterText is what a mail says.
func letterText(m *Message) string {
	var b strings.Builder
	if len(m.Changes) != 1 {
		fmt.Fprintf(&b, "%s\n\n", m.Text)
	}
	for i, c := range m.Changes {
		if len(m.Changes) > 1 {
			fmt.Fprintf(&b, "%d. ", i+1)
		}
		mark := ""
		if c.State == "resolved" {
			mark = "Over: "
		}
		fmt.Fprintf(&b, "%s%s.\n", mark, strings.TrimSuffix(c.Text, "."))
		line := func(name, value string) {
			if value != "" {
				fmt.Fprintf(&b, "   %-9s%s\n", name, value)
			}
		}
		if c.Field != nil {
			name := c.Field.Label
			if c.Field.HubSpot != "" {
				name += fmt.Sprintf(" (%s in Aloware, %s in HubSpot)", c.Field.Aloware, c.Field.HubSpot)
			}
			line("Field:", name)
		}
		if c.Cause != nil {
			line("Cause:", strings.TrimSpace(c.Cause.Text+" ["+c.Cause.Code+"]"))
			line("Words:", c.Cause.Words)
		}
		if c.Contact != nil {
			which := c.Contact.Key
			if c.Contacts > 1 {
				which += fmt.Sprintf(", the first of %d", c.Contacts)
			}
			line("Contact:", which)
			line("", c.Contact.Link)
		}
		line("Since:", c.Since.UTC().Format("2006-01-02 15:04 UTC"))
		if c.CameBack > 0 {
			line("Again:", fmt.Sprintf("it was over and came back %d times meanwhile", c.CameBack))
		}
		line("See:", c.Link)
		b.WriteString("\n")
	}
	if m.More > 0 {
		fmt.Fprintf(&b, "%d more are on the page of alerts.\n\n", m.More)
	}
	if m.Link != "" {
		fmt.Fprintf(&b, "All alerts of %s, and who gets them: %s\n", m.TenantName, m.Link)
	}
	return b.String()
}
