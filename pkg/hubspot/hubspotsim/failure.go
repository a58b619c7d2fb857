package hubspotsim

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// failure is an answer other than 2xx, or an entry of a batch's errors.
type failure struct {
	Status      int
	Category    string
	SubCategory string
	Message     string
	Context     map[string][]string
	Errors      []detail
	Links       map[string]string
	Extra       map[string]any // fields of older bodies
	Retry       string         // Retry-After, in seconds
	HTML        bool           // a page instead of JSON
}

// detail is one element of errors[] in a body.
type detail struct {
	Message string              `json:"message"`
	Code    string              `json:"code,omitempty"`
	In      string              `json:"in,omitempty"`
	Context map[string][]string `json:"context,omitempty"`
}

// body gives the JSON form; correlation is empty inside a batch.
func (f *failure) body(correlation string) map[string]any {
	out := map[string]any{"status": "error", "message": f.Message}
	if correlation != "" {
		out["correlationId"] = correlation
	}
	if f.Category != "" {
		out["category"] = f.Category
	}
	if f.SubCategory != "" {
		out["subCategory"] = f.SubCategory
	}
	if f.Context != nil {
		out["context"] = f.Context
	}
	if f.Errors != nil {
		out["errors"] = f.Errors
	}
	if f.Links != nil {
		out["links"] = f.Links
	}
	for k, v := range f.Extra {
		out[k] = v
	}
	return out
}

const notFoundPage = `<html> <head> <meta http-equiv="Content-Type" content="text/html;charset=utf-8"/> <title>Error 404 Not Found</title> </head> <body><h2>HTTP ERROR 404</h2> <p>Resource not found</p> </body> </html>`

// write sends the failure.
func (f *failure) write(w http.ResponseWriter) {
	id := correlationID()
	w.Header().Set("X-HubSpot-Correlation-Id", id)
	if f.Retry != "" {
		w.Header().Set("Retry-After", f.Retry)
	}
	if f.HTML {
		w.Header().Set("Content-Type", "text/html;charset=utf-8")
		w.WriteHeader(f.Status)
		page := notFoundPage
		if f.Status != http.StatusNotFound {
			page = fmt.Sprintf("<html><head><title>%d</title></head><body><h1>Error %d</h1><p>%s</p></body></html>", f.Status, f.Status, f.Message)
		}
		fmt.Fprint(w, page)
		return
	}
	writeJSON(w, f.Status, f.body(id))
}

// correlationID makes a UUID of version 7.
func correlationID() string {
	var b [16]byte
	rand.Read(b[:])
	ms := time.Now().UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (40 - 8*i))
	}
	b[6], b[8] = b[6]&0x0f|0x70, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(body) // the client went away: nothing is left to tell it
}

func notValid(format string, args ...any) *failure {
	return &failure{Status: http.StatusBadRequest, Category: "VALIDATION_ERROR", Message: fmt.Sprintf(format, args...)}
}

func noRoute() *failure { return &failure{Status: http.StatusNotFound, HTML: true} }

// notFound is the answer for an id or unique value that leads nowhere.
func notFound(key string) *failure {
	if key != "" && strings.Trim(key, "0123456789") == "" {
		return &failure{Status: http.StatusNotFound, Message: "resource not found"}
	}
	return &failure{Status: http.StatusNotFound, Category: "OBJECT_NOT_FOUND",
		Message: "Object not found.  objectId are usually numeric.", Context: map[string][]string{"id": {key}}}
}

// contactExists is the answer for an e-mail address in use. Some answers of
// the real service leave the id out, so callers may as well.
func contactExists(id int64, withID bool) *failure {
	f := &failure{Status: http.StatusConflict, Category: "CONFLICT", Message: "Contact already exists"}
	if withID {
		f.Message += ". Existing ID: " + idText(id)
	}
	return f
}

// invalidValues lists every bad property of a call, in the message as JSON
// text and again in errors.
func invalidValues(portal int64, list []invalid) *failure {
	type inner struct {
		IsValid   bool   `json:"isValid"`
		Message   string `json:"message"`
		Error     string `json:"error"`
		Name      string `json:"name"`
		Localized string `json:"localizedErrorMessage"`
		Portal    int64  `json:"portalId"`
	}
	var inners []inner
	f := &failure{Status: http.StatusBadRequest, Category: "VALIDATION_ERROR"}
	for _, v := range list {
		inners = append(inners, inner{Message: v.Message, Error: v.Code, Name: v.Name, Localized: v.Message, Portal: portal})
		f.Errors = append(f.Errors, detail{Message: v.Message, Code: v.Code, Context: map[string][]string{"propertyName": {v.Name}}})
	}
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(inners) // plain strings cannot fail
	f.Message = "Property values were not valid: " + strings.TrimSpace(text.String())
	return f
}

// badJSON is the answer for a body that cannot be read.
func badJSON(body []byte, err error) *failure {
	offset := len(body)
	switch e := err.(type) {
	case *json.SyntaxError:
		offset = int(e.Offset)
	case *json.UnmarshalTypeError:
		offset = int(e.Offset)
	}
	before := string(body[:min(offset, len(body))])
	line := 1 + strings.Count(before, "\n")
	column := len(before) - strings.LastIndex(before, "\n")
	return &failure{Status: http.StatusBadRequest, Message: fmt.Sprintf("Invalid input JSON on line %d, column %d: %s", line, column, err)}
}
