package mappings

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"lockstep.internal/pkg/aloware"
	"lockstep.internal/pkg/contact"
)

// User is one e-mail address and who has it in each system.
type User struct {
	Email string
	// Sides are in the order of contact.Systems; an empty Value where the
	// system has no such user.
	Sides [2]contact.DirectoryEntry
	// WhyNot says why the user is not offered as an owner; "" when he is.
	WhyNot string
}

// Users matches the users of both systems by e-mail. Only those who are active
// in both are offered anywhere an owner is chosen.
func (s *Mappings) Users(ctx context.Context, id contact.Tenant) ([]User, error) {
	if _, err := s.tenant(id); err != nil {
		return nil, err
	}
	lists, err := s.config.DB.Lists(ctx, id)
	if err != nil {
		return nil, err
	}
	byEmail := make(map[string]*User)
	var users []*User
	for _, list := range lists {
		if list.List != contact.UserList {
			continue
		}
		for _, e := range list.Entries {
			key := e.Match
			if key == "" {
				key = list.System.String() + "/" + e.Value // without an address he matches nobody
			}
			u := byEmail[key]
			if u == nil {
				u = &User{Email: e.Match}
				byEmail[key] = u
				users = append(users, u)
			}
			if at := &u.Sides[side(list.System)]; at.Value == "" || e.Active {
				*at = e
			}
		}
	}
	out := make([]User, 0, len(users))
	for _, u := range users {
		switch {
		case u.Email == "" && u.Sides[1].Value != "" && !u.Sides[1].Active:
			u.WhyNot = "The user is deactivated in Aloware."
		case u.Email == "":
			u.WhyNot = "This user has no e-mail address to match by."
		case u.Sides[0].Value == "":
			u.WhyNot = "HubSpot has no user with this e-mail address."
		case u.Sides[1].Value == "":
			u.WhyNot = "Aloware has no user with this e-mail address."
		case !u.Sides[0].Active:
			u.WhyNot = "The user is deactivated in HubSpot."
		case !u.Sides[1].Active:
			u.WhyNot = "The user is deactivated in Aloware."
		}
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b User) int {
		return cmp.Or(cmp.Compare(min(len(a.WhyNot), 1), min(len(b.WhyNot), 1)), cmp.Compare(a.Email, b.Email))
	})
	return out, nil
}

// Offered are the e-mail addresses of the users who can be an owner.
func (s *Mappings) Offered(ctx context.Context, id contact.Tenant) (emails []string, err error) {
	users, err := s.Users(ctx, id)
	for _, u := range users {
		if u.WhyNot == "" {
			emails = append(emails, u.Email)
		}
	}
	return emails, err
}

func side(system contact.System) int {
	if system == contact.HubSpot {
		return 0
	}
	return 1
}

// Disposition is one option of a list of dispositions.
type Disposition struct {
	Value, Label string // in HubSpot; Value is "" for one that only Aloware has
	AlowareID    string // "" where Aloware has it not, or does not tell
	Locked       bool   // HubSpot's own
	WhyNot       string // why an agent may not pick it; "" when he may
}

// Dispositions are the contact dispositions, or the outcomes of calls: the
// list is HubSpot's own, and agents pick from it alone. readAt is when it was
// read; cannot is what the connection to Aloware cannot do with it.
func (s *Mappings) Dispositions(ctx context.Context, id contact.Tenant, calls bool) (list []Disposition, readAt contact.Millis, cannot string, err error) {
	t, err := s.tenant(id)
	if err != nil {
		return nil, 0, "", err
	}
	lists, err := s.config.DB.Lists(ctx, id)
	if err != nil {
		return nil, 0, "", err
	}
	source, ours := "hs_call_disposition", aloware.CallDispositionProperty
	if m := t.Mapping.ByKey(statusKey); !calls {
		ours = aloware.DispositionProperty
		if source = "hs_lead_status"; m != nil {
			source = m.HubSpot
		}
	}
	var hubspot, account []contact.DirectoryEntry
	for _, l := range lists {
		switch {
		case l.System == contact.HubSpot && l.List == contact.OptionList(source):
			hubspot, readAt = l.Entries, l.ReadAt
		case l.System == contact.Aloware && l.List == contact.OptionList(ours):
			account = l.Entries
		}
	}
	ability := aloware.Profile(t.Aloware.Profile).Capabilities()
	if a := ability.Function(aloware.ListDispositions); !a.Possible {
		cannot = a.Note
	}
	known := make(map[string]bool)
	for _, e := range hubspot {
		d := Disposition{Value: e.Value, Label: e.Label, Locked: true}
		for _, a := range account {
			if a.Match == e.Value || a.Match == "" && strings.EqualFold(a.Label, e.Label) {
				d.AlowareID, known[a.Value] = a.Value, true
			}
		}
		if m := t.Mapping.ByKey(statusKey); d.AlowareID == "" && !calls && m != nil {
			d.AlowareID, _ = m.Paired(contact.HubSpot, e.Value)
		}
		switch {
		case !e.Active:
			d.WhyNot = "HubSpot hides it."
		case d.AlowareID == "" && account != nil:
			d.WhyNot = "Aloware does not have it yet; it is added with the next reading of the lists."
		case d.AlowareID == "" && !calls:
			d.WhyNot = "Its id in Aloware is not known; enter it in the mapping's option map."
		}
		list = append(list, d)
	}
	for _, a := range account {
		if !known[a.Value] {
			list = append(list, Disposition{Label: a.Label, AlowareID: a.Value, WhyNot: "HubSpot does not have it: setting it is refused there."})
		}
	}
	return list, readAt, cannot, nil
}
