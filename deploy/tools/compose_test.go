// Package tools holds the pinned generators and the checks of the deployment
// files. It is a module of its own, so that their dependencies never reach the
// services.
package tools

import (
	"context"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

func project(t *testing.T) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"../../docker-compose.yml"}, cli.WithEnv([]string{"LOCKSTEP_SEAL_KEY=key"}), cli.WithInterpolation(true))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestComposeRunsEveryServiceSeparately, each hardened, with its own program.
func TestComposeRunsEveryServiceSeparately(t *testing.T) {
	p := project(t)
	programs := map[string]string{
		"migrate": "lockstep", "ingest": "ingest", "mapper": "mapper", "writer-hubspot": "writer", "writer-aloware": "writer", "console": "console",
	}
	for name, program := range programs {
		s, ok := p.Services[name]
		if !ok {
			t.Errorf("%s is missing", name)
			continue
		}
		if s.Build == nil || s.Build.Args["SERVICE"] == nil || *s.Build.Args["SERVICE"] != program {
			t.Errorf("%s must be built from the program %s", name, program)
		}
		if _, err := os.Stat("../../services/" + program + "/cmd/" + program + "/main.go"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !s.ReadOnly || s.User != "65532:65532" || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s must run read-only, as 65532:65532, without capabilities", name)
		}
	}
	for _, name := range []string{"nats", "postgres", "collector", "traces"} {
		if s, ok := p.Services[name]; !ok || s.Image == "" || strings.HasSuffix(s.Image, ":latest") {
			t.Errorf("%s must be an image with a pinned tag", name)
		}
	}
	for name, s := range p.Services {
		for _, volume := range s.Volumes {
			if volume.Type == types.VolumeTypeBind {
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s mounts a file that is not there: %v", name, err)
				}
			}
		}
	}
}

// TestComposeSetsOnlySettingsThatProgramsRead: a misspelt variable would be
// ignored in silence.
func TestComposeSetsOnlySettingsThatProgramsRead(t *testing.T) {
	known := map[string]bool{"OTEL_EXPORTER_OTLP_ENDPOINT": true, "OTEL_EXPORTER_OTLP_PROTOCOL": true}
	pattern := regexp.MustCompile(`"([A-Z][A-Z_]+[A-Z])"`)
	for _, path := range []string{
		"../../pkg/platform/platform.go", "../../services/ingest/cmd/ingest/main.go", "../../services/mapper/cmd/mapper/main.go",
		"../../services/writer/cmd/writer/main.go", "../../services/console/cmd/console/main.go", "../../services/console/settings.go",
	} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range pattern.FindAllStringSubmatch(string(raw), -1) {
			known[match[1]] = true
		}
	}
	for name, s := range project(t).Services {
		if s.Build == nil {
			continue
		}
		for variable := range s.Environment {
			if !known[variable] {
				t.Errorf("%s sets %s, which no program reads", name, variable)
			}
		}
	}
}

// TestComposeVolumesBelongToTheService: a named volume takes its owner from the
// image's folder, and is root's where the image has none, so that a service
// that is not root could not write to it.
func TestComposeVolumesBelongToTheService(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	folders := make(map[string]string) // in the image, with their owners
	for _, match := range regexp.MustCompile(`(?m)^COPY .*--chown=(\S+) \S+ (\S+)$`).FindAllStringSubmatch(string(dockerfile), -1) {
		folders[match[2]] = match[1]
	}
	volumes := 0
	for name, s := range project(t).Services {
		for _, volume := range s.Volumes {
			if s.Build == nil || volume.Type != types.VolumeTypeVolume {
				continue
			}
			volumes++
			if folders[volume.Target] != s.User {
				t.Errorf("%s runs as %s and mounts a volume at %s, which is of %q in the image", name, s.User, volume.Target, folders[volume.Target])
			}
		}
	}
	if volumes == 0 {
		t.Error("ingest has no volume: its spool would end with the container")
	}
	source, err := os.ReadFile("../../services/ingest/cmd/ingest/main.go")
	if err != nil {
		t.Fatal(err)
	}
	spool := regexp.MustCompile(`"LOCKSTEP_SPOOL", "(\S+)"`).FindStringSubmatch(string(source))
	for _, volume := range project(t).Services["ingest"].Volumes {
		if spool == nil || volume.Target != spool[1] {
			t.Errorf("ingest's volume is at %s, its spool at %q", volume.Target, spool)
		}
	}
}

// TestComposeTellsWhereTheSystemsReachIngest, the same to ingest, which checks
// signatures with it, and to the console, which shows what to enter.
func TestComposeTellsWhereTheSystemsReachIngest(t *testing.T) {
	p := project(t)
	for _, name := range []string{"ingest", "console"} {
		if url := p.Services[name].Environment["LOCKSTEP_PUBLIC_URL"]; url == nil || *url != "http://localhost:8081" {
			t.Errorf("%s is not told http://localhost:8081, where ingest is published", name)
		}
	}
}

// TestTheImageIsBuiltFromWhatIsSent: .dockerignore lets through what the
// Dockerfile copies, and neither the history nor built programs.
func TestTheImageIsBuiltFromWhatIsSent(t *testing.T) {
	dockerfile, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("../../.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	var sent []string
	all := false
	for _, line := range strings.Split(string(raw), "\n") {
		all = all || line == "*"
		if name, ok := strings.CutPrefix(line, "!"); ok {
			sent = append(sent, name)
		}
	}
	var copied []string
	for _, line := range strings.Split(string(dockerfile), "\n") {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "COPY" && !strings.HasPrefix(fields[1], "--") {
			for _, name := range fields[1 : len(fields)-1] {
				copied = append(copied, strings.TrimSuffix(name, "*"))
			}
		}
	}
	slices.Sort(sent)
	slices.Sort(copied)
	if !all || !slices.Equal(sent, copied) {
		t.Errorf(".dockerignore sends %v, the Dockerfile copies %v", sent, copied)
	}
}
