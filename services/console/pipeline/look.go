package pipeline

import (
	"context"
	"strconv"
	"strings"
	"time"

	"lockstep.internal/pkg/bus"
	"lockstep.internal/pkg/contact"
	"lockstep.internal/pkg/postgres"
)

// look takes one sample.
func (p *Pipeline) look(ctx context.Context) (*Sample, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	one := &Sample{taken: time.Now()}
	one.At = one.taken.Unix()
	at := make(map[laneKey]int)
	counts, err := p.config.DB.LaneCounts(ctx)
	if err != nil {
		return nil, err
	}
	for _, n := range counts {
		one.Waiting, one.Failed = one.Waiting+n.Rows, one.Failed+n.Failed
		lane := one.lane(at, n.Tenant, n.System)
		lane.Rows, lane.Failed, lane.Oldest = n.Rows, n.Failed, n.Oldest
	}
	for _, system := range contact.Systems {
		pauses, err := p.config.DB.Pauses(ctx, system)
		if err != nil {
			return nil, err
		}
		for _, pause := range pauses {
			lane := one.lane(at, pause.Tenant, system)
			lane.Pause, lane.Because = pause.Until, pause.Class+" "+pause.Reason
		}
	}
	uses, err := p.config.DB.LaneUses(ctx, 10*time.Second)
	if err != nil {
		return nil, err
	}
	for _, use := range uses {
		lane := one.lane(at, use.Tenant, use.System)
		lane.Used, lane.Most, lane.Today = use.Used, use.Most, use.Today
	}
	latency, err := p.config.DB.Latency(ctx, time.Minute)
	if err != nil {
		return nil, err
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	one.P50, one.P95, one.P99, one.Writes = ms(latency.P50), ms(latency.P95), ms(latency.P99), latency.Writes
	one.Stages, err = p.stages(ctx)
	return one, err
}

type laneKey struct {
	tenant contact.Tenant
	system contact.System
}

// lane is a lane of the sample, which is added where it is not there yet; at has
// their places.
func (s *Sample) lane(at map[laneKey]int, tenant contact.Tenant, system contact.System) *Lane {
	key := laneKey{tenant, system}
	i, ok := at[key]
	if !ok {
		i = len(s.Lanes)
		at[key] = i
		s.Lanes = append(s.Lanes, Lane{Tenant: tenant, System: system})
	}
	return &s.Lanes[i]
}

// mark is a message that waited when it was looked at.
type mark struct {
	seq uint64
	at  time.Time
}

// waits is for how long a partition has had something that waits, as far as
// looking at it now and then tells.
func (p *Pipeline) waits(part postgres.Progress, last uint64, now time.Time) time.Duration {
	name := part.Stage + "/" + strconv.Itoa(part.Partition)
	m, ok := p.marks[name]
	if !ok || part.Seq >= m.seq {
		m = mark{last, now} // what waited then is done
		if p.marks == nil {
			p.marks = make(map[string]mark)
		}
		p.marks[name] = m
	}
	return now.Sub(m.at)
}

// stages sums the partitions of each stage.
func (p *Pipeline) stages(ctx context.Context) ([]Stage, error) {
	progress, err := p.config.DB.Stages(ctx)
	if err != nil {
		return nil, err
	}
	var stages []Stage
	for _, part := range progress {
		if len(stages) == 0 || stages[len(stages)-1].Name != part.Stage {
			stages = append(stages, Stage{Name: part.Stage})
		}
		s := &stages[len(stages)-1]
		s.Partitions++
		if part.Owner != "" {
			s.Owned++
		}
		s.Applied += part.Seq
		if last, _, err := p.config.Bus.Last(ctx, streamOf(part), part.Partition); err == nil && last > part.Seq {
			s.Behind += last - part.Seq
			s.Age = max(s.Age, p.waits(part, last, time.Now()))
		}
	}
	return stages, nil
}

// streamOf is the stream that a stage reads.
func streamOf(of postgres.Progress) bus.Stream {
	switch bulk := strings.HasSuffix(of.Stage, "-bulk"); {
	case of.Stage == "mapper":
		return bus.Changes
	case of.Stage == "mapper-echo":
		return bus.ChangesEcho
	case of.Stage == "mapper-bulk":
		return bus.ChangesBulk
	case bulk:
		return bus.PatchesBulk
	}
	return bus.Patches
}
