package hubspot

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

// Waits that HubSpot's guidelines name for answers without Retry-After.
const (
	windowWait = 10 * time.Second
	searchWait = time.Second
	lockWait   = 2 * time.Second
	dailyProbe = 15 * time.Minute
	// migrationWait is ours: the guideline for 477 is Retry-After alone.
	migrationWait = time.Minute
	longestAsk    = 24 * time.Hour
)

// errorBody is HubSpot's error in every form that was seen: as the body of a
// refused call, and as an entry of a batch answer. All members are optional.
type errorBody struct {
	Status          text             `json:"status"`
	Message         text             `json:"message"`
	Category        text             `json:"category"`
	SubCategory     text             `json:"subCategory"`
	CorrelationID   text             `json:"correlationId"`
	PolicyName      text             `json:"policyName"`
	PropertyCode    text             `json:"propertiesErrorCode"`
	OAuthError      text             `json:"error"`
	ID              text             `json:"id"`
	Context         map[string]texts `json:"context"`
	Errors          []errorItem      `json:"errors"`
	IdentityProfile struct {
		VID text `json:"vid"`
	} `json:"identityProfile"`
}

// errorItem is one detail of an error: by code and context in newer answers,
// by error and name in the list inside an older answer's message.
type errorItem struct {
	Message text             `json:"message"`
	Code    text             `json:"code"`
	Error   text             `json:"error"`
	Name    text             `json:"name"`
	In      text             `json:"in"`
	Context map[string]texts `json:"context"`
}

// parseError reads an error body; false when it is no JSON object. An error
// nested as text inside the message is unfolded.
func parseError(raw []byte) (errorBody, bool) {
	var body errorBody
	if err := lenient(raw, &body); err != nil {
		return errorBody{}, false
	}
	if inner := strings.TrimSpace(string(body.Message)); strings.HasPrefix(inner, "{") {
		var nested errorBody
		if lenient([]byte(inner), &nested) == nil && nested.Message != "" {
			if nested.CorrelationID == "" {
				nested.CorrelationID = body.CorrelationID
			}
			return nested, true
		}
	}
	return body, true
}

// reason is the stable name of the error.
func (b errorBody) reason(status int) string {
	for _, name := range []text{b.Category, b.PropertyCode, b.PolicyName} {
		if name != "" {
			return string(name)
		}
	}
	if b.OAuthError != "" && b.Status != "" && b.Status != "error" {
		return string(b.Status)
	}
	if status != 0 {
		return strconv.Itoa(status)
	}
	return "UNNAMED"
}

// words is the message for people; a missing scope is named in it.
func (b errorBody) words() string {
	message := string(b.Message)
	if scopes := b.scopes(); len(scopes) > 0 {
		message = strings.TrimSpace(message + " Missing: " + strings.Join(scopes, ", "))
	}
	return message
}

// scopes are the scopes that a 403 asks for; both known places are read.
func (b errorBody) scopes() []string {
	scopes := append([]string(nil), b.Context["requiredGranularScopes"]...)
	for _, item := range b.Errors {
		scopes = append(scopes, item.Context["requiredGranularScopes"]...)
	}
	return scopes
}

var existingID = regexp.MustCompile(`Existing ID: (\d+)`)

// existing is the id of the contact that a conflict is about; "" if not told.
func (b errorBody) existing() string {
	if ids := b.Context["existingId"]; len(ids) > 0 && ids[0] != "" {
		return ids[0]
	}
	messages := []text{b.Message}
	for _, item := range b.Errors {
		messages = append(messages, item.Message)
	}
	for _, message := range messages {
		if found := existingID.FindStringSubmatch(string(message)); found != nil {
			return found[1]
		}
	}
	return string(b.IdentityProfile.VID)
}

// conflict reports whether the error says that a contact exists already.
func (b errorBody) conflict() bool {
	return b.Category == "CONFLICT" || b.Category == "OBJECT_ALREADY_EXISTS" || b.OAuthError == "CONTACT_EXISTS"
}

// missing reports whether the error says that an object does not exist.
func (b errorBody) missing() bool { return b.Category == "OBJECT_NOT_FOUND" }

