package alowaresim_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// submit sends a form of a page and gives the page that it leads to.
func (a *account) submit(path string, form url.Values) (int, string) {
	a.Helper()
	answer, err := http.PostForm(a.url+path, form)
	if err != nil {
		a.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		a.Fatal(err)
	}
	return answer.StatusCode, string(raw)
}

func TestPersonEditsOnThePage(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	status, page := a.submit("/ui/new", url.Values{"phone_number": {"2025550142"}, "first_name": {"Dana <b>"}})
	if status != 200 || !strings.Contains(page, "Dana &lt;b&gt;") {
		t.Fatalf("the new contact's page: %d %s", status, page)
	}
	a.expect("Contact-Created")
	a.write("PUT", "contact/48210001", object{"city": "Austin"})
	a.expect("Contact-Updated")

	// The form still shows no city; only what the person changed is saved.
	a.submit("/ui/contacts/48210001", url.Values{
		"cnam_city": {""}, "was.cnam_city": {""}, "csf2": {"one\r\ntwo"}, "was.csf2": {""}, "user_id": {"1202"}, "was.user_id": {""},
	})
	got := a.expect("Contact-Updated").body
	want(t, got, "cnam_city", "Austin")
	want(t, got, "csf2", "one\ntwo")
	want(t, got, "user_id", "1202")
	if page := a.do("GET", "/ui/contacts/48210001", nil).raw; !strings.Contains(page, "<small>API, ") || !strings.Contains(page, "<small>person, ") {
		t.Error("the page does not say who wrote the fields")
	}

	status, page = a.submit("/ui/contacts/48210001", url.Values{"phone_number": {"12"}, "was.phone_number": {dana}, "csf1": {"typed"}, "was.csf1": {""}})
	if status != 400 || !strings.Contains(page, `role="alert"`) || !strings.Contains(page, "typed") {
		t.Errorf("a refused form: %d", status)
	}

	a.submit("/ui/contacts/48210001/talk", url.Values{"kind": {"sms"}, "direction": {"inbound"}, "body": {"Hello there"}})
	a.expect("InboundSMS-DispositionCompleted")
	a.submit("/ui/contacts/48210001/talk", url.Values{"kind": {"call"}, "direction": {"inbound"}, "status": {"completed"}, "disposition": {"Busy"}})
	made := number(a.expect("InboundPhoneCall", "InboundPhoneCall-DispositionCompleted", "Call-Disposed").body["id"])
	_, page = a.submit("/ui/contacts/48210001/disposition/"+made, url.Values{"disposition": {"Connected"}})
	a.expect("Call-Disposed")
	if !strings.Contains(page, "Hello there") {
		t.Error("the page does not show the text")
	}
	a.nothing()
}

func TestListSearchesAndPages(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	if err := a.sim.Seed(120, 1); err != nil {
		t.Fatal(err)
	}
	a.contact(object{"phone_number": dana, "name": "Zebra Crossing"})
	first := a.do("GET", "/", nil).raw
	if strings.Count(first, "/ui/contacts/") != 50 || !strings.Contains(first, "Zebra Crossing") || !strings.Contains(first, "page=2") {
		t.Error("the first page has not the 50 contacts changed last and a way to the next")
	}
	if last := a.do("GET", "/?page=3", nil).raw; strings.Count(last, "/ui/contacts/") != 21 || strings.Contains(last, "page=4") {
		t.Error("the last page has not the remaining 21 contacts")
	}
	if found := a.do("GET", "/?q=zebra", nil).raw; strings.Count(found, "/ui/contacts/") != 1 {
		t.Error("the search does not find one contact")
	}
	if got := a.do("GET", "/ui/contacts/5", nil); got.status != 404 {
		t.Errorf("the page of nobody: %d", got.status)
	}
}

func TestPagesRefuseFormsOfOtherSites(t *testing.T) {
	t.Parallel()
	a := open(t, quick())
	r, err := http.NewRequest("POST", a.url+"/ui/new", strings.NewReader("phone_number=2025550142"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "https://elsewhere.example")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", answer.StatusCode)
	}
}
