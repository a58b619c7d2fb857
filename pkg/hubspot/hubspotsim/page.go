package hubspotsim

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

//go:embed page/page.html
var pageFiles embed.FS

var pages = template.Must(template.ParseFS(pageFiles, "page/page.html"))

// perPage is the number of contacts on a page of the list.
const perPage = 50

// usualFields are offered on every contact page, set or not.
var usualFields = []string{
	"firstname", "lastname", "email", "phone", "mobilephone", "company", "jobtitle", "lifecyclestage", "hs_lead_status",
	"hubspot_owner_id", "address", "city", "state", "zip", "country", "hs_timezone", "hs_language", "website",
}

// screen is what the templates show.
type screen struct {
	Title, Wrong, Live, Query, ID, Client string
	Portal                                int64
	Total, From, To                       int
	Previous, Next                        string
	Rows                                  []row
	Fields, Others                        []field
	Histories                             []past
	Scopes                                []string
	Hidden                                []field
	Restorable                            bool
}

type row struct{ ID, Name, Email, Phone, Updated string }

type field struct {
	Name, Label, Value string
	Options            []option
}

type past struct {
	Name, Label, Value, Who, When string
	Entries                       []pastEntry
}

type pastEntry struct{ Value, Who, When string }

// page answers the paths of the page for people, and tells whether it did.
func (s *Sim) page(w http.ResponseWriter, r *http.Request, path string) bool {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	post := r.Method == http.MethodPost
	switch {
	case path == "/" && !post:
		s.listPage(w, r, "")
	case path == "/create" && post:
		properties := map[string]string{}
		for _, name := range []string{"firstname", "lastname", "email", "phone"} {
			if v := r.PostFormValue(name); v != "" {
				properties[name] = v
			}
		}
		id, err := s.editByPerson("", properties)
		if err != nil {
			s.listPage(w, r, err.Error())
			return true
		}
		http.Redirect(w, r, "/contact/"+id, http.StatusSeeOther)
	case parts[0] == "contact" && len(parts) == 2 && !post:
		s.contactPage(w, r, parts[1], "")
	case parts[0] == "contact" && len(parts) == 2:
		s.saveContact(w, r, parts[1])
	case parts[0] == "contact" && len(parts) == 3 && post:
		s.pageAction(w, r, parts[1], parts[2])
	default:
		return false
	}
	return true
}

