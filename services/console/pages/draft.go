package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/mapping"
	"lockstep.internal/services/console/mappings"
)

// draft are changes of a mapping that are not saved yet. The browser keeps them,
// as a hidden field of the form, so that nothing here is lost or left over.
type draft struct {
	BasedOn int64
	Steps   []step
}

// step is one change of a draft; exactly one member is set.
type step struct {
	Set     *mapping.SetFields  `json:"set,omitempty"`
	Add     *mapping.Add        `json:"add,omitempty"`
	BuiltIn *mapping.AddBuiltIn `json:"built_in,omitempty"`
	Remove  string              `json:"remove,omitempty"`
	Filter  *mapping.SetFilter  `json:"filter,omitempty"`
	Reset   bool                `json:"reset,omitempty"`
	Restore int64               `json:"restore,omitempty"`
}

// draftOf reads the draft that a form carries.
func draftOf(r *http.Request) (draft, error) {
	var d draft
	based := r.FormValue("based_on")
	if based == "" {
		return d, nil
	}
	var err error
	if d.BasedOn, err = strconv.ParseInt(based, 10, 64); err != nil {
		return d, invalid("based_on: \"" + based + "\" is no version")
	}
	if text := r.FormValue("draft"); text != "" {
		if err := json.Unmarshal([]byte(text), &d.Steps); err != nil {
			return d, invalid("The unsaved changes could not be read; load the page again.")
		}
	}
	return d, nil
}

// Text is the draft as the form carries it.
func (d draft) Text() (string, error) {
	if len(d.Steps) == 0 {
		return "", nil
	}
	raw, err := json.Marshal(d.Steps)
	return string(raw), err
}

// edits are the draft as package mapping knows it.
func (d draft) edits() ([]mappings.Edit, error) {
	var edits []mappings.Edit
	for i, s := range d.Steps {
		switch {
		case s.Set != nil:
			edits = append(edits, mappings.Edit{Edit: *s.Set})
		case s.Add != nil:
			edits = append(edits, mappings.Edit{Edit: *s.Add})
		case s.BuiltIn != nil:
			edits = append(edits, mappings.Edit{Edit: *s.BuiltIn})
		case s.Remove != "":
			edits = append(edits, mappings.Edit{Edit: mapping.Remove{Key: s.Remove}})
		case s.Filter != nil:
			edits = append(edits, mappings.Edit{Edit: *s.Filter})
		case s.Reset:
			edits = append(edits, mappings.Edit{Edit: mapping.ResetToDefaults{}})
		case s.Restore != 0:
			edits = append(edits, mappings.Edit{Restore: s.Restore})
		default:
			return nil, invalid(fmt.Sprintf("Change %d of the unsaved ones says nothing; load the page again.", i+1))
		}
	}
	return edits, nil
}

// with is the draft and one more step. Fields of a mapping set twice are one
// step.
func (d draft) with(s step) draft {
	next := draft{d.BasedOn, slices.Clone(d.Steps)}
	for i := len(next.Steps) - 1; s.Set != nil && i >= 0 && next.Steps[i].Set != nil; i-- {
		if old := *next.Steps[i].Set; old.Key == s.Set.Key {
			next.Steps[i].Set = merged(old, *s.Set)
			return next
		}
	}
	next.Steps = append(next.Steps, s)
	return next
}

// merged are two changes of one mapping as one; the later wins.
func merged(old, later mapping.SetFields) *mapping.SetFields {
	keep(&old.HubSpot, later.HubSpot)
	keep(&old.Aloware, later.Aloware)
	keep(&old.Direction, later.Direction)
	keep(&old.Policy, later.Policy)
	keep(&old.IgnoreBlank, later.IgnoreBlank)
	keep(&old.Transforms, later.Transforms)
	keep(&old.Options, later.Options)
	return &old
}

func keep[T any](at **T, later *T) {
	if later != nil {
		*at = later
	}
}

