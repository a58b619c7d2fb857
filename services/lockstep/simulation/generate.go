package simulation

import (
	"math/rand/v2"
	"slices"

	"lockstep.internal/pkg/contact"
)

// generator makes a schedule of a seed. It knows nothing of what its steps will
// meet: a step that finds nothing to do does nothing.
type generator struct {
	*rand.Rand
	script  Script
	persons int
}

// Generate is the schedule of a seed.
func Generate(seed uint64) Script {
	if seed%16 == 5 {
		return automations(seed)
	}
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 0x10c57e9))}
	g.persons = 1 + g.IntN(3)
	if g.one(6) {
		g.persons = 2 + g.IntN(mostPeople-1)
	}
	if seed%4 == 3 {
		g.step("archive", 0, "both")
	}
	g.settings()
	g.people()
	kind := profiles[g.IntN(len(profiles))]
	for range 10 + g.IntN(70) {
		g.step("wait", 0, "", 1+g.IntN(waits[g.IntN(len(waits))]))
		g.pick(kind)
	}
	if seed%5 == 2 {
		g.cancel(seed)
	}
	if seed%5 == 3 {
		g.refused(seed)
	}
	if seed%5 == 4 {
		return withBursts(g.script, seed)
	}
	return g.script
}

// cancel puts jobs into a schedule that are cancelled: what is read for them is
// withdrawn before all of it is written. It draws its own numbers.
func (g *generator) cancel(seed uint64) {
	whole := g.script
	own := generator{Rand: rand.New(rand.NewPCG(seed, 0xcab)), persons: g.persons}
	for range 1 + own.IntN(3) {
		own.script = nil
		into := own.system()
		own.step("poll", into.Other(), "", bulk)
		if own.one(2) {
			own.step("poll", into, "", bulk)
		}
		own.step("map", 0, "", bulk, 9)
		own.step("read", into, "", bulk, own.IntN(10))
		switch own.IntN(6) {
		case 0:
			own.step("call", into, "", own.IntN(4), own.IntN(endings))
		case 1:
			own.step("send", into, "", own.IntN(4))
			own.step("handover", into, "")
		case 2:
			own.step("deliver", 0, "", own.IntN(4), own.IntN(9), 0)
			own.step("map", 0, "", live, own.IntN(4))
			own.step("read", into, "", live, own.IntN(4))
		}
		own.step("withdraw", into, "")
		if own.one(2) {
			own.step("map", 0, "", bulk, 9)
		}
		at := len(whole)/3 + own.IntN(len(whole)-len(whole)/3)
		whole = slices.Insert(whole, at, own.script...)
	}
	g.script = whole
}

// refused puts a value into a schedule that is refused while the next one is on its
// way, whose answer comes late or never: what was sent after it is not over with
// it. It draws its own numbers.
func (g *generator) refused(seed uint64) {
	whole := g.script
	own := generator{Rand: rand.New(rand.NewPCG(seed, 0x4ef)), persons: g.persons}
	field, person, value := fieldKeys[firstName+own.IntN(firstComputed-firstName)], own.person(), 1+own.IntN(5)
	into := contact.Systems[min(own.IntN(3), 1)]
	from := into.Other()
	edit := func(to int) { own.step("edit", from, field, person, to, 0) }
	told := func(pick int) {
		own.step("deliver", 0, "", 0, pick, 0)
		own.step("map", 0, "", live, own.IntN(2))
	}
	own.step("both", 0, field)
	own.step("refuse", into, field, person, value-1)
	own.step("settle", 0, "")
	edit(value)
	told(0)
	own.step("read", into, "", live, 9)
	own.step("send", into, "", 0)
	edit(1 + value%6)
	told(0)
	own.step("land", into, "", 0, answered)
	own.step("read", into, "", live, 9)
	if own.one(2) {
		edit(1 + (value+1)%6)
	}
	own.step("wait", 0, "", 1+own.IntN(3000))
	own.step("call", into, "", 0, own.IntN(endings))
	own.step("map", 0, "", live, 0)
	told(own.IntN(3))
	own.step("accept", into, field)
	at := len(whole)/3 + own.IntN(len(whole)-len(whole)/3)
	g.script = slices.Insert(whole, at, own.script...)
}

var waits = []int{5, 300, 900, 3000}

func (g *generator) step(op string, system contact.System, name string, n ...int) {
	g.script = append(g.script, Step{Op: op, System: system, Name: name, N: n})
}

func (g *generator) system() contact.System { return contact.Systems[g.IntN(2)] }
func (g *generator) person() int            { return g.IntN(g.persons) }
func (g *generator) field() string          { return fieldKeys[email+g.IntN(firstComputed-email)] }
func (g *generator) one(of int) bool        { return g.IntN(of) == 0 }
func (g *generator) stream() int {
	if g.one(5) {
		return bulk
	}
	return live
}