func (s *Sim) show(w http.ResponseWriter, r *http.Request, status int, whole, fragment string, data *screen) {
	data.Portal = s.cfg.PortalID
	name := whole
	if fragment != "" && r.Header.Get("X-Fragment") != "" {
		name = fragment
	}
	var out bytes.Buffer
	if err := pages.ExecuteTemplate(&out, name, data); err != nil {
		s.cfg.Logger.Error("rendering a page of the simulator", "page", name, "error", err)
		http.Error(w, "the page could not be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes()) // the visitor went away: nothing is left to tell
}

func (s *Sim) listPage(w http.ResponseWriter, r *http.Request, wrong string) {
	v := r.URL.Query()
	number, err := strconv.Atoi(v.Get("page"))
	if err != nil || number < 1 {
		number = 1
	}
	data := &screen{Title: "Contacts", Wrong: wrong, Query: v.Get("q")}
	link := func(n int) string {
		return "/?" + url.Values{"q": {data.Query}, "page": {strconv.Itoa(n)}}.Encode()
	}
	data.Live = link(number)
	words := strings.Fields(strings.ToLower(data.Query))
	st := s.store
	name, email, phone := st.schema.ids["hs_full_name_or_email"], st.schema.email, st.schema.ids["phone"]
	st.mu.RLock()
	skip := (number - 1) * perPage
	mentions := st.mentions(words)
	if len(words) == 0 {
		data.Total = len(st.byID)
	}
	seen := 0
	for _, c := range slices.Backward(st.order) {
		if c.state != active || !mentions(c) {
			continue
		}
		if seen++; seen > skip && len(data.Rows) < perPage {
			data.Rows = append(data.Rows, row{idText(c.id), orText(st.text(c, name), "(no name)"), c.get(email), c.get(phone), instant(c.updated)})
		} else if seen > skip && len(words) == 0 {
			break
		}
	}
	st.mu.RUnlock()
	if len(words) > 0 {
		data.Total = seen
	}
	data.From, data.To = skip+1, skip+len(data.Rows)
	if number > 1 {
		data.Previous = link(number - 1)
	}
	if seen > data.To && len(data.Rows) > 0 {
		data.Next = link(number + 1)
	}
	status := http.StatusOK
	if wrong != "" {
		status = http.StatusBadRequest
	}
	s.show(w, r, status, "list", "rows", data)
}

// who names the author of a value for people.
func (s *Sim) who(kind, id string) string {
	switch {
	case kind == "CRM_UI":
		return "a person"
	case kind == "INTEGRATION" && id == idText(s.cfg.AppID):
		return "the integration"
	case kind == "INTEGRATION":
		return "app " + id
	case kind == "IMPORT":
		return "an import"
	}
	return "HubSpot (" + strings.ToLower(kind) + ")"
}

func (s *Sim) contactPage(w http.ResponseWriter, r *http.Request, key, wrong string) {
	st := s.store
	st.mu.RLock()
	c, f := st.pick(key, "")
	if f != nil || c.state != active {
		data := &screen{Title: "No such contact", ID: key, Wrong: wrong, Restorable: f == nil && c.state == archived}
		st.mu.RUnlock()
		s.show(w, r, http.StatusNotFound, "gone", "", data)
		return
	}
	data := &screen{Title: orText(st.text(c, st.schema.ids["hs_full_name_or_email"]), "(no name)"), ID: idText(c.id), Wrong: wrong, Live: "/contact/" + idText(c.id)}
	shown := slices.Clone(usualFields)
	for i := range c.values {
		p := c.values[i].prop
		name, d := st.schema.names[p], st.schema.defs[p]
		if d.writable() && d.ArchivedAt == 0 && !slices.Contains(shown, name) {
			shown = append(shown, name)
		}
		h := past{Name: name, Label: d.Label}
		for _, e := range st.history(c, p) {
			h.Entries = append(h.Entries, pastEntry{e.Value, s.who(e.SourceType, e.SourceID), e.Timestamp})
		}
		h.Value, h.Who, h.When = h.Entries[0].Value, h.Entries[0].Who, h.Entries[0].When
		data.Histories = append(data.Histories, h)
	}
	for _, d := range st.schema.list(false) {
		if !d.writable() {
			continue
		}
		if !slices.Contains(shown, d.Name) {
			data.Others = append(data.Others, field{Name: d.Name, Label: d.Label})
		}
	}
	for _, name := range shown {
		if p, d, ok := st.schema.active(name); ok {
			data.Fields = append(data.Fields, field{Name: name, Label: d.Label, Value: c.get(p), Options: offered(d)})
		}
	}
	st.mu.RUnlock()
	status := http.StatusOK
	if wrong != "" {
		status = http.StatusBadRequest
	}
	s.show(w, r, status, "contact", "history", data)
}

// offered are the choices of a property on the page; none gives a text field.
func offered(d *definition) []option {
	if d.ReferencedType == "OWNER" {
		var out []option
		for _, o := range seededOwners {
			out = append(out, option{Value: idText(o.ID), Label: o.FirstName + " " + o.LastName})
		}
		return out
	}
	if d.FieldType == "checkbox" {
		return nil
	}
	return d.Options
}

// saveContact writes the fields that the visitor changed, and only those.
func (s *Sim) saveContact(w http.ResponseWriter, r *http.Request, key string) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, "the form could not be read: "+err.Error(), http.StatusBadRequest)
		return
	}
	properties := map[string]string{}
	for name := range r.PostForm {
		was, ok := r.PostForm["was."+name]
		if ok && was[0] != r.PostForm.Get(name) {
			properties[name] = r.PostForm.Get(name)
		}
	}
	if extra := strings.TrimSpace(r.PostForm.Get("extra")); extra != "" {
		properties[extra] = r.PostForm.Get("extravalue")
	}
	if _, err := s.editByPerson(key, properties); err != nil {
		s.contactPage(w, r, key, err.Error())
		return
	}
	http.Redirect(w, r, "/contact/"+key, http.StatusSeeOther)
}

// pageAction merges, deletes or restores a contact for a visitor.
func (s *Sim) pageAction(w http.ResponseWriter, r *http.Request, key, action string) {
	var err error
	next := "/"
	switch action {
	case "merge":
		var id string
		if id, err = s.mergeByPerson(key, strings.TrimSpace(r.PostFormValue("secondary"))); err == nil {
			next = "/contact/" + id
		}
	case "delete":
		err = s.changeByPerson(key, active, func(c *contact) *failure { s.remove(c, person()); return nil })
	case "restore":
		err = s.changeByPerson(key, archived, func(c *contact) *failure { return s.bringBack(c, person()) })
		next = "/contact/" + key
	default:
		noRoute().write(w)
		return
	}
	if err != nil {
		s.contactPage(w, r, key, err.Error())
		return
	}
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// consentPage asks the visitor to approve an app.
func (s *Sim) consentPage(w http.ResponseWriter, f url.Values, scopes []string) {
	data := &screen{Title: "Connect an app", Client: s.cfg.ClientID, Scopes: scopes}
	for _, name := range []string{"client_id", "redirect_uri", "scope", "optional_scope", "state", "code_challenge", "code_challenge_method"} {
		if v := f.Get(name); v != "" {
			data.Hidden = append(data.Hidden, field{Name: name, Value: v})
		}
	}
	s.show(w, &http.Request{Header: http.Header{}}, http.StatusOK, "consent", "", data)
}

// consentError tells the visitor why the app cannot be approved.
func (s *Sim) consentError(w http.ResponseWriter, text string) {
	s.show(w, &http.Request{Header: http.Header{}}, http.StatusBadRequest, "notice", "", &screen{Title: "Connect an app", Wrong: text})
}
