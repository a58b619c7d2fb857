package lockstep_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"lockstep.internal/pkg/postgres/pgtest"
)

// cli runs a command of the operators' command line as a process of its own,
// and decodes what it prints as JSON into into (nil for none).
func (d *demo) cli(into any, args ...string) error {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 30*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, os.Args[0], append(args, "--server", "http://"+d.console, "--output", "json")...)
	command.Env = d.env
	var failed strings.Builder
	command.Stderr = &failed
	out, err := command.Output()
	if err != nil {
		return fmt.Errorf("lockstep %s: %w: %s", strings.Join(args, " "), err, failed.String())
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(out, into)
}

func (d *demo) mustCLI(into any, args ...string) {
	d.t.Helper()
	if err := d.cli(into, args...); err != nil {
		d.t.Fatal(err)
	}
}

type groupsAnswer struct {
	Groups []struct {
		Kind, Reason, System, Field, Example string
		Problems                             int
	}
}

func (g groupsAnswer) field(field string) string {
	for _, group := range g.Groups {
		if group.Field == field {
			return group.Kind + " " + group.Reason + ": " + group.Example
		}
	}
	return ""
}

// TestPeopleSeeAndSettleWhatIsWrong: a refusal is shown in the system's own
// words and sent again, a conflict is settled by a choice, a value is
// explained, and a person is erased, all by the command line.
func TestPeopleSeeAndSettleWhatIsWrong(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	d := startDemo(t, "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50", "DATABASE_URL="+database)
	eventually(t, 60*time.Second, func() string {
		if n := len(d.pairs()); n < 3 {
			return fmt.Sprintf("%d contacts are on both sides", n)
		}
		return ""
	})
	d.settle(30 * time.Second)
	var people [][2]string // HubSpot and Aloware ids
	for h, a := range d.pairs() {
		people = append(people, [2]string{h, a})
	}
	d.retried(people[0])
	d.settled(people[1])
	d.explained(people[0])
	d.answered(people[0])
	d.erased(database, people[2])
}

// retried lets HubSpot refuse an update, which is shown and sent again.
func (d *demo) retried(who [2]string) {
	d.t.Helper()
	update := []map[string]any{{"path": "/crm/objects/*/contacts/batch/update", "status": 400}, {"path": "/crm/objects/*/contacts/" + who[0], "method": "PATCH", "status": 400}}
	d.mustPost(d.hubspot, "/_sim/faults", update, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "again@example.com"}}, nil)
	var groups groupsAnswer
	eventually(d.t, 30*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo")
		if groups.field("email") == "" {
			return fmt.Sprintf("no refusal of an e-mail is in the inbox: %+v", groups)
		}
		return ""
	})
	d.openErrors(1)
	d.mustPost(d.hubspot, "/_sim/faults", []map[string]any{}, nil)
	var dismissed struct{ Problems int }
	d.mustCLI(&dismissed, "inbox", "dismiss", "demo", "--field", "email")
	if d.mustCLI(&groups, "inbox", "list", "demo"); dismissed.Problems != 1 || groups.field("email") != "" {
		d.t.Errorf("dismissed %d, the inbox has %+v", dismissed.Problems, groups)
	}
	d.openErrors(0)
	d.mustCLI(nil, "inbox", "undismiss", "demo", "--field", "email")
	d.openErrors(1)
	var retried struct{ Contacts int }
	d.mustCLI(&retried, "inbox", "retry", "demo", "--field", "email")
	if retried.Contacts != 1 {
		d.t.Errorf("%d contacts were tried again, want 1", retried.Contacts)
	}
	eventually(d.t, 20*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo", "--dismissed")
		if got := d.one(d.hubspot, who[0])["email"]; got != "again@example.com" || groups.field("email") != "" {
			return fmt.Sprintf("HubSpot holds %q, the inbox %+v", got, groups)
		}
		return ""
	})
	for _, wrong := range [][]string{{"inbox", "retry", "demo"}, {"contact", "explain", "demo"}, {"deadletter", "discard", "demo"}} {
		if err := d.cli(nil, wrong...); err == nil || !strings.Contains(err.Error(), "exit status 2") {
			d.t.Errorf("%v gave %v, want exit code 2", wrong, err)
		}
	}
}

