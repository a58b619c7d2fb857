package aloware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/fault"
)

const (
	phone   = "+13125550187"
	other   = "+13125550188"
	lookup  = "GET contact/phone-number?phone_number=%2B13125550187"
	lookup2 = "GET contact/phone-number?phone_number=%2B13125550188"
	byMail  = "GET contacts?email=mira%40okafor.example&per_page=100"
	missing = `{"error":"Contact not found."}`
)

func text(name, value string) contact.Property {
	return contact.Property{Name: name, Type: contact.Text, Value: value, Version: 7}
}

func of(name string, kind contact.Type, value string) contact.Property {
	return contact.Property{Name: name, Type: kind, Value: value, Version: 7}
}

// mira is the contact as Aloware shows it, with more members.
func mira(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"id":5,"phone_number":"+13125550187","email":"mira@okafor.example","updated_at":"2026-03-05 11:59:59"` + more + `}`
}

// want is what a table says of an outcome.
type want struct {
	result     contact.Result
	target     string
	at         string            // AppliedAt
	refused    map[string]string // property: reason
	holds      string            // "name=text", sorted as they come; "*" is not compared
	reason     string
	candidates []string
	calls      int
	err        fault.Class // with failed
	failed     bool
	unwritten  bool // nothing was tried: no property has an outcome
}

const (
	answered = "2026-03-05 12:00:00" // the Date header
	updated  = "2026-03-05 11:59:59" // the contact's own
)

func check(t *testing.T, p contact.Patch, got contact.Delivery, want want) {
	t.Helper()
	if want.failed {
		if got.Err == nil || fault.As(got.Err).Class != want.err {
			t.Errorf("got %+v, want an error of class %v", got, want.err)
		}
		return
	}
	if got.Err != nil {
		t.Fatalf("error %v", got.Err)
	}
	o := got.Outcome
	if o.Result != want.result || o.TargetID != want.target || o.Attempts != want.calls {
		t.Errorf("result %d of %q after %d calls, want %d of %q after %d", o.Result, o.TargetID, o.Attempts, want.result, want.target, want.calls)
	}
	if want.at != "" && o.AppliedAt != ms(want.at) {
		t.Errorf("applied at %d, want %s", o.AppliedAt, want.at)
	}
	if o.System != contact.Aloware || o.Contact != p.Contact || o.Version != p.Version || o.Precision != 999 || o.EditedAt != p.EditedAt ||
		o.ReceivedAt != p.ReceivedAt || o.AnsweredAt != contact.Millis(received.UnixMilli()) ||
		!strings.HasPrefix(o.EventID, fmt.Sprintf("aloware/%s/%d/", p.Contact, p.Version)) {
		t.Errorf("frame of %+v", o)
	}
	refused := map[string]string{}
	if want.unwritten {
		p.Properties = nil
	}
	if len(o.Properties) != len(p.Properties) {
		t.Fatalf("%d properties, want one for each of %d", len(o.Properties), len(p.Properties))
	}
	for i, property := range o.Properties {
		if property.Name != p.Properties[i].Name || property.Value != p.Properties[i].Value || property.Version != p.Properties[i].Version {
			t.Errorf("property %+v", property)
		}
		if property.Refusal != nil {
			refused[property.Name] = property.Refusal.Reason
			if property.Refusal.Message == "" {
				t.Errorf("%s is refused without words", property.Name)
			}
		}
	}
	if want.refused == nil {
		want.refused = map[string]string{}
	}
	if diff := cmp.Diff(want.refused, refused); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	var holds []string
	for _, v := range o.Holds {
		holds = append(holds, v.Name+"="+v.Text)
	}
	if got := strings.Join(holds, " "); want.holds != "*" && got != want.holds {
		t.Errorf("holds %q, want %q", got, want.holds)
	}
	if diff := cmp.Diff(want.candidates, o.Candidates); diff != "" {
		t.Errorf("candidates (-want +got):\n%s", diff)
	}
	reason := ""
	if o.Refusal != nil {
		reason = o.Refusal.Reason
	}
	if reason != want.reason {
		t.Errorf("refusal %+v, want %q", o.Refusal, want.reason)
	}
}

const all = "phone_number=+13125550187 email=mira@okafor.example aloware_contact_id=5 aloware_contact_link=https://app.aloware.com/contacts/5"

var find = &contact.Create{Phones: []string{phone}}

type delivery struct {
	name  string
	patch contact.Patch
	steps []step
	want  want
}

func deliver(t *testing.T, profile aloware.Profile, tests []delivery) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := test.patch
			p.Contact, p.System, p.Version, p.EditedAt, p.ReceivedAt = "hubspot:501", contact.Aloware, 9, 11, 12
			d := aloware.NewDestination(play(t, profile, &budget{}, test.steps...), aloware.Options{})
			got := d.Deliver(t.Context(), []contact.Patch{p})
			if len(got) != 1 {
				t.Fatalf("%d deliveries", len(got))
			}
			check(t, p, got[0], test.want)
		})
	}
}

func TestUpdateByID(t *testing.T) {
	t.Parallel()
	update := func(properties ...contact.Property) contact.Patch {
		return contact.Patch{TargetID: "5", Properties: properties, Create: &contact.Create{Phones: []string{phone}}}
	}
	put := func(sent string, status int, answer string) step {
		return step{call: "PUT contact/5", sent: sent, status: status, answer: answer}
	}
	deliver(t, aloware.Full, []delivery{
		{"sends only what is given, in its wire form",
			update(text("first_name", "Mira"), of("user_id", contact.User, "42"), of("disposition_status_id", contact.Option, ""), of("date_of_birth", contact.Date, "1979-11-30"),
				of("dnc", contact.Checkbox, "true"), text("plan_tier", "gold"), of("score", contact.Number, "12.5"), of("vip", contact.Checkbox, "false")),
			[]step{put(`{"first_name":"Mira","user_id":42,"disposition_status_id":null,"date_of_birth":"1979-11-30","is_dnc":1,"attributes":{"plan_tier":"gold","score":12.5,"vip":0}}`, 200, mira(`"first_name":"Mira"`))},
			want{result: contact.Written, target: "5", at: updated, calls: 1}},
		{"lifting do-not-call gives a reason", update(of("dnc", contact.Checkbox, "false")),
			[]step{put(`{"is_dnc":0,"reason":"Allowed again in HubSpot."}`, 200, mira(`"is_dnc":false`))},
			want{result: contact.Written, target: "5", at: updated, calls: 1}},
		{"an answer that contradicts is told", update(text("first_name", "Mira"), text("csf1", "x")),
			[]step{put(`{"first_name":"Mira","csf1":"x"}`, 200, mira(`"first_name":"MIRA","csf1":" x "`))},
			want{result: contact.Written, target: "5", at: updated, holds: "first_name=MIRA", calls: 1}},
		{"an answer without the contact is enough", update(text("csf1", "x")), []step{put(`{"csf1":"x"}`, 200, `{"message":"ok"}`)},
			want{result: contact.Written, target: "5", at: answered, calls: 1}},
		{"refused fields are left out and the rest is sent", update(text("csf1", "x"), of("email", contact.Email, "no"), of("user_id", contact.User, "1")),
			[]step{put(`{"csf1":"x","email":"no","user_id":1}`, 422, `{"errors":{"email":["Not an e-mail."],"user_id":["Unknown user."]}}`), put(`{"csf1":"x"}`, 200, mira(``))},
			want{result: contact.Written, target: "5", at: updated, refused: map[string]string{"email": aloware.InvalidValue, "user_id": aloware.InvalidOption}, calls: 2}},
		{"refused attributes too", update(text("plan_tier", "x")), []step{put(`{"attributes":{"plan_tier":"x"}}`, 422, `{"errors":{"attributes.plan_tier":["Unknown option."]}}`)},
			want{result: contact.Written, target: "5", refused: map[string]string{"plan_tier": aloware.InvalidValue}, calls: 1}},
		{"taken phone number", update(of("phone_number", contact.Phone, other), text("csf1", "x")),
			[]step{put(`{"phone_number":"+13125550188","csf1":"x"}`, 409, `{"error":"Phone number belongs to another contact."}`), put(`{"csf1":"x"}`, 200, mira(``))},
			want{result: contact.Written, target: "5", at: updated, refused: map[string]string{"phone_number": aloware.PhoneTaken}, calls: 2}},
		{"words without a field are searched by halves", update(text("csf1", "a"), text("csf2", "b"), text("city", "c")),
			[]step{
				put(`{"csf1":"a","csf2":"b","city":"c"}`, 400, `{"error":"Cannot be."}`),
				put(`{"csf1":"a"}`, 200, mira(``)),
				put(`{"csf2":"b","city":"c"}`, 400, `{"error":"Cannot be."}`),
				put(`{"csf2":"b"}`, 400, `{"error":"Cannot be."}`),
				put(`{"city":"c"}`, 200, mira(``)),
			},
			want{result: contact.Written, target: "5", at: updated, refused: map[string]string{"csf2": aloware.InvalidValue}, calls: 5}},
		{"words that name one field blame it", update(of("date_of_birth", contact.Date, "2999-01-01"), text("csf2", "b")),
			[]step{put(`{"date_of_birth":"2999-01-01","csf2":"b"}`, 400, `{"error":"Date of birth is in the future."}`), put(`{"csf2":"b"}`, 200, mira(``))},
			want{result: contact.Written, target: "5", at: updated, refused: map[string]string{"date_of_birth": aloware.InvalidValue}, calls: 2}},
		{"what no connection can write is not sent", update(of("tcpa_approved", contact.Checkbox, "true"), text("aloware_contact_id", "6"), of("phone_number", contact.Phone, ""), of("user_id", contact.User, "ada")), nil,
			want{result: contact.Written, target: "5", calls: 0, refused: map[string]string{"tcpa_approved": aloware.NotCapable, "aloware_contact_id": aloware.NotCapable,
				"phone_number": aloware.NotCapable, "user_id": aloware.InvalidValue}}},
		{"gone", update(text("csf1", "x")), []step{put(`{"csf1":"x"}`, 404, missing)},
			want{result: contact.Gone, target: "5", reason: aloware.NotFound, refused: map[string]string{"csf1": aloware.NotFound}, calls: 1}},
		{"not offered", update(text("csf1", "x")), []step{put(`{"csf1":"x"}`, 200, page), {call: "GET users", answer: `[]`}, put(`{"csf1":"x"}`, 200, page)},
			want{result: contact.Rejected, target: "5", reason: aloware.NotCapable, refused: map[string]string{"csf1": aloware.NotCapable}, calls: 1}},
		{"wrong token", update(text("csf1", "x")), []step{put(`{"csf1":"x"}`, 200, page), {call: "GET users", answer: page}}, want{failed: true, err: fault.Unauthorized}},
		{"broken", update(text("csf1", "x")), []step{put(`{"csf1":"x"}`, 503, ``)}, want{failed: true, err: fault.Transient}},
		{"archive", contact.Patch{TargetID: "5", Archive: true}, nil, want{result: contact.Rejected, target: "5", reason: aloware.NotCapable}},
		{"id that is none", contact.Patch{TargetID: "../5"}, nil, want{result: contact.Rejected, target: "../5", reason: aloware.NoKey}},
		{"neither id nor key", contact.Patch{}, nil, want{result: contact.Rejected, reason: aloware.NoKey}},
		{"fetch", contact.Patch{TargetID: "5", Fetch: &contact.Fetch{}}, []step{{call: "GET contact/5", answer: mira(``)}},
			want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 1}},
		{"a contact that is found is kept as it is when asked so",
			contact.Patch{Create: &contact.Create{Phones: []string{phone}, MayCreate: true}, Fetch: &contact.Fetch{}, Properties: []contact.Property{text("csf1", "x")}},
			[]step{{call: lookup, answer: mira(``)}},
			want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 1, unwritten: true}},
		{"fetch of a gone one", contact.Patch{TargetID: "5", Fetch: &contact.Fetch{}}, []step{{call: "GET contact/5", status: 404, answer: missing}},
			want{result: contact.Gone, target: "5", reason: aloware.NotFound, calls: 1}},
		{"write and fetch in one", contact.Patch{TargetID: "5", Fetch: &contact.Fetch{}, Properties: []contact.Property{of("email", contact.Email, "mira@okafor.example")}},
			[]step{put(`{"email":"mira@okafor.example"}`, 200, mira(``))}, want{result: contact.Written, target: "5", at: updated, holds: all, calls: 1}},
	})
}

func TestUpdateByPhone(t *testing.T) {
	t.Parallel()
	update := func(properties ...contact.Property) contact.Patch {
		return contact.Patch{TargetID: "5", Properties: properties, Create: find}
	}
	form := func(sent string, status int, answer string) step {
		return step{call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true` + sent + `}`, status: status, answer: answer}
	}
	deliver(t, aloware.Documented, []delivery{
		{"makes sure of the contact first, and tells what else it holds",
			update(text("first_name", "Mira"), of("user_id", contact.User, "42"), of("date_of_birth", contact.Date, "1979-11-30")),
			[]step{{call: lookup, answer: `{"contact":` + mira(`"first_name":"M"`) + `}`}, form(`,"first_name":"Mira","user_id":42,"date_of_birth":"11/30/1979"`, 200, `{"message":"Contact updated."}`)},
			want{result: contact.Written, target: "5", at: answered, holds: all, calls: 2}},
		{"what cannot be written is refused and the rest is sent",
			update(of("city", contact.Text, ""), of("lifecycle_stage", contact.Option, "lead"), of("phone_number", contact.Phone, other), text("plan_tier", "gold"), text("csf1", "x")),
			[]step{{call: lookup, answer: mira(`"cnam_city":"Chicago"`)}, form(`,"csf1":"x"`, 200, `{}`)},
			want{result: contact.Written, target: "5", at: answered, holds: "phone_number=+13125550187 email=mira@okafor.example city=Chicago aloware_contact_id=5 aloware_contact_link=https://app.aloware.com/contacts/5", calls: 2,
				refused: map[string]string{"city": aloware.NotCapable, "lifecycle_stage": aloware.NotCapable, "phone_number": aloware.NotCapable, "plan_tier": aloware.NotCapable}}},
		{"what is already so is no refusal", update(of("city", contact.Text, ""), of("phone_number", contact.Phone, phone), of("tcpa_approved", contact.Checkbox, "true")),
			[]step{{call: lookup, answer: mira(`"cnam_city":null,"text_authorized":1`)}},
			want{result: contact.Written, target: "5", at: answered, calls: 1, holds: "email=mira@okafor.example aloware_contact_id=5 aloware_contact_link=https://app.aloware.com/contacts/5"}},
		{"refused field", update(text("csf1", "x"), of("disposition_status_id", contact.Option, "3")),
			[]step{{call: lookup, answer: mira(``)}, form(`,"csf1":"x","disposition_status_id":3`, 422, `{"errors":{"disposition_status_id":["Unknown."]}}`), form(`,"csf1":"x"`, 200, `{}`)},
			want{result: contact.Written, target: "5", at: answered, holds: "*", calls: 3, refused: map[string]string{"disposition_status_id": aloware.InvalidOption}}},
		{"second number leads to it", contact.Patch{TargetID: "5", Properties: []contact.Property{text("csf1", "x")}, Create: &contact.Create{Phones: []string{other, phone}}},
			[]step{{call: lookup2, status: 404, answer: missing}, {call: lookup, answer: mira(``)}, form(`,"csf1":"x"`, 200, `{}`)},
			want{result: contact.Written, target: "5", at: answered, holds: "*", calls: 3}},
		{"never writes to another contact", update(text("csf1", "x")), []step{{call: lookup, answer: `{"id":6,"phone_number":"+13125550187"}`}},
			want{result: contact.Conflict, target: "5", reason: aloware.Ambiguous, candidates: []string{"5", "6"}, refused: map[string]string{"csf1": aloware.Ambiguous}, calls: 1}},
		{"never creates it again", update(text("csf1", "x")), []step{{call: lookup, status: 404, answer: missing}},
			want{result: contact.Gone, target: "5", reason: aloware.NotFound, refused: map[string]string{"csf1": aloware.NotFound}, calls: 1}},
		{"not found under a new number", update(of("phone_number", contact.Phone, phone)), []step{{call: lookup, status: 404, answer: missing}},
			want{result: contact.Rejected, target: "5", reason: aloware.PhoneChanged, refused: map[string]string{"phone_number": aloware.PhoneChanged}, calls: 1}},
		{"without a number", contact.Patch{TargetID: "5", Properties: []contact.Property{text("csf1", "x")}}, nil,
			want{result: contact.Rejected, target: "5", reason: aloware.NotCapable, refused: map[string]string{"csf1": aloware.NotCapable}}},
		{"fetch", contact.Patch{TargetID: "5", Create: find, Fetch: &contact.Fetch{}}, []step{{call: lookup, answer: mira(``)}},
			want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 1}},
		{"fetch of a gone one", contact.Patch{TargetID: "5", Create: find, Fetch: &contact.Fetch{}}, []step{{call: lookup, status: 404, answer: missing}},
			want{result: contact.Gone, target: "5", reason: aloware.NotFound, calls: 1}},
		{"write and fetch in one", contact.Patch{TargetID: "5", Create: find, Fetch: &contact.Fetch{}, Properties: []contact.Property{text("csf1", "x")}},
			[]step{{call: lookup, answer: mira(``)}, form(`,"csf1":"x"`, 200, `{}`), {call: lookup, answer: `[` + mira(`"csf1":"x"`) + `]`}},
			want{result: contact.Written, target: "5", at: updated, calls: 3,
				holds: "phone_number=+13125550187 email=mira@okafor.example csf1=x aloware_contact_id=5 aloware_contact_link=https://app.aloware.com/contacts/5"}},
		{"answer that cannot be read is not taken for none", update(text("csf1", "x")), []step{{call: lookup, answer: `{"person":{"id":5}}`}},
			want{result: contact.Rejected, target: "5", reason: aloware.Malformed, refused: map[string]string{"csf1": aloware.Malformed}, calls: 1}},
		{"web page", update(text("csf1", "x")), []step{{call: lookup, answer: page}, {call: lookup, answer: page}}, want{failed: true, err: fault.Unauthorized}},
	})
}

