package lockstep_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lockstep.internal/pkg/npmtest"
)

// screenshotVariable names the folder of the pages' screenshots; without it
// they are left out.
const screenshotVariable = "LOCKSTEP_SCREENSHOTS"

// browser is a real one, showing the console of a demonstration.
type browser struct {
	t   testing.TB
	d   *demo
	ctx context.Context
	axe string // axe-core's script
	// round tells apart what journeys make when they are gone again.
	round string
	left  traces
}

// look is a window in which the console is looked at.
type look struct {
	name          string
	width, height int64
	theme         string
}

// looks are a desk's and a phone's window, in light and dark.
var looks = []look{
	{"desk-light", 1280, 900, "light"}, {"desk-dark", 1280, 900, "dark"}, {"phone-light", 400, 800, "light"}, {"phone-dark", 400, 800, "dark"},
}

// lend lets a part of the test use the browser and the demonstration, until
// what it gives is called.
func (b *browser) lend(t testing.TB) (back func()) {
	whole := b.t
	b.t, b.d.t = t, t
	return func() { b.t, b.d.t = whole, whole }
}

// as goes on as whoever a session or token belongs to, and gives the one
// before.
func (b *browser) as(token string) (before string) {
	b.t.Helper()
	address := "http://" + b.d.console
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	cookies, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{URLs: []string{address}})
	if err != nil {
		b.t.Fatalf("read the cookies: %v", err)
	}
	for _, c := range cookies.Cookies {
		if c.Name == "lockstep_session" {
			before = c.Value
		}
	}
	if _, err := chromedp.Call(ctx, network.SetCookie, network.SetCookieParams{Name: "lockstep_session", Value: token, URL: address}); err != nil {
		b.t.Fatalf("set the session: %v", err)
	}
	return before
}

// reload opens a page again and again until a part of it shows a text.
func (b *browser) reload(path, selector, want string) {
	b.t.Helper()
	eventually(b.t, patience, func() string {
		b.open(path)
		if got := b.text(selector); !strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			return fmt.Sprintf("%s of %s does not show %q: %s", selector, path, want, got)
		}
		return ""
	})
}

// holds checks what a field of a form has.
func (b *browser) holds(selector, want string) {
	b.t.Helper()
	if got := eval[string](b, fmt.Sprintf(`document.querySelector(%q).value`, selector)); got != want {
		b.t.Errorf("%s holds %q, want %q", selector, got, want)
	}
}

