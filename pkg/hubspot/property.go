package hubspot

import (
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
)

// Property is the definition as the mapping knows properties. What Lockstep
// cannot read has a Problem that says why.
func (d Definition) Property() mapping.Property {
	p := mapping.Property{System: contact.HubSpot, Name: d.Name, Label: d.Label, ReadOnly: !d.Writable(), Custom: !d.Own}
	switch d.Type {
	case "string":
		switch {
		case d.FieldType == "file" || d.FieldType == "html":
			p.Problem = "it holds files or formatted text"
		case d.Name == emailName:
			p.Type = contact.Email
		case d.FieldType == "phonenumber":
			p.Type = contact.Phone
		case d.FieldType == "textarea":
			p.Type = contact.Multiline
		default:
			p.Type = contact.Text
		}
	case "number":
		p.Type = contact.Number
	case "bool":
		p.Type = contact.Checkbox
	case "date":
		p.Type = contact.Date
	case "datetime":
		p.Type = contact.Datetime
	case "phone_number":
		p.Type = contact.Phone
	case "enumeration":
		switch {
		case d.References == "OWNER":
			p.Type = contact.User
		case d.FieldType == "checkbox":
			p.Problem = "it holds several values at once"
		case d.FieldType == "booleancheckbox" || d.boolean():
			p.Type = contact.Checkbox
		default:
			p.Type = contact.Option
		}
	default:
		p.Problem = "it is of the type " + d.Type
	}
	if p.Type == contact.Option && !d.External {
		p.Options = make([]mapping.Option, 0, len(d.Options))
		for _, choice := range d.Options {
			p.Options = append(p.Options, mapping.Option{Value: choice.Value, Label: choice.Label, Hidden: choice.Hidden})
		}
	}
	return p
}

// boolean reports whether an enumeration's options are true and false alone.
func (d Definition) boolean() bool {
	if len(d.Options) != 2 {
		return false
	}
	for _, choice := range d.Options {
		if v := strings.ToLower(choice.Value); v != "true" && v != "false" {
			return false
		}
	}
	return d.Options[0].Value != d.Options[1].Value
}

// OptionsOf are the definition's options as a list for the mapper. Time zones
// match by their IANA name, all others by their value; hidden ones are not
// active.
func (c *Client) OptionsOf(d Definition) contact.Directory {
	directory := c.directory(contact.OptionList(d.Name))
	for _, choice := range d.Options {
		match := choice.Value
		if d.Name == zoneName {
			match = Zone(choice.Value)
		}
		directory.Entries = append(directory.Entries, contact.DirectoryEntry{Value: choice.Value, Match: match, Label: choice.Label, Active: !choice.Hidden})
	}
	return directory
}
