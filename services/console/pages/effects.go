package pages

// effect is something that a job found or did, in words.
type effect struct {
	cause, Words string
	// repair tells that something had been missed, which a reconciliation
	// counts over time.
	repair bool
	N      int64
}

// effects are the causes that the mapper counts, in the order they are shown.
var effects = []effect{
	{cause: "changed_hubspot", Words: "edits missed in HubSpot", repair: true},
	{cause: "changed_aloware", Words: "edits missed in Aloware", repair: true},
	{cause: "written_hubspot", Words: "values written to HubSpot", repair: true},
	{cause: "written_aloware", Words: "values written to Aloware", repair: true},
	{cause: "differed_hubspot", Words: "differences without an edit, in HubSpot"},
	{cause: "differed_aloware", Words: "differences without an edit, in Aloware"},
	{cause: "counters_hubspot", Words: "totals and dates of calls and texts written"},
	{cause: "new_contact", Words: "contacts new to Lockstep"},
	{cause: "matched", Words: "contacts matched"},
	{cause: "created_or_found_hubspot", Words: "contacts looked for or made in HubSpot"},
	{cause: "created_or_found_aloware", Words: "contacts looked for or made in Aloware"},
	{cause: "merged", Words: "merges"},
	{cause: "deleted", Words: "deletions"},
	{cause: "restored", Words: "restored contacts"},
	{cause: "gone", Words: "contacts that are gone"},
	{cause: "conflict", Words: "conflicts to settle"},
	{cause: "refused", Words: "refusals"},
}

// found puts a job's counts into words. That a contact was looked at is no
// effect: the progress tells it.
func found(counts map[string]int64) []effect {
	var some []effect
	for _, e := range effects {
		if e.N = counts[e.cause]; e.N > 0 {
			some = append(some, e)
		}
	}
	return some
}

// repairs are the counts of what had been missed, by words, with zeros.
func repairs(counts map[string]int64) map[string]int64 {
	some := make(map[string]int64)
	for _, e := range effects {
		if e.repair {
			some[e.Words] = counts[e.cause]
		}
	}
	return some
}
