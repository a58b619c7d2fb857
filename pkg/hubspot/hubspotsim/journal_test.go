package hubspotsim

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// state is everything of an account that a kill must not change.
func (b *bench) state() string {
	b.t.Helper()
	var out strings.Builder
	out.WriteString(b.do("GET", "/_sim/contacts", nil).text)
	out.WriteString(b.do("GET", "/_sim/contacts?archived=true", nil).text)
	b.sim.store.mu.RLock()
	defer b.sim.store.mu.RUnlock()
	for _, c := range b.sim.store.order {
		if c.state == gone {
			continue
		}
		for _, v := range c.values {
			for _, h := range b.sim.store.history(c, v.prop) {
				out.WriteString(idText(c.id) + b.sim.store.schema.names[v.prop] + h.Value + h.Timestamp + h.SourceType + h.SourceID + "\n")
			}
		}
	}
	for id := range b.sim.store.order {
		out.WriteString(idText(b.sim.store.order[id].id) + " ")
	}
	return out.String()
}

func TestKilledSimulatorComesBackAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	c := newClock()
	b, in := hooked(t, Config{Journal: path, Now: c.now, WindowLimit: 40}, nil)
	cfg := b.sim.cfg
	b.do("POST", "/_sim/load", `{"contacts":1500,"seed":9}`).want(t, 200)
	b.uniqueProperty("external_id")
	one := b.make(props{"email": "one@example.com", "external_id": "x1"})
	two := b.make(props{"email": "two@example.com"})
	b.do("PATCH", contactsPath+"/"+one, `{"properties":{"firstname":"Ada"}}`).want(t, 200)
	merged := b.do("POST", "/_sim/merge", props{"primary": one, "secondary": two}).want(t, 200).at("id").(string)
	loaded := b.do("GET", contactsPath+"?limit=4", nil).want(t, 200)
	first, second, third := loaded.at("results", 0, "id").(string), loaded.at("results", 1, "id").(string), loaded.at("results", 2, "id").(string)
	b.do("POST", "/_sim/edit", map[string]any{"id": first, "properties": props{"city": "Oslo", "phone": ""}}).want(t, 200)
	b.do("POST", "/_sim/delete", props{"id": second}).want(t, 200)
	b.do("POST", "/_sim/privacy-delete", props{"id": third}).want(t, 200)
	b.sim.changeToken(tokenChange{Text: "r1", Kind: "refresh", Grant: grant{Scopes: []string{"oauth"}}})
	waiting := b.sim.hooks.report().Waiting
	before := b.state()

	// The first restart replays the records, the second one the compacted form.
	// Nothing closes the former simulators: they were killed.
	for restart := range 2 {
		if f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0); err != nil {
			t.Fatal(err)
		} else if _, err := f.WriteString(`{"op":"set","id":18`); err != nil || f.Close() != nil {
			t.Fatal("the torn line was not written")
		}
		b = start(t, cfg)
		if after := b.state(); after != before {
			t.Fatalf("restart %d changed the state:\n%s\nbefore:\n%s", restart, tail(after), tail(before))
		}
		if got := b.sim.hooks.report().Waiting; got != waiting {
			t.Errorf("restart %d: %d events wait, want %d", restart, got, waiting)
		}
	}
	if a := b.do("GET", contactsPath+"/"+two, nil).want(t, 200); a.at("id") != merged {
		t.Errorf("alias leads to %v", a.at("id"))
	}
	b.do("POST", contactsPath, `{"properties":{"firstname":"x","external_id":"x1"}}`).want(t, 400)
	if _, ok := b.sim.tokens.find("refresh", "r1"); !ok {
		t.Error("the refresh token was lost")
	}

	// 5 calls were made before the kills and 2 since, all in the same 10 s.
	if s := b.do("GET", "/_sim/stats", nil); s.at("max_in_window") != 7.0 {
		t.Errorf("max_in_window %v over the restart", s.at("max_in_window"))
	}
	stop := b.run()
	in.collect(t, waiting)
	waitFor(t, func() bool { return b.sim.hooks.report().Waiting == 0 })
	stop()
	b = start(t, cfg)
	if got := b.sim.hooks.report().Waiting; got != 0 {
		t.Errorf("%d delivered events wait again", got)
	}
	c.move(time.Minute)
	next := b.make(props{"firstname": "next"})
	if next <= merged {
		t.Errorf("id %s was given out after %s", next, merged)
	}
}

func TestUnreadableJournalIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal")
	if err := os.WriteFile(path, []byte("no json\n{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Journal: path}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("got %v", err)
	}
}

func tail(text string) string {
	if len(text) > 2000 {
		return text[len(text)-2000:]
	}
	return text
}
