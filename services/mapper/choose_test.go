package mapper_test

import (
	"slices"
	"testing"

	"lockstep.internal/pkg/contact"
)

const number, other = "+12025550142", "+12025550199"

func choose(key contact.Key, system contact.System, id string) contact.Incoming {
	return contact.Incoming{Command: &contact.Command{Kind: contact.Choose, Contact: key, System: system, ID: id, Author: "ada"}}
}

// twoOfOneNumber says two contacts in HubSpot with one number, and then one in
// Aloware with it.
func twoOfOneNumber(e *env) contact.Key {
	e.t.Helper()
	for _, id := range []string{"501", "502"} {
		e.say(snapshot(contact.HubSpot, id, 1000, "firstname", "Ada "+id, "email", id+"@example.com", "phone", number))
	}
	e.say(snapshot(contact.Aloware, "9", 2000, "first_name", "Ada", "email", "ada@example.com", "phone_number", number))
	card := e.mustCard("aloware:9")
	if got := card.Sides[0].Candidates; !slices.Equal(got, []string{"501", "502"}) {
		e.t.Fatalf("candidates are %v, want both contacts of HubSpot with the number", got)
	}
	if problems := e.problems(); len(problems) != 1 || problems[0].Kind != contact.ProblemConflict || problems[0].Contact != "aloware:9" {
		e.t.Fatalf("problems are %+v, want the conflict", problems)
	}
	return "aloware:9"
}

// TestAFreeCandidateIsJoined as somebody chose, and the other is somebody else
// from then on.
func TestAFreeCandidateIsJoined(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	key := twoOfOneNumber(e)
	e.say(choose(key, contact.HubSpot, "502"))
	card := e.mustCard(key)
	if card.Sides[0].ID != "502" || card.Sides[1].ID != "9" || len(card.Sides[0].Candidates) > 0 {
		t.Fatalf("the card is %+v, want 502 and 9 linked", card.Sides)
	}
	if problems := e.problems(); len(problems) > 0 {
		t.Errorf("problems are %+v after the choice", problems)
	}
	e.say(snapshot(contact.HubSpot, "502", 5000, "firstname", "Adele", "email", "502@example.com", "phone", number))
	patch := e.newest(contact.Aloware, key)
	if value, _ := property(patch, "first_name"); value != "Adele" || patch.TargetID != "9" {
		t.Errorf("an edit of 502 gives the patch %+v, want it for Aloware's 9", patch)
	}
	e.say(choose(key, contact.HubSpot, "501"))
	if card := e.mustCard(key); card.Sides[0].ID != "502" {
		t.Errorf("a choice where there is none changed the link to %s", card.Sides[0].ID)
	}
}

// TestANewContactIsMade besides the candidates, with neither the keys that
// lead to them nor the e-mail that HubSpot holds once; that one follows.
func TestANewContactIsMade(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	key := twoOfOneNumber(e)
	e.say(choose(key, contact.HubSpot, ""))
	patch := e.newest(contact.HubSpot, key)
	if patch.Create == nil || !patch.Create.MayCreate || len(patch.Create.Phones) > 0 || patch.Create.Email != "" || patch.TargetID != "" {
		t.Fatalf("the patch is %+v with %+v, want a creation without a search", patch, patch.Create)
	}
	if _, has := property(patch, "email"); has {
		t.Error("the creation has the e-mail: HubSpot would take its holder for this contact")
	}
	if phone, _ := property(patch, "phone"); phone != number {
		t.Errorf("the creation has the phone %q", phone)
	}
	e.say(made(patch, contact.Made, "777", 3000))
	if email, _ := property(e.newest(contact.HubSpot, key), "email"); email != "ada@example.com" {
		t.Errorf("the e-mail that follows is %q", email)
	}
	e.say(snapshot(contact.HubSpot, "501", 4000, "firstname", "Ada 501", "email", "501@example.com", "phone", number))
	card := e.mustCard(key)
	if card.Sides[0].ID != "777" || len(e.mustCard("hubspot:501").Sides[1].Candidates) > 0 {
		t.Errorf("the card is %+v; a later event must not bring the conflict back", card.Sides)
	}
}

