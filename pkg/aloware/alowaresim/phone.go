package alowaresim

import (
	"strconv"
	"strings"
)

// parsePhone reads a phone number into the digits of its E.164 form. A number
// without a country code is one of the North American plan. 0 is no number.
func parsePhone(text string) uint64 {
	text = strings.TrimSpace(text)
	international := strings.HasPrefix(text, "+")
	digits := make([]byte, 0, 16)
	for _, r := range strings.TrimPrefix(text, "+") {
		switch {
		case r >= '0' && r <= '9':
			digits = append(digits, byte(r))
		case strings.ContainsRune(" -.()/\u00a0", r):
		default:
			return 0
		}
	}
	if !international && len(digits) == 10 {
		digits = append([]byte{'1'}, digits...)
	} else if !international && (len(digits) != 11 || digits[0] != '1') {
		return 0
	}
	if len(digits) < 8 || len(digits) > 15 || digits[0] == '0' {
		return 0
	}
	if digits[0] == '1' && (len(digits) != 11 || digits[1] < '2' || digits[4] < '2') {
		return 0
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// formatPhone is the E.164 form; "" for 0.
func formatPhone(n uint64) string {
	if n == 0 {
		return ""
	}
	return "+" + strconv.FormatUint(n, 10)
}
