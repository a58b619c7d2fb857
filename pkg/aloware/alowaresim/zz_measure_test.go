package alowaresim_test
import ("testing";"runtime";"time";"path/filepath";"os";"fmt")
func TestMeasure(t *testing.T) {
	if os.Getenv("MEASURE") == "" { t.Skip() }
	cfg := quick(); cfg.Journal = filepath.Join(t.TempDir(), "j")
	a := open(t, cfg)
	t0 := time.Now()
	if err := a.sim.Seed(1000000, 5); err != nil { t.Fatal(err) }
	fmt.Println("load", time.Since(t0))
	runtime.GC(); var m runtime.MemStats; runtime.ReadMemStats(&m)
	fmt.Println("heap MB", m.HeapAlloc>>20, "sys", m.Sys>>20)
	for _, p := range []string{"contacts|per_page=500|page=1999", "contacts|email=x@example.com", "contacts|search=zzzz", "contact/48900000"} {
		t0 = time.Now()
		var q []string
		parts := split(p)
		for _, kv := range parts[1:] { k, v, _ := cut(kv); q = append(q, k, v) }
		r := a.get(parts[0], q...)
		fmt.Println(p, r.status, len(r.raw), time.Since(t0))
	}
	t0 = time.Now(); r := a.do("GET", "/_sim/contacts", nil); fmt.Println("all", len(r.raw)>>20, "MB", time.Since(t0)); r = response{}
	t0 = time.Now(); a.do("GET", "/", nil); fmt.Println("list page", time.Since(t0))
	t0 = time.Now(); a.do("GET", "/?q=zzzz", nil); fmt.Println("search page", time.Since(t0))
	t0 = time.Now()
	for i := range 300 { s := time.Now(); _ = s; a.control("edit", object{"id": 48210001+i, "city": "Q"}); a.next() }
	fmt.Println("edit+delivery", time.Since(t0)/300)
	t0 = time.Now()
	for range 2000 { a.write("PUT", "contact/48210001", object{"csf1": time.Now().String()}) }
	fmt.Println("put", time.Since(t0)/2000)
	a.stop()
	t0 = time.Now(); b := open(t, cfg); fmt.Println("restart", time.Since(t0), b.stats()["contacts"])
	fi, _ := os.Stat(cfg.Journal); fmt.Println("journal bytes", fi.Size())
}
func split(s string) (out []string) { cur := ""; for _, r := range s { if r == '|' { out = append(out, cur); cur = "" } else { cur += string(r) } }; return append(out, cur) }
func cut(s string) (string, string, bool) { for i := range s { if s[i] == '=' { return s[:i], s[i+1:], true } }; return s, "", false }