func (g *generator) settings() {
	for _, system := range contact.Systems {
		switch g.IntN(4) {
		case 0:
			g.step("skew", system, "", g.IntN(3000)-1500)
		case 1:
			g.step("skew", system, "", g.IntN(120_000)-60_000)
		}
	}
	if g.one(4) {
		g.step("anonymous", 0, "")
	}
	if g.one(8) {
		g.step("documented", 0, "")
	}
	flows := []string{"both", "both", "both", "to_aloware", "to_hubspot"}
	if flow := flows[g.IntN(len(flows))]; flow != "both" {
		g.step("updates", 0, flow)
	}
	if flow := append(flows, "none")[g.IntN(len(flows)+1)]; flow != "both" {
		g.step("creation", 0, flow)
	}
	for _, field := range []int{firstName, lastName, company, city, leadSource} {
		g.direct(fieldKeys[field])
	}
	for g.persons > 3 && !g.one(3) {
		g.step("share", 0, fieldKeys[g.IntN(firstName)], g.person(), g.person())
	}
}

func (g *generator) direct(field string) {
	g.step([]string{"both", "both", "to_aloware", "to_hubspot"}[g.IntN(4)], 0, field)
}

// people begins with contacts that are in step, on one side, or on both at
// once.
func (g *generator) people() {
	for person := range g.persons {
		switch g.IntN(6) {
		case 0: // made in the course of the schedule
		case 1:
			g.create(contact.HubSpot, person)
			g.create(contact.Aloware, person)
		default:
			g.create(g.system(), person)
		}
	}
	if !g.one(4) {
		g.step("settle", 0, "")
	}
}

func (g *generator) create(system contact.System, person int) {
	g.step("create", system, "", person, g.IntN(6), g.IntN(3))
}

// profile weighs what happens in a schedule.
type profile struct {
	edit, deliver, mapping, writing int
	disorder                        int // loss, crashes, hand-overs
	life                            int // creation, merge, deletion
	rules                           int // mapping changes and refusals
	talk                            int
	asking                          int // retries, pulls, choices
}

var profiles = []profile{
	{edit: 5, deliver: 6, mapping: 6, writing: 8},
	{edit: 5, deliver: 6, mapping: 6, writing: 8, disorder: 3},
	{edit: 4, deliver: 6, mapping: 6, writing: 8, life: 2},
	{edit: 4, deliver: 6, mapping: 6, writing: 8, life: 1, disorder: 2},
	{edit: 4, deliver: 6, mapping: 6, writing: 8, rules: 2},
	{edit: 2, deliver: 6, mapping: 6, writing: 8, talk: 3, disorder: 1},
	{edit: 4, deliver: 5, mapping: 5, writing: 7, talk: 1, disorder: 2, life: 1, rules: 1, asking: 1},
	{edit: 3, deliver: 6, mapping: 6, writing: 8, life: 1, rules: 1, asking: 2},
}

func (g *generator) pick(p profile) {
	at := g.IntN(p.edit + p.deliver + p.mapping + p.writing + p.disorder + p.life + p.rules + p.talk + p.asking)
	for _, choice := range []struct {
		weight int
		do     func()
	}{
		{p.edit, g.edit}, {p.deliver, g.deliver}, {p.mapping, g.mapping}, {p.writing, g.writing},
		{p.disorder, g.disorder}, {p.life, g.life}, {p.rules, g.rules}, {p.talk, g.talk}, {p.asking, g.asking},
	} {
		if at < choice.weight {
			choice.do()
			return
		}
		at -= choice.weight
	}
}

func (g *generator) edit() {
	if g.one(15) {
		g.step("edit", g.system(), fieldKeys[phone], g.person(), g.IntN(7), g.IntN(3))
		return
	}
	if g.one(60) {
		g.heldUp()
		return
	}
	if g.one(25) {
		g.step("tie", 0, g.field(), g.person(), g.IntN(7), g.IntN(7))
		g.step("wait", 0, "", 500+g.IntN(1000))
		return
	}
	g.step("edit", g.system(), g.field(), g.person(), g.IntN(7), g.IntN(3))
}

func (g *generator) deliver() {
	pick := 0
	if g.one(4) {
		pick = g.IntN(50)
	}
	how := 0
	if g.one(6) {
		how = 1
	}
	count := 0
	if g.one(3) {
		count = g.IntN(4)
	}
	g.step("deliver", 0, "", count, pick, how)
}

func (g *generator) mapping() {
	if g.one(20) {
		g.step("poll", g.system(), "", g.stream())
		return
	}
	g.step("map", 0, "", g.stream(), g.IntN(4))
}

func (g *generator) writing() {
	system := g.system()
	switch g.IntN(8) {
	case 0, 1, 2:
		g.step("read", system, "", g.stream(), g.IntN(4))
	case 3:
		g.step("send", system, "", g.IntN(4))
	case 4:
		g.step("land", system, "", g.IntN(4), 0)
	default:
		g.step("call", system, "", g.IntN(4), 0)
	}
}

