package aloware

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

// ClientConfig is what a Client needs to know of one connection.
type ClientConfig struct {
	BaseURL string       // of the API; "" is DefaultBaseURL
	Token   string       // api_token of one of the account's admins
	Budget  quota.Budget // every call takes a ticket of it; required
	// HTTP carries the calls; nil is one that all Clients share. Its transport must
	// not be instrumented: the Client makes a span of each call itself, without
	// the query, in which the token and the phone number travel.
	HTTP    *http.Client
	Profile Profile       // "" is Documented
	Links   string        // base of links to contacts; "" is DefaultLinks
	Timeout time.Duration // of one call, from sending to the end of the answer; 0 is 30 s
	Now     func() time.Time
}

// The bases that an account has unless it says otherwise.
const (
	DefaultBaseURL = "https://app.aloware.io"
	DefaultLinks   = "https://app.aloware.com"
)

const (
	maxAnswer      = 16 << 20 // bytes; a page of 500 contacts has about 5 MB
	defaultTimeout = 30 * time.Second
	// offeredTime is how long an endpoint that gave data is taken to be there,
	// whatever it answers.
	offeredTime = time.Hour
	prefix      = "/api/v1/webhook/"
)

// Client calls Aloware for one connection. It is safe for concurrent use.
type Client struct {
	base    string
	token   string
	links   string
	profile Profile
	budget  quota.Budget
	http    *http.Client
	timeout time.Duration
	now     func() time.Time
	offered sync.Map // method and endpoint that Aloware has not published -> when it last gave data (time.Time)
}

