package alowaresim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"time"
)

const (
	profileFull       = "full"
	profileDocumented = "documented"
)

// Switches turn single behaviours of the account on and off.
type Switches struct {
	// HTMLCatchAll answers unknown paths with status 200 and the web page; else
	// they get 404 and JSON.
	HTMLCatchAll bool `json:"html_catch_all"`
	// FormsConflict is what the Lead API does with an existing contact when
	// force_update is not set: "fill_blanks", or "409".
	FormsConflict string `json:"forms_conflict"`
	// FormsBlank is what it does with blank values: "ignore", or "clear".
	FormsBlank string `json:"forms_blank"`
	// Redeliver is how often a failed delivery is sent again. Aloware: never.
	Redeliver int `json:"redeliver"`
	// ShapeNoise writes some numbers as text and some booleans as 0 and 1. What
	// is written how depends on the contact alone.
	ShapeNoise bool `json:"shape_noise"`
	// Echo sends contact events for what the API wrote.
	Echo bool `json:"echo"`
	// AutoAssign gives a contact without an owner to the first user who talks to it.
	AutoAssign bool `json:"auto_assign"`
	// BadToken is the answer to a wrong token: "json", or "html".
	BadToken string `json:"bad_token"`
}

// DefaultSwitches reproduce what is known of Aloware.
func DefaultSwitches() Switches {
	return Switches{
		HTMLCatchAll: true, FormsConflict: "fill_blanks", FormsBlank: "ignore",
		ShapeNoise: true, Echo: true, AutoAssign: true, BadToken: "json",
	}
}

// settings are what the control calls may change while the account runs.
type settings struct {
	Profile   string    `json:"profile"`
	Rate      float64   `json:"rate"` // 0 and less is no limit
	Burst     int       `json:"burst"`
	TimeScale float64   `json:"time_scale"`
	LatencyMS float64   `json:"latency_ms"`
	Webhooks  []Webhook `json:"webhooks"`
	Switches
}

func (s *settings) latency() time.Duration {
	return time.Duration(s.LatencyMS * float64(time.Millisecond))
}

// scaled is a delay of the real service in the time of this account.
func (s *settings) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * max(s.TimeScale, 0))
}

func (s *settings) check() error {
	oneOf := func(name, got string, allowed ...string) error {
		for _, a := range allowed {
			if got == a {
				return nil
			}
		}
		return fmt.Errorf("%s is %q: use one of %q", name, got, allowed)
	}
	for _, err := range []error{
		oneOf("profile", s.Profile, profileFull, profileDocumented),
		oneOf("forms_conflict", s.FormsConflict, "fill_blanks", "409"),
		oneOf("forms_blank", s.FormsBlank, "ignore", "clear"),
		oneOf("bad_token", s.BadToken, "json", "html"),
	} {
		if err != nil {
			return err
		}
	}
	if s.Rate > 0 && s.Burst < 1 {
		return fmt.Errorf("burst is %d: give at least 1, or a rate of -1 for no limit", s.Burst)
	}
	if s.Redeliver < 0 || s.Redeliver > 100 {
		return fmt.Errorf("redeliver is %d: give 0 to 100", s.Redeliver)
	}
	for i := range s.Webhooks {
		if err := s.Webhooks[i].check(); err != nil {
			return fmt.Errorf("webhook %d: %w", i, err)
		}
	}
	return nil
}

// override is what the control calls changed in the settings, by key. It is
// kept in the journal and applied over what the process was configured with.
type override map[string]json.RawMessage

// apply gives the settings with the override, which is refused when it names
// an unknown key or value.
func (o override) apply(base settings) (settings, error) {
	result := base
	if _, ok := o["webhooks"]; ok {
		result.Webhooks = nil // else old members would shine through
	}
	raw, err := json.Marshal(o)
	if err != nil {
		return base, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&result); err != nil {
		return base, err
	}
	return result, result.check()
}

// with gives the override with more on top of it.
func (o override) with(more override) override {
	merged := override{}
	maps.Copy(merged, o)
	maps.Copy(merged, more)
	return merged
}

func (h *Webhook) check() error {
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("url is no absolute http or https URL: give one like http://127.0.0.1:8080/webhooks/aloware")
	}
	switch h.Auth {
	case "", "none", "basic", "bearer":
		return nil
	}
	return fmt.Errorf("auth is %q: use none, basic or bearer", h.Auth)
}
