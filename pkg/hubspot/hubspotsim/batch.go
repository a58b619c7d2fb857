package hubspotsim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxInputs is the most records that a batch may hold.
const maxInputs = 100

// batchInput is one input of any batch call.
type batchInput struct {
	ID         loose  `json:"id"`
	IDProperty string `json:"idProperty"`
	Properties sent   `json:"properties"`
	Trace      loose  `json:"objectWriteTraceId"`
}

type batchRequest struct {
	Inputs     []batchInput `json:"inputs"`
	Properties []string     `json:"properties"`
	History    []string     `json:"propertiesWithHistory"`
	IDProperty string       `json:"idProperty"`
}

// batchAnswer gathers what a batch call gives back.
type batchAnswer struct {
	results []*shown
	errors  []map[string]any
	started int64
}

// batch answers POST .../batch/{operation}.
func (s *Sim) batch(q *call, operation string) {
	var req batchRequest
	if f := q.decode(&req); f != nil {
		q.fail(f)
		return
	}
	if len(req.Inputs) > maxInputs {
		q.fail(notValid("The maximum number of inputs supported in a batch is %d. Please reduce the number of items and try again", maxInputs))
		return
	}
	ans := &batchAnswer{started: s.nowMS(), results: []*shown{}}
	s.stats.batch(operation, len(req.Inputs))
	if operation == "read" {
		s.batchRead(q, &req, ans)
		return
	}
	s.edit(func(st *store) {
		switch operation {
		case "create", "update", "upsert":
			s.batchWrite(q, operation, &req, ans)
		case "archive":
			for _, in := range req.Inputs {
				id, _ := strconv.ParseInt(string(in.ID), 10, 64) // what is no number is nobody's id
				s.remove(st.byID[id], s.apiWriter(q.version))
			}
			q.w.WriteHeader(http.StatusNoContent)
		default:
			q.fail(noRoute())
		}
	})
}

// send answers with the results in random order, and 207 when there are errors.
func (a *batchAnswer) send(q *call, ok int, now int64) {
	rand.Shuffle(len(a.results), func(i, j int) { a.results[i], a.results[j] = a.results[j], a.results[i] })
	out := map[string]any{"status": "COMPLETE", "results": a.results, "startedAt": instant(a.started), "completedAt": instant(now)}
	if len(a.errors) > 0 {
		out["errors"], out["numErrors"] = a.errors, len(a.errors)
		ok = http.StatusMultiStatus
	}
	writeJSON(q.w, ok, out)
}

// missing adds the one error that lists every id that leads nowhere.
func (a *batchAnswer) missing(ids []string) {
	if len(ids) > 0 {
		f := failure{Category: "OBJECT_NOT_FOUND", Context: map[string][]string{"ids": ids},
			Message: "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid."}
		a.errors = append(a.errors, f.body(""))
	}
}

func (s *Sim) batchRead(q *call, req *batchRequest, ans *batchAnswer) {
	if len(req.History) > 0 && len(req.Inputs) > 50 {
		q.fail(notValid("The maximum number of inputs with propertiesWithHistory is 50, not %d", len(req.Inputs)))
		return
	}
	st := s.store
	st.mu.RLock()
	defer st.mu.RUnlock()
	key := propID(0)
	byRecord := req.IDProperty == "" || req.IDProperty == "hs_object_id"
	if !byRecord {
		p, f := st.uniqueProperty(req.IDProperty)
		if f != nil {
			q.fail(f)
			return
		}
		key = p
	}
	want, state := st.wanted(req.Properties, req.History), active
	if q.flag("archived") {
		state = archived
	}
	var lost []string
	given := map[int64]bool{}
	for _, in := range req.Inputs {
		var c *contact
		if byRecord {
			id, _ := strconv.ParseInt(string(in.ID), 10, 64) // what is no number is nobody's id
			c = st.byID[id]
		} else {
			c = st.lookup(key, string(in.ID))
		}
		if c == nil || c.state != state {
			if !slices.Contains(lost, string(in.ID)) {
				lost = append(lost, string(in.ID))
			}
			continue
		}
		if !given[c.id] {
			given[c.id] = true
			ans.results = append(ans.results, st.render(c, want, nil))
		}
	}
	ans.missing(lost)
	ans.send(q, http.StatusOK, s.nowMS())
}