func TestCreateByPhone(t *testing.T) {
	t.Parallel()
	create := func(may bool, phones []string, properties ...contact.Property) contact.Patch {
		return contact.Patch{Properties: properties, Create: &contact.Create{Phones: phones, MayCreate: may}}
	}
	none := step{call: lookup, status: 404, answer: missing}
	one := []string{phone}
	deliver(t, aloware.Documented, []delivery{
		{"created, then read for its id", create(true, one, text("first_name", "Mira"), of("phone_number", contact.Phone, phone), text("csf1", ""), of("lifecycle_stage", contact.Option, "lead")),
			[]step{none, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true,"first_name":"Mira"}`, status: 201, answer: `{"message":"Contact created."}`}, {call: lookup, answer: mira(``)}},
			want{result: contact.Made, target: "5", at: updated, holds: all, calls: 3, refused: map[string]string{"lifecycle_stage": aloware.NotCapable}}},
		{"someone was faster", create(true, one), []step{none, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true}`, status: 200, answer: `{}`}, {call: lookup, answer: mira(``)}},
			want{result: contact.Written, target: "5", at: updated, holds: all, calls: 3}},
		{"not readable yet", create(true, one), []step{none, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true}`, status: 201, answer: `{}`}, none}, want{failed: true, err: fault.Transient}},
		{"found and updated", create(true, one, text("csf1", "x")),
			[]step{{call: lookup, answer: mira(``)}, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true,"csf1":"x"}`, answer: `{}`}},
			want{result: contact.Written, target: "5", at: answered, holds: all, calls: 2}},
		{"found only", create(false, one), []step{{call: lookup, answer: mira(``)}}, want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 1}},
		{"absent", create(false, one, text("csf1", "x")), []step{none}, want{result: contact.Absent, reason: aloware.NotFound, refused: map[string]string{"csf1": aloware.NotFound}, calls: 1}},
		{"an empty answer is none", create(false, one), []step{{call: lookup, answer: `{"data":[]}`}}, want{result: contact.Absent, reason: aloware.NotFound, calls: 1}},
		{"several numbers of several contacts", create(true, []string{phone, other}), []step{{call: lookup, answer: mira(``)}, {call: lookup2, answer: `{"id":6}`}},
			want{result: contact.Conflict, reason: aloware.Ambiguous, candidates: []string{"5", "6"}, calls: 2}},
		{"several numbers of one contact", create(false, []string{phone, other}), []step{{call: lookup, answer: mira(``)}, {call: lookup2, answer: mira(``)}},
			want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 2}},
		{"no number", create(true, nil, text("csf1", "x")), nil, want{result: contact.Rejected, reason: aloware.PhoneRequired, refused: map[string]string{"csf1": aloware.PhoneRequired}}},
	})
	deliver(t, aloware.Documented, []delivery{
		{"number refused by field", create(true, one, text("csf1", "x")),
			[]step{none, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true,"csf1":"x"}`, status: 422, answer: `{"errors":{"phone_number":["Not a number."]}}`}},
			want{result: contact.Rejected, reason: aloware.InvalidPhone, refused: map[string]string{"csf1": aloware.InvalidPhone}, calls: 2}},
		{"number refused in words", create(true, one, text("csf1", "x"), text("csf2", "y")),
			[]step{none, {call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true,"csf1":"x","csf2":"y"}`, status: 400, answer: `{"error":"Phone number is empty or invalid."}`}},
			want{result: contact.Rejected, reason: aloware.InvalidPhone, refused: map[string]string{"csf1": aloware.InvalidPhone, "csf2": aloware.InvalidPhone}, calls: 2}},
	})
}

