package hubspot

import (
	"context"
	"net/http"
	"time"

	"github.com/nyaruka/phonenumbers"

	"lockstep.internal/pkg/fault"
	"lockstep.internal/pkg/quota"
)

// HubSpot's calculated properties hold a number's digits without the country
// code, whatever form people typed.
const (
	searchPhone  = "hs_searchable_calculated_phone_number"
	searchMobile = "hs_searchable_calculated_mobile_number"
)

const (
	mostFound    = 200 // results of one search
	mostPages    = 10
	numbersAtOne = 12 // keeps a search's body under HubSpot's 3,000 characters
)

// filter is one condition of a search.
type filter struct {
	Property string   `json:"propertyName"`
	Operator string   `json:"operator"`
	Value    string   `json:"value,omitempty"`
	Values   []string `json:"values,omitempty"`
}

// filterGroup holds when all of its filters do; a search finds what any of its
// groups holds for.
type filterGroup struct {
	Filters []filter `json:"filters"`
}

type sortBy struct {
	Property  string `json:"propertyName"`
	Direction string `json:"direction"`
}

type searchBody struct {
	Groups     []filterGroup `json:"filterGroups"`
	Sorts      []sortBy      `json:"sorts,omitempty"`
	Properties []string      `json:"properties"`
	Limit      int           `json:"limit"`
	After      string        `json:"after,omitempty"`
}

type searchAnswer struct {
	Total   int64    `json:"total"`
	Results []record `json:"results"`
	Paging  *page    `json:"paging"`
}

// search makes one search call, from the budget that HubSpot keeps for them.
func (c *Client) search(ctx context.Context, body searchBody) (searchAnswer, answer, error) {
	var got searchAnswer
	path := c.contacts("/search")
	a, err := c.do(ctx, request{method: http.MethodPost, path: path, pattern: path, body: body, pool: quota.Search}, &got)
	return got, a, err
}

// searchForm is how numbers are searched for in a portal: one number in a
// search, or many with the operator IN. That IN reads the calculated
// properties as well is not documented, so it is tried on numbers that the
// portal has before it is relied on. In a portal without any, nothing is there
// to be missed.
type searchForm struct {
	many  bool
	until time.Time // when to find out again
}

const (
	formTrusted = 24 * time.Hour
	formDoubted = time.Hour
	formEmpty   = 5 * time.Second // of a portal without numbers
)

// searchPhones gives the ids of the contacts that may have one of the jobs'
// numbers. Jobs whose numbers could not be searched for fail.
func (r *run) searchPhones(ctx context.Context, jobs []*job) []string {
	byPhone := map[string][]*job{}
	var phones []string
	for _, j := range jobs {
		if !j.open() {
			continue
		}
		for _, phone := range j.patch.Create.Phones {
			if byPhone[phone] == nil {
				phones = append(phones, phone)
			}
			byPhone[phone] = append(byPhone[phone], j)
		}
	}
	var ids []string
	for len(phones) > 0 {
		size := 1
		if len(phones) > 3 && r.manyAtOnce(ctx) { // the portal may have got its first numbers meanwhile
			size = min(len(phones), numbersAtOne)
		}
		chunk := phones[:size]
		phones = phones[size:]
		var jobs []*job
		for _, phone := range chunk {
			jobs = append(jobs, byPhone[phone]...)
		}
		ids = append(ids, r.searchChunk(ctx, chunk, jobs)...)
	}
	return ids
}

func (r *run) searchChunk(ctx context.Context, phones []string, jobs []*job) []string {
	if r.halted(ctx, jobs) {
		return nil
	}
	if r.searchHalt != nil {
		r.fail(ctx, jobs, r.searchHalt)
		return nil
	}
	groups := oneNumber(phones[0])
	if len(phones) > 1 {
		groups = manyNumbers(phones)
	}
	ids, err := r.searchAll(ctx, jobs, groups)
	switch {
	case err == nil:
		return ids
	case fault.Is(err, fault.Permanent) && len(phones) > 1:
		r.d.setForm(searchForm{until: r.c.now().Add(formDoubted)})
		for _, phone := range phones {
			ids = append(ids, r.searchChunk(ctx, []string{phone}, jobs)...)
		}
		return ids
	case fault.Is(err, fault.Permanent):
		for _, j := range jobs {
			j.reject(&fault.As(err).Refusal)
		}
	default:
		r.fail(ctx, jobs, err)
	}
	return nil
}

