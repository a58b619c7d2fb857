package cli

import (
	"strings"

	consolev1 "lockstep.internal/proto/console/v1"
)

// settings are what a mapping has beside its direction and policy, as
// "mapping set" takes it.
func settings(m *consolev1.Mapping) string {
	var words []string
	if m.GetIgnoreBlank() {
		words = append(words, "--ignore-blank")
	}
	for _, t := range m.GetTransforms() {
		text := t.GetKind()
		switch t.GetSide() {
		case consolev1.System_SYSTEM_HUBSPOT:
			text += "@hubspot"
		case consolev1.System_SYSTEM_ALOWARE:
			text += "@aloware"
		}
		if t.GetText() != "" {
			text += "=" + t.GetText()
		}
		words = append(words, "--transform", word(text))
	}
	for _, pair := range m.GetOptions() {
		words = append(words, "--option", word(pair.GetAloware()+"="+pair.GetHubspot()))
	}
	return strings.Join(words, " ")
}

// conditions are a contact filter, as "mapping filter" takes it.
func conditions(f *consolev1.Filter) string {
	var words []string
	for _, c := range f.GetConditions() {
		text := c.GetOp()
		if len(c.GetTexts()) > 0 {
			text += "=" + strings.Join(c.GetTexts(), ",")
		}
		words = append(words, c.GetKey(), word(text))
	}
	if f.GetAny() {
		words = append(words, "--any")
	}
	return strings.Join(words, " ")
}

// word is a text as a shell takes it for one word.
func word(text string) string {
	if strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=@.,:/") == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
