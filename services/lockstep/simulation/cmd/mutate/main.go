// Command mutate checks the simulation itself: it breaks each rule of the
// decision in turn, in a copy of its file that only the compiler sees, and
// expects the simulation to find it.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

//go:embed mutations.txt
var mutations string

// mutation replaces a piece of a file.
type mutation struct {
	rule, file, old, new string
}

func main() {
	seeds := flag.Int("seeds", 10_000, "seeds within which each must be found")
	only := flag.String("only", "", "only mutations whose name contains this")
	flag.Parse()
	if err := run(*seeds, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(seeds int, only string) error {
	all, err := parse(mutations)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	missed := 0
	for _, m := range all {
		if !strings.Contains(m.rule, only) {
			continue
		}
		found, err := try(m, ".", folder, seeds)
		if err != nil {
			return fmt.Errorf("%s: %w", m.rule, err)
		}
		if found == "" {
			missed++
			found = "NOT FOUND"
		}
		fmt.Printf("rule %-80s %s\n", m.rule, found)
	}
	if missed > 0 {
		return fmt.Errorf("%d mutations were not found within %d seeds", missed, seeds)
	}
	return nil
}

// parse reads the mutations: a line "rule ...", a line "file ...", then lines
// of the file to take out ("-") and to put in their place ("+").
func parse(text string) ([]mutation, error) {
	var all []mutation
	for number, line := range strings.Split(text, "\n") {
		kind, rest, _ := strings.Cut(line, " ")
		if kind != "rule" && kind != "" && !strings.HasPrefix(line, "#") && len(all) == 0 {
			return nil, fmt.Errorf("mutations line %d: no rule before it", number+1)
		}
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case kind == "rule":
			all = append(all, mutation{rule: rest})
		case kind == "file":
			all[len(all)-1].file = rest
		case line[0] == '-':
			all[len(all)-1].old += line[1:] + "\n"
		case line[0] == '+':
			all[len(all)-1].new += line[1:] + "\n"
		default:
			return nil, fmt.Errorf("mutations line %d: %q is none of rule, file, - and +", number+1, line)
		}
	}
	return all, nil
}

var failed = regexp.MustCompile(`(?m)^seed (\d+): ([a-z -]+):`)

// apply gives the source with the mutation.
func (m mutation) apply(source string) (string, error) {
	if n := strings.Count(source, m.old); n != 1 || m.old == "" {
		return "", fmt.Errorf("what it replaces is in %s %d times; it must be there once", m.file, n)
	}
	return strings.Replace(source, m.old, m.new, 1), nil
}

// try builds the simulation of a copy of the repository with one mutation and
// plays it. found says where it was found; "" not at all.
func try(m mutation, root, folder string, seeds int) (found string, err error) {
	path, err := filepath.Abs(filepath.Join(root, "services", m.file))
	if err != nil {
		return "", err
	}
	source, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("run it in the repository's folder: %w", err)
	}
	broken, err := m.apply(string(source))
	if err != nil {
		return "", err
	}
	mutated := filepath.Join(folder, filepath.Base(m.file))
	if err := os.WriteFile(mutated, []byte(broken), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: mutated}})
	if err != nil {
		return "", err
	}
	listing := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(listing, overlay, 0o600); err != nil {
		return "", err
	}
	program := filepath.Join(folder, "simulate")
	build := exec.Command("go", "build", "-overlay", listing, "-o", program, "./services/lockstep/simulation/cmd/simulate")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	out, err := exec.Command(program, "-seeds", strconv.Itoa(seeds), "-shrink=false").CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &exit):
		return "", err
	}
	match := failed.FindStringSubmatch(string(out))
	if match == nil {
		return "", fmt.Errorf("the simulation ended without a failing schedule: %w\n%s", err, out)
	}
	return "found by seed " + match[1] + ": " + match[2], nil
}
