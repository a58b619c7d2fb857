package lockstep_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goPackage is what go list tells of a package.
type goPackage struct {
	ImportPath string
	Imports    []string
}

const root = "lockstep.internal/"

// modules are the folders of all modules, relative to this one.
var modules = []string{"../../proto", "../../pkg", "../console", "../ingest", "../lockstep", "../mapper", "../writer"}

func packages(t *testing.T) []goPackage {
	t.Helper()
	var all []goPackage
	for _, folder := range modules {
		command := exec.Command("go", "list", "-json=ImportPath,Imports", "./...")
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

// TestImportLaw holds who may know whom.
func TestImportLaw(t *testing.T) {
	t.Parallel()
	pure := []string{"contact", "mapping", "fault", "quota", "tenant"}
	pureLibraries := []string{"golang.org/x/text", "github.com/nyaruka/phonenumbers"}
	impure := []string{"net", "net/http", "os", "os/exec", "database/sql", "log/slog"}
	// only says which rooms alone may import a library.
	only := map[string][]string{
		"github.com/nats-io":                 {"pkg/bus"},
		"google.golang.org/protobuf":         {"pkg/bus", "proto", "services/mapper", "services/console/api", "services/lockstep/cli"},
		root + "proto/contact":               {"pkg/bus", "services/mapper"},
		root + "proto/console":               {"proto/console", "services/console/api", "services/lockstep/cli"},
		"github.com/jackc/pgx":               {"pkg/postgres"},
		"go.opentelemetry.io/otel/sdk":       {"pkg/telemetry"},
		"go.opentelemetry.io/otel/exporters": {"pkg/telemetry"},
		"github.com/tink-crypto/tink-go":     {"pkg/seal"},
		"github.com/coreos/go-oidc":          {"services/console/access"},
	}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, root)
		for _, imported := range p.Imports {
			forbid := func(why string) { t.Errorf("%s imports %s: %s", p.ImportPath, imported, why) }
			for library, rooms := range only {
				allowed := !within(imported, library)
				for _, room := range rooms {
					allowed = allowed || within(path, room)
				}
				if !allowed {
					forbid("only " + strings.Join(rooms, ", ") + " may")
				}
			}
			for _, name := range pure {
				if path != "pkg/"+name {
					continue
				}
				for _, bad := range impure {
					if imported == bad && !(name == "quota" && bad == "log/slog") {
						forbid("a pure room has no I/O")
					}
				}
				if strings.Contains(imported, ".") && !pureImport(imported, pure, pureLibraries) {
					forbid("a pure room imports the standard library, small pure libraries, and pure rooms")
				}
			}
			if path == "services/mapper/resolve" && strings.HasPrefix(imported, root) && !pureImport(imported, pure, nil) {
				forbid("the decision is pure")
			}
			if from, service := serviceOf(path); service && from != "lockstep" {
				if to, other := serviceOf(strings.TrimPrefix(imported, root)); other && to != from && strings.HasPrefix(imported, root) {
					forbid("no service imports another")
				}
			}
			if within(path, "services/mapper") && (within(imported, root+"pkg/hubspot") || within(imported, root+"pkg/aloware")) {
				forbid("the mapper never knows a system")
			}
			if within(path, "services/writer") && within(imported, root+"pkg/mapping") {
				forbid("the writer knows nothing of mappings")
			}
			if (within(path, "pkg/hubspot/hubspotsim") || within(path, "pkg/aloware/alowaresim")) && strings.HasPrefix(imported, root) {
				forbid("a simulator imports nothing of ours, so that one misreading of a system cannot hide on both sides")
			}
		}
	}
}

func pureImport(imported string, rooms, libraries []string) bool {
	for _, name := range rooms {
		if imported == root+"pkg/"+name {
			return true
		}
	}
	for _, library := range libraries {
		if within(imported, library) {
			return true
		}
	}
	return false
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
