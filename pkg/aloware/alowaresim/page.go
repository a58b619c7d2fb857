package alowaresim

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

//go:embed page/*.html page/style.css page/live.js
var pageFiles embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"style": func() (template.CSS, error) {
		raw, err := pageFiles.ReadFile("page/style.css")
		return template.CSS(raw), err
	},
	"live": func() (template.JS, error) {
		raw, err := pageFiles.ReadFile("page/live.js")
		return template.JS(raw), err
	},
}).ParseFS(pageFiles, "page/frame.html", "page/list.html", "page/contact.html"))

// pages adds the pages for people.
func (s *Sim) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", s.listPage)
	mux.HandleFunc("GET /ui/new", func(w http.ResponseWriter, r *http.Request) { s.contactPage(w, r, http.StatusOK, "") })
	mux.HandleFunc("GET /ui/contacts/{id}", func(w http.ResponseWriter, r *http.Request) { s.contactPage(w, r, http.StatusOK, "") })
	guard := http.NewCrossOriginProtection()
	for pattern, do := range map[string]func(*http.Request) (string, error){
		"/ui/new":                             s.submitEdit,
		"/ui/contacts/{id}":                   s.submitEdit,
		"/ui/contacts/{id}/talk":              s.submitTalk,
		"/ui/contacts/{id}/merge":             s.submitMerge,
		"/ui/contacts/{id}/delete":            s.submitDelete,
		"/ui/contacts/{id}/disposition/{com}": s.submitOutcome,
	} {
		mux.Handle("POST "+pattern, guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			to, err := do(r)
			if err != nil {
				s.contactPage(w, r, http.StatusBadRequest, err.Error())
				return
			}
			http.Redirect(w, r, to, http.StatusSeeOther)
		})))
	}
}

// render writes a page, or the error that kept it from being made.
func (s *Sim) render(w http.ResponseWriter, status int, name string, view any) {
	var page bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&page, name, view); err != nil {
		s.log.Error("a page of the Aloware simulator cannot be made", "page", name, "error", err)
		http.Error(w, "This page cannot be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = page.WriteTo(w) // a reader that went away misses nothing
}

// perListPage is how many contacts a page of the list shows.
const perListPage = 50

// listPage shows contacts, the latest changed first.
func (s *Sim) listPage(w http.ResponseWriter, r *http.Request) {
	number, _ := strconv.Atoi(r.URL.Query().Get("page"))
	number = max(1, number)
	view := listView{Search: strings.TrimSpace(r.URL.Query().Get("q")), Page: number}
	s.mu.Lock()
	view.Total = len(s.store.contacts)
	skip := (number - 1) * perListPage
	s.store.recent(func(c *contact) bool {
		switch {
		case view.Search != "" && !c.contains(view.Search):
		case skip > 0:
			skip--
		case len(view.Rows) == perListPage:
			view.More = true
			return false
		default:
			view.Rows = append(view.Rows, s.row(c))
		}
		return true
	})
	s.mu.Unlock()
	address := func(page int) string {
		return "/?" + url.Values{"q": {view.Search}, "page": {strconv.Itoa(page)}}.Encode()
	}
	view.Previous, view.Next = address(number-1), address(number+1)
	s.render(w, http.StatusOK, "list.html", view)
}

// contactPage shows a contact, or the form for a new one. What was typed into
// a form that was refused stands in it again.
func (s *Sim) contactPage(w http.ResponseWriter, r *http.Request, status int, problem string) {
	s.mu.Lock()
	view, ok := s.contactView(idOf(r.PathValue("id")), r.PathValue("id") == "")
	s.mu.Unlock()
	if !ok {
		s.render(w, http.StatusNotFound, "list.html", listView{Page: 1, Problem: "There is no such contact. It may have been deleted or merged."})
		return
	}
	view.Problem = problem
	if problem != "" {
		for i := range view.Fields {
			if typed, given := r.PostForm[view.Fields[i].Name]; given {
				view.Fields[i].Value = typed[0]
			}
		}
	}
	s.render(w, status, "contact.html", view)
}

func (s *Sim) addressOf(id int64) string { return "/ui/contacts/" + strconv.FormatInt(id, 10) }

// submitEdit saves the fields that the person changed, and only those, so that
// what the API wrote meanwhile stays.
func (s *Sim) submitEdit(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("the form cannot be read: send it again")
	}
	fields := map[string]any{}
	for name, given := range r.PostForm {
		value := strings.ReplaceAll(given[0], "\r\n", "\n")
		before, known := r.PostForm["was."+name]
		if !strings.HasPrefix(name, "was.") && (!known || value != strings.ReplaceAll(before[0], "\r\n", "\n")) {
			fields[name] = value
		}
	}
	var to string
	err := s.act(func() error {
		c, err := s.edit(idOf(r.PathValue("id")), fields)
		if err == nil {
			to = s.addressOf(c.id)
		}
		return err
	})
	return to, err
}

// submitTalk makes a call or text happen.
func (s *Sim) submitTalk(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("the form cannot be read: send it again")
	}
	t := talk{
		Kind: r.PostForm.Get("kind"), Direction: r.PostForm.Get("direction"), Status: r.PostForm.Get("status"),
		Text: r.PostForm.Get("body"), Creator: createdByHand,
	}
	if t.Kind != "call" && t.Kind != "sms" {
		return "", fmt.Errorf("choose whether to call or to text")
	}
	var to string
	err := s.act(func() error {
		c := s.store.find(idOf(r.PathValue("id")))
		if c == nil {
			return errMissing
		}
		to = s.addressOf(c.id) + "#talks"
		t.At = s.second()
		t.Line, _ = s.lists.line(c.line, 0)
		var err error
		if t.Outcome, err = s.outcomeOf(r.PostForm.Get("disposition")); err == nil {
			_, err = s.happen(c, t)
		}
		return err
	})
	return to, err
}

// submitOutcome sets the outcome of a call after it.
func (s *Sim) submitOutcome(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("the form cannot be read: send it again")
	}
	to := s.addressOf(idOf(r.PathValue("id"))) + "#talks"
	return to, s.act(func() error {
		m := s.store.talk(idOf(r.PathValue("com")))
		if m == nil || m.Kind != typeCall {
			return errMissing
		}
		outcome, err := s.outcomeOf(r.PostForm.Get("disposition"))
		if err == nil && outcome != m.Outcome {
			s.dispose(m, outcome)
		}
		return err
	})
}

func (s *Sim) submitMerge(r *http.Request) (string, error) {
	if err := r.ParseForm(); err != nil {
		return "", fmt.Errorf("the form cannot be read: send it again")
	}
	var to string
	err := s.act(func() error {
		from, into := s.store.find(idOf(r.PathValue("id"))), s.store.find(idOf(strings.TrimSpace(r.PostForm.Get("into"))))
		if from == nil || into == nil || from == into {
			return fmt.Errorf("give the id of another contact to merge this one into")
		}
		s.merge(into, from)
		to = s.addressOf(into.id)
		return nil
	})
	return to, err
}

func (s *Sim) submitDelete(r *http.Request) (string, error) {
	return "/", s.act(func() error {
		c := s.store.find(idOf(r.PathValue("id")))
		if c == nil {
			return errMissing
		}
		s.erase(c)
		return nil
	})
}
