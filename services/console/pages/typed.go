package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
)

// typed is a form that could not be accepted, to be shown again as it was.
type typed struct {
	form, fault string
	values      url.Values // without secrets
}

// typedIn is the form of a request, with why it was not accepted.
func typedIn(r *http.Request, fault string) *typed {
	t := &typed{form: path.Base(r.URL.Path), fault: sentence(fault), values: make(url.Values)}
	if about := r.PostForm.Get("login"); about != "" && r.PostForm.Get("new") == "" {
		t.form += " " + about // one of the forms that change a person
	}
	for name, values := range r.PostForm {
		if !secretName(name) {
			t.values[name] = values
		}
	}
	return t
}

// Fault is why a form of this page was not accepted; "" when it was not sent. A
// form is named by the last word of its address.
func (f frame) Fault(form string) string {
	if f.typed == nil || f.typed.form != form {
		return ""
	}
	return f.typed.fault
}

// Value is what a field of a form shows: what was typed, if the form was not
// accepted, else what is in force. Nothing, false and 0 are an empty field.
func (f frame) Value(form, field string, inForce any) string {
	if f.Fault(form) != "" && !secretName(field) {
		return f.typed.values.Get(field)
	}
	switch inForce {
	case nil, false, 0, int64(0), 0.0:
		return ""
	}
	return fmt.Sprint(inForce)
}
