package alowaresim

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// loadOrder is a bulk load. The same order makes the same contacts, so that
// the journal needs no more than this.
type loadOrder struct {
	Contacts int    `json:"contacts"`
	Seed     uint64 `json:"seed"`
	First    int64  `json:"first"` // id of the first contact
	At       int64  `json:"at"`
	// Skipped are numbers of the generator's sequence whose phone was taken.
	Skipped []int `json:"skipped,omitempty"`
}

var (
	firstNames = strings.Fields(`Ada Alma Amir Anton Bela Bruno Carmen Chloe Dana David Elena Elif Emil Farah Felix Greta Hana Hugo Ida Igor
		Ines Ivan Jana Jonas Jun Kaia Karim Lena Leo Lucia Maja Marco Mila Mona Nadia Nils Nora Olga Omar Paula Pavel Petra Rafael Rosa
		Samir Sara Sofia Tariq Tessa Theo Tomas Uma Vera Viktor Wanda Xenia Yara Yusuf Zoe Zoran`)
	lastNames = strings.Fields(`Abbott Adler Alvarez Arslan Bauer Bennett Berg Blanco Brandt Castillo Chen Costa Dahl Delgado Dietrich Doyle
		Eriksen Farrell Fields Fischer Fontaine Garcia Gibson Haas Hansen Hayes Holm Ibrahim Ivanova Jansen Kaplan Keller Khan Kovacs
		Kramer Larsen Lindqvist Lopez Marino Meyer Moreau Murphy Nakamura Navarro Novak Okafor Olsen Ortega Park Patel Petrov Quinn
		Ramos Rossi Sato Schmidt Silva Tanaka Vargas Weber Winter Yilmaz Zhang Ziegler`)
	trades  = strings.Fields(`Tiles Roofing Dental Legal Solar Foods Motors Realty Travel Optics Fitness Garden Logistics Studios Energy Supply`)
	streets = []string{"First Street", "Quay Lane", "Mill Road", "Oak Avenue", "Station Road", "Harbor Drive", "Elm Court", "River Walk"}
	sources = []string{"Google Ads", "Referral", "Trade fair", "Website", "Cold call", "Newsletter"}
	towns   = []struct{ city, state, zip, zone, area string }{
		{"Austin", "TX", "787", "America/Chicago", "512"}, {"Chicago", "IL", "606", "America/Chicago", "312"},
		{"Denver", "CO", "802", "America/Denver", "303"}, {"Seattle", "WA", "981", "America/Los_Angeles", "206"},
		{"Boston", "MA", "021", "America/New_York", "617"}, {"Miami", "FL", "331", "America/New_York", "305"},
		{"Phoenix", "AZ", "850", "America/Phoenix", "602"}, {"Portland", "OR", "972", "America/Los_Angeles", "503"},
		{"Atlanta", "GA", "303", "America/New_York", "404"}, {"Dallas", "TX", "752", "America/Chicago", "214"},
		{"Philadelphia", "PA", "191", "America/New_York", "215"}, {"San Diego", "CA", "921", "America/Los_Angeles", "619"},
		{"Minneapolis", "MN", "554", "America/Chicago", "612"}, {"Detroit", "MI", "482", "America/New_York", "313"},
		{"Nashville", "TN", "372", "America/Chicago", "615"}, {"Cleveland", "OH", "441", "America/New_York", "216"},
	}
)

// exchanges are the middle parts of the numbers that are generated, which are
// 200 and up. One area has 6.4 million of them.
const (
	exchanges   = 640
	subscribers = 10000
)

// phones is how many different numbers there are.
var phones = uint64(len(towns)) * exchanges * subscribers

// stride has no factor in common with phones, so that every number of the
// sequence has a phone of its own.
const stride = 40_014_007

// numberOf is the phone of a number of the sequence. Exchanges that end in 11
// are services and are avoided.
func numberOf(seed uint64, n int) (phone uint64, town int) {
	k := (uint64(n)*stride + seed%phones*7_919) % phones
	town = int(k % uint64(len(towns)))
	k /= uint64(len(towns))
	exchange := 200 + k%exchanges
	if exchange%100 == 11 {
		exchange = 900 + exchange/100
	}
	area, _ := strconv.ParseUint(towns[town].area, 10, 64)
	return ((10+area/100)*100+area%100)*10_000_000 + exchange*subscribers + k/exchanges, town
}

