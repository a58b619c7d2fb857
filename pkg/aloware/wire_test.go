package aloware_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/aloware/alowaresim"
	"lockstep.internal/pkg/contact"
)

// written are the properties that both ways of writing take, and those that
// an update by id takes besides, with the keys under which they are read.
var (
	writtenByForm = map[string]contact.Type{
		"email": contact.Email, "user_id": contact.User, "disposition_status_id": contact.Option, "first_name": contact.Text, "last_name": contact.Text,
		"company_name": contact.Text, "address": contact.Text, "city": contact.Text, "state": contact.Text, "country": contact.Text, "zipcode": contact.Text,
		"website": contact.Text, "date_of_birth": contact.Date, "timezone": contact.Option, "lead_source": contact.Text, "csf1": contact.Text,
		"csf2": contact.Multiline, "dnc": contact.Checkbox,
	}
	writtenByPut = map[string]contact.Type{
		"phone_number": contact.Phone, "lifecycle_stage": contact.Option, "a text": contact.Text, "a_number": contact.Number, "a_box": contact.Checkbox,
		"a_date": contact.Date, "a_time": contact.Datetime, "a_choice": contact.Option, "a_mail": contact.Email, "a_user": contact.User, "a_phone": contact.Phone, "Größe": contact.Multiline,
	}
	readAs = map[string]string{"city": "cnam_city", "state": "cnam_state", "country": "cnam_country", "zipcode": "cnam_zipcode"}
)

// canonical draws a canonical value of a type, not the blank.
func canonical(kind contact.Type, name string) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		raw := ""
		switch kind {
		case contact.Number:
			raw = rapid.StringMatching(`-?[0-9]{1,18}(\.[0-9]{1,9})?`).Draw(t, name)
		case contact.Checkbox:
			raw = rapid.SampledFrom([]string{"true", "false"}).Draw(t, name)
		case contact.Date:
			raw = time.Date(1900, 1, 1+rapid.IntRange(0, 60000).Draw(t, name), 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		case contact.Datetime:
			raw = contact.FormatInstant(contact.Millis(rapid.Int64Range(-1e12, 4e12).Draw(t, name)))
		case contact.Phone:
			raw = "+1312555" + rapid.StringMatching(`01[0-9]{2}`).Draw(t, name)
		case contact.Email, contact.User:
			raw = rapid.StringMatching(`[a-z]{1,8}@[a-z]{1,8}\.example`).Draw(t, name)
		default:
			raw = strings.ReplaceAll(rapid.StringMatching(`\PC{1,20}(\n\PC{1,5})?`).Draw(t, name), "\x00", "")
		}
		if name == "user_id" || name == "disposition_status_id" {
			raw = fmt.Sprint(rapid.Int64Range(1, 1<<62).Draw(t, name))
		}
		text, err := contact.Canonical(kind, raw, "US")
		if err != nil {
			t.Fatalf("%s %q: %v", name, raw, err)
		}
		if text == "" {
			return "x"
		}
		return text
	})
}

func draw(t *rapid.T, types ...map[string]contact.Type) []contact.Property {
	var properties []contact.Property
	for _, some := range types {
		for _, name := range slices.Sorted(maps.Keys(some)) {
			properties = append(properties, contact.Property{Name: name, Type: some[name], Value: canonical(some[name], name).Draw(t, name)})
		}
	}
	return properties
}

// memory keeps one contact as it is written, and shows it under the names and
// in the forms in which Aloware is read.
func memory(t *testing.T) *httptest.Server {
	held := map[string]any{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			d := json.NewDecoder(r.Body)
			d.UseNumber()
			body := map[string]any{}
			if err := d.Decode(&body); err != nil {
				t.Error(err)
			}
			delete(body, "api_token")
			attributes, _ := body["attributes"].(map[string]any)
			delete(body, "attributes")
			maps.Copy(body, attributes)
			for name, value := range body {
				if as := readAs[name]; as != "" {
					name = as
				}
				if text, ok := value.(string); ok && name == "date_of_birth" {
					if day, err := time.Parse("01/02/2006", text); err == nil {
						value = day.Format(time.DateOnly)
					} else if strings.HasSuffix(r.URL.Path, "/forms") {
						t.Errorf("forms take no date %q", text)
					}
				}
				held[name] = value
			}
		}
		held["id"], held["updated_at"] = 5, "2026-03-05 11:59:59"
		if held["phone_number"] == nil {
			held["phone_number"] = phone
		}
		raw, err := json.Marshal(held)
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, string(raw))
	}))
	t.Cleanup(server.Close)
	return server
}

