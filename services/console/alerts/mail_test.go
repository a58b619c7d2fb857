package alerts

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// mailbox is a real SMTP server, which keeps what it takes.
type mailbox struct {
	mu      sync.Mutex
	letters []letter
	refuse  map[string]error // by recipient
	host    string
	port    int
	trust   *tls.Config
}

type letter struct {
	from, to string
	tls      bool
	user     string
	*mail.Message
	body string
}

// newMailbox starts a server: with TLS from the first byte, or STARTTLS.
func newMailbox(t *testing.T, implicit bool) *mailbox {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate, which is good for 127.0.0.1
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	b := &mailbox{refuse: make(map[string]error), trust: &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}}
	server := smtp.NewServer(b)
	server.Domain, server.TLSConfig = "mail.test", &tls.Config{Certificates: certified.TLS.Certificates}
	server.ErrorLog = quiet{}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().(*net.TCPAddr)
	b.host, b.port = at.IP.String(), at.Port
	if implicit {
		listener = tls.NewListener(listener, server.TLSConfig)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = server.Serve(listener) }) // it ends when it is closed
	t.Cleanup(running.Wait)
	t.Cleanup(func() { server.Close() })
	return b
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// NewSession begins a conversation.
func (b *mailbox) NewSession(c *smtp.Conn) (smtp.Session, error) { return &session{b: b, c: c}, nil }

func (b *mailbox) take() []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.letters
	b.letters = nil
	return taken
}

