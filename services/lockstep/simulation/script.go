package simulation

import (
	"fmt"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
)

// Script is a schedule as plain text: settings first, then steps, one a line.
// It is what a seed becomes, what shrinking reduces, and what testdata keeps.
type Script []Step

// Step is one line: an operation, the system that it is about (0 for none), a
// name, and numbers. Numbers that choose among what is there are taken modulo
// its count, so that a step stays valid whatever is removed before it.
type Step struct {
	Op     string
	System contact.System
	Name   string
	N      []int
}

func (s Step) n(i int) int {
	if i < len(s.N) {
		return s.N[i]
	}
	return 0
}

// String is the step's line.
func (s Step) String() string {
	var b strings.Builder
	b.WriteString(s.Op)
	if s.System != 0 {
		b.WriteString(" " + s.System.String())
	}
	if s.Name != "" {
		b.WriteString(" " + s.Name)
	}
	for _, n := range s.N {
		b.WriteString(" " + strconv.Itoa(n))
	}
	return b.String()
}

// String is the script's text.
func (s Script) String() string {
	var b strings.Builder
	for _, step := range s {
		b.WriteString(step.String() + "\n")
	}
	return b.String()
}

// ParseScript reads a script. Empty lines and what follows a # say nothing.
func ParseScript(text string) (Script, error) {
	var script Script
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		step := Step{Op: words[0]}
		if operations[step.Op] == nil {
			return nil, fmt.Errorf("script line %d: %q is no operation", number+1, step.Op)
		}
		for _, word := range words[1:] {
			if n, err := strconv.Atoi(word); err == nil {
				step.N = append(step.N, n)
				continue
			}
			system, err := contact.ParseSystem(word)
			switch {
			case err == nil && step.System == 0 && step.Name == "" && step.N == nil:
				step.System = system
			case err != nil && step.Name == "" && step.N == nil:
				step.Name = word
			default:
				return nil, fmt.Errorf("script line %d: %q is one word too many or in the wrong place", number+1, word)
			}
		}
		script = append(script, step)
	}
	return script, nil
}