// TestALinkMovesToWhoWasChosen: the one that had it is left without, and says
// so; nothing is a conflict any more.
func TestALinkMovesToWhoWasChosen(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "First", "phone", number))
	e.say(made(e.newest(contact.Aloware, "hubspot:501"), contact.Made, "9", 1500))
	e.say(snapshot(contact.HubSpot, "502", 2000, "firstname", "Second", "phone", number))
	if got := e.mustCard("hubspot:502").Sides[1].Candidates; !slices.Equal(got, []string{"9"}) {
		t.Fatalf("candidates are %v, want 9", got)
	}
	e.say(choose("hubspot:502", contact.Aloware, "9"))
	first, second := e.mustCard("hubspot:501"), e.mustCard("hubspot:502")
	if second.Sides[1].ID != "9" || first.Sides[1].ID != "" || first.Sides[1].Refused == nil || first.Sides[1].Refused.Reason != "SOMEBODY_ELSE" {
		t.Fatalf("cards are %+v and %+v", first.Sides, second.Sides)
	}
	e.say(snapshot(contact.Aloware, "9", 5000, "first_name", "First", "phone_number", number))
	if got := e.mustCard("hubspot:502"); got.Sides[1].ID != "9" {
		t.Errorf("after an event of Aloware's contact the link is %+v", got.Sides)
	}
	writes := len(of(e.patches(contact.Aloware), "hubspot:501"))
	e.say(snapshot(contact.HubSpot, "501", 6000, "firstname", "Still first", "phone", number))
	if got := e.mustCard("hubspot:501"); got.Sides[1].ID != "" || len(got.Sides[1].Candidates) > 0 {
		t.Errorf("the one that gave its link away has %+v", got.Sides[1])
	}
	if got := len(of(e.patches(contact.Aloware), "hubspot:501")); got != writes {
		t.Error("Aloware is written to for the one that gave its link away")
	}
}

// TestAlowareHoldsANumberOnce: a new contact with a number that is taken is
// refused with the reason, and made when the number is another one.
func TestAlowareHoldsANumberOnce(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "First", "phone", number))
	e.say(made(e.newest(contact.Aloware, "hubspot:501"), contact.Made, "9", 1500))
	e.say(snapshot(contact.HubSpot, "502", 2000, "firstname", "Second", "phone", number))
	e.say(choose("hubspot:502", contact.Aloware, ""))
	if side := e.mustCard("hubspot:502").Sides[1]; side.Refused == nil || side.Refused.Reason != "SOMEBODY_ELSE" || len(side.Candidates) > 0 {
		t.Fatalf("the side is %+v, want it refused", side)
	}
	if problems := e.problems(); len(problems) != 1 || problems[0].Kind != contact.ProblemRefused || problems[0].Contact != "hubspot:502" {
		t.Errorf("problems are %+v", problems)
	}
	e.say(snapshot(contact.HubSpot, "502", 3000, "firstname", "Second", "phone", other))
	if patch := e.newest(contact.Aloware, "hubspot:502"); patch.Create == nil || !patch.Create.MayCreate || !slices.Equal(patch.Create.Phones, []string{other}) {
		t.Errorf("with a number of its own the patch is %+v", patch)
	}
}

// TestPhoneAndEmailOfDifferentPeopleAreAConflict, even where one of them has a
// counterpart of its own.
func TestPhoneAndEmailOfDifferentPeopleAreAConflict(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.say(snapshot(contact.HubSpot, "501", 1000, "firstname", "Phone", "phone", number))
	e.say(snapshot(contact.HubSpot, "502", 1000, "firstname", "Mail", "phone", other, "email", "ada@example.com"))
	e.say(made(e.newest(contact.Aloware, "hubspot:502"), contact.Made, "8", 1500))
	e.say(snapshot(contact.Aloware, "9", 2000, "first_name", "Ada", "email", "ada@example.com", "phone_number", number))
	if got := e.mustCard("aloware:9").Sides[0].Candidates; !slices.Equal(got, []string{"501", "502"}) {
		t.Errorf("candidates are %v, want 501 by phone and 502 by e-mail", got)
	}
}
