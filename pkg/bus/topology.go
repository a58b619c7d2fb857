package bus

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"lockstep.internal/pkg/fault"
)

const (
	// duplicates is how long the server remembers message ids. It only has to
	// cover resends; versions and event ids make later copies harmless.
	duplicates = 2 * time.Minute
	// deadLetterAge is how long dead letters are kept for people to look at.
	deadLetterAge = 30 * 24 * time.Hour
	// partitionsKey is the metadata that tells how many partitions there are.
	partitionsKey = "lockstep.partitions"
	// makers is how many streams are made at once.
	makers = 16
)

var partitionStream = regexp.MustCompile(`^(CHG|CHB|PAT|PAB)-(\d\d)$`)

// Ensure makes the streams that are missing and adapts those that differ in
// ways that lose nothing. It refuses everything else: another number of
// partitions, other replicas or subjects, limits that would drop messages. It
// may run in any number of processes at once, and tries until ctx is done while
// the bus is away.
func (b *Bus) Ensure(ctx context.Context) error {
	if err := b.ensure(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.checked:
	default:
		close(b.checked)
	}
	return nil
}

func (b *Bus) ensure(ctx context.Context) error {
	exists := map[string]*jetstream.StreamInfo{}
	err := b.persist(ctx, "list streams", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // a cluster without a leader does not answer
		defer cancel()
		list := b.js.ListStreams(ctx)
		for info := range list.Info() {
			exists[info.Config.Name] = info
		}
		return list.Err()
	})
	if err != nil {
		return err
	}
	if err := b.checkPartitions(exists); err != nil {
		return err
	}

	type step struct {
		config jetstream.StreamConfig
		update bool
	}
	var steps []step
	var refusals []error
	for _, want := range b.topology() {
		have, ok := exists[want.Name]
		if !ok {
			steps = append(steps, step{config: want})
			continue
		}
		config, changed, err := reconcile(want, have)
		if err != nil {
			refusals = append(refusals, err)
		} else if changed {
			steps = append(steps, step{config: config, update: true})
		}
	}
	if len(refusals) > 0 {
		return fault.Wrap(fault.Permanent, fmt.Errorf("streams differ from the configuration: %w", errors.Join(refusals...)))
	}

	var wg sync.WaitGroup
	var mu sync.Mutex
	var failures []error
	slots := make(chan struct{}, makers)
	for _, s := range steps {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := b.makeStream(ctx, s.config, s.update); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failures = append(failures, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(failures...)
}

// makeStream creates or updates one stream. While a cluster has no leader it
// tries again until ctx is done.
func (b *Bus) makeStream(ctx context.Context, config jetstream.StreamConfig, update bool) error {
	for wait := newBackoff(); ; {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		var err error
		if update {
			_, err = b.js.UpdateStream(attempt, config)
		} else {
			_, err = b.js.CreateStream(attempt, config)
		}
		cancel()
		var api *jetstream.APIError
		switch {
		case err == nil:
			return nil
		case errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) && !update: // another process was faster
			info, infoErr := b.info(ctx, config.Name)
			if infoErr == nil {
				_, differs, refusal := reconcile(config, info)
				if refusal == nil && !differs {
					return nil
				}
				return fault.Wrap(fault.Permanent, fmt.Errorf("make stream %s: another process made it differently: %w", config.Name, errors.Join(err, refusal)))
			}
		case errors.As(err, &api) && api.Code != 503 && api.Code != 429:
			return fault.Wrap(fault.Permanent, fmt.Errorf("make stream %s: %w", config.Name, err))
		}
		if wait.pause(ctx) != nil {
			return unavailable("make stream "+config.Name, err)
		}
	}
}

// checkPartitions refuses to run with another number of partitions than the
// streams were made for: tenants would move, and their order would be lost.
func (b *Bus) checkPartitions(exists map[string]*jetstream.StreamInfo) error {
	for name, info := range exists {
		match := partitionStream.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		partition, _ := strconv.Atoi(match[2])
		made := info.Config.Metadata[partitionsKey]
		if made != strconv.Itoa(b.config.Partitions) || partition >= b.config.Partitions {
			return fault.Wrap(fault.Permanent, fmt.Errorf(
				"stream %s was made for %q partitions, the configuration says %d: the number is fixed at install", name, made, b.config.Partitions))
		}
	}
	return nil
}