// generate makes the contact of a number of the sequence.
func (d *directory) generate(l *loadOrder, n int, c *contact, values []string) {
	r := rand.New(rand.NewPCG(l.Seed, uint64(n)))
	phone, town := numberOf(l.Seed, n)
	t := towns[town]
	first, last := firstNames[r.IntN(len(firstNames))], lastNames[r.IntN(len(lastNames))]
	clear(values)
	values[slotFirst], values[slotLast], values[slotName] = first, last, fullName(first, last)
	key := strconv.FormatUint(l.Seed, 36) + "." + strconv.Itoa(n)
	values[slotEmail] = strings.ToLower(first+"."+last) + "." + key + "@example.com"
	company := last + " " + trades[r.IntN(len(trades))]
	values[slotCompany] = company
	values[slotAddress] = strconv.Itoa(1+r.IntN(200)) + " " + streets[r.IntN(len(streets))]
	values[slotCity], values[slotState], values[slotCountry] = t.city, t.state, "US"
	values[slotZip] = t.zip + strconv.Itoa(10+r.IntN(89))
	values[slotZone] = t.zone
	values[slotLead] = sources[r.IntN(len(sources))]
	values[slotIntake] = "imports"
	if r.IntN(2) == 0 {
		values[slotWebsite] = "https://" + strings.ToLower(strings.ReplaceAll(company, " ", "-")) + ".example"
	}
	if r.IntN(3) > 0 {
		values[slotBirth] = fmt.Sprintf("%d-%02d-%02d", 1950+r.IntN(55), 1+r.IntN(12), 1+r.IntN(28))
	}
	*c = contact{
		id: l.First + int64(n-l.before(n)), texts: pack(values), phone: phone, created: l.At, updated: l.At,
		lrn: int8(r.IntN(3)), flags: flagPristine,
	}
	if r.IntN(50) == 0 {
		c.flags |= flagDNC
	}
	if len(d.Users) > 0 && r.IntN(4) > 0 {
		if u := d.Users[r.IntN(len(d.Users))]; !u.deleted() {
			c.user = u.ID
		}
	}
	if len(d.Dispositions) > 0 && r.IntN(3) > 0 {
		c.disposed = d.Dispositions[r.IntN(len(d.Dispositions))].ID
	}
}

// before counts the skipped numbers below one.
func (l *loadOrder) before(n int) int {
	count := 0
	for count < len(l.Skipped) && l.Skipped[count] < n {
		count++
	}
	return count
}

// load makes the contacts of an order.
func (s *Sim) load(l *loadOrder) {
	made := make([]contact, l.Contacts)
	values := make([]string, slots)
	skip := 0
	for i, n := 0, 0; i < l.Contacts; n++ {
		if skip < len(l.Skipped) && l.Skipped[skip] == n {
			skip++
			continue
		}
		s.lists.generate(l, n, &made[i], values)
		s.store.insert(&made[i])
		i++
	}
	s.store.loads = append(s.store.loads, *l)
}

// order prepares a bulk load: it finds the numbers that are taken already.
func (s *Sim) order(contacts int, seed uint64) *loadOrder {
	l := &loadOrder{Contacts: contacts, Seed: seed, First: s.store.nextContact, At: s.second()}
	for i, n := 0, 0; i < contacts; n++ {
		if phone, _ := numberOf(seed, n); s.store.byPhone[phone] != nil {
			l.Skipped = append(l.Skipped, n)
			continue
		}
		i++
	}
	return l
}

// Seed makes a number of realistic contacts, the same ones for the same seed.
// Only the phone numbers that are taken already are passed over. No webhook
// tells of them.
func (s *Sim) Seed(contacts int, seed uint64) error {
	_, err := s.bulk(contacts, seed, 0, false)
	return err
}

// maxLoad is how many contacts one load may make.
const maxLoad = 5_000_000

func (s *Sim) bulk(contacts int, seed uint64, daysAgo int, webhooks bool) (first int64, err error) {
	if contacts < 1 || contacts > maxLoad {
		return 0, fmt.Errorf("contacts is %d: give 1 to %d", contacts, maxLoad)
	}
	err = s.work(func() {
		l := s.order(contacts, seed)
		l.At -= int64(daysAgo) * 24 * 60 * 60
		first = l.First
		s.load(l)
		s.tx.Load = l
		if webhooks {
			for id := l.First; id < l.First+int64(contacts); id++ {
				s.emitContact(s.store.find(id), contactCreated)
			}
		}
	})
	return first, err
}

// Create makes a contact as a person would in the product, of fields by their
// read or write names, of which phone_number is required. It gives the id.
func (s *Sim) Create(fields map[string]any) (int64, error) {
	var id int64
	var refused error
	err := s.work(func() {
		var c *contact
		if c, refused = s.edit(0, fields); refused == nil {
			id = c.id
		}
	})
	if refused != nil {
		return 0, refused
	}
	return id, err
}
