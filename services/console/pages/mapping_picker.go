package pages

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/mappings"
)

// picker is a list of properties to choose from.
type picker struct {
	Search     string
	Candidates []mappings.Candidate
	More       int // left out
	Complete   bool
	Problem    string // why there is no list
}

// addView is the panel that adds a mapping.
type addView struct {
	Aloware, HubSpot, Direction string
	Picks                       [2]picker // in the order of contact.Systems
}

// mostPicked is how many properties a picker shows; searching finds the others.
const mostPicked = 40

// addView fills the panel that adds a mapping: what is chosen on one side says
// what fits on the other.
func (p *Pages) addView(ctx context.Context, r *http.Request, set *mapping.Set) addView {
	v := addView{Aloware: strings.TrimSpace(r.FormValue("add-aloware")), HubSpot: strings.TrimSpace(r.FormValue("add-hubspot")), Direction: r.FormValue("add-direction")}
	v.Picks[0] = p.pick(ctx, r, set, contact.HubSpot, "", v.Aloware, r.FormValue("hq"))
	v.Picks[1] = p.pick(ctx, r, set, contact.Aloware, "", v.HubSpot, r.FormValue("aq"))
	return v
}

func (p *Pages) pick(ctx context.Context, r *http.Request, set *mapping.Set, system contact.System, key, other, search string) picker {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	list, complete, err := p.Mappings.Properties(ctx, tenantOf(r), set, system, key, other, search)
	if err != nil {
		p.Logger.WarnContext(ctx, "properties could not be listed", "tenant", tenantOf(r), "system", system, "error", err)
		return picker{Search: search, Problem: system.Name() + " does not tell its properties just now: " + err.Error()}
	}
	shown := list[:min(len(list), mostPicked)]
	return picker{Search: search, Candidates: shown, More: len(list) - len(shown), Complete: complete}
}

// createProperty makes a property in HubSpot and chooses it.
func (p *Pages) createProperty(ctx context.Context, r *http.Request) (answer, error) {
	d, err := draftOf(r)
	if err != nil {
		return nil, err
	}
	typ, err := contact.ParseType(r.FormValue("new-type"))
	if err != nil {
		return nil, invalid(sentence(err.Error()))
	}
	var options []mapping.Option
	for _, line := range lines(r.FormValue("new-options")) {
		if line = strings.TrimSpace(line); line != "" {
			options = append(options, mapping.Option{Value: line, Label: line})
		}
	}
	made, err := p.Mappings.CreateProperty(ctx, tenantOf(r), strings.TrimSpace(r.FormValue("new-name")), r.FormValue("new-label"), typ, options)
	var refused *mapping.Refusal
	if errors.As(err, &refused) {
		return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), sentence(refused.Key+": "+refused.Message))
	}
	if err != nil {
		return nil, err
	}
	r.Form.Set("add-hubspot", made.Name)
	return p.mappingAnswer(ctx, r, d, d, r.FormValue("panel"), "")
}