// refusals are the properties that the error names, each with HubSpot's code
// and words. Both forms are read and joined, because either may be shorter.
func (b errorBody) refusals(status int) map[string]*fault.Refusal {
	refusals := map[string]*fault.Refusal{}
	add := func(name, code, message text) {
		if name == "" {
			return
		}
		if code == "" {
			code = text(b.reason(status))
		}
		if _, known := refusals[string(name)]; !known {
			refusals[string(name)] = &fault.Refusal{
				Class: fault.Permanent, Reason: string(code), Message: string(message),
				Status: status, CorrelationID: string(b.CorrelationID),
			}
		}
	}
	for _, item := range b.Errors {
		code := item.Code
		if code == "" {
			code = item.Error
		}
		for _, name := range item.Context["propertyName"] {
			add(text(name), code, item.Message)
		}
		add(item.Name, code, item.Message)
		if item.Code != "" {
			add(item.In, code, item.Message)
		}
	}
	if start := strings.Index(string(b.Message), ": ["); start >= 0 {
		var items []errorItem
		if json.NewDecoder(strings.NewReader(string(b.Message)[start+2:])).Decode(&items) == nil {
			for _, item := range items {
				add(item.Name, item.Error, item.Message)
			}
		}
	}
	if len(refusals) == 0 && b.Category == "VALIDATION_ERROR" {
		for _, name := range b.Context["propertyName"] {
			add(text(name), b.SubCategory, b.Message)
		}
	}
	return refusals
}

// refusal is the whole error as an outcome carries it.
func (b errorBody) refusal(class fault.Class, status int) *fault.Refusal {
	return &fault.Refusal{
		Class: class, Reason: b.reason(status), Message: b.words(), Status: status, CorrelationID: string(b.CorrelationID),
	}
}

// callError is a refused call: the fault, and HubSpot's body for those who can
// read more out of it. Its text leaves HubSpot's words out, which may quote a
// contact's value.
type callError struct {
	*fault.Fault
	call string // method and path pattern, without ids
	body errorBody
}

// Error names the call, the class and the reason.
func (e *callError) Error() string {
	said := fmt.Sprintf("hubspot %s: %s: %s (HTTP %d)", e.call, e.Class, e.Reason, e.Status)
	if e.CorrelationID != "" {
		said += " correlation " + e.CorrelationID
	}
	return said
}

// Unwrap lets package fault find the class.
func (e *callError) Unwrap() error { return e.Fault }

// refusedCall finds HubSpot's answer in an error's chain; nil without one.
func refusedCall(err error) *callError {
	var refused *callError
	if errors.As(err, &refused) {
		return refused
	}
	return nil
}

// classify gives a non-2xx answer its class.
func classify(call string, status int, header http.Header, raw []byte, pool quota.Pool, now time.Time, zone *time.Location) *callError {
	body, isJSON := parseError(raw)
	if body.CorrelationID == "" {
		body.CorrelationID = text(header.Get("X-HubSpot-Correlation-Id"))
	}
	refused := &callError{Fault: fault.New(*body.refusal(fault.Permanent, status)), call: call, body: body}
	if !isJSON {
		refused.Message = http.StatusText(status)
	}
	asked := retryAfter(header.Get("Retry-After"), now)
	refused.Wait = asked
	switch {
	case status == http.StatusTooManyRequests:
		refused.Class = fault.Throttled
		refused.Scope, refused.Wait = limitOf(body, pool, now, zone)
		if asked > 0 {
			refused.Wait = asked
		}
	case status == 477: // the account moves to another data centre, and says for how long
		refused.Class = fault.Throttled
		if asked == 0 {
			refused.Wait = migrationWait
		}
	case status == http.StatusLocked:
		refused.Class = fault.Transient
		refused.Wait = max(asked, lockWait)
	case status == http.StatusUnauthorized:
		refused.Class = fault.Unauthorized
	case status == http.StatusNotFound && isJSON:
		refused.Class = fault.Gone
	case status == http.StatusNotFound:
		// A page instead of an answer means that the route is wrong, which
		// says nothing of the contact.
		refused.Class, refused.Reason = fault.Transient, "NO_SUCH_ROUTE"
	case status >= 500, status == http.StatusRequestTimeout, status < 400:
		refused.Class = fault.Transient
	}
	return refused
}

// limitOf tells which of HubSpot's three limits a 429 is about, and how long to
// wait for it.
func limitOf(body errorBody, pool quota.Pool, now time.Time, zone *time.Location) (scope string, wait time.Duration) {
	message := strings.ToLower(string(body.Message))
	switch {
	case body.PolicyName == "DAILY" || strings.Contains(message, "daily limit"):
		if zone == nil {
			return "daily", dailyProbe
		}
		local := now.In(zone)
		midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 5, 0, zone)
		return "daily", midnight.Sub(now)
	case body.PolicyName == "TEN_SECONDLY_ROLLING" || strings.Contains(message, "ten_secondly"):
		return "", windowWait
	case body.PolicyName == "SECONDLY" || strings.Contains(message, "secondly limit") || pool == quota.Search:
		if pool == quota.Search {
			return "search", searchWait
		}
		return "", searchWait
	}
	return "", windowWait
}

// retryAfter reads the header's seconds or date, at most a day.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if seconds != seconds || seconds <= 0 {
			return 0
		}
		return time.Duration(min(seconds, longestAsk.Seconds()) * float64(time.Second))
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), longestAsk)
}
