package inbox

import "strings"

// reasons are words for why something was refused or waits. What a system
// itself said stands beside them.
var reasons = map[string]string{
	"SEVERAL_CONTACTS":         "Several contacts fit",
	"REVIEW":                   "A difference to decide",
	"REWRITTEN":                "Somebody else keeps setting it back",
	"ABSENT":                   "No counterpart, and none may be made",
	"SOMEBODY_ELSE":            "The counterpart belongs to somebody else",
	"NO_COUNTERPART":           "No counterpart in the other system",
	"UNKNOWN_USER":             "A user that is not known",
	"UNKNOWN_OPTION":           "An option that is not known",
	"INACTIVE_USER":            "A user who is deactivated",
	"INVALID_OPTION":           "No such option",
	"INVALID_VALUE":            "An invalid value",
	"INVALID_EMAIL":            "An invalid e-mail address",
	"INVALID_PHONE":            "An invalid phone number",
	"INVALID":                  "An invalid value",
	"UNREADABLE":               "A value that cannot be read",
	"UNREADABLE_VALUE":         "A value that cannot be read",
	"TOO_LONG":                 "A value that is too long",
	"TOO_SHORT":                "A value that is too short",
	"READ_ONLY_VALUE":          "A property that cannot be written",
	"PROPERTY_DOESNT_EXIST":    "A property that is not there",
	"CONFLICTING_UNIQUE_VALUE": "Another contact has this value",
	"CONFLICT":                 "Another contact has this value",
	"PHONE_TAKEN":              "Another contact has the number",
	"PHONE_REQUIRED":           "Aloware needs a phone number",
	"PHONE_CHANGED":            "Not found under the new number",
	"NO_NAME_OR_EMAIL":         "HubSpot needs a name or an e-mail address",
	"NOT_CAPABLE":              "This connection cannot do it",
	"NOT_FOUND":                "The contact is not there",
	"BAD_REQUEST":              "The request was refused",
	"VALIDATION_ERROR":         "The request was refused",
	"MISSING_SCOPES":           "The app lacks a permission",
	"HTML_ANSWER":              "A web page came instead of an answer",
	"NO_ANSWER":                "No answer came",
	"CREATE_UNANSWERED":        "Not known yet whether it was made",
	"PASSED_OVER":              "The answer left it out",
	"UNKNOWN_TENANT":           "The tenant is not configured",
}

// Reason puts a reason into words, also one with more behind a colon; a
// system's own word is shown as it is.
func Reason(of string) string {
	word, more, _ := strings.Cut(of, ": ")
	if words := reasons[word]; words != "" && more != "" {
		return words + ": " + more
	} else if words != "" {
		return words
	}
	return of
}
