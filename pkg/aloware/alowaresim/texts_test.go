package alowaresim

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestPhoneIsReadAsE164(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2025550142": "+12025550142", "(202) 555-0142": "+12025550142", "1-202-555-0142": "+12025550142", "+12025550142": "+12025550142",
		"+44 20 7946 0018": "+442079460018", "": "", "555-0142": "", "0025550142": "", "2021550142x": "", "+1202555014": "", "+1234567890123456": "",
		"442079460018": "", "2020550142": "", "+": "",
	} {
		if got := formatPhone(parsePhone(text)); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

func FuzzTextsComeOutAsTheyWentIn(f *testing.F) {
	f.Add("", "a", strings.Repeat("ü", 100), uint8(1), "changed")
	f.Fuzz(func(t *testing.T, a, b, c string, slot uint8, changed string) {
		values := make([]string, slots)
		values[0], values[3], values[slots-1] = a, b, c
		packed := pack(values)
		at := int(slot) % slots
		packed = packed.with(at, changed)
		values[at] = changed
		got := make([]string, slots)
		packed.unpack(got)
		if !slices.Equal(got, values) {
			t.Fatalf("got %q, want %q", got, values)
		}
		for i := range values {
			if packed.at(i) != values[i] {
				t.Fatalf("slot %d is %q, want %q", i, packed.at(i), values[i])
			}
		}
	})
}

func FuzzWritesOfAnyShapeLeaveAContactThatCanBeShown(f *testing.F) {
	f.Add(`{"city":"Bonn","tags":["a",{"name":"b"}],"other_phone_numbers":[{"phone_number":"2025550143"}],"attributes":{"seat_count":"1e3"}}`)
	f.Add(`{"phone_number":null,"user_id":1201.5,"is_dnc":"maybe","lrn_type":9,"notes":{},"tag_id":7,"date_of_birth":"13/13/2000"}`)
	f.Fuzz(func(t *testing.T, raw string) {
		var fields map[string]any
		d := json.NewDecoder(strings.NewReader(raw))
		d.UseNumber()
		if d.Decode(&fields) != nil {
			t.Skip()
		}
		s, err := New(Config{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(map[string]any{"phone_number": "2025550142"}); err != nil {
			t.Fatal(err)
		}
		held := s.store.contacts[0]
		for _, by := range []writer{byForm, byUpdate, byPerson} {
			if w := s.parse(fields, held, by); len(w.problems) == 0 && w.taken == nil {
				s.change(held, w.settings, by)
			}
			if body := s.contactJSON(held); !json.Valid(body) {
				t.Fatalf("%s", body)
			}
			if held.phone == 0 || s.store.byPhone[held.phone] != held {
				t.Fatal("the contact is not found by its number")
			}
		}
	})
}