func (g *generator) disorder() {
	system := g.system()
	switch g.IntN(10) {
	case 9:
		g.step("throttle", system, "", g.IntN(8000), g.IntN(2))
	case 0:
		g.step("deliver", 0, "", 0, g.IntN(50), 2)
	case 1, 2:
		g.step("call", system, "", g.IntN(4), 1+g.IntN(endings-1))
	case 3:
		g.step("land", system, "", g.IntN(4), 1+g.IntN(endings-1))
	case 4, 5:
		g.step("crash", 0, "", g.stream(), g.IntN(4), g.IntN(4))
	case 6:
		g.step("replace", 0, "", g.stream(), g.IntN(4))
	case 7:
		g.step("late", 0, "", g.IntN(4))
	default:
		g.step("handover", system, "")
	}
}

func (g *generator) life() {
	switch g.IntN(9) {
	case 0, 1, 2, 3:
		g.create(g.system(), g.person())
	case 4, 5:
		g.step("merge", 0, "", g.person(), g.person(), g.IntN(2), g.IntN(2))
	case 6:
		g.step("delete", 0, "", g.person())
	case 7:
		g.step("restore", 0, "", g.person())
	default:
		if g.one(2) {
			g.erasure()
			return
		}
		g.step("erase", 0, "", g.person())
	}
}

// heldUp lets two snapshots of Aloware come behind our later write, when both
// tell of a value from before an edit in HubSpot, and the second is from after it.
func (g *generator) heldUp() {
	person, field, other := g.person(), g.field(), g.field()
	g.step("settle", 0, "")
	g.step("edit", contact.Aloware, field, person, g.IntN(7), 1)
	g.step("wait", 0, "", 500+g.IntN(1500))
	g.step("edit", contact.HubSpot, field, person, g.IntN(7), 1)
	g.step("wait", 0, "", 500+g.IntN(1500))
	g.step("edit", contact.Aloware, other, person, g.IntN(7), 1)
	g.step("wait", 0, "", 500+g.IntN(1500))
	g.step("deliver", 0, "", 0, 1, 0)
	g.step("map", 0, "", live, 9)
	g.step("read", contact.Aloware, "", live, 9)
	g.step("call", contact.Aloware, "", 0, 0)
	for range 3 {
		g.step("map", 0, "", live, 9)
		g.step("deliver", 0, "", 0, 0, 0)
	}
	g.step("map", 0, "", live, 9)
}

// erasure erases somebody while he is made in Aloware.
func (g *generator) erasure() {
	person, stream := g.person(), g.stream()
	g.create(contact.HubSpot, person)
	for range 3 {
		g.step("deliver", 0, "", 9, 0, 0)
		g.step("map", 0, "", live, 9)
		g.step("read", contact.HubSpot, "", live, 9)
		g.step("call", contact.HubSpot, "", 0, 0)
	}
	g.step("read", contact.Aloware, "", live, 9)
	g.step("send", contact.Aloware, "", 0)
	land := func() {
		if !g.one(3) {
			g.step("land", contact.Aloware, "", 0, g.IntN(endings))
		}
	}
	land()
	g.step("erase", 0, "", person)
	for range 2 {
		g.step("deliver", 0, "", g.IntN(9), g.IntN(9), 0)
		g.step("map", 0, "", stream, 9)
		land()
		g.step("read", contact.Aloware, "", live, 9)
	}
}

func (g *generator) rules() {
	switch g.IntN(18) {
	case 12, 13:
		g.step("policy", 0, g.field(), g.IntN(len(policies)))
	case 14:
		g.step("blanks", 0, g.field())
	case 15:
		g.step("stop", 0, g.field())
	case 16:
		g.step("filter", 0, "", g.IntN(3))
	case 17:
		g.step("recheck", 0, "")
	case 8:
		g.step("property", 0, fieldKeys[[]int{city, company}[g.IntN(2)]])
	case 9:
		g.step("unmap", 0, g.field())
	case 10, 11:
		g.step("spare", 0, fieldKeys[[]int{city, company}[g.IntN(2)]], g.person(), g.IntN(7))
	case 0, 1, 2, 3:
		g.direct(g.field())
	case 4, 5:
		g.step("refuse", g.system(), g.field(), g.person(), g.IntN(6))
	case 6:
		g.step("accept", g.system(), g.field())
	default:
		if g.one(4) {
			g.step("refuse-contact", g.system(), "", g.person())
		}
	}
}

func (g *generator) asking() {
	switch g.IntN(6) {
	case 4:
		g.step("answer", g.system(), "", g.person())
	case 5:
		g.step("recheck", 0, "")
	case 0:
		g.step("retry", 0, "", g.person())
	case 1:
		g.step("pull", 0, "", g.person())
	default:
		g.step("choose", 0, "", g.IntN(4), g.IntN(4))
	}
}

func (g *generator) talk() { g.step("talk", 0, "", g.person(), g.IntN(4), g.IntN(3)) }
