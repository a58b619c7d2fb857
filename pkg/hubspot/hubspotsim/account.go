package hubspotsim

import (
	"net/http"
	"strconv"
	"time"
)

// accountZone is the account's time zone; the daily limit turns at its midnight.
const accountZone = "America/New_York"

// owner is a user of the account to whom contacts can be assigned.
type owner struct {
	ID        int64
	User      int64
	Email     string
	FirstName string
	LastName  string
	Archived  bool
}

// seededOwners are the users of the simulated account. The last one has left.
var seededOwners = []owner{
	{81001, 52530071, "ana@example.com", "Ana", "Lima", false},
	{81002, 52530072, "ben@example.com", "Ben", "Okafor", false},
	{81003, 52530073, "carla@example.com", "Carla", "Fischer", false},
	{81004, 52530074, "tom.becker@example.com", "Tom", "Becker", true},
}

// knownOwner tells whether a contact may point to the owner. One who has left
// still counts.
func knownOwner(text string) bool {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false
	}
	for _, o := range seededOwners {
		if o.ID == id {
			return true
		}
	}
	return false
}

func (o owner) render() map[string]any {
	out := map[string]any{
		"id": idText(o.ID), "email": o.Email, "type": "PERSON", "firstName": o.FirstName, "lastName": o.LastName,
		"userIdIncludingInactive": o.User, "createdAt": "2024-03-01T09:00:00Z", "updatedAt": "2026-02-10T09:00:00.250Z", "archived": o.Archived,
	}
	if !o.Archived {
		out["userId"] = o.User
	}
	return out
}

// owners answers GET .../owners and .../owners/{id}.
func (s *Sim) owners(q *call) {
	if q.r.Method != http.MethodGet || len(q.rest) > 1 {
		q.fail(noRoute())
		return
	}
	if len(q.rest) == 1 {
		for _, o := range seededOwners {
			id := o.ID
			if q.query.Get("idProperty") == "userId" {
				id = o.User
			}
			if idText(id) == q.rest[0] && o.Archived == q.flag("archived") {
				writeJSON(q.w, http.StatusOK, o.render())
				return
			}
		}
		q.fail(notFound(q.rest[0]))
		return
	}
	limit, after := 100, int64(0)
	if text := q.query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > 500 {
			q.fail(notValid("limit must be between 1 and 500, not %s", text))
			return
		}
		limit = n
	}
	if text := q.query.Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			q.fail(notValid("after must be a number, not %s", text))
			return
		}
		after = n
	}
	results := []any{}
	out := map[string]any{}
	for _, o := range seededOwners {
		if o.ID < after || o.Archived != q.flag("archived") || (q.query.Get("email") != "" && q.query.Get("email") != o.Email) {
			continue
		}
		if len(results) == limit {
			out["paging"] = map[string]any{"next": map[string]string{"after": idText(o.ID)}}
			break
		}
		results = append(results, o.render())
	}
	out["results"] = results
	writeJSON(q.w, http.StatusOK, out)
}

// dispositions answers GET /calling/v1/dispositions.
func (s *Sim) dispositions(q *call) {
	if q.r.Method != http.MethodGet || len(q.rest) != 1 || q.rest[0] != "dispositions" {
		q.fail(noRoute())
		return
	}
	type disposition struct {
		ID      string `json:"id"`
		Label   string `json:"label"`
		Deleted bool   `json:"deleted"`
	}
	writeJSON(q.w, http.StatusOK, []disposition{
		{"9d9162e7-6cf3-4944-bf63-4dff82258764", "Busy", false},
		{"f240bbac-87c9-4f6e-bf70-924b57d47db7", "Connected", false},
		{"a4c4c377-d246-4b32-a13b-75a56a4cd0ff", "Left live message", false},
		{"b2cf5968-551e-4856-9783-52b3da59a7d0", "Left voicemail", false},
		{"73a0d17f-1163-4015-bdd5-ec830791da20", "No answer", false},
		{"17b47fee-58de-441e-a44c-c6300d46f273", "Wrong number", false},
	})
}

// account answers the account-info calls.
func (s *Sim) account(q *call) {
	switch {
	case q.r.Method == http.MethodGet && len(q.rest) == 1 && q.rest[0] == "details":
		_, offset := s.cfg.Now().In(s.limits.zone).Zone()
		out := map[string]any{
			"portalId": s.cfg.PortalID, "accountType": "STANDARD", "timeZone": accountZone, "companyCurrency": "USD",
			"additionalCurrencies": []string{}, "utcOffset": s.cfg.Now().In(s.limits.zone).Format("-07:00"),
			"utcOffsetMilliseconds": offset * 1000, "uiDomain": "app.hubspot.com", "dataHostingLocation": "na1",
		}
		if q.version == "2026-09" {
			out["portalName"], out["createdAt"] = "Simulated account", time.Date(2024, 3, 1, 9, 0, 0, 0, time.UTC).UnixMilli()
		}
		writeJSON(q.w, http.StatusOK, out)
	case q.r.Method == http.MethodGet && len(q.rest) == 3 && q.rest[0] == "api-usage" && q.rest[2] == "private-apps":
		saved := s.limits.save()
		writeJSON(q.w, http.StatusOK, map[string]any{"results": []any{map[string]any{
			"name": "private-apps-api-calls-daily", "usageLimit": s.limits.dailyLimit(), "currentUsage": saved.Today,
			"collectedAt": instant(s.nowMS()), "fetchStatus": "SUCCESS",
		}}})
	default:
		q.fail(noRoute())
	}
}

// customLimits answers GET .../limits/custom-properties.
func (s *Sim) customLimits(q *call) {
	if q.r.Method != http.MethodGet || len(q.rest) != 1 || q.rest[0] != "custom-properties" {
		q.fail(noRoute())
		return
	}
	s.store.mu.RLock()
	used := s.store.schema.custom()
	s.store.mu.RUnlock()
	writeJSON(q.w, http.StatusOK, map[string]any{
		"overallLimit": 10_000, "overallUsage": used, "overallPercentage": float64(used) / 100,
		"byObjectType": []any{map[string]any{"objectTypeId": "0-1", "singularLabel": "Contact", "pluralLabel": "Contacts",
			"limit": maxCustom, "usage": used, "percentage": float64(used) / 10}},
	})
}
