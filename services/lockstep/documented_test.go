package lockstep_test

import (
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// TestThePagesSayWhatAConnectionCannotDo: with Aloware's public API alone, each
// page says of each function and field what is not possible and why, pairs ids
// that contacts taught, and refuses what cannot be begun.
func TestThePagesSayWhatAConnectionCannotDo(t *testing.T) {
	d := startDemo(t, "LOCKSTEP_ALOWARE_PROFILE=documented", "LOCKSTEP_DEMO_CONTACTS=3", "LOCKSTEP_POLL_EVERY=-1s", "LOCKSTEP_ALOWARE_SIM_RATE=50", "LOCKSTEP_ALOWARE_SIM_BURST=50")
	b := openBrowser(t, d)
	b.signIn()
	d.settle(60 * time.Second)
	who := d.anyPair()
	d.mustPost(d.hubspot, "/_sim/edit", map[string]any{"id": who[0], "properties": map[string]any{"hs_lead_status": "IN_PROGRESS"}}, nil)
	d.mustPost(d.aloware, "/_sim/edit", map[string]any{"id": who[1], "fields": map[string]any{"disposition_status_id": "5503"}}, nil)
	for _, look := range []look{looks[0], looks[3]} {
		b.take(look)
		b.open("/tenants/demo")
		b.sees("[aria-label=Functions]", "public API lists no contacts")
		b.press("main > details summary")
		b.sees("[aria-label=Fields]", "disposition_status_id")
		b.inspect("documented-connections-" + look.name)
		b.reload("/tenants/demo/dispositions", "#seen-dispositions", "5503")
		b.inspect("documented-dispositions-" + look.name)
		b.open("/tenants/demo/mapping")
		b.inspect("documented-mapping-" + look.name)
		b.open("/tenants/demo/contacts/hubspot:" + who[0])
		b.inspect("documented-card-" + look.name)
		b.open("/tenants/demo/syncs")
		b.run("ask for Aloware's side", chromedp.Click(`input[name=side][value=aloware]`))
		b.press("#first-sync")
		b.sees("main", "cannot be listed under the profile")
		b.inspect("documented-refused-" + look.name)
	}
	b.open("/tenants/demo/dispositions")
	b.press("#seen-dispositions button")
	b.sees("#notices", "of the mapping pairs them")
	b.sees("main tbody", "5503")
}