// batchWrite makes a create, update or upsert. With a trace id of its own on
// every input the good ones are written and each bad one is reported; without,
// one bad input refuses the whole batch.
func (s *Sim) batchWrite(q *call, operation string, req *batchRequest, ans *batchAnswer) {
	st, w := s.store, s.apiWriter(q.version)
	if operation != "create" {
		if f := st.checkKeys(operation, req); f != nil {
			q.fail(f)
			return
		}
	}
	traced := distinctTraces(req.Inputs)
	taken := claims{}
	plans := make([]*plan, len(req.Inputs))
	var lost []string
	var bad []invalid
	var refusal *failure
	for i := range req.Inputs {
		in := &req.Inputs[i]
		p, f, left := st.planInput(operation, in, w, taken)
		switch {
		case left && traced && f != nil:
			ans.refuse(f, in, nil)
		case left && f != nil:
			lost = append(lost, string(in.ID))
		case f == nil && p != nil:
			plans[i] = p
			if traced {
				ans.results = append(ans.results, s.writeInput(p, in, operation, w))
			}
		case f != nil && traced:
			ans.refuse(f, in, st)
		case f != nil:
			bad = append(bad, invalidOf(f)...)
			refusal = f
		}
	}
	if refusal != nil {
		switch {
		case len(bad) > 0:
			refusal = invalidValues(st.portal, bad)
		case refusal.Category == "CONFLICT":
			refusal = contactExists(0, false)
		}
		q.fail(refusal)
		return
	}
	if !traced {
		for i, p := range plans {
			if p != nil {
				ans.results = append(ans.results, s.writeInput(p, &req.Inputs[i], operation, w))
			}
		}
	}
	ans.missing(lost)
	status := http.StatusOK
	if operation == "create" {
		status = http.StatusCreated
	}
	ans.send(q, status, s.nowMS())
}

// planInput checks one input. left says that the failure is a missing record;
// a nil plan without failure is an input that is silently left out.
func (st *store) planInput(operation string, in *batchInput, w writer, taken claims) (p *plan, f *failure, left bool) {
	var target *contact
	props := in.Properties
	switch operation {
	case "update":
		c, gone := st.updateTarget(in)
		if gone {
			return nil, nil, false
		}
		if c == nil || c.state != active {
			f := &failure{Category: "OBJECT_NOT_FOUND", Message: "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
				Context: map[string][]string{"ids": {string(in.ID)}}}
			return nil, f, true
		}
		target = c
	case "upsert":
		key := st.schema.ids[in.IDProperty]
		target = st.lookup(key, string(in.ID))
		if target == nil {
			props = sent{in.IDProperty: string(in.ID)}
			for name, text := range in.Properties {
				props[name] = text
			}
		}
	}
	p, f = st.plan(target, props, w, taken)
	return p, f, false
}

// updateTarget finds the record of an update; gone tells one that was merged away.
func (st *store) updateTarget(in *batchInput) (c *contact, gone bool) {
	if in.IDProperty != "" {
		return st.lookup(st.schema.ids[in.IDProperty], string(in.ID)), false
	}
	id, _ := strconv.ParseInt(string(in.ID), 10, 64) // what is no number is nobody's id
	if _, merged := st.aliases[id]; merged {
		return nil, true
	}
	return st.byID[id], false
}

func (s *Sim) writeInput(p *plan, in *batchInput, operation string, w writer) *shown {
	created := p.target == nil
	c := s.carry(p, w)
	out := s.store.render(c, s.store.afterWrite(p, created), p.warnings)
	out.Trace = string(in.Trace)
	if operation == "upsert" {
		out.New = &created
	}
	return out
}

// refuse adds the error of one traced input.
func (a *batchAnswer) refuse(f *failure, in *batchInput, st *store) {
	context := map[string][]string{}
	for k, v := range f.Context {
		context[k] = v
	}
	context["objectWriteTraceId"] = []string{string(in.Trace)}
	if _, id, ok := strings.Cut(f.Message, "Existing ID: "); ok && f.Category == "CONFLICT" {
		context["existingId"] = []string{id}
	} else if st != nil && f.Category == "CONFLICT" {
		if c := st.lookup(st.schema.email, in.Properties["email"]); c != nil {
			context["existingId"] = []string{idText(c.id)}
		}
	}
	g := *f
	g.Context = context
	a.errors = append(a.errors, g.body(""))
}

// checkKeys refuses keys that cannot name one record, and repeated ones.
func (st *store) checkKeys(operation string, req *batchRequest) *failure {
	seen, twice := map[string]bool{}, []string{}
	for i := range req.Inputs {
		in := &req.Inputs[i]
		if in.IDProperty == "" {
			in.IDProperty = req.IDProperty
		}
		if in.IDProperty != "" {
			if _, f := st.uniqueProperty(in.IDProperty); f != nil {
				return f
			}
		} else if operation == "upsert" {
			return notValid("Every input of an upsert needs idProperty")
		}
		if in.ID == "" {
			return notValid("Every input of an %s needs id", operation)
		}
		key := string(in.ID)
		if in.IDProperty == "email" {
			key = strings.ToLower(key)
		}
		if seen[key] {
			twice = append(twice, key)
		}
		seen[key] = true
	}
	if len(twice) > 0 {
		f := notValid("Duplicate IDs found in batch input: [%s]. IDs must be unique", strings.Join(twice, ", "))
		f.Context = map[string][]string{"ids": twice}
		return f
	}
	return nil
}

func distinctTraces(inputs []batchInput) bool {
	seen := map[loose]bool{}
	for _, in := range inputs {
		if in.Trace == "" || seen[in.Trace] {
			return false
		}
		seen[in.Trace] = true
	}
	return len(inputs) > 0
}

// invalidOf reads back the property errors of a failure.
func invalidOf(f *failure) []invalid {
	var out []invalid
	for _, e := range f.Errors {
		name := ""
		if names := e.Context["propertyName"]; len(names) > 0 {
			name = names[0]
		}
		out = append(out, invalid{Code: e.Code, Name: name, Message: e.Message})
	}
	return out
}