// openErrors checks how many errors the list of tenants has of the demonstration.
func (d *demo) openErrors(want int) {
	d.t.Helper()
	var list struct{ Tenants []struct{ Errors string } }
	if d.mustCLI(&list, "tenant", "list"); len(list.Tenants) != 1 || list.Tenants[0].Errors != fmt.Sprint(want) {
		d.t.Errorf("the tenants are %+v, want one with %d errors", list.Tenants, want)
	}
}

// settled makes a second person with a number that is taken, and gives the
// number to that one.
func (d *demo) settled(who [2]string) {
	d.t.Helper()
	number := d.one(d.aloware, who[1])["phone_number"]
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"properties": map[string]any{"firstname": "Second", "phone": number}}, nil)
	var found struct {
		Conflicts []struct {
			Contact    struct{ Contact, Name string }
			System     string
			Candidates []struct{ AlowareId, Name string }
		}
	}
	eventually(d.t, 20*time.Second, func() string {
		d.mustCLI(&found, "contact", "conflicts", "demo")
		if len(found.Conflicts) != 1 {
			return fmt.Sprintf("conflicts are %+v", found)
		}
		return ""
	})
	c := found.Conflicts[0]
	if c.Contact.Name != "Second" || c.System != "aloware" || len(c.Candidates) != 1 || c.Candidates[0].AlowareId != who[1] || c.Candidates[0].Name == "" {
		d.t.Fatalf("the conflict is %+v, want Second's, with Aloware's %s to choose", c, who[1])
	}
	if err := d.cli(nil, "contact", "choose", "demo", c.Contact.Contact, "--system", "aloware", "--id", "1"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		d.t.Errorf("choosing nobody gave %v, want a refusal with exit code 3", err)
	}
	d.mustCLI(nil, "contact", "choose", "demo", c.Contact.Contact, "--system", "aloware", "--id", who[1])
	eventually(d.t, 20*time.Second, func() string {
		if got := d.one(d.aloware, who[1])["first_name"]; got != "Second" {
			return fmt.Sprintf("Aloware's contact is %q, want Second, who has its number now", got)
		}
		return ""
	})
	d.settle(20 * time.Second)
	if d.mustCLI(&found, "contact", "conflicts", "demo"); len(found.Conflicts) != 0 {
		d.t.Errorf("after the choice conflicts are %+v", found)
	}
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"firstname": "First"}}, nil)
	d.settle(20 * time.Second)
	if got := d.one(d.aloware, who[1])["first_name"]; got != "Second" {
		d.t.Errorf("Aloware's contact is %q after an edit of the one that gave it away", got)
	}
}