// topology is the configuration of all streams.
func (b *Bus) topology() []jetstream.StreamConfig {
	var configs []jetstream.StreamConfig
	// No compression: applied messages are trimmed, so that little is kept. And
	// a server of a cluster (2.15.2, 2026-11) was seen to append plain messages
	// to a compressed block when it was back, which it could not read any more.
	base := jetstream.StreamConfig{
		Retention: jetstream.LimitsPolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxAge: b.config.MaxAge, MaxBytes: b.config.MaxBytes, MaxMsgSize: eventLimit + headerSlack,
		Replicas: b.config.Replicas, Compression: jetstream.NoCompression, Duplicates: duplicates,
		AllowDirect: true, MaxMsgs: -1, MaxMsgsPerSubject: -1, MaxConsumers: -1,
		Metadata: map[string]string{partitionsKey: strconv.Itoa(b.config.Partitions)},
	}
	for _, s := range Streams {
		for p := range b.config.Partitions {
			c := base
			c.Name, c.Subjects = s.name(p), []string{s.subjects(p)}
			configs = append(configs, c)
		}
	}
	// The dead letters are copies for people: the oldest give way, so that a
	// flood of them never stops the partitions.
	letters := base
	letters.Name, letters.Subjects = deadLetters, []string{"dlq.>"}
	letters.Discard, letters.MaxAge, letters.MaxMsgSize = jetstream.DiscardOld, max(deadLetterAge, b.config.MaxAge), -1
	return append(configs, letters)
}

// reconcile gives the configuration to update an existing stream with, or the
// reason why it must not be changed.
func reconcile(want jetstream.StreamConfig, info *jetstream.StreamInfo) (jetstream.StreamConfig, bool, error) {
	have := info.Config
	refuse := func(what string, is, should any) error {
		return fmt.Errorf("stream %s: %s is %v, want %v: change it by hand if that is meant", have.Name, what, is, should)
	}
	switch {
	case !slices.Equal(have.Subjects, want.Subjects):
		return have, false, refuse("subjects", have.Subjects, want.Subjects)
	case have.Retention != want.Retention:
		return have, false, refuse("retention", have.Retention, want.Retention)
	case have.Storage != want.Storage:
		return have, false, refuse("storage", have.Storage, want.Storage)
	case have.Discard != want.Discard:
		return have, false, refuse("discard policy", have.Discard, want.Discard)
	case have.Replicas != want.Replicas:
		return have, false, refuse("replicas", have.Replicas, want.Replicas)
	case have.MaxMsgs > 0 || have.MaxMsgsPerSubject > 0:
		return have, false, refuse("message limit", max(have.MaxMsgs, have.MaxMsgsPerSubject), "none")
	case have.Mirror != nil || len(have.Sources) > 0 || have.SubjectTransform != nil || have.Sealed:
		return have, false, refuse("kind", "a mirror, sourced, transformed or sealed stream", "a plain one")
	case want.MaxAge < have.MaxAge || have.MaxAge == 0:
		return have, false, refuse("max age", have.MaxAge, want.MaxAge)
	case uint64(want.MaxBytes) < info.State.Bytes:
		return have, false, refuse("size", fmt.Sprint(info.State.Bytes, " bytes"), fmt.Sprint("at most ", want.MaxBytes))
	}
	next := have
	next.MaxAge, next.MaxBytes, next.MaxMsgSize = want.MaxAge, want.MaxBytes, want.MaxMsgSize
	next.Duplicates, next.Compression, next.AllowDirect = want.Duplicates, want.Compression, want.AllowDirect
	changed := have.MaxAge != next.MaxAge || have.MaxBytes != next.MaxBytes || have.MaxMsgSize != next.MaxMsgSize ||
		have.Duplicates != next.Duplicates || have.Compression != next.Compression || have.AllowDirect != next.AllowDirect
	return next, changed, nil
}
