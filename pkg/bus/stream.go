package bus

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"lockstep.internal/pkg/contact"
)

// Stream is a kind of stream; there is one stream of each kind for every
// partition.
type Stream string

// The kinds: events on their way to the mapper and patches on their way to the
// writers, each with a twin for bulk work, so that bulk never delays live. What a
// system tells of our own writes, and what it makes of them by itself, has a stream
// too: a first sync brings a dozen such events for each contact.
const (
	Changes     Stream = "CHG"
	ChangesEcho Stream = "CHE"
	ChangesBulk Stream = "CHB"
	Patches     Stream = "PAT"
	PatchesBulk Stream = "PAB"
)

// Streams are all kinds.
var Streams = [5]Stream{Changes, ChangesEcho, ChangesBulk, Patches, PatchesBulk}

// deadLetters is the one stream of messages that could not be handled.
const deadLetters = "DLQ"

func (s Stream) known() bool {
	return slices.Contains(Streams[:], s)
}

func (s Stream) carriesPatches() bool { return s == Patches || s == PatchesBulk }

// Template is the stream's subject with placeholders, the low-cardinality name
// of its spans: "chg.{pp}.{tenant}".
func (s Stream) Template() string {
	template := strings.ToLower(string(s)) + ".{pp}.{tenant}"
	if s.carriesPatches() {
		template += ".{system}"
	}
	return template
}

// name is the JetStream name of one partition's stream: "CHG-07".
func (s Stream) name(partition int) string { return fmt.Sprintf("%s-%02d", s, partition) }

// subjects are all subjects of one partition's stream.
func (s Stream) subjects(partition int) string {
	return fmt.Sprintf("%s.%02d.>", strings.ToLower(string(s)), partition)
}

func (s Stream) subject(partition int, tenant contact.Tenant, system contact.System) string {
	subject := fmt.Sprintf("%s.%02d.%s", strings.ToLower(string(s)), partition, tenant)
	if s.carriesPatches() {
		subject += "." + system.String()
	}
	return subject
}

// parseSubject gives the tenant and, for patches, the system of a subject.
func (s Stream) parseSubject(subject string) (contact.Tenant, contact.System, error) {
	tokens := strings.Split(subject, ".")
	want := 3
	if s.carriesPatches() {
		want = 4
	}
	if len(tokens) != want {
		return "", 0, fmt.Errorf("%w: subject has %d tokens, want %d", ErrUndecodable, len(tokens), want)
	}
	tenant, err := contact.ParseTenant(tokens[2])
	if err != nil {
		return "", 0, fmt.Errorf("%w: subject: %w", ErrUndecodable, err)
	}
	if want == 3 {
		return tenant, 0, nil
	}
	system, err := contact.ParseSystem(tokens[3])
	if err != nil {
		return tenant, 0, fmt.Errorf("%w: subject: %w", ErrUndecodable, err)
	}
	return tenant, system, nil
}

// PartitionOf is the partition on which all events and patches of a tenant
// travel.
func (b *Bus) PartitionOf(tenant contact.Tenant) int {
	return Hashed(tenant, b.config.Partitions)
}

// Hashed is the partition of a tenant: fnv1a32(tenant) modulo the number of
// partitions. A tenant stays there; the number is fixed at install.
func Hashed(tenant contact.Tenant, partitions int) int {
	h := fnv.New32a()
	h.Write([]byte(tenant))
	return int(h.Sum32() % uint32(partitions))
}

// Partitions is the number of partitions, fixed when the streams were made.
func (b *Bus) Partitions() int { return b.config.Partitions }

// check refuses a stream that cannot exist.
func (b *Bus) check(s Stream, partition int) error {
	if !s.known() || partition < 0 || partition >= b.config.Partitions {
		return fmt.Errorf("stream %s of partition %d: there are partitions 0 to %d: %w", s, partition, b.config.Partitions-1, ErrInvalid)
	}
	return nil
}