// explained finds a contact by its phone number as people write it, and asks
// why its e-mail is what it is.
func (d *demo) explained(who [2]string) {
	d.t.Helper()
	number := d.one(d.hubspot, who[0])["phone"]
	var found struct {
		Contacts []struct{ Contact, HubspotId, AlowareId string }
	}
	written := fmt.Sprintf("(%s) %s-%s", number[2:5], number[5:8], number[8:])
	d.mustCLI(&found, "contact", "find", "demo", written)
	if len(found.Contacts) != 1 || found.Contacts[0].HubspotId != who[0] || found.Contacts[0].AlowareId != who[1] {
		d.t.Fatalf("%s finds %+v, want %v", written, found, who)
	}
	for _, known := range []string{found.Contacts[0].Contact, who[0], who[1], strings.ToUpper("again@example.com")} {
		var one struct{ Contacts []struct{ Contact string } }
		if d.mustCLI(&one, "contact", "find", "demo", known); len(one.Contacts) != 1 || one.Contacts[0].Contact != found.Contacts[0].Contact {
			d.t.Errorf("%s finds %+v, want %s", known, one, found.Contacts[0].Contact)
		}
	}
	name := d.one(d.hubspot, who[0])["lastname"]
	var named struct {
		Contacts []struct{ HubspotId, Name string }
	}
	d.mustCLI(&named, "contact", "find", "demo", strings.ToLower(name[1:]))
	shown := false
	for _, c := range named.Contacts {
		shown = shown || c.HubspotId == who[0] && strings.HasSuffix(c.Name, name)
	}
	if !shown {
		d.t.Errorf("a part of the name %q finds %+v", name, named)
	}
	var card struct {
		Hubspot, Aloware struct{ State string }
		Fields           []struct {
			Field, State     string
			Hubspot, Aloware struct {
				Value string
				Known bool
			}
		}
	}
	d.mustCLI(&card, "contact", "show", "demo", "again@example.com")
	shown = false
	for _, f := range card.Fields {
		shown = shown || f.Field == "email" && f.State == "in_step" && f.Hubspot.Value == "again@example.com" && f.Aloware.Value == "again@example.com"
	}
	if !shown || len(card.Fields) != 55 || card.Hubspot.State != "linked" || card.Aloware.State != "linked" {
		d.t.Errorf("the card is %+v", card)
	}
	var why struct {
		Decisions []struct {
			Rule, Value, System, EventId, TraceId, Reason string
			MappingVersion                                string
		}
	}
	d.mustCLI(&why, "contact", "explain", "demo", found.Contacts[0].Contact, "email", "--limit", "6")
	var rules []string
	for i := len(why.Decisions) - 1; i >= 0; i-- {
		rules = append(rules, why.Decisions[i].Rule)
		if why.Decisions[i].EventId == "" || why.Decisions[i].MappingVersion != "1" {
			d.t.Errorf("decision %+v lacks its event or its mapping version", why.Decisions[i])
		}
	}
	if got := strings.Join(rules, " "); !strings.HasSuffix(got, "intent write refused retried write settled") {
		d.t.Errorf("the e-mail's decisions are %q, want the edit, its refusal, and its second write", got)
	}
}

// answered asks about a difference before anything is written, and writes what
// somebody answers.
func (d *demo) answered(who [2]string) {
	d.t.Helper()
	d.mustCLI(nil, "mapping", "set", "demo", "company_name", "--policy", "review", "--reason", "test")
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"company": "Analytical Engines"}}, nil)
	var groups groupsAnswer
	eventually(d.t, 20*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo", "--kind", "review")
		if !strings.Contains(groups.field("company_name"), "Analytical Engines") {
			return fmt.Sprintf("the inbox has %+v", groups)
		}
		return ""
	})
	if got := d.one(d.aloware, who[1])["company_name"]; got == "Analytical Engines" {
		d.t.Error("the value was written before the question was answered")
	}
	var answered struct{ Fields []string }
	if d.mustCLI(&answered, "contact", "answer", "demo", who[0], "--system", "hubspot"); fmt.Sprint(answered.Fields) != "[company_name]" {
		d.t.Errorf("answered are %v", answered.Fields)
	}
	eventually(d.t, 20*time.Second, func() string {
		groups = groupsAnswer{}
		d.mustCLI(&groups, "inbox", "list", "demo", "--kind", "review")
		if got := d.one(d.aloware, who[1])["company_name"]; got != "Analytical Engines" || len(groups.Groups) > 0 {
			return fmt.Sprintf("Aloware holds %q, the inbox %+v", got, groups)
		}
		return ""
	})
	if err := d.cli(nil, "contact", "answer", "demo", who[0], "--system", "hubspot"); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		d.t.Errorf("a second answer gave %v, want a refusal", err)
	}
}

