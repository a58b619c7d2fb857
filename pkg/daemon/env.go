package daemon

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"time"
)

// Env reads settings from environment variables. Wrong ones are collected, so
// that all are told at once.
type Env struct{ faults []error }

// String is a text; fallback when it is not set.
func (e *Env) String(name, fallback string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return fallback
}

// Required is a text that must be set.
func (e *Env) Required(name, what string) string {
	text := os.Getenv(name)
	if text == "" {
		e.fault("%s is not set: it is %s", name, what)
	}
	return text
}

// Int is a whole number.
func (e *Env) Int(name string, fallback int) int {
	return read(e, name, fallback, "a whole number", strconv.Atoi)
}

// Float is a number.
func (e *Env) Float(name string, fallback float64) float64 {
	return read(e, name, fallback, "a number", func(text string) (float64, error) { return strconv.ParseFloat(text, 64) })
}

// Bool is true or false.
func (e *Env) Bool(name string, fallback bool) bool {
	return read(e, name, fallback, "true or false", strconv.ParseBool)
}

// Duration is a length of time such as 1m30s.
func (e *Env) Duration(name string, fallback time.Duration) time.Duration {
	return read(e, name, fallback, "a duration such as 1m30s", time.ParseDuration)
}

// URL is an address with scheme and host; "" stays empty.
func (e *Env) URL(name, fallback string) string {
	return read(e, name, fallback, "a URL such as https://hooks.example.com", func(text string) (string, error) {
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" || u.Host == "" {
			return "", errors.New("no URL")
		}
		return text, nil
	})
}

func read[T any](e *Env, name string, fallback T, want string, parse func(string) (T, error)) T {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	value, err := parse(text)
	if err != nil {
		e.fault("%s is %q: want %s", name, text, want)
		return fallback
	}
	return value
}

func (e *Env) fault(format string, args ...any) {
	e.faults = append(e.faults, fmt.Errorf(format, args...))
}

// Err tells all wrong settings.
func (e *Env) Err() error {
	if len(e.faults) == 0 {
		return nil
	}
	return fmt.Errorf("settings: %w", errors.Join(e.faults...))
}

// Fault adds a fault that the caller found.
func (e *Env) Fault(err error) { e.faults = append(e.faults, err) }
