package pipeline

import (
	"testing"
	"time"

	"lockstep.internal/pkg/postgres"
)

// TestAgeOfWhatWaits: it grows while the same messages wait, also when others
// come behind them, and begins anew when those that waited are done.
func TestAgeOfWhatWaits(t *testing.T) {
	t.Parallel()
	p, start := New(Config{}), time.Now()
	for i, step := range []struct {
		applied, last uint64
		at, want      time.Duration
	}{
		{10, 12, 0, 0},
		{10, 12, 2 * time.Second, 2 * time.Second},
		{11, 20, 4 * time.Second, 4 * time.Second},
		{12, 20, 6 * time.Second, 0}, // what waited at first is done
		{12, 20, 9 * time.Second, 3 * time.Second},
	} {
		if got := p.waits(postgres.Progress{Stage: "mapper", Partition: 3, Seq: step.applied}, step.last, start.Add(step.at)); got != step.want {
			t.Errorf("look %d: it waits for %v, want %v", i, got, step.want)
		}
	}
	if got := p.waits(postgres.Progress{Stage: "mapper", Partition: 4, Seq: 1}, 2, start.Add(time.Minute)); got != 0 {
		t.Errorf("another partition waits for %v", got)
	}
}

// TestNobodyCostsLittle: samples are taken often while somebody looks, and
// seldom else.
func TestNobodyCostsLittle(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for _, test := range []struct {
		name          string
		tried, looked time.Duration // ago
		took          time.Duration
		want          bool
	}{
		{"never tried, nobody looks", 1000 * time.Hour, 1000 * time.Hour, 0, true},
		{"just tried, nobody looks", 2 * time.Second, time.Hour, 0, false},
		{"tried a while ago, nobody looks", 20 * time.Second, 11 * time.Second, 0, false},
		{"tried long ago, nobody looks", 30 * time.Second, time.Hour, 0, true},
		{"just tried, somebody looks", time.Second, 0, 0, false},
		{"tried, somebody looks", 2 * time.Second, 0, 0, true},
		{"tried, somebody looked a moment ago", 2 * time.Second, 9 * time.Second, 0, true},
		{"a million rows were counted, somebody looks", 10 * time.Second, 0, time.Second, false},
		{"a million rows were counted a while ago, somebody looks", 20 * time.Second, 0, time.Second, true},
	} {
		if got := due(now, now.Add(-test.tried), now.Add(-test.looked), test.took); got != test.want {
			t.Errorf("%s: a sample is due: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestOnlyTheNewestSampleHasLanes: thousands of them, hundreds of times, are too
// much to keep. Whoever holds an older sample keeps what it was given.
func TestOnlyTheNewestSampleHasLanes(t *testing.T) {
	t.Parallel()
	p := New(Config{})
	start := time.Now()
	var held []*Sample
	for i := range 3 {
		one := &Sample{taken: start.Add(time.Duration(i) * 2 * time.Second), Stages: []Stage{{Name: "mapper", Applied: uint64(10 * i)}}}
		at := make(map[laneKey]int)
		one.lane(at, "acme", 1).Rows = 5
		one.lane(at, "beta", 1).Rows = 7
		one.lane(at, "acme", 1).Used = i
		p.add(one)
		held = append(held, p.Newest())
	}
	samples, _ := p.Samples()
	if len(samples) != 3 || samples[0].Lanes != nil || samples[1].Lanes != nil {
		t.Errorf("older samples hold lanes: %v", samples)
	}
	for i, one := range held {
		if lanes := one.ByTenant(); len(one.Lanes) != 2 || len(lanes["acme"]) != 1 || lanes["acme"][0].Used != i || lanes["acme"][0].Rows != 5 || len(one.Of("beta")) != 1 {
			t.Errorf("sample %d has the lanes %+v", i, one.Lanes)
		}
	}
	if got := samples[2].Stages[0].Rate; got != 5 {
		t.Errorf("the stage handles %v messages a second, want 5", got)
	}
}

// TestStagesWithoutOwnersAreTold, since no process of theirs could.
func TestStagesWithoutOwnersAreTold(t *testing.T) {
	t.Parallel()
	p := New(Config{})
	if told := p.Troubles(); len(told) != 0 {
		t.Errorf("before the first look: %q", told)
	}
	p.add(&Sample{Stages: []Stage{{Name: "mapper", Partitions: 16, Owned: 16}, {Name: "writer-hubspot", Partitions: 16, Owned: 13}}})
	if told := p.Troubles(); len(told) != 1 || told[0] != "writer-hubspot: of 16 partitions 3 have no owner" {
		t.Errorf("three partitions without owner are told as %q", told)
	}
}
