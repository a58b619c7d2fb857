package hubspotsim

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// accessLife is how long an access token works.
const accessLife = 30 * time.Minute

// codeLife is how long an authorization code works.
const codeLife = time.Minute

// grant is what a token stands for.
type grant struct {
	Scopes  []string `json:"scopes,omitempty"`
	Expires int64    `json:"expires,omitempty"` // epoch milliseconds, 0 for ever
	Refresh string   `json:"refresh,omitempty"` // the refresh token that an access token came from
	static  bool     // the token of the configuration, with every scope
}

// allows tells whether the token has a scope.
func (g grant) allows(scope string) bool {
	if g.static || slices.Contains(g.Scopes, scope) {
		return true
	}
	// Any scope on contacts lets a caller read the definitions.
	return scope == "crm.schemas.contacts.read" &&
		slices.ContainsFunc(g.Scopes, func(s string) bool { return strings.HasPrefix(s, "crm.objects.contacts.") })
}

// tokenChange is a token that was given out or revoked, for the journal.
type tokenChange struct {
	Text    string `json:"text"`
	Kind    string `json:"kind"` // "access" or "refresh"
	Grant   grant  `json:"grant"`
	Revoked bool   `json:"revoked,omitempty"`
}

// pendingCode is an authorization code that was not yet exchanged.
type pendingCode struct {
	grant     grant
	redirect  string
	challenge string
	method    string
	expires   time.Time
}

// tokenBook knows the codes and tokens. mu guards every field.
type tokenBook struct {
	mu      sync.Mutex
	codes   map[string]pendingCode
	access  map[string]grant
	refresh map[string]grant
}

func newTokenBook() *tokenBook {
	return &tokenBook{codes: map[string]pendingCode{}, access: map[string]grant{}, refresh: map[string]grant{}}
}

func (b *tokenBook) apply(t *tokenChange) {
	b.mu.Lock()
	defer b.mu.Unlock()
	book := b.access
	if t.Kind == "refresh" {
		book = b.refresh
	}
	if t.Revoked {
		delete(book, t.Text)
		return
	}
	book[t.Text] = t.Grant
}

func (b *tokenBook) dump() []tokenChange {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []tokenChange
	for text, g := range b.access {
		out = append(out, tokenChange{Text: text, Kind: "access", Grant: g})
	}
	for text, g := range b.refresh {
		out = append(out, tokenChange{Text: text, Kind: "refresh", Grant: g})
	}
	return out
}

func (b *tokenBook) find(kind, text string) (grant, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	book := b.access
	if kind == "refresh" {
		book = b.refresh
	}
	g, ok := book[text]
	return g, ok
}

// newCode gives out a single-use code.
func (b *tokenBook) newCode(c pendingCode) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := secretText("na1-code-")
	b.codes[text] = c
	return text
}

// takeCode uses a code up.
func (b *tokenBook) takeCode(text string) (pendingCode, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.codes[text]
	delete(b.codes, text)
	return c, ok
}

func secretText(prefix string) string {
	var b [20]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

// changeToken journals and applies.
func (s *Sim) changeToken(t tokenChange) {
	if err := s.store.journal.write(&record{Op: opToken, Token: &t}); err != nil {
		s.cfg.Logger.Error("writing the simulator's journal", "path", s.cfg.Journal, "error", err)
	}
	s.tokens.apply(&t)
}

// authenticate finds the token of an API call.
func (s *Sim) authenticate(r *http.Request) (grant, *failure) {
	kind, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	text = strings.TrimSpace(text)
	if strings.EqualFold(kind, "Bearer") && text == s.cfg.Token {
		return grant{static: true}, nil
	}
	g, ok := s.tokens.find("access", text)
	if !strings.EqualFold(kind, "Bearer") || !ok {
		return grant{}, &failure{Status: http.StatusUnauthorized, Category: "INVALID_AUTHENTICATION",
			Message: "Authentication credentials not found. This API supports OAuth 2.0 authentication and you can find more details at https://developers.hubspot.com/docs/methods/auth/oauth-overview"}
	}
	if g.Expires <= s.nowMS() {
		return grant{}, expiredToken(time.UnixMilli(g.Expires), s.cfg.Now())
	}
	return g, nil
}

func expiredToken(at, now time.Time) *failure {
	ago := int(now.Sub(at).Seconds())
	return &failure{Status: http.StatusUnauthorized, Category: "EXPIRED_AUTHENTICATION",
		Message: fmt.Sprintf("The OAuth token used to make this call expired %d second(s) ago.", ago),
		Context: map[string][]string{"expire time": {at.UTC().Format("2006-01-02T15:04:05.000Z")}}}
}

func missingScope(scope string) *failure {
	return &failure{Status: http.StatusForbidden, Category: "MISSING_SCOPES",
		Message: "This app hasn't been granted all required scopes to make this call. Read more about required scopes here: https://developers.hubspot.com/scopes.",
		Errors:  []detail{{Message: "One or more of the following scopes are required.", Context: map[string][]string{"requiredGranularScopes": {scope}}}},
		Links:   map[string]string{"scopes": "https://developers.hubspot.com/scopes"}}
}

// requiredScope is the scope that a call needs, "" when any token will do.
func requiredScope(api string, q *call) string {
	reads := q.r.Method == http.MethodGet || len(q.rest) > 1 && q.rest[len(q.rest)-1] == "search" || len(q.rest) > 2 && q.rest[len(q.rest)-1] == "read"
	switch api {
	case "crm/objects":
		if reads {
			return "crm.objects.contacts.read"
		}
		return "crm.objects.contacts.write"
	case "crm/properties":
		if reads {
			return "crm.schemas.contacts.read"
		}
		return "crm.schemas.contacts.write"
	case "crm/owners":
		return "crm.objects.owners.read"
	case "calling", "crm/limits":
		return "crm.objects.contacts.read"
	}
	return ""
}
