package hubspot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

const (
	defaultBaseURL = "https://api.hubapi.com"
	defaultVersion = "2026-09"
	defaultTimeout = 30 * time.Second
	// largestAnswer bounds what is read of one answer: fifty contacts with all
	// their history stay far below it.
	largestAnswer = 64 << 20
)

// ClientConfig is what a client needs to speak with one portal.
type ClientConfig struct {
	// BaseURL is the API's address without a path; "" is HubSpot's own.
	BaseURL string
	// Token gives the access token; required.
	Token TokenSource
	// Budget gives out calls; required.
	Budget quota.Budget
	// HTTP makes the calls; nil makes one with tracing that follows no
	// redirect.
	HTTP *http.Client
	// AppID is our app in HubSpot, by which our own writes are recognised; 0
	// recognises none.
	AppID int64
	// Version is the dated version in every path; "" is 2026-09.
	Version string
	// Timeout bounds one call, its wait for the budget not counted; 0 is 30 s.
	Timeout time.Duration
	// TimeZone is the account's (Account.TimeZone): its midnight ends a day's
	// quota. nil probes every 15 minutes.
	TimeZone *time.Location
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// Client speaks with one portal. It is safe for concurrent use.
type Client struct {
	base    string
	version string
	app     string // app id as HubSpot writes it into a source; "" unknown
	token   TokenSource
	budget  quota.Budget
	http    *http.Client
	timeout time.Duration
	zone    *time.Location
	now     func() time.Time
	worked  atomic.Pointer[string] // the token of the last call that was not refused with 401; nil none
}

// NewClient makes a client; it panics without a token source or a budget,
// because nothing may call HubSpot without them.
func NewClient(config ClientConfig) *Client {
	if config.Token == nil || config.Budget == nil {
		panic("hubspot: a client needs a token source and a budget")
	}
	c := &Client{
		base: strings.TrimRight(config.BaseURL, "/"), version: config.Version, token: config.Token, budget: config.Budget,
		http: config.HTTP, timeout: config.Timeout, zone: config.TimeZone, now: config.Now,
	}
	if c.base == "" {
		c.base = defaultBaseURL
	}
	if c.version == "" {
		c.version = defaultVersion
	}
	if c.timeout <= 0 {
		c.timeout = defaultTimeout
	}
	if c.http == nil {
		c.http = sharedHTTP
	}
	if c.now == nil {
		c.now = time.Now
	}
	if config.AppID != 0 {
		c.app = strconv.FormatInt(config.AppID, 10)
	}
	return c
}

// sharedHTTP is the default of all clients, so that they share connections.
var sharedHTTP = newHTTP()

// newHTTP makes a traced client that sends a token nowhere else.
func newHTTP() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32
	return &http.Client{
		Transport:     otelhttp.NewTransport(transport),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request is one call. Its path must hold no contact data; pattern is the path
// without ids, for errors.
type request struct {
	method, path, pattern string
	query                 url.Values
	body                  any
	pool                  quota.Pool
	// once marks a call that makes something new each time it is repeated: a
	// cut after sending leaves its outcome unknown.
	once bool
}

// answer is what is known of an accepted call besides its body.
type answer struct {
	status int
	date   contact.Millis // HubSpot's clock, second ticks; 0 unknown
}

// do carries out a call and decodes its JSON answer into a value (nil for
// none). A call whose token is refused is made once more if there is another
// token, or if this one worked until now: one such answer may be a mistake of
// the front that gave it, and a lane that rests for it rests in vain.
func (c *Client) do(ctx context.Context, r request, into any) (answer, error) {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return answer{}, fmt.Errorf("encode %s: %w", r.pattern, err)
		}
	}
	for attempt := 0; ; attempt++ {
		token, err := c.token.Token(ctx)
		if err != nil {
			return answer{}, err
		}
		a, err := c.send(ctx, r, body, token, into)
		if !fault.Is(err, fault.Unauthorized) {
			if a.status != 0 {
				c.worked.Store(&token)
			}
			return a, err
		}
		worked := c.worked.Load()
		if attempt == 0 && (c.token.Refused(token) || worked != nil && *worked == token) {
			continue
		}
		c.worked.CompareAndSwap(worked, nil)
		return a, err
	}
}