// openBrowser starts Chromium.
func openBrowser(t testing.TB, d *demo) *browser {
	t.Helper()
	program, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not on the PATH: install the package chromium, then run the test again")
	}
	allocator, endAllocator := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.NoSandbox, chromedp.ExecPath(program))
	t.Cleanup(endAllocator)
	ctx, end := chromedp.NewContext(allocator)
	t.Cleanup(end)
	axe, err := os.ReadFile(filepath.Join(npmtest.Install(t, "axe-core", "4.14.1"), "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, d: d, ctx: ctx, axe: string(axe)}
	if err := chromedp.Do(ctx); err != nil { // starts it; the context of a first run ends the browser
		t.Fatalf("start Chromium: %v", err)
	}
	// A page asks before what cannot be taken back; these people are sure.
	err = chromedp.Listen(ctx, func(event any) {
		if _, ok := event.(*page.EventJavascriptDialogOpening); ok {
			go func() {
				_, _ = chromedp.Call(ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
			}()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// patience is how long a page may take to show what is expected, on a machine
// that does much else.
const patience = 30 * time.Second

// run does actions; each must be done in time.
func (b *browser) run(what string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v\nthe page says: %s", what, err, b.says())
	}
}

func (b *browser) open(path string) {
	b.t.Helper()
	b.run("open "+path, chromedp.Navigate("http://"+b.d.console+path), chromedp.WaitReady("main"))
}

// press clicks what a selector finds, as soon as it is there.
func (b *browser) press(selector string) {
	b.t.Helper()
	b.run("press "+selector, chromedp.WaitVisible(selector), chromedp.ScrollIntoView(selector), chromedp.Click(selector))
}

// enter replaces the text of a field.
func (b *browser) enter(selector, text string) {
	b.t.Helper()
	empty := chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).value = ""`, selector))
	b.run("enter into "+selector, chromedp.WaitVisible(selector), empty, chromedp.SendKeys(selector, text))
}

// text is what a part of the page shows; "" when it is not there.
func (b *browser) text(selector string) string {
	b.t.Helper()
	return eval[string](b, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector))
}

// says is the beginning of what the page shows, for a failure.
func (b *browser) says() string {
	b.t.Helper()
	b.shoot("failed")
	text := strings.Join(strings.Fields(b.text("body")), " ")
	return text[:min(len(text), 1500)]
}

// eval is what a script in the page gives.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("evaluate %.60q: %v", script, err)
	}
	return value
}

// sees waits until a part of the page shows a text.
func (b *browser) sees(selector, want string) {
	b.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		// A page that is being replaced has no answer; the next one has.
		ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
		got, _ := chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf(`[...document.querySelectorAll(%q)].map(e => e.innerText).join("\n")`, selector)))
		cancel()
		if strings.Contains(strings.ToLower(got), strings.ToLower(want)) {
			return
		}
		if time.Now().After(deadline) {
			b.t.Fatalf("%s does not show %q within %v; it shows %q\nthe page says: %s", selector, want, patience, got, b.says())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// take makes the window as wide as a look says, in light or dark.
func (b *browser) take(l look) {
	b.t.Helper()
	b.run("set the window", chromedp.EmulateViewport(l.width, l.height))
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.theme}, {Name: "prefers-reduced-motion", Value: "reduce"}}}
	if _, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, media); err != nil {
		b.t.Fatalf("set the colours: %v", err)
	}
}

// inspect holds a page against what people need of each: nothing that axe-core
// calls serious, and no sideways scrolling of the page as a whole.
func (b *browser) inspect(name string) {
	b.t.Helper()
	wide := eval[string](b, `document.documentElement.scrollWidth > document.documentElement.clientWidth
		? [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll, nav")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join("\n") || "the frame" : ""`)
	if wide != "" {
		b.t.Errorf("%s is wider than the window because of: %s", name, wide)
	}
	// On a phone each row of a table is a block with names in it; what one does
	// with a mapping is in sight at a desk too.
	if sideways := eval[string](b, `[...document.querySelectorAll("main .scroll")].filter(e => e.scrollWidth > e.clientWidth + 1 && (innerWidth <= 640 || e.querySelector("#mapping-table"))).map(e => e.getAttribute("aria-label")).join(", ")`); sideways != "" {
		b.t.Errorf("these tables of %s scroll sideways: %s", name, sideways)
	}
	if nameless := eval[string](b, `innerWidth > 640 ? "" : [...document.querySelectorAll("main table.stacks:not(.card-table) tbody td:not([data-label])")].filter(e => e.innerText.trim() && !e.querySelector("button, a, form, .badge")).slice(0, 3).map(e => e.outerHTML.slice(0, 120)).join("\n")`); nameless != "" {
		b.t.Errorf("on a phone cells of %s have no names: %s", name, nameless)
	}
	// On a phone the page that is open is in sight among the others.
	if hidden := eval[string](b, `[...document.querySelectorAll("nav.bar [aria-current]")].filter(e => { const a = e.getBoundingClientRect(), n = e.parentElement.getBoundingClientRect(); return a.left < n.left - 1 || a.right > n.right + 1 }).map(e => e.innerText).join(", ")`); hidden != "" {
		b.t.Errorf("of the pages' names on %s those that are open are out of sight: %s", name, hidden)
	}
	b.run("load axe-core", chromedp.Evaluate[chromedp.Void](b.axe))
	found := eval[string](b, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r => JSON.stringify(
		r.violations.map(v => ({id: v.id, impact: v.impact, help: v.help, nodes: v.nodes.slice(0, 3).map(n => n.html.slice(0, 160) + " " + n.failureSummary)}))))`)
	var violations []struct {
		ID, Impact, Help string
		Nodes            []string
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		if v.Impact == "serious" || v.Impact == "critical" {
			b.t.Errorf("%s: %s (%s): %s\n\t%s", name, v.ID, v.Impact, v.Help, strings.Join(v.Nodes, "\n\t"))
		}
	}
	b.shoot(name)
}

// shoot keeps a screenshot where the environment names a folder for them.
func (b *browser) shoot(name string) {
	b.t.Helper()
	folder := os.Getenv(screenshotVariable)
	if folder == "" {
		return
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatalf("a screenshot of %s: %v", name, err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
