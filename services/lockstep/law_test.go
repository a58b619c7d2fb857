package lockstep_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

const root = "lockstep.internal/"

// modules are the folders of all modules, relative to this one.
var modules = []string{"../../proto", "../../pkg", "../console", "../ingest", "../lockstep", "../mapper", "../writer"}

func packages(t *testing.T) []goPackage {
	t.Helper()
	var all []goPackage
	for _, folder := range modules {
		command := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
		command.Dir = folder
		command.Stderr = os.Stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("go list in %s: %v", folder, err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(out)))
		for {
			var p goPackage
			if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
			all = append(all, p)
		}
	}
	return all
}

// within reports whether a path is a package or lies below it.
func within(path, parent string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }

// pure are the rooms without I/O. The decisions are also without clock,
// goroutine and randomness, so that a simulation can replay them.
var (
	pure      = []string{"pkg/contact", "pkg/mapping", "pkg/fault", "pkg/quota", "pkg/tenant", "services/mapper/people"}
	decisions = []string{"services/mapper/resolve", "services/writer/row"}

	pureLibraries = []string{"golang.org/x/text", "github.com/nyaruka/phonenumbers"}
	impure        = []string{"net", "os", "database", "log", "syscall", "plugin", "unsafe"}
	undecided     = []string{"math/rand", "crypto/rand", "sync", "context", "runtime"}

	simulators = []string{"pkg/hubspot/hubspotsim", "pkg/aloware/alowaresim"}

	// only says which rooms alone may import a library.
	only = map[string][]string{
		"github.com/nats-io":                 {"pkg/bus"},
		"google.golang.org/protobuf":         {"pkg/bus", "proto", "services/mapper", "services/console/api", "services/lockstep/cli"},
		root + "proto/contact":               {"pkg/bus", "services/mapper"},
		root + "proto/console":               {"proto/console", "services/console/api", "services/lockstep/cli"},
		"github.com/jackc/pgx":               {"pkg/postgres"},
		"go.opentelemetry.io/otel/sdk":       {"pkg/telemetry"},
		"go.opentelemetry.io/otel/exporters": {"pkg/telemetry"},
		"github.com/tink-crypto/tink-go":     {"pkg/seal"},
		"github.com/coreos/go-oidc":          {"services/console/access"},
		"github.com/wneessen/go-mail":        {"services/console/alerts"},
	}
)

// TestImportLaw holds who may know whom.
func TestImportLaw(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, root)
		seen[path] = true
		for _, imported := range p.Imports {
			if why := forbidden(path, imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		if slices.Contains(simulators, path) {
			for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
				if imported != p.ImportPath && imported != root+"pkg/npmtest" && within(imported, root[:len(root)-1]) {
					t.Errorf("the tests of %s import %s: a simulator is held against its vendor, not against us", p.ImportPath, imported)
				}
			}
		}
	}
	for _, path := range slices.Concat(pure, decisions, simulators) {
		if !seen[path] {
			t.Errorf("the law speaks of %s, which is not there", path)
		}
	}
}

// TestTheLawForbidsWhatItSays: a rule that no import could break would hold
// nothing.
func TestTheLawForbidsWhatItSays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		path, imported string
		allowed        bool
	}{
		{"services/mapper/resolve", "net/http", false},
		{"services/mapper/resolve", "os", false},
		{"services/mapper/resolve", "math/rand/v2", false},
		{"services/mapper/resolve", "github.com/google/go-cmp/cmp", false},
		{"services/mapper/resolve", root + "pkg/bus", false},
		{"services/mapper/resolve", root + "pkg/contact", true},
		{"services/mapper/resolve", "strings", true},
		{"services/mapper/people", root + "services/mapper/resolve", true},
		{"services/mapper/people", root + "pkg/postgres", false},
		{"services/writer/row", "net/http", false},
		{"services/writer/row", "golang.org/x/sync/errgroup", false},
		{"services/writer/row", root + "pkg/mapping", false},
		{"pkg/contact", "log/slog", false},
		{"pkg/contact", "golang.org/x/text/unicode/norm", true},
		{"pkg/quota", root + "pkg/telemetry", false},
		{"pkg/quota", "sync", true},
		{"pkg/stage", "github.com/nats-io/nats.go", false},
		{"services/mapper", root + "pkg/hubspot", false},
		{"services/mapper", root + "services/writer/row", false},
		{"services/lockstep", root + "services/writer", true},
		{"pkg/hubspot/hubspotsim", root + "pkg/contact", false},
	} {
		if why := forbidden(c.path, c.imported); (why == "") != c.allowed {
			t.Errorf("%s importing %s: %q, want allowed %v", c.path, c.imported, why, c.allowed)
		}
	}
}

// forbidden tells why a package must not import another; "" if it may.
func forbidden(path, imported string) string {
	for library, rooms := range only {
		if within(imported, library) && !slices.ContainsFunc(rooms, func(room string) bool { return within(path, room) }) {
			return "only " + strings.Join(rooms, ", ") + " may"
		}
	}
	ours, isOurs := strings.CutPrefix(imported, root)
	under := func(parent string) bool { return within(imported, parent) }
	if slices.Contains(pure, path) || slices.Contains(decisions, path) {
		outside := strings.Contains(imported, ".")
		switch {
		case slices.ContainsFunc(impure, under):
			return "a pure room has no I/O"
		case outside && !slices.Contains(pure, ours) && !slices.Contains(decisions, ours) && !slices.ContainsFunc(pureLibraries, under):
			return "a pure room imports the standard library, small pure libraries, and pure rooms"
		}
	}
	if slices.Contains(decisions, path) && slices.ContainsFunc(undecided, under) {
		return "a decision is the same each time it is made"
	}
	if from, service := serviceOf(path); service && from != "lockstep" {
		if to, other := serviceOf(ours); isOurs && other && to != from {
			return "no service imports another"
		}
	}
	switch {
	case within(path, "services/mapper") && isOurs && (within(ours, "pkg/hubspot") || within(ours, "pkg/aloware")):
		return "the mapper never knows a system"
	case within(path, "services/writer") && isOurs && within(ours, "pkg/mapping"):
		return "the writer knows nothing of mappings"
	case isOurs && slices.ContainsFunc(simulators, func(room string) bool { return within(path, room) }):
		return "a simulator imports nothing of ours, so that one misreading of a system cannot hide on both sides"
	}
	return ""
}

func serviceOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "services/")
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}

// TestEachModuleBuildsByItself, with the workspace off.
func TestEachModuleBuildsByItself(t *testing.T) {
	t.Parallel()
	for _, folder := range modules {
		command := exec.Command("go", "list", "-deps", "./...")
		command.Dir = folder
		command.Env = append(os.Environ(), "GOWORK=off")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(folder), err, out)
		}
	}
}
