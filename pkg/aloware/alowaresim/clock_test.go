package alowaresim_test

import (
	"sync"
	"time"
)

// clock is a time that a test moves.
type clock struct {
	mu sync.Mutex // guards at
	at time.Time
}

func newClock() *clock { return &clock{at: time.Date(2026, 8, 5, 20, 58, 49, 0, time.UTC)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(seconds float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Duration(seconds * float64(time.Second)))
}

func (c *clock) text() string { return c.now().Format(time.DateTime) }