// erased forgets a person and looks for what is left in every table.
func (d *demo) erased(database string, who [2]string) {
	d.t.Helper()
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"firstname": "Zebulon", "city": "Nowhereville"}}, nil)
	d.mustPost(d.aloware, "/_sim/communications", map[string]any{"contact_id": json.Number(who[1]), "kind": "sms", "direction": "inbound", "body": "Remember the xylophone"}, nil)
	person := d.one(d.hubspot, who[0])
	words := []string{"zebulon", "nowhereville", "xylophone", person["email"], strings.TrimPrefix(person["phone"], "+"), "hubspot:" + who[0], "aloware:" + who[1]}
	eventually(d.t, 30*time.Second, func() string {
		d.settle(20 * time.Second)
		for _, word := range []string{"zebulon", "nowhereville", "xylophone", person["email"]} {
			if len(d.tablesWith(database, word)) == 0 {
				return word + " is in no table yet"
			}
		}
		return ""
	})
	// What was done to the person is in the audit, under the key alone.
	d.mustCLI(nil, "contact", "dispose", "demo", person["email"], "OPEN")
	d.mustCLI(nil, "sync", "contact", "demo", "aloware:"+who[1])
	named := append(d.tablesWith(database, "hubspot:"+who[0]), d.tablesWith(database, "aloware:"+who[1])...)
	if !slices.ContainsFunc(named, func(table string) bool { return strings.HasPrefix(table, "audit_") }) {
		d.t.Errorf("the audit does not tell whose lead status was set: %v", named)
	}
	for _, word := range []string{person["email"], `""id"": ""` + who[1] + `""`} {
		if tables := d.tablesWith(database, word); slices.ContainsFunc(tables, func(table string) bool { return strings.HasPrefix(table, "audit_") }) {
			d.t.Errorf("%q is in the audit: %v", word, tables)
		}
	}
	d.mustCLI(nil, "contact", "erase", "demo", person["email"], "--yes")
	gone := func() string {
		for _, word := range words {
			if tables := d.tablesWith(database, word); len(tables) > 0 {
				return fmt.Sprintf("%q is in %v", word, tables)
			}
		}
		return ""
	}
	eventually(d.t, 20*time.Second, gone)
	count := len(d.contacts(d.hubspot, ""))
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"email": "zebulon@example.com"}}, nil)
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"lastname": "Zebulon"}}, nil)
	d.settle(20 * time.Second)
	if reason := gone(); reason != "" || len(d.contacts(d.hubspot, "")) != count || d.one(d.hubspot, who[0])["email"] == "zebulon@example.com" {
		d.t.Errorf("late events brought the person back: %s", reason)
	}
	var found struct{ Contacts []any }
	if d.mustCLI(&found, "contact", "find", "demo", "Zebulon"); len(found.Contacts) != 0 {
		d.t.Errorf("the erased person is found: %v", found)
	}
}

// tablesWith gives the tables that hold a text, also within bytes.
func (d *demo) tablesWith(database, word string) []string {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		d.t.Fatal(err)
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname`)
	if err != nil {
		d.t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		d.t.Fatal(err)
	}
	var with []string
	// Bytes are shown as hex, in which a letter's case is another number.
	title := strings.ToUpper(word[:1]) + word[1:]
	patterns := []string{"%" + word + "%", "%" + hex.EncodeToString([]byte(word)) + "%", "%" + hex.EncodeToString([]byte(title)) + "%"}
	for _, table := range tables {
		var n int
		err := conn.QueryRow(ctx, `SELECT count(*) FROM `+pgx.Identifier{table}.Sanitize()+` t WHERE t::text ILIKE ANY($1)`, patterns).Scan(&n)
		if err != nil {
			d.t.Fatal(err)
		}
		if n > 0 {
			with = append(with, fmt.Sprint(table, " ", n))
		}
	}
	return with
}