// send makes one HTTP call with a ticket of its own.
func (c *Client) send(ctx context.Context, r request, body []byte, token string, into any) (answer, error) {
	address := c.base + r.path
	if len(r.query) > 0 {
		address += "?" + r.query.Encode()
	}
	call := r.method + " " + r.pattern
	ticket, err := c.budget.Take(ctx, r.pool)
	if err != nil {
		return answer{}, fmt.Errorf("hubspot %s: wait for budget: %w", call, err)
	}
	var told quota.Answer
	defer func() { ticket.Done(told) }()

	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, r.method, address, bytes.NewReader(body))
	if err != nil {
		return answer{}, fault.Wrap(fault.Permanent, fmt.Errorf("hubspot %s: address: %w", call, bare(err)))
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "lockstep")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	} else {
		req.Body, req.ContentLength = http.NoBody, 0
	}
	response, err := c.http.Do(req)
	if err != nil {
		return answer{}, fault.Wrap(cutClass(r.once, err), fmt.Errorf("hubspot %s: %w", call, bare(err)))
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, largestAnswer+1))
	told = limitsOf(response.Header)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		refused := classify(call, response.StatusCode, response.Header, raw, r.pool, c.now(), c.zone)
		if refused.Class == fault.Throttled {
			told.Throttled, told.Wait, told.Scope = true, refused.Wait, refused.Scope
		}
		return answer{}, refused
	}
	a := answer{status: response.StatusCode}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		a.date = contact.Millis(date.UnixMilli())
	}
	class := fault.Transient
	if r.once {
		class = fault.Unknown
	}
	if err != nil {
		return a, fault.Wrap(class, fmt.Errorf("hubspot %s: read answer: %w", call, bare(err)))
	}
	if len(raw) > largestAnswer {
		return a, fault.Wrap(fault.Permanent, fmt.Errorf("hubspot %s: answer over %d bytes", call, largestAnswer))
	}
	if into == nil || response.StatusCode == http.StatusNoContent {
		return a, nil
	}
	if err := lenient(raw, into); err != nil {
		// The decoder's error can quote the body, so it is not passed on.
		return a, fault.Wrap(class, fmt.Errorf("hubspot %s: answer of %d bytes is not the JSON expected", call, len(raw)))
	}
	return a, nil
}

// bare takes the URL off an HTTP error.
func bare(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// cutClass is the class of a call that had no answer: one that was never sent
// can be repeated, whatever it would have made.
func cutClass(once bool, err error) fault.Class {
	var dial *net.OpError
	var name *net.DNSError
	unsent := errors.As(err, &dial) && dial.Op == "dial" || errors.As(err, &name)
	if once && !unsent {
		return fault.Unknown
	}
	return fault.Transient
}

// limitsOf reads HubSpot's rate limit headers.
func limitsOf(header http.Header) quota.Answer {
	var told quota.Answer
	pair := func(most, left string) (int, int, bool) {
		limit, err := strconv.Atoi(header.Get(most))
		if err != nil {
			return 0, 0, false
		}
		remaining, err := strconv.Atoi(header.Get(left))
		return limit, remaining, err == nil
	}
	told.WindowMax, told.WindowLeft, told.HasWindow = pair("X-HubSpot-RateLimit-Max", "X-HubSpot-RateLimit-Remaining")
	told.DailyMax, told.DailyLeft, told.HasDaily = pair("X-HubSpot-RateLimit-Daily", "X-HubSpot-RateLimit-Daily-Remaining")
	return told
}

// contacts is the path of the contact API with a rest such as "/batch/read".
func (c *Client) contacts(rest string) string {
	return "/crm/objects/" + c.version + "/contacts" + rest
}

// contact reads one contact by id; the id of a merged-away contact gives the
// surviving one.
func (c *Client) contact(ctx context.Context, id string, properties ...string) (record, error) {
	var r record
	_, err := c.do(ctx, request{
		method: http.MethodGet, path: c.contacts("/" + url.PathEscape(id)), pattern: c.contacts("/{id}"),
		query: url.Values{"properties": {strings.Join(properties, ",")}},
	}, &r)
	return r, err
}

// batch makes a batch call: create, read, update or upsert.
func (c *Client) batch(ctx context.Context, action string, body any, once bool) (batchAnswer, answer, error) {
	var got batchAnswer
	path := c.contacts("/batch/" + action)
	a, err := c.do(ctx, request{method: http.MethodPost, path: path, pattern: path, body: body, once: once}, &got)
	return got, a, err
}

// readBody is the body of a batch read.
type readBody struct {
	Inputs     []readInput `json:"inputs"`
	Properties []string    `json:"properties"`
	History    []string    `json:"propertiesWithHistory"`
	IDProperty string      `json:"idProperty,omitempty"`
}

type readInput struct {
	ID string `json:"id"`
}

// read reads contacts by id, or by the value of a unique property.
func (c *Client) read(ctx context.Context, ids []string, idProperty string, properties, history []string) ([]record, answer, error) {
	body := readBody{Properties: properties, History: history, IDProperty: idProperty}
	if body.History == nil {
		body.History = []string{}
	}
	for _, id := range ids {
		body.Inputs = append(body.Inputs, readInput{id})
	}
	got, a, err := c.batch(ctx, "read", body, false)
	return got.Results, a, err
}
