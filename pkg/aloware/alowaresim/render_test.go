package alowaresim

import "testing"

func BenchmarkContactJSON(b *testing.B) {
	s, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Seed(1, 1); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.plainJSON(s.store.contacts[0])
	}
}