func roundTrip(t *testing.T, profile aloware.Profile, types ...map[string]contact.Type) {
	server := memory(t)
	d := aloware.NewDestination(client(t, aloware.ClientConfig{BaseURL: server.URL, Profile: profile, Budget: &budget{}}), aloware.Options{})
	comeBack(t, d, "5", find, types...)
}

// comeBack writes canonical values to a contact and reads them again.
func comeBack(t *testing.T, d *aloware.Destination, id string, find *contact.Create, types ...map[string]contact.Type) {
	rapid.Check(t, func(t *rapid.T) {
		p := contact.Patch{TargetID: id, Create: find, Fetch: &contact.Fetch{}, Properties: draw(t, types...)}
		got := d.Deliver(t.Context(), []contact.Patch{p})[0]
		if got.Err != nil {
			t.Fatal(got.Err)
		}
		held := map[string]string{}
		for _, v := range got.Outcome.Holds {
			held[v.Name] = v.Text
		}
		for i, property := range p.Properties {
			if refusal := got.Outcome.Properties[i].Refusal; refusal != nil {
				t.Errorf("%s %q: %+v", property.Name, property.Value, refusal)
			}
			back, err := contact.Canonical(property.Type, held[property.Name], "US")
			if err != nil || back != property.Value {
				t.Errorf("%s: %q came back as %q, canonical %q (%v)", property.Name, property.Value, held[property.Name], back, err)
			}
		}
	})
}

func TestEveryValueComesBackByID(t *testing.T) {
	t.Parallel()
	roundTrip(t, aloware.Full, writtenByForm, writtenByPut)
}

func TestEveryValueComesBackByForm(t *testing.T) {
	t.Parallel()
	roundTrip(t, aloware.Documented, writtenByForm)
}

func TestEveryValueComesBackFromTheSimulator(t *testing.T) {
	t.Parallel()
	for _, profile := range []aloware.Profile{aloware.Documented, aloware.Full} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			types := maps.Clone(writtenByForm)
			delete(types, "user_id") // these must exist; the contract's test has them
			delete(types, "disposition_status_id")
			if profile == aloware.Full {
				maps.Copy(types, map[string]contact.Type{"lifecycle_stage": contact.Option, "remarks": contact.Multiline, "seat_count": contact.Number, "renewal_date": contact.Date})
			}
			a := open(t, profile, func(c *alowaresim.Config) { c.Webhooks = nil })
			made := a.deliver(t, contact.Patch{Create: &contact.Create{Phones: []string{phone}, MayCreate: true}})
			comeBack(t, a.dest, made.TargetID, find, types)
		})
	}
}

func TestCapabilitiesExplainThemselves(t *testing.T) {
	t.Parallel()
	known := strings.Fields(`phone_number email user_id disposition_status_id lifecycle_stage first_name last_name company_name address
		city state country zipcode website date_of_birth timezone lead_source incoming_number csf1 csf2 tcpa_approved
		aloware_contact_link aloware_contact_id dnc line_type`)
	for _, profile := range []aloware.Profile{aloware.Documented, aloware.Full} {
		c := profile.Capabilities()
		for _, a := range c.Functions {
			if !a.Possible && a.Note == "" {
				t.Errorf("%s: %s is not possible and does not say why", profile, a.Function)
			}
			if c.Function(a.Function) != a {
				t.Errorf("%s: %s is not found by its name", profile, a.Function)
			}
		}
		var names []string
		for _, f := range append(c.Fields, c.Attribute) {
			names = append(names, f.Property)
			if f.Set == (f.SetNote != "") || f.Clear == (f.ClearNote != "") {
				t.Errorf("%s: %+v: a note is for what is not possible, and only for that", profile, f)
			}
			if f.Property != "" && c.Field(f.Property) != f {
				t.Errorf("%s: %s is not found by its name", profile, f.Property)
			}
		}
		for _, name := range known {
			if !slices.Contains(names, name) {
				t.Errorf("%s: nothing is said of %s", profile, name)
			}
		}
		for name := range writtenByForm {
			if !c.Field(name).Set {
				t.Errorf("%s: %s is writable", profile, name)
			}
		}
		for name := range writtenByPut {
			if c.Field(name).Set != (profile == aloware.Full) {
				t.Errorf("%s: %s is writable with the profile full only", profile, name)
			}
		}
	}
}
