package hubspotsim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// maxLoad is the most contacts of one load.
const maxLoad = 5_000_000

// loadOrder asks for many contacts at once. It makes the same contacts each
// time, so the journal keeps the order instead of the contacts.
type loadOrder struct {
	Contacts int    `json:"contacts"`
	Seed     uint64 `json:"seed"`
	From     int    `json:"from"` // how many contacts of this seed exist already
	First    int64  `json:"first"`
	At       int64  `json:"at"`
	Event    int64  `json:"event,omitempty"` // first event id, 0 sends none
}

// Parts of which loaded contacts are made. Contacts share these texts.
var (
	firstNames = strings.Fields("Ada Alan Alice Amir Ana Anil Aisha Ben Beth Boris Carla Chen Chloe Clara Dana David Diego Edith Elena Emma Erik Eva Farid Fatima Felix Grace Greta Hana Hugo Ida Ines Iris Ivan Jack Jada Jonas Julia Karim Kate Kenji Lara Leo Lina Lucas Maja Marco Maria Mei Mila Mohamed Nadia Nils Nina Noah Nora Olga Omar Oscar Paula Pedro Petra Priya Quinn Rafael Ravi Rosa Ruth Sam Sara Selma Sofia Stefan Tara Theo Tina Tomas Uma Vera Victor Wendy Xavier Yara Yuki Zara Zoe")
	lastNames  = strings.Fields("Adams Ahmed Alvarez Andersen Baker Banerjee Becker Bianchi Brown Carter Chen Clark Cohen Costa Cruz Davis Diaz Dubois Edwards Eriksson Evans Fischer Flores Foster Garcia Gomez Gray Green Gupta Hall Hansen Harris Hill Ivanov Jackson Jansen Johnson Jones Kaya Keller Khan Kim King Kowalski Kumar Lee Lewis Lopez Martin Meyer Miller Mitchell Moore Morgan Murphy Nakamura Nelson Nguyen Novak Okafor Olsen Ortiz Parker Patel Perez Petrov Phillips Popov Ramirez Reed Rossi Roy Russo Sanchez Santos Sato Schmidt Scott Silva Singh Smith Stewart Tanaka Taylor Thomas Torres Turner Usman Vargas Wagner Walker Wang Watson White Wilson Wood Wright Yamamoto Young Zhang")
	companies  = strings.Split("Acme Tools|Blue Harbor Logistics|Cedar Dental|Delta Roofing|Evergreen Solar|Fairview Clinic|Golden Gate Insurance|Highland Motors|Ivory Legal|Juniper Media|Keystone Builders|Lakeside Realty|Maple Staffing|Northwind Traders|Oakwood Homes|Pioneer Energy|Quartz Analytics|Riverbend Farms|Summit Fitness|Trident Security|Union Plumbing|Vista Travel|Willow Books|Zenith Bank", "|")
	jobs       = strings.Split("Account Manager|Buyer|Chief Executive|Consultant|Controller|Engineer|Founder|Office Manager|Operations Lead|Owner|Sales Director|Technician", "|")
	places     = [][4]string{
		{"New York", "NY", "10001", "america_slash_new_york"}, {"Washington", "DC", "20001", "america_slash_new_york"},
		{"Miami", "FL", "33101", "america_slash_new_york"}, {"Chicago", "IL", "60601", "america_slash_chicago"},
		{"Dallas", "TX", "75201", "america_slash_chicago"}, {"Denver", "CO", "80201", "america_slash_denver"},
		{"Phoenix", "AZ", "85001", "america_slash_phoenix"}, {"Seattle", "WA", "98101", "america_slash_los_angeles"},
		{"San Diego", "CA", "92101", "america_slash_los_angeles"}, {"Portland", "OR", "97201", "america_slash_los_angeles"},
	}
	areaCodes  = []int{202, 206, 212, 213, 214, 215, 216, 303, 305, 312, 313, 314, 404, 415, 503, 504, 512, 602, 612, 617, 619, 702, 713, 718, 720, 801, 813, 816, 858, 919}
	loadStages = []string{"subscriber", "lead", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity", "customer"}
	loadStatus = []string{"NEW", "OPEN", "IN_PROGRESS", "ATTEMPTED_TO_CONTACT", "CONNECTED"}
)

// loadedProperties are the properties that a load sets, in the order of loadedValues.
var loadedProperties = []string{
	"email", "firstname", "lastname", "phone", "company", "jobtitle", "city", "state", "zip", "country",
	"hs_timezone", "lifecyclestage", "hs_lead_status", "hubspot_owner_id",
}

// loadedValues makes the texts of the nth contact of a seed.
func loadedValues(seed uint64, n int) [14]string {
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	first, last := firstNames[r.IntN(len(firstNames))], lastNames[r.IntN(len(lastNames))]
	place := places[r.IntN(len(places))]
	area := areaCodes[n%len(areaCodes)]
	line := n/len(areaCodes) + int(seed%40)*1000
	phone := fmt.Sprintf("+1%d%03d%04d", area, 555+line/10_000%400, line%10_000)
	email := strings.ToLower(first+"."+last) + fmt.Sprintf(".%d.%d@example.com", seed, n)
	owner := ""
	if k := r.IntN(5); k < 3 {
		owner = idText(seededOwners[k].ID)
	}
	status := ""
	if r.IntN(4) > 0 {
		status = loadStatus[r.IntN(len(loadStatus))]
	}
	return [14]string{email, first, last, phone, companies[r.IntN(len(companies))], jobs[r.IntN(len(jobs))],
		place[0], place[1], place[2], "United States", place[3], loadStages[r.IntN(len(loadStages))], status, owner}
}

// loadOrderFor prepares a load at the present state.
func (st *store) loadOrderFor(n int, seed uint64, now int64) loadOrder {
	o := loadOrder{Contacts: n, Seed: seed, First: st.nextID, At: now}
	for _, former := range st.loads {
		if former.Seed == seed {
			o.From += former.Contacts
		}
	}
	return o
}

// load makes the contacts of an order. They come as an import by a person and
// are visible to search at once.
func (st *store) load(o loadOrder, e *emitter) {
	e.by = source{Kind: "IMPORT", ID: idText(o.First)}
	by := st.intern(e.by)
	e.r.Event, e.r.At = o.Event, o.At
	type column struct{ prop, from int }
	var columns []column
	for i, name := range loadedProperties {
		columns = append(columns, column{int(st.schema.ids[name]), i})
	}
	for i := 1; i < len(columns); i++ { // values are kept sorted by property
		for j := i; j > 0 && columns[j].prop < columns[j-1].prop; j-- {
			columns[j], columns[j-1] = columns[j-1], columns[j]
		}
	}
	for i := range o.Contacts {
		texts := loadedValues(o.Seed, o.From+i)
		c := &contact{id: o.First + int64(i), created: o.At, updated: o.At, creator: by, pristine: true, values: make([]value, 0, len(columns))}
		for _, col := range columns {
			if texts[col.from] == "" {
				continue
			}
			c.values = append(c.values, value{entry: entry{at: o.At, text: texts[col.from], source: by, prop: propID(col.prop)}})
		}
		if o.Event != 0 {
			e.contact("contact.creation", c.id, "CREATED")
			for _, v := range c.values {
				e.property(c.id, st.schema.defs[v.prop], v.text, e.by)
			}
		}
		st.add(c)
		if _, used := st.emails[texts[0]]; !used {
			st.enter(c)
		}
	}
	st.loads = append(st.loads, o)
}
