package pages

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// place is where a list of problems goes on, for an address.
func place(behind postgres.ProblemRow) string {
	raw, err := json.Marshal([5]string{string(behind.Contact), behind.Field, behind.System.String(), string(behind.Kind), behind.Since.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		panic(err) // texts can be written
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// placeOf reads the place of an address; the zero row is the beginning.
func placeOf(r *http.Request) (postgres.ProblemRow, error) {
	text := r.FormValue("after")
	if text == "" {
		return postgres.ProblemRow{}, nil
	}
	wrong := invalid("This address names no place in the list: begin again with its first page.")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return postgres.ProblemRow{}, wrong
	}
	var at [5]string
	if err := json.Unmarshal(raw, &at); err != nil {
		return postgres.ProblemRow{}, wrong
	}
	system, err := contact.ParseSystem(at[2])
	if err != nil {
		return postgres.ProblemRow{}, wrong
	}
	since, err := time.Parse(time.RFC3339Nano, at[4])
	if err != nil {
		return postgres.ProblemRow{}, wrong
	}
	return postgres.ProblemRow{Contact: contact.Key(at[0]), Field: at[1], System: system, Kind: contact.ProblemKind(at[3]), Since: since}, nil
}