// NewClient checks the configuration; it makes no call.
func NewClient(cfg ClientConfig) (*Client, error) {
	profile, err := ParseProfile(string(cfg.Profile))
	if err != nil {
		return nil, err
	}
	if cfg.Budget == nil {
		return nil, errors.New("aloware client: a budget is required")
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = DefaultBaseURL
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil || base.Host == "" || base.RawQuery != "" || base.User != nil || (base.Scheme != "https" && base.Scheme != "http") {
		return nil, errors.New("aloware client: the base URL must be http(s)://host[:port]")
	}
	c := &Client{
		base: strings.TrimRight(base.String(), "/"), token: cfg.Token, links: cfg.Links, profile: profile,
		budget: cfg.Budget, timeout: cfg.Timeout, now: cfg.Now,
	}
	if c.links == "" {
		c.links = DefaultLinks
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.http = shared()
	if cfg.HTTP != nil {
		c.http = traced(cfg.HTTP)
	}
	return c, nil
}

// Capabilities are what this connection can and cannot do.
func (c *Client) Capabilities() Capabilities { return c.profile.Capabilities() }

// queryKey is the context's key of a request's query.
type queryKey struct{}

// queryTransport puts the query on below the span, so that neither token nor
// phone number gets into one.
type queryTransport struct{ base http.RoundTripper }

func (t queryTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if query, ok := r.Context().Value(queryKey{}).(string); ok {
		r = r.Clone(r.Context())
		r.URL.RawQuery = query
	}
	return t.base.RoundTrip(r)
}

// shared is the HTTP client of all Clients that are given none: most tenants
// call the same host.
var shared = sync.OnceValue(func() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 64
	return traced(&http.Client{Transport: transport})
})

// traced copies an HTTP client, with spans and without redirects: a redirect
// is a login page, and following it would hand the token on.
func traced(given *http.Client) *http.Client {
	client := *given
	base := client.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	client.Transport = otelhttp.NewTransport(queryTransport{base},
		otelhttp.WithSpanNameFormatter(func(_ string, r *http.Request) string { return r.Method + " aloware" }))
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

// request is one call. Body is nil for GET.
type request struct {
	method, path string // path below /api/v1/webhook/
	query        url.Values
	body         map[string]any
	// assumed marks an endpoint that Aloware has not published: a web page as
	// its answer means that the account does not have it.
	assumed bool
}

// answer is an accepted answer.
type answer struct {
	status int
	body   []byte
	raw    any            // body, decoded
	said   contact.Millis // Aloware's clock, to the second; 0 where it told none
	at     contact.Millis // the same, or else ours
	now    contact.Millis // our clock
}

// call makes one call within the budget and classifies its answer.
func (c *Client) call(ctx context.Context, r request) (answer, error) {
	if r.assumed && c.profile != Full {
		return answer{}, fail(fault.Permanent, 0, NotCapable, noPublicWay)
	}
	a, err := c.once(ctx, r)
	if !r.assumed {
		if err != nil && fault.As(err).Reason == HTMLAnswer {
			// A single page may be a disturbance; a wrong token gives another.
			a, err = c.once(ctx, r)
		}
		return a, err
	}
	if errors.Is(err, ErrNotCapable) {
		// A wrong token may look the same; a published endpoint tells.
		if _, probe := c.once(ctx, request{method: http.MethodGet, path: "users"}); probe != nil {
			return answer{}, probe
		}
		// So may a disturbance: an endpoint is missing where it never gives data.
		a, err = c.once(ctx, r)
	}
	name := r.method + " " + endpoint(r.path)
	switch last, known := c.offered.Load(name); {
	case err == nil:
		c.offered.Store(name, c.now())
	case known && errors.Is(err, ErrNotCapable) && c.now().Sub(last.(time.Time)) < offeredTime:
		return answer{}, fail(fault.Transient, a.status, HTMLAnswer, "Aloware answered "+r.method+" "+prefix+endpoint(r.path)+
			" with a web page; it gave data not long ago")
	}
	return a, err
}

func (c *Client) once(ctx context.Context, r request) (answer, error) {
	req, err := c.prepare(ctx, r)
	if err != nil {
		return answer{}, err
	}
	ticket, err := c.budget.Take(ctx, quota.General)
	if err != nil {
		return answer{}, fmt.Errorf("wait for the budget of Aloware: %w", err)
	}
	var told quota.Answer
	defer func() { ticket.Done(told) }()

	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	response, err := c.http.Do(req.WithContext(ctx))
	if err != nil {
		return answer{}, c.cut(r, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return answer{}, c.cut(r, err)
	}
	if len(body) > maxAnswer {
		return answer{}, fail(fault.Permanent, response.StatusCode, "TOO_LARGE", "the answer is larger than any that was expected")
	}
	now := c.now()
	a := answer{status: response.StatusCode, body: body, now: contact.Millis(now.UnixMilli()), said: clock(response.Header)}
	if a.at = a.said; a.at == 0 {
		a.at = contact.Millis(now.Truncate(time.Second).UnixMilli())
	}
	if response.StatusCode == http.StatusTooManyRequests {
		told = quota.Answer{Throttled: true, Wait: retryAfter(response.Header, now)}
	}
	a.raw, err = c.classify(r, response, body, told.Wait)
	return a, err
}

// prepare makes the request: the token travels in the query of a GET and in
// the body of everything else.
func (c *Client) prepare(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body == nil {
		query := url.Values{"api_token": {c.token}}
		for name, values := range r.query {
			query[name] = values
		}
		ctx = context.WithValue(ctx, queryKey{}, query.Encode())
	} else {
		full := make(map[string]any, len(r.body)+1)
		for name, value := range r.body {
			full[name] = value
		}
		full["api_token"] = c.token
		raw, err := json.Marshal(full)
		if err != nil {
			return nil, fault.Wrap(fault.Permanent, fmt.Errorf("encode %s %s: a value has no JSON form", r.method, r.path))
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+prefix+r.path, body)
	if err != nil {
		return nil, fault.Wrap(fault.Permanent, fmt.Errorf("make request %s %s", r.method, r.path))
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// cut is a call without a complete answer. Every call may be repeated: the
// upsert finds by phone what an earlier one has made.
func (c *Client) cut(r request, err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	return fault.Wrap(fault.Transient, fmt.Errorf("%s %s%s: %w", r.method, prefix, r.path, c.redacted(err)))
}

// redacted keeps an error whose text has no token, and replaces any other.
func (c *Client) redacted(err error) error {
	if text := err.Error(); c.token != "" && strings.Contains(text, c.token) {
		return errors.New(c.redact(text))
	}
	return err
}

func (c *Client) redact(text string) string {
	if c.token == "" {
		return text
	}
	return strings.ReplaceAll(text, c.token, "[redacted]")
}

// clock is the system's time of an answer, to the second; 0 where it tells none.
func clock(h http.Header) contact.Millis {
	if at, err := http.ParseTime(h.Get("Date")); err == nil {
		return contact.Millis(at.UnixMilli())
	}
	return 0
}