// searchAll pages through the results of a search.
func (r *run) searchAll(ctx context.Context, jobs []*job, groups []filterGroup) ([]string, error) {
	body := searchBody{Groups: groups, Properties: []string{phoneName}, Limit: mostFound}
	var ids []string
	for range mostPages {
		called(jobs)
		got, _, err := r.c.search(ctx, body)
		if err != nil {
			return nil, err
		}
		for _, result := range got.Results {
			ids = append(ids, string(result.ID))
		}
		if body.After = got.Paging.after(); body.After == "" || len(got.Results) == 0 {
			break
		}
	}
	return ids, nil
}

// oneNumber searches for a number in every form that can be named.
func oneNumber(phone string) []filterGroup {
	groups := []filterGroup{equals(phoneName, phone)}
	plain, national := spellings(phone)
	if national != "" {
		groups = append(groups, equals(searchPhone, national), equals(searchMobile, national))
	}
	return append(groups, among(phoneName, plain), among(mobileName, plain))
}

func equals(property, value string) filterGroup {
	return filterGroup{Filters: []filter{{Property: property, Operator: "EQ", Value: value}}}
}

// manyNumbers searches for several numbers at once.
func manyNumbers(phones []string) []filterGroup {
	var plain, national []string
	for _, phone := range phones {
		forms, digits := spellings(phone)
		plain = append(plain, forms...)
		if digits != "" {
			national = append(national, digits)
		}
	}
	groups := []filterGroup{among(phoneName, plain), among(mobileName, plain)}
	if len(national) > 0 {
		groups = append(groups, among(searchPhone, national), among(searchMobile, national))
	}
	return groups
}

func has(property string) filterGroup {
	return filterGroup{Filters: []filter{{Property: property, Operator: "HAS_PROPERTY"}}}
}

func among(property string, values []string) filterGroup {
	return filterGroup{Filters: []filter{{Property: property, Operator: "IN", Values: values}}}
}

// spellings are the usual forms of a number, and its digits without the country
// code, "" when it is no number.
func spellings(phone string) (forms []string, national string) {
	number, err := phonenumbers.Parse(phone, "")
	if err != nil {
		return []string{phone}, ""
	}
	national = phonenumbers.GetNationalSignificantNumber(number)
	forms = []string{phone}
	for _, form := range []string{
		national, phonenumbers.Format(number, phonenumbers.NATIONAL), phonenumbers.Format(number, phonenumbers.INTERNATIONAL),
	} {
		forms = appendNew(forms, form)
	}
	return forms, national
}

func (d *Destination) setForm(form searchForm) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.search = form
}

func (d *Destination) form() searchForm {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.search
}

// manyAtOnce reports whether IN finds numbers in this portal, by searching for
// some that the portal is known to have.
func (r *run) manyAtOnce(ctx context.Context) bool {
	if form := r.d.form(); r.c.now().Before(form.until) {
		return form.many
	}
	form := searchForm{until: r.c.now().Add(formDoubted)}
	defer func() { r.d.setForm(form) }()
	sample, _, err := r.c.search(ctx, searchBody{
		Groups:     []filterGroup{has(searchPhone), has(searchMobile)},
		Properties: []string{searchPhone, searchMobile}, Limit: 5,
	})
	if err != nil {
		form.until = r.c.now()
		return false
	}
	if len(sample.Results) == 0 {
		// What the calculated properties hold nowhere, no operator finds.
		form = searchForm{many: true, until: r.c.now().Add(formEmpty)}
		return true
	}
	var property string
	var values []string
	for _, property = range []string{searchPhone, searchMobile} {
		for _, result := range sample.Results {
			if value := string(result.Properties[property]); value != "" {
				values = appendNew(values, value)
			}
		}
		if len(values) > 0 {
			break
		}
	}
	if len(values) == 0 {
		return false
	}
	again, _, err := r.c.search(ctx, searchBody{
		Groups: []filterGroup{among(property, values)}, Properties: []string{property}, Limit: mostFound,
	})
	if err != nil {
		if !fault.Is(err, fault.Permanent) {
			form.until = r.c.now()
		}
		return false
	}
	found := map[string]bool{}
	for _, result := range again.Results {
		found[string(result.Properties[property])] = true
	}
	for _, value := range values {
		if !found[value] {
			return false
		}
	}
	form = searchForm{many: true, until: r.c.now().Add(formTrusted)}
	return true
}
