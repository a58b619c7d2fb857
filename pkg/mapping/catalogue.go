package mapping

import (
	_ "embed"
	"fmt"
	"strings"

	"lockstep.internal/pkg/contact"
)

//go:embed catalogue.tsv
var catalogueText string

// Row is one built-in mapping of the catalogue.
type Row struct {
	Key          string
	Category     Category
	AlowareLabel string
	Aloware      string // property name in Aloware
	HubSpotLabel string
	// HubSpot is the catalogue's property name. The portal's own name can
	// differ; connect resolves it (see Names).
	HubSpot string
	Type    contact.Type
	Allowed []contact.Direction
	Default contact.Direction
	// Create tells that the property is ours to create in HubSpot.
	Create bool
	// Options are the labels (equal to the values) of an enumeration that we
	// create; nil otherwise.
	Options []string
}

// Removable reports whether people may remove the mapping.
func (r Row) Removable() bool { return r.Category != Locked && r.Category != Special }

// aliases are the names that HubSpot itself uses where the catalogue's name
// does not exist there (reference: HubSpot's default contact properties).
var aliases = map[string][]string{
	"phonenumber": {"phone"},
	"lead_status": {"hs_lead_status"},
	"timezone":    {"hs_timezone"},
}

// Names are the HubSpot property names to try for a row, best first.
func (r Row) Names() []string { return append([]string{r.HubSpot}, aliases[r.HubSpot]...) }

var catalogue = parseCatalogue(catalogueText)

// Catalogue gives the 55 built-in rows in their order.
func Catalogue() []Row { return append([]Row(nil), catalogue...) }

// Label is what people call a field, by its mapping's key; a mapping of the
// tenant's own is called by its key.
func Label(key string) string {
	for i := range catalogue {
		if catalogue[i].Key == key {
			return catalogue[i].AlowareLabel
		}
	}
	return key
}

// parseCatalogue reads the embedded table; a fault in it is ours, so it panics.
func parseCatalogue(text string) []Row {
	var rows []Row
	for number, line := range strings.Split(strings.TrimRight(text, "\n"), "\n")[1:] {
		row, err := parseRow(strings.Split(line, "\t"))
		if err != nil {
			panic(fmt.Sprintf("mapping: catalogue line %d: %v", number+2, err))
		}
		rows = append(rows, row)
	}
	return rows
}

func parseRow(cells []string) (Row, error) {
	if len(cells) != 10 {
		return Row{}, fmt.Errorf("%d cells, want 10", len(cells))
	}
	row := Row{
		Key: cells[0], Category: Category(cells[1]), AlowareLabel: cells[2], Aloware: cells[3],
		HubSpotLabel: cells[4], HubSpot: cells[5],
		Create: strings.HasPrefix(cells[5], "aloware_"),
	}
	var err error
	if row.Type, err = contact.ParseType(cells[6]); err != nil {
		return Row{}, err
	}
	for _, name := range strings.Split(cells[7], ",") {
		direction, err := contact.ParseDirection(name)
		if err != nil {
			return Row{}, err
		}
		row.Allowed = append(row.Allowed, direction)
	}
	if row.Default, err = contact.ParseDirection(cells[8]); err != nil {
		return Row{}, err
	}
	if cells[9] != "" {
		row.Options = strings.Split(cells[9], "|")
	}
	return row, nil
}

// Default makes the built-in set in its default directions. name gives the
// portal's property for a row; nil takes the last of its names, which is what a
// portal with HubSpot's default properties calls it. A name of "" leaves the
// catalogue's, which Drift then finds missing.
func Default(name func(Row) string) *Set {
	set := &Set{Version: 1}
	for _, row := range catalogue {
		set.Mappings = append(set.Mappings, row.mapping(name))
	}
	return set.Index()
}

// mapping is a row in its default state.
func (r Row) mapping(name func(Row) string) Mapping {
	m := Mapping{Key: r.Key, Category: r.Category, Aloware: r.Aloware, Type: r.Type, Direction: r.Default}
	if name != nil {
		m.HubSpot = name(r)
	} else {
		names := r.Names()
		m.HubSpot = names[len(names)-1]
	}
	if m.HubSpot == "" {
		m.HubSpot = r.HubSpot
	}
	return m
}

// resolve is the first of a row's names that the portal has in a type that
// holds the row's values; "" for none.
func (r Row) resolve(schema Schema) string {
	m := r.mapping(nil)
	for _, name := range r.Names() {
		if p, ok := schema.Property(contact.HubSpot, name); ok && p.Problem == "" && m.holds(p.Type) {
			return name
		}
	}
	return ""
}

// Resolve makes the built-in set with the names that the portal itself uses.
// Where nothing is known of the portal, HubSpot's default names are taken.
func Resolve(schema Schema) *Set {
	if !schema.Known(contact.HubSpot) {
		return Default(nil)
	}
	return Default(func(r Row) string { return r.resolve(schema) })
}