func TestCreateInFull(t *testing.T) {
	t.Parallel()
	none := step{call: lookup, status: 404, answer: missing}
	both := &contact.Create{Phones: []string{phone}, Email: "mira@okafor.example", MayCreate: true}
	nobody := step{call: byMail, answer: `{"data":[{"id":8,"email":"mira@okafor.example.org"}],"last_page":1}`}
	deliver(t, aloware.Full, []delivery{
		{"what forms do not take is written after it", contact.Patch{Create: both, Properties: []contact.Property{text("csf1", "x"), of("lifecycle_stage", contact.Option, "lead"), text("plan_tier", "gold"), text("aloware_contact_id", "1")}},
			[]step{none, nobody,
				{call: "POST forms", sent: `{"phone_number":"+13125550187","force_update":true,"csf1":"x"}`, status: 201, answer: `{}`}, {call: lookup, answer: mira(``)},
				{call: "PUT contact/5", sent: `{"lifecycle_stage":"lead","attributes":{"plan_tier":"gold"}}`, answer: mira(``)}},
			want{result: contact.Made, target: "5", at: updated, holds: all, calls: 5, refused: map[string]string{"aloware_contact_id": aloware.NotCapable}}},
		{"found by e-mail", contact.Patch{Create: both, Properties: []contact.Property{of("phone_number", contact.Phone, phone)}},
			[]step{none, {call: byMail, answer: `{"data":[{"id":9,"email":"Mira@Okafor.example","phone_number":"+13125550188"}]}`}, {call: "PUT contact/9", sent: `{"phone_number":"+13125550187"}`, answer: `{"id":9}`}},
			want{result: contact.Written, target: "9", at: answered, holds: "*", calls: 3}},
		{"number and e-mail of one contact, e-mail of another too", contact.Patch{Create: both}, []step{{call: lookup, answer: mira(``)}, {call: byMail, answer: `{"data":[` + mira(``) + `,{"id":9,"email":"mira@okafor.example"}]}`}},
			want{result: contact.Fetched, target: "5", at: updated, holds: all, calls: 2}},
		{"number and e-mail of different contacts", contact.Patch{Create: both}, []step{{call: lookup, answer: `{"id":5}`}, {call: byMail, answer: `{"data":[{"id":9,"email":"mira@okafor.example"}]}`}},
			want{result: contact.Conflict, reason: aloware.Ambiguous, candidates: []string{"5", "9"}, calls: 2}},
		{"e-mail of two", contact.Patch{Create: both}, []step{none, {call: byMail, answer: `{"data":[{"id":8,"email":"mira@okafor.example"},{"id":9,"email":"mira@okafor.example"}]}`}},
			want{result: contact.Conflict, reason: aloware.Ambiguous, candidates: []string{"8", "9"}, calls: 2}},
		{"e-mail alone creates nothing", contact.Patch{Create: &contact.Create{Email: "mira@okafor.example", MayCreate: true}}, []step{nobody},
			want{result: contact.Rejected, reason: aloware.PhoneRequired, calls: 1}},
	})
}

