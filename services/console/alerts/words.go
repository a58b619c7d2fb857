package alerts

import (
	"fmt"
	"regexp"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/pkg/postgres"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/syncs"
)

// Sentence says a change of state in words of ours, without anybody's values.
func Sentence(c postgres.AlertChange) string {
	d := c.Detail
	system := systemOf(d).Name()
	say := func(open, over string) string {
		if c.Open {
			return open
		}
		return over
	}
	switch c.Kind {
	case Connection:
		over := system + " is connected again, and goes on where it was"
		if d.Ended == "disconnected" {
			over = system + " was disconnected"
		}
		return say(system+" refuses the credentials: nothing is written or read there until somebody connects it again", over)
	case Lane:
		why := "it does not answer as it should"
		if d.Problem == "throttled" {
			why = "its limit of calls is reached"
		}
		return say(fmt.Sprintf("Nothing was written to %s for a while: %s (%s). It goes on by itself, at %s UTC at the earliest", system, why, d.Reason, d.Until.UTC().Format("15:04")),
			"Writing to "+system+" goes on")
	case Mapping:
		return say("The mapping of "+mapping.Label(d.Field)+" rests: "+d.Reason, "The mapping of "+mapping.Label(d.Field)+" is at work again")
	case Sync:
		job := syncs.Title(postgres.SyncPurpose(d.Job))
		open := job + ": the job failed: " + d.Reason
		if d.Problem == "waiting" {
			open = job + ": the job has not got on for a while: " + d.Reason + ". It is tried again by itself"
		}
		return say(open, job+": the job goes on, has ended, or another one was begun")
	case Burst:
		return say(mapping.Label(d.Field)+" suddenly changes far more contacts than usual: it is held and not written in "+system+" until somebody says whether it goes on",
			"The burst of changes of "+mapping.Label(d.Field)+" waits for no answer any more")
	case Decision:
		if d.Problem == string(contact.ProblemConflict) {
			return say("Several contacts of "+system+" could be this one, and somebody must choose", "Who this contact is in "+system+" is settled")
		}
		return say(what(c)+" differs between HubSpot and Aloware, and somebody must say which value stands", what(c)+": no more difference to decide")
	}
	over := what(c) + " in " + system + ": solved (" + inbox.Reason(d.Reason) + ")"
	if d.Ended == "dismissed" {
		over = what(c) + " in " + system + ": dismissed by somebody (" + inbox.Reason(d.Reason) + ")"
	}
	open := what(c) + " in " + system + ": " + inbox.Reason(d.Reason)
	if d.Problem == string(contact.ProblemRefused) {
		open = system + " did not take " + lowerFirst(what(c)) + ": " + lowerFirst(inbox.Reason(d.Reason))
	}
	return say(open, over)
}

// what is the field of how many contacts that a change is about.
func what(c postgres.AlertChange) string {
	many := ""
	switch {
	case c.Contacts == 1:
		many = "a contact"
	case c.Contacts > 1:
		many = fmt.Sprintf("%d contacts", c.Contacts)
	case c.Detail.Field == "":
		return "Contacts as a whole"
	default:
		return mapping.Label(c.Detail.Field)
	}
	if c.Detail.Field == "" {
		return strings.ToUpper(many[:1]) + many[1:] + " as a whole"
	}
	return mapping.Label(c.Detail.Field) + " of " + many
}

// lowerFirst makes the first letter small, unless the word is a name or a code.
func lowerFirst(text string) string {
	if len(text) < 2 || !strings.Contains("A An Contacts No Not Another Several The", strings.SplitN(text, " ", 2)[0]) {
		return text
	}
	return strings.ToLower(text[:1]) + text[1:]
}

// headline says an alert in one line.
func headline(name string, changes []postgres.AlertChange) string {
	if len(changes) == 1 {
		return name + ": " + Sentence(changes[0])
	}
	open := 0
	for _, c := range changes {
		if c.Open {
			open++
		}
	}
	switch over := len(changes) - open; {
	case open == 0:
		return fmt.Sprintf("%s: %d things are over, such as: %s", name, over, Sentence(changes[0]))
	case over == 0:
		return fmt.Sprintf("%s: %d things need a look, such as: %s", name, open, Sentence(changes[0]))
	default:
		return fmt.Sprintf("%s: %d things need a look and %d are over, such as: %s", name, open, over, Sentence(changes[0]))
	}
}

// hidden stands for what could be somebody's value.
const hidden = "…"

// mostWords is how many bytes of a system's words are kept.
const mostWords = 400

var (
	addresses = regexp.MustCompile(`[^\s"'<>(),;:\[\]{}]+@[^\s"'<>(),;:\[\]{}]+`)
	numbers   = regexp.MustCompile(`\+?\(?\d[\d\s().-]{3,}\d`)
)

// quoted is a value as words quote it.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// masked are a system's words without what could be somebody's value: the one
// that was refused, and whatever looks like an e-mail address or a longer
// number, such as another contact's.
func masked(words, value string) string {
	if value = strings.TrimSpace(value); value != "" {
		pattern := regexp.QuoteMeta(value)
		if len(value) < 3 { // else half of the words would go
			pattern = `\b` + pattern + `\b`
		}
		words = regexp.MustCompile(`(?i)`+pattern).ReplaceAllString(words, hidden)
	}
	words = addresses.ReplaceAllString(words, hidden)
	words = numbers.ReplaceAllString(words, hidden)
	if len(words) > mostWords {
		words = strings.ToValidUTF8(words[:mostWords], "") + hidden
	}
	return words
}
