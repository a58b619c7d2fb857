package hubspotsim

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

// The HubSpot-defined contact properties, one per line: name, label, type,
// field type, group, flags, display order, referenced object type, options.
// Flags: r read-only value, d read-only definition, a archivable, c calculated,
// h hidden, f form field, x external options.
//
//go:embed data/properties.tsv
var builtinProperties string

//go:embed data/zones.txt
var builtinZones string

//go:embed data/languages.txt
var builtinLanguages string

// option is one allowed value of an enumeration.
type option struct {
	Label        string `json:"label"`
	Value        string `json:"value"`
	Description  string `json:"description,omitempty"`
	DisplayOrder int    `json:"displayOrder"`
	Hidden       bool   `json:"hidden"`
}

// definition describes a contact property. Its JSON is the journal's form;
// the API's form is made by render.
type definition struct {
	Name               string   `json:"name"`
	Label              string   `json:"label"`
	Type               string   `json:"type"`
	FieldType          string   `json:"fieldType"`
	Description        string   `json:"description,omitempty"`
	GroupName          string   `json:"groupName"`
	Options            []option `json:"options,omitempty"`
	DisplayOrder       int      `json:"displayOrder"`
	ReferencedType     string   `json:"referencedObjectType,omitempty"`
	Formula            string   `json:"calculationFormula,omitempty"`
	DataSensitivity    string   `json:"dataSensitivity,omitempty"`
	Calculated         bool     `json:"calculated,omitempty"`
	ExternalOptions    bool     `json:"externalOptions,omitempty"`
	HasUniqueValue     bool     `json:"hasUniqueValue,omitempty"`
	Hidden             bool     `json:"hidden,omitempty"`
	FormField          bool     `json:"formField,omitempty"`
	HubspotDefined     bool     `json:"hubspotDefined,omitempty"`
	ReadOnlyValue      bool     `json:"readOnlyValue,omitempty"`
	ReadOnlyDefinition bool     `json:"readOnlyDefinition,omitempty"`
	Archivable         bool     `json:"archivable,omitempty"`
	CreatedAt          int64    `json:"createdAt,omitempty"`
	UpdatedAt          int64    `json:"updatedAt,omitempty"`
	ArchivedAt         int64    `json:"archivedAt,omitempty"`
}

// calculatedField tells a property whose value HubSpot computes.
func (d *definition) calculatedField() bool {
	return d.Calculated || strings.HasPrefix(d.FieldType, "calculation_")
}

// writable tells whether a value may be sent at all.
func (d *definition) writable() bool {
	return !d.ReadOnlyValue && !d.calculatedField()
}

// subscribable tells whether a change of the property fires a webhook here.
func (d *definition) subscribable() bool {
	return d.writable() && d.Name != "hs_lastmodifieddate" && d.Name != "num_unique_conversion_events"
}

// rank is the place of an option in the list, or -1.
func (d *definition) rank(value string) int {
	for i := range d.Options {
		if d.Options[i].Value == value {
			return i
		}
	}
	return -1
}

// render gives the definition in the API's form.
func (d *definition) render() map[string]any {
	options := make([]option, len(d.Options))
	copy(options, d.Options)
	out := map[string]any{
		"name": d.Name, "label": d.Label, "type": d.Type, "fieldType": d.FieldType,
		"description": d.Description, "groupName": d.GroupName, "options": options,
		"displayOrder": d.DisplayOrder, "calculated": d.Calculated, "externalOptions": d.ExternalOptions,
		"hasUniqueValue": d.HasUniqueValue, "hidden": d.Hidden, "formField": d.FormField,
		"dataSensitivity": orText(d.DataSensitivity, "non_sensitive"),
		"modificationMetadata": map[string]any{
			"archivable": d.Archivable, "readOnlyDefinition": d.ReadOnlyDefinition, "readOnlyValue": d.ReadOnlyValue,
		},
	}
	if d.HubspotDefined {
		out["hubspotDefined"] = true
	} else {
		out["archived"] = d.ArchivedAt != 0
		out["createdUserId"], out["updatedUserId"] = "1", "1"
	}
	if d.ReferencedType != "" {
		out["referencedObjectType"] = d.ReferencedType
	}
	if d.Formula != "" {
		out["calculationFormula"] = d.Formula
	}
	for key, ms := range map[string]int64{"createdAt": d.CreatedAt, "updatedAt": d.UpdatedAt, "archivedAt": d.ArchivedAt} {
		if ms != 0 {
			out[key] = instant(ms)
		}
	}
	return out
}

// builtinDefinitions reads the embedded list.
func builtinDefinitions() ([]*definition, error) {
	var list []*definition
	for n, line := range strings.Split(strings.TrimSpace(builtinProperties), "\n")[1:] {
		f := strings.Split(line, "\t")
		if len(f) != 9 {
			return nil, fmt.Errorf("data/properties.tsv line %d has %d columns instead of 9: repair the file", n+2, len(f))
		}
		flag := func(letter string) bool { return strings.Contains(f[5], letter) }
		d := &definition{
			Name: f[0], Label: f[1], Type: f[2], FieldType: f[3], GroupName: f[4], HubspotDefined: true,
			ReadOnlyValue: flag("r"), ReadOnlyDefinition: flag("d"), Archivable: flag("a"), Calculated: flag("c"),
			Hidden: flag("h"), FormField: flag("f"), ExternalOptions: flag("x"), Options: builtinOptions(f[8]),
		}
		var err error
		if d.DisplayOrder, err = strconv.Atoi(f[6]); err != nil {
			return nil, fmt.Errorf("data/properties.tsv line %d: display order %q is not a number: repair the file", n+2, f[6])
		}
		if f[7] != "-" {
			d.ReferencedType = f[7]
		}
		list = append(list, d)
	}
	return list, nil
}

func builtinOptions(text string) []option {
	var list []option
	add := func(value, label string) {
		list = append(list, option{Value: value, Label: label, DisplayOrder: len(list)})
	}
	switch text {
	case "-":
	case "@zones":
		for zone := range strings.Lines(builtinZones) {
			zone = strings.TrimSpace(zone)
			add(strings.ReplaceAll(strings.ToLower(zone), "/", "_slash_"), zone)
		}
	case "@languages":
		for line := range strings.Lines(builtinLanguages) {
			value, label, _ := strings.Cut(strings.TrimSpace(line), "=")
			add(value, label)
		}
	default:
		for _, pair := range strings.Split(text, "|") {
			value, label, _ := strings.Cut(pair, "=")
			add(value, label)
		}
	}
	return list
}

// group is a heading under which properties are listed.
type group struct {
	Name         string `json:"name"`
	Label        string `json:"label"`
	DisplayOrder int    `json:"displayOrder"`
	Archived     bool   `json:"archived"`
}

// builtinGroups are those of a default account.
func builtinGroups() []*group {
	pairs := []string{
		"contactinformation", "Contact information", "emailinformation", "Email information",
		"contact_activity", "Contact activity", "analyticsinformation", "Web analytics history",
		"conversioninformation", "Conversion information", "socialmediainformation", "Social media information",
		"facebook_ads_properties", "Facebook Ads properties", "deal_information", "Deal information",
		"sales_properties", "Sales properties",
	}
	var list []*group
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &group{Name: pairs[i], Label: pairs[i+1], DisplayOrder: i / 2})
	}
	return list
}