type session struct {
	b    *mailbox
	c    *smtp.Conn
	from string
	to   string
	user string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "lockstep" || password != "s3cret" {
			return errors.New("wrong password")
		}
		s.user = user
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error { s.from = from; return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.to = to
	return s.b.refuse[to]
}

func (s *session) Data(r io.Reader) error {
	m, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil {
		return err
	}
	_, secure := s.c.TLSConnectionState()
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	s.b.letters = append(s.b.letters, letter{from: s.from, to: s.to, tls: secure, user: s.user, Message: m, body: strings.ReplaceAll(string(body), "\r\n", "\n")})
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// TestMailTells each address, by STARTTLS or TLS, with a password, what a
// webhook is told, without the system's words.
func TestMailTells(t *testing.T) {
	t.Parallel()
	for _, implicit := range []bool{false, true} {
		e, b := newEnv(t), newMailbox(t, implicit)
		a := e.room(Settings{Mail: Mail{Host: b.host, Port: b.port, Implicit: implicit, User: "lockstep", Password: "s3cret", From: "Lockstep <alerts@example.com>", TLS: b.trust}})
		if _, _, err := a.Save(t.Context(), acme, TargetChange{Kind: postgres.AlertMail, Addresses: []string{"ada@example.com", "bob@example.com"}}, "ada"); err != nil {
			t.Fatal(err)
		}
		e.problems([]contact.Key{"hubspot:501"}, refused("hubspot:501"))
		e.after(a, 0)
		e.after(a, 31*time.Second)
		e.send(a)
		letters := b.take()
		if len(letters) != 2 || letters[0].to == letters[1].to {
			t.Fatalf("implicit TLS %v: %d letters came; deliveries are %+v", implicit, len(letters), e.deliveries(a))
		}
		one := letters[0]
		if !one.tls || one.user != "lockstep" || one.from != "alerts@example.com" || one.Header.Get("Auto-Submitted") != "auto-generated" || one.Header.Get("To") != "<"+one.to+">" {
			t.Errorf("the letter is %+v", one)
		}
		if got, want := one.Header.Get("Subject"), "[Lockstep] Acme: HubSpot did not take Email of a contact: an invalid e-mail address"; got != want {
			t.Errorf("the subject is %q, want %q", got, want)
		}
		if id := one.Header.Get("Message-Id"); !strings.HasPrefix(id, "<alert_") || !strings.HasSuffix(id, "@example.com>") || id != letters[1].Header.Get("Message-Id") {
			t.Errorf("the message id is %q", id)
		}
		for _, want := range []string{
			"HubSpot did not take Email of a contact: an invalid e-mail address.\n", "Cause:   An invalid e-mail address [INVALID_EMAIL]\n", "Contact: hubspot:501\n",
			"https://lockstep.example.com/tenants/acme/contacts/hubspot:501\n", "Field:   Email\n", "All alerts of Acme, and who gets them: https://lockstep.example.com/tenants/acme/alerts\n",
		} {
			if !strings.Contains(one.body, want) {
				t.Errorf("the letter does not say %q:\n%s", want, one.body)
			}
		}
		if strings.Contains(one.body, "Words:") || strings.Contains(one.body, "nowhere") {
			t.Errorf("the letter tells too much:\n%s", one.body)
		}
		for _, d := range e.deliveries(a) {
			if d.State != postgres.AlertDelivered || !strings.HasPrefix(d.Answer, "taken by 127.0.0.1 in ") {
				t.Errorf("a delivery is %+v", d)
			}
		}
	}
}

// TestAnAddressThatIsRefused for good is given up, one that is refused for now
// is tried again, and the others get theirs once.
func TestAnAddressThatIsRefused(t *testing.T) {
	t.Parallel()
	e, b := newEnv(t), newMailbox(t, false)
	a := e.room(Settings{Mail: Mail{Host: b.host, Port: b.port, From: "alerts@example.com", TLS: b.trust}})
	if _, _, err := a.Save(t.Context(), acme, TargetChange{Kind: postgres.AlertMail, Addresses: []string{"ada@example.com", "busy@example.com", "gone@example.com"}}, "ada"); err != nil {
		t.Fatal(err)
	}
	b.refuse["gone@example.com"] = &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	b.refuse["busy@example.com"] = &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted, come back later"}
	e.tells(a, 1)
	e.send(a)
	all := e.deliveries(a)
	for i, want := range []struct{ state, answer string }{{postgres.AlertDelivered, "taken by"}, {postgres.AlertWaiting, "greylisted"}, {postgres.AlertUndeliverable, "no such mailbox"}} {
		if all[i].State != want.state || !strings.Contains(all[i].Answer, want.answer) {
			t.Errorf("the delivery to %s is %s: %q, want %s", all[i].Recipient, all[i].State, all[i].Answer, want.state)
		}
	}
	b.mu.Lock()
	delete(b.refuse, "busy@example.com")
	b.mu.Unlock()
	counts := make(map[string]int)
	for deadline := time.Now().Add(10 * time.Second); counts["busy@example.com"] == 0 && time.Now().Before(deadline); {
		for _, l := range b.take() {
			counts[l.to]++
		}
		e.send(a)
		time.Sleep(5 * time.Millisecond)
	}
	if counts["ada@example.com"] != 1 || counts["busy@example.com"] != 1 || counts["gone@example.com"] != 0 {
		t.Errorf("letters came %v", counts)
	}
}

// TestMailNeedsTLS, and a certificate that is good, unless a relay without it
// is set.
func TestMailNeedsTLS(t *testing.T) {
	t.Parallel()
	b := newMailbox(t, false)
	m := &Message{ID: "alert_x", Text: "Acme: something", Changes: []Change{}}
	if out := New(Config{Settings: Settings{Mail: Mail{Host: b.host, Port: b.port, From: "alerts@example.com"}}}).mail(t.Context(), "ada@example.com", m); out.done || out.never {
		t.Errorf("a certificate of nobody's comes to %+v", out)
	}
	if out := New(Config{Settings: Settings{Mail: Mail{Host: b.host, Port: b.port, From: "alerts@example.com", User: "lockstep", Password: "wrong", TLS: b.trust}}}).mail(t.Context(), "ada@example.com", m); out.done || out.never || strings.Contains(out.answer, "wrong\n") {
		t.Errorf("a wrong password comes to %+v", out)
	}
	if len(b.take()) != 0 {
		t.Error("a letter was sent all the same")
	}
	if out := New(Config{Settings: Settings{Mail: Mail{Host: b.host, Port: b.port, From: "alerts@example.com", Plain: true}}}).mail(t.Context(), "ada@example.com", m); !out.done {
		t.Errorf("a relay without TLS comes to %+v", out)
	}
	if letters := b.take(); len(letters) != 1 || letters[0].tls {
		t.Errorf("the relay got %+v", letters)
	}
	if out := New(Config{}).mail(t.Context(), "ada@example.com", m); out.done || !strings.Contains(out.answer, "LOCKSTEP_SMTP_URL") {
		t.Errorf("without a server it comes to %+v", out)
	}
}

// TestMailSettings are read whole, and wrong ones are told without the
// password.
func TestMailSettings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		server, from string
		want         Mail
		fault        string
	}{
		{"", "", Mail{}, ""},
		{"smtp://mail.example.com", "a@example.com", Mail{Host: "mail.example.com", Port: 587, From: "a@example.com"}, ""},
		{"smtps://u:s3cret@mail.example.com", "A <a@example.com>", Mail{Host: "mail.example.com", Port: 465, Implicit: true, User: "u", Password: "s3cret", From: "A <a@example.com>"}, ""},
		{"smtp://u%40example.com:p%2Fq@mail.example.com:2525/", "a@example.com", Mail{Host: "mail.example.com", Port: 2525, User: "u@example.com", Password: "p/q", From: "a@example.com"}, ""},
		{"smtp://relay:25?tls=none", "a@example.com", Mail{Host: "relay", Port: 25, Plain: true, From: "a@example.com"}, ""},
		{"smtp://u:s3cret@relay?tls=none", "a@example.com", Mail{}, "a password is not sent without TLS"},
		{"smtp://relay?tls=maybe", "a@example.com", Mail{}, `tls is "none"`},
		{"mail.example.com:s3cret", "a@example.com", Mail{}, "LOCKSTEP_SMTP_URL cannot be read"},
		{"http://u:s3cret@mail.example.com", "a@example.com", Mail{}, "LOCKSTEP_SMTP_URL cannot be read"},
		{"smtp://mail.example.com", "", Mail{}, "LOCKSTEP_MAIL_FROM"},
		{"", "a@example.com", Mail{}, "LOCKSTEP_SMTP_URL cannot be read"},
	} {
		got, err := ParseMail(test.server, test.from)
		if err == nil && test.fault != "" || err != nil && (test.fault == "" || !strings.Contains(err.Error(), test.fault) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%s: %v, want %q", test.server, err, test.fault)
		}
		if got != test.want {
			t.Errorf("%s is read as %+v, want %+v", test.server, got, test.want)
		}
	}
}
