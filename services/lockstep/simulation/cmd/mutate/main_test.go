package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../../../.."

// TestWhatIsBrokenIsFound: a few mutations, within a few hundred seeds each; make
// mutate tries them all.
func TestWhatIsBrokenIsFound(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds programs")
	}
	t.Parallel()
	all, err := parse(mutations)
	if err != nil {
		t.Fatal(err)
	}
	quick := []string{"3: our own write coming back", "6: the side that an edit came from", "life: the writers are not told to forget"}
	tried := 0
	for _, m := range all {
		for _, name := range quick {
			if !strings.HasPrefix(m.rule, name) {
				continue
			}
			tried++
			found, err := try(m, root, t.TempDir(), 500)
			if err != nil || found == "" {
				t.Errorf("%s: found %q, %v", m.rule, found, err)
			}
		}
	}
	if tried != len(quick) {
		t.Errorf("%d of %d mutations are there", tried, len(quick))
	}
}

// TestEveryMutationFitsTheRules as they are written now, and every rule has one.
func TestEveryMutationFitsTheRules(t *testing.T) {
	t.Parallel()
	all, err := parse(mutations)
	if err != nil {
		t.Fatal(err)
	}
	broken := map[string]bool{}
	for _, m := range all {
		rule, _, _ := strings.Cut(m.rule, ":")
		broken[rule] = true
		source, err := os.ReadFile(filepath.Join(root, "services", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(string(source)); err != nil {
			t.Errorf("rule %s: %v", m.rule, err)
		}
	}
	for _, rule := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		if !broken[rule] {
			t.Errorf("no mutation breaks rule %s", rule)
		}
	}
}