// stepOf is the change that a button of the mapping page asks for, such as
// "direction:email:both"; ok is false for one that only shows something.
func stepOf(r *http.Request, verb, key, rest string) (s step, ok bool, err error) {
	switch verb {
	case "direction":
		direction, err := contact.ParseDirection(rest)
		if err != nil {
			return s, false, invalid(sentence(err.Error()))
		}
		return step{Set: &mapping.SetFields{Key: key, Direction: &direction}}, true, nil
	case "property":
		return step{Set: &mapping.SetFields{Key: key, HubSpot: &rest}}, true, nil
	case "fields":
		set, err := fieldsOf(r, key)
		return step{Set: set}, true, err
	case "remove":
		return step{Remove: key}, true, nil
	case "builtin":
		return step{BuiltIn: &mapping.AddBuiltIn{Key: key}}, true, nil
	case "add":
		direction, err := contact.ParseDirection(r.FormValue("add-direction"))
		if err != nil {
			return s, false, invalid("Choose a direction.")
		}
		add := &mapping.Add{Aloware: strings.TrimSpace(r.FormValue("add-aloware")), HubSpot: strings.TrimSpace(r.FormValue("add-hubspot")), Direction: direction}
		if add.Aloware == "" || add.HubSpot == "" {
			return s, false, invalid("Choose a property of both systems first.")
		}
		return step{Add: add}, true, nil
	case "filter":
		filter, err := filterOf(r)
		return step{Filter: &mapping.SetFilter{Filter: filter}}, true, err
	case "reset":
		return step{Reset: true}, true, nil
	case "restore":
		version, err := strconv.ParseInt(key, 10, 64)
		if err != nil || version <= 0 {
			return s, false, invalid("\"" + key + "\" is no version")
		}
		return step{Restore: version}, true, nil
	}
	return s, false, nil
}

// fieldsOf reads the panel of one mapping.
func fieldsOf(r *http.Request, key string) (*mapping.SetFields, error) {
	policy, blank := mapping.Policy(r.FormValue("policy")), r.FormValue("ignore_blank") != ""
	set := &mapping.SetFields{Key: key, Policy: &policy, IgnoreBlank: &blank}
	transforms := make([]mapping.Transform, 0)
	sides, texts := r.Form["transform-side"], r.Form["transform-text"]
	for i, kind := range r.Form["transform"] {
		if kind == "" {
			continue
		}
		t := mapping.Transform{Kind: mapping.TransformKind(kind)}
		if i < len(sides) && sides[i] != "" {
			side, err := contact.ParseSystem(sides[i])
			if err != nil {
				return nil, invalid(sentence(err.Error()))
			}
			t.Side = side
		}
		if i < len(texts) {
			t.Text = texts[i]
		}
		transforms = append(transforms, t)
	}
	set.Transforms = &transforms
	if r.Form.Has("pair-aloware") {
		pairs, err := pairsOf(r)
		if err != nil {
			return nil, err
		}
		set.Options = &pairs
	} else if r.Form.Has("options") {
		pairs := make([]mapping.Pair, 0)
		for i, line := range lines(r.FormValue("options")) {
			if strings.TrimSpace(line) == "" {
				continue
			}
			aloware, hubspot, ok := strings.Cut(line, "=")
			if !ok {
				return nil, invalid(fmt.Sprintf("Line %d of the options, %q: want Aloware's option, =, and HubSpot's.", i+1, line))
			}
			pairs = append(pairs, mapping.Pair{Aloware: strings.TrimSpace(aloware), HubSpot: strings.TrimSpace(hubspot)})
		}
		set.Options = &pairs
	}
	return set, nil
}

// filterOf reads the panel of the contact filter; no conditions are no filter.
func filterOf(r *http.Request) (*mapping.Filter, error) {
	filter := &mapping.Filter{Any: r.FormValue("any") != ""}
	ops, texts := r.Form["filter-op"], r.Form["filter-texts"]
	for i, key := range r.Form["filter-key"] {
		if key == "" {
			continue
		}
		if i >= len(ops) || i >= len(texts) {
			return nil, invalid("A condition has a field, a comparison and a text; load the page again.")
		}
		condition := mapping.Condition{Key: key, Op: mapping.Op(ops[i])}
		if condition.Op != mapping.IsBlank && condition.Op != mapping.IsNotBlank {
			for text := range strings.SplitSeq(texts[i], ",") {
				if text = strings.TrimSpace(text); text != "" {
					condition.Texts = append(condition.Texts, text)
				}
			}
		}
		filter.Conditions = append(filter.Conditions, condition)
	}
	if len(filter.Conditions) == 0 {
		return nil, nil
	}
	return filter, nil
}
