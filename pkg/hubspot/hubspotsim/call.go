package hubspotsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// call is one request to the API.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	body    []byte
	version string   // "v3", "2026-03", "2026-09" and so on
	rest    []string // decoded path segments behind the API's name and version
	query   url.Values
	token   grant
}

func (q *call) fail(f *failure) { f.write(q.w) }

// decode reads the JSON body.
func (q *call) decode(into any) *failure {
	dec := json.NewDecoder(bytes.NewReader(q.body))
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return badJSON(q.body, err)
	}
	return nil
}

// list reads a list-valued parameter: repeated, comma-separated or both.
func (q *call) list(name string) []string {
	var out []string
	for _, v := range q.query[name] {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				out = append(out, part)
			}
		}
	}
	return out
}

func (q *call) flag(name string) bool { return q.query.Get(name) == "true" }

// apiNames are the families of calls by the segments before their version.
var apiNames = map[string]bool{
	"crm/objects": true, "crm/properties": true, "crm/owners": true, "crm/limits": true,
	"account-info": true, "oauth": true, "calling": true, "appinstalls": true,
}

var versions = map[string]bool{"v1": true, "v3": true, "2026-03": true, "2026-09": true}

// splitPath finds the API, the version and the rest of a path, whichever of
// the two forms it has: /crm/v3/objects/... or /crm/objects/2026-09/...
func splitPath(escaped string) (api, version string, rest []string, ok bool) {
	var parts []string
	for part := range strings.SplitSeq(escaped, "/") {
		if part == "" {
			continue // double and trailing slashes mean nothing
		}
		plain, err := url.PathUnescape(part)
		if err != nil {
			return "", "", nil, false
		}
		parts = append(parts, plain)
	}
	if len(parts) >= 3 && parts[0] == "crm" {
		switch {
		case versions[parts[1]]:
			api, version = "crm/"+parts[2], parts[1]
		case versions[parts[2]]:
			api, version = "crm/"+parts[1], parts[2]
		}
		rest = parts[3:]
	} else if len(parts) >= 2 {
		api, version, rest = parts[0], parts[1], parts[2:]
	}
	return api, version, rest, apiNames[api] && versions[version]
}

// routeName is the path of a call with ids left out, for the statistics.
func routeName(method, api, version string, rest []string) string {
	path := "/" + api + "/" + version
	if name, ok := strings.CutPrefix(api, "crm/"); ok && strings.HasPrefix(version, "v") {
		path = "/crm/" + version + "/" + name
	}
	fixed := map[string]bool{"batch": true, "create": true, "read": true, "update": true, "upsert": true, "archive": true,
		"search": true, "merge": true, "gdpr-delete": true, "groups": true, "contacts": true, "0-1": true, "calls": true,
		"token": true, "introspect": true, "revoke": true, "details": true, "custom-properties": true, "dispositions": true,
		"access-tokens": true, "refresh-tokens": true, "external-install": true}
	for _, part := range rest {
		if !fixed[part] {
			part = "{id}"
		}
		path += "/" + part
	}
	return method + " " + path
}

// serve takes every request of the simulator.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	switch {
	case strings.HasPrefix(path, "/_sim/"):
		s.control(w, r, strings.TrimPrefix(path, "/_sim/"))
		return
	case path == "/oauth/authorize":
		s.authorize(w, r)
		return
	}
	api, version, rest, ok := splitPath(path)
	if !ok {
		if s.page(w, r, path) {
			return
		}
		noRoute().write(w)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 32<<20))
	if err != nil {
		notValid("the body could not be read: %s", err).write(w)
		return
	}
	q := &call{w: w, r: r, body: body, version: version, rest: rest, query: r.URL.Query()}
	route := routeName(r.Method, api, version, rest)
	if s.cfg.Latency > 0 {
		pause(r, s.cfg.Latency)
	}
	search := api == "crm/objects" && len(rest) == 2 && rest[1] == "search"
	if api != "oauth" {
		token, refusal := s.authenticate(r)
		if refusal != nil {
			refusal.write(w)
			s.stats.answered(route, refusal.Status)
			return
		}
		q.token = token
		if !s.admit(q, route, search) {
			return
		}
	}
	s.withFaults(q, path, route, func(q *call) { s.route(q, api) })
}

// admit counts the call against the limits and refuses it when they are reached.
func (s *Sim) admit(q *call, route string, search bool) bool {
	now := s.nowMS()
	v := s.limits.admit(now, search, limitGroup(s.cfg.PortalID, s.cfg.AppID))
	if err := s.store.journal.write(&record{Op: opRequest, At: now, Request: v.mark}); err != nil {
		s.cfg.Logger.Error("writing the simulator's journal", "path", s.cfg.Journal, "error", err)
	}
	if !search {
		v.headers(q.w.Header(), q.token.static)
	}
	if v.refusal != nil {
		v.refusal.write(q.w)
		s.stats.answered(route, v.refusal.Status)
		return false
	}
	return true
}

// pause waits unless the client goes away.
func pause(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}

// route sends the call to its handler.
func (s *Sim) route(q *call, api string) {
	if scope := requiredScope(api, q); scope != "" && !q.token.allows(scope) {
		q.fail(missingScope(scope))
		return
	}
	switch api {
	case "crm/objects":
		s.objects(q)
	case "crm/properties":
		s.properties(q)
	case "crm/owners":
		s.owners(q)
	case "crm/limits":
		s.customLimits(q)
	case "account-info":
		s.account(q)
	case "calling":
		s.dispositions(q)
	case "appinstalls":
		s.uninstall(q)
	case "oauth":
		s.oauth(q)
	default:
		q.fail(noRoute())
	}
}