func TestDeliverKeepsTheOrder(t *testing.T) {
	t.Parallel()
	var running, most atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := running.Add(1)
		defer running.Add(-1)
		for {
			seen := most.Load()
			if now <= seen || most.CompareAndSwap(seen, now) {
				break
			}
		}
		_, _ = io.WriteString(w, `{"id":`+strings.TrimPrefix(r.URL.Path, "/api/v1/webhook/contact/")+`}`)
	}))
	t.Cleanup(server.Close)
	d := aloware.NewDestination(client(t, aloware.ClientConfig{BaseURL: server.URL, Profile: aloware.Full, Budget: &budget{}}), aloware.Options{})
	patches := make([]contact.Patch, 4*d.Batch())
	for i := range patches {
		patches[i] = contact.Patch{TargetID: fmt.Sprint(100 + i), Fetch: &contact.Fetch{}}
	}
	for i, got := range d.Deliver(t.Context(), patches) {
		if got.Err != nil || got.Outcome.TargetID != patches[i].TargetID {
			t.Errorf("delivery %d is of %q: %v", i, got.Outcome.TargetID, got.Err)
		}
	}
	if most.Load() > 3 {
		t.Errorf("%d calls at once, want at most 3", most.Load())
	}
}

func TestRefusedConnectionIsNotCalledOn(t *testing.T) {
	t.Parallel()
	for status, class := range map[int]fault.Class{401: fault.Unauthorized, 429: fault.Throttled} {
		var calls atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			calls.Add(1)
			w.WriteHeader(status)
		}))
		t.Cleanup(server.Close)
		d := aloware.NewDestination(client(t, aloware.ClientConfig{BaseURL: server.URL, Budget: &budget{}}), aloware.Options{Parallel: 1})
		for _, got := range d.Deliver(t.Context(), []contact.Patch{{Create: find}, {Create: find}, {Create: find}}) {
			if !fault.Is(got.Err, class) {
				t.Errorf("got %v, want %v", got.Err, class)
			}
		}
		if calls.Load() != 1 {
			t.Errorf("%d calls after %d, want 1", calls.Load(), status)
		}
	}
}

func TestOneNumberIsCreatedOnce(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	made := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Method == http.MethodPost:
			made++
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{}`)
		case made == 0:
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, missing)
		default:
			_, _ = io.WriteString(w, mira(``))
		}
	}))
	t.Cleanup(server.Close)
	d := aloware.NewDestination(client(t, aloware.ClientConfig{BaseURL: server.URL, Budget: &budget{}}), aloware.Options{})
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			got := d.Deliver(t.Context(), []contact.Patch{{Create: &contact.Create{Phones: []string{other, phone}, MayCreate: true}}})
			if got[0].Err != nil || got[0].Outcome.TargetID != "5" {
				t.Errorf("got %+v", got[0])
			}
		})
	}
	group.Wait()
	if made != 1 {
		t.Errorf("created %d times", made)
	}
}
