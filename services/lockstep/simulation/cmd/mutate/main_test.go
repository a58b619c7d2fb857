package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
		source, err := os.ReadFile(filepath.Join("..", "..", "..", "..", m.file))
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
