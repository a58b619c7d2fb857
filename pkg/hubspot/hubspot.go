// Package hubspot is everything that Lockstep knows of HubSpot: the client with
// its errors and limits (Client), the destination that carries out patches
// (Destination), webhooks (VerifyV3, DecodeWebhook), reads by time and by walk,
// and the schema of a portal.
//
// It promises that no call leaves without a ticket of the connection's budget,
// that every failure carries its class (package fault), that one refused
// contact or property never fails the others of a batch, and that repeating a
// delivery makes no second contact.
//
// It never decides what shall be written, never retries on its own beyond one
// refreshed token, and never puts a token or contact data into an error or a
// URL. HubSpot's own words, which may quote a value, stay in fault.Refusal.
package hubspot

import (
	"strings"

	"lockstep.internal/pkg/contact"
)

// KeyProperty is the unique property by which a created contact is found again
// after an answer was lost. Connecting a portal creates it.
const KeyProperty = "lockstep_contact_key"

// contactType is HubSpot's object type id of contacts.
const contactType = "0-1"

// Names of properties that have a meaning for the adapter itself.
const (
	emailName     = "email"
	phoneName     = "phone"
	mobileName    = "mobilephone"
	mergedName    = "hs_merged_object_ids"
	modifiedName  = "lastmodifieddate"
	createdName   = "createdate"
	sourceName    = "hs_object_source" // who made the record: INTEGRATION, with the app's id
	sourceIDName  = "hs_object_source_id"
	objectName    = "hs_object_id"
	stageName     = "lifecyclestage"
	zoneName      = "hs_timezone"
	firstName     = "firstname"
	lastName      = "lastname"
	furtherEmails = "hs_additional_emails"
)

// alwaysRead are the properties of every read, whatever is mapped: matching
// and merging need them.
var alwaysRead = []string{emailName, phoneName, mobileName, mergedName, modifiedName, createdName}

// withAlways joins the wanted property names with those of every read, each
// once.
func withAlways(wanted []string) []string {
	names := make([]string, 0, len(wanted)+len(alwaysRead))
	seen := make(map[string]bool, len(wanted)+len(alwaysRead))
	for _, list := range [][]string{wanted, alwaysRead} {
		for _, name := range list {
			if name != "" && !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	return names
}

// mergedInto lists the ids that a contact absorbed, out of its own list, which
// may hold its own id.
func mergedInto(id, list string) []string {
	var ids []string
	for _, other := range strings.Split(list, ";") {
		if other = strings.TrimSpace(other); other != "" && other != id {
			ids = append(ids, other)
		}
	}
	return ids
}

// originOf tells who caused a value: HubSpot names an app's write by the app's
// id. An absent source tells nothing.
func originOf(source, sourceID, app string) contact.Origin {
	switch {
	case source == "":
		return contact.Unknown
	case source == "INTEGRATION" && app != "" && app != "0" && sourceID == app:
		return contact.Ours
	}
	return contact.Others
}
