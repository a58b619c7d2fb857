package aloware

// Function is something that the product may want a connection to do.
type Function string

// The functions.
const (
	FindByPhone      Function = "find_by_phone"
	FindByEmail      Function = "find_by_email"
	ReadByID         Function = "read_by_id"
	ListChanged      Function = "list_changed"
	Update           Function = "update"
	CreateContact    Function = "create"
	CreateNoPhone    Function = "create_without_phone"
	ChangePhone      Function = "change_phone"
	ClearField       Function = "clear_field"
	WriteAttribute   Function = "write_attribute"
	ArchiveContact   Function = "archive"
	SeeDeletion      Function = "see_deletion"
	ListUsers        Function = "users"
	ListDispositions Function = "dispositions"
	SetDispositions  Function = "replace_dispositions"
)

// Ability says whether a connection can do a function.
type Ability struct {
	Function Function `json:"function"`
	Possible bool     `json:"possible"`
	// Note is a sentence for people: why not, or with what limit; "" without one.
	Note string `json:"note,omitempty"`
}

// FieldAbility says what a connection can do with one property.
type FieldAbility struct {
	Property string `json:"property"`
	Read     bool   `json:"read"`
	// Set tells whether a value can be written to an existing contact.
	Set bool `json:"set"`
	// SetAtCreation tells whether a contact can be created with a value.
	SetAtCreation bool `json:"set_at_creation"`
	// Clear tells whether an existing value can be made blank.
	Clear bool `json:"clear"`
	// SetNote and ClearNote are sentences for people: why not; "" where it can.
	SetNote   string `json:"set_note,omitempty"`
	ClearNote string `json:"clear_note,omitempty"`
}

// Capabilities are all that a connection can and cannot do, and why.
type Capabilities struct {
	Profile   Profile        `json:"profile"`
	Functions []Ability      `json:"functions"`
	Fields    []FieldAbility `json:"fields"`
	// Attribute holds for every property that the account defined itself.
	Attribute FieldAbility `json:"attribute"`
}

const (
	noPublicWay = "Aloware's public API offers no way to do this."
	noClear     = "Aloware's public API cannot make a field blank; it leaves the old value."
	noPhoneEdit = "Aloware's public API finds a contact by its phone number and so cannot change that number; change it in Aloware."
	needsPhone  = "Aloware keeps no contact without a phone number."
)

// readOnly says for people why a property takes no value in any profile.
var readOnly = map[string]string{
	"incoming_number":      "Aloware sets the incoming number itself, from calls and texts.",
	"tcpa_approved":        "TCPA approval comes from the contact's own consent; Aloware's API takes no value for it.",
	"line_type":            "Aloware looks the line type up for each number; it takes no value for it.",
	"aloware_contact_id":   "The contact's id is given by Aloware and never changes.",
	"aloware_contact_link": "The link is made from the contact's id and never changes.",
}

// Capabilities are those of a connection with this profile.
func (p Profile) Capabilities() Capabilities {
	c := Capabilities{Profile: p, Functions: p.functions()}
	for i := range fields {
		c.Fields = append(c.Fields, p.field(&fields[i]))
	}
	c.Attribute = p.attribute("")
	return c
}

// Field is what can be done with a property; any unknown name is taken as an
// attribute that the account defined.
func (p Profile) Field(property string) FieldAbility {
	if f := fieldOf[property]; f != nil {
		return p.field(f)
	}
	return p.attribute(property)
}

func (p Profile) field(f *field) FieldAbility {
	a := FieldAbility{Property: f.property, Read: true}
	if why, ok := readOnly[f.property]; ok {
		a.SetNote, a.ClearNote = why, why
		return a
	}
	a.Set = p == Full && f.put != "" || p != Full && f.form != ""
	a.SetAtCreation = a.Set
	a.Clear = p == Full
	if !a.Set {
		a.SetNote = noPublicWay
	}
	if !a.Clear {
		a.ClearNote = noClear
	}
	switch f.property {
	case "phone_number":
		a.Clear, a.ClearNote = false, needsPhone
		if p != Full {
			a.Set, a.SetNote = false, noPhoneEdit
			a.SetAtCreation = true
		}
	case "dnc":
		a.Clear, a.ClearNote = false, "Do-not-call is yes or no in Aloware, never blank."
	}
	return a
}

func (p Profile) attribute(name string) FieldAbility {
	if p == Full {
		return FieldAbility{Property: name, Read: true, Set: true, SetAtCreation: true, Clear: true}
	}
	const why = "Aloware's public API takes no values for fields that the account defined itself."
	return FieldAbility{Property: name, Read: true, SetNote: why, ClearNote: why}
}

func (p Profile) functions() []Ability {
	full := p == Full
	extra := func(f Function, why string) Ability {
		if full {
			why = ""
		}
		return Ability{Function: f, Possible: full, Note: why}
	}
	update := Ability{Function: Update, Possible: true}
	if !full {
		update.Note = "By phone number only, after a lookup that makes sure that it is still the same contact."
	}
	seen := Ability{Function: SeeDeletion, Possible: full, Note: "Aloware tells nothing of it; it is seen when the contact is next written or read."}
	if !full {
		seen.Note = "Aloware tells nothing of it, and a number that leads nowhere may only have been changed."
	}
	return []Ability{
		{Function: FindByPhone, Possible: true},
		extra(FindByEmail, "Aloware's public API looks contacts up by phone number only."),
		extra(ReadByID, "Aloware's public API reads a contact by its phone number only."),
		extra(ListChanged, "Aloware's public API lists no contacts; they become known through webhooks and from HubSpot's side."),
		update,
		{Function: CreateContact, Possible: true, Note: "With a phone number."},
		{Function: CreateNoPhone, Note: needsPhone},
		extra(ChangePhone, noPhoneEdit),
		extra(ClearField, noClear),
		extra(WriteAttribute, "Aloware's public API takes no values for fields that the account defined itself."),
		{Function: ArchiveContact, Note: "Aloware offers no way to archive or delete a contact from outside."},
		seen,
		{Function: ListUsers, Possible: true},
		extra(ListDispositions, "Aloware's public API lists no dispositions; their ids are learnt from contacts that pass by, or typed in."),
		extra(SetDispositions, "Aloware refreshes its dispositions from the CRM itself, once a day."),
	}
}

// Function is what can be done of one function.
func (c Capabilities) Function(f Function) Ability {
	for _, a := range c.Functions {
		if a.Function == f {
			return a
		}
	}
	return Ability{Function: f, Note: noPublicWay}
}

// Field is what can be done with a property.
func (c Capabilities) Field(property string) FieldAbility { return c.Profile.Field(property) }

// Limit says in a sentence what keeps a property from being in step through
// this connection; "" for nothing. receives tells that values flow into it.
func (p Profile) Limit(property string, receives bool) string {
	switch able := p.Field(property); {
	case !able.Read:
		return "This connection cannot read the field."
	case receives && !able.Set:
		return able.SetNote
	case receives && !able.Clear:
		return able.ClearNote
	}
	return ""
}
