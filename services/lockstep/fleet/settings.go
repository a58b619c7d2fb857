package fleet

import (
	"fmt"
	"strings"
)

// Settings are what all services of an installation are told.
type Settings struct {
	DatabaseURL string
	Bus         []string // addresses of the bus servers, nats://host:port
	SealKey     string
	Partitions  int
	Replicas    int    // of each stream
	StreamBytes int    // that a stream may hold
	Owner       string // the process's name, unique; "" lets it make one
	Probe       string // where it tells its health, host:port
}

// Env is the settings as environment variables.
func (s Settings) Env() []string {
	return []string{
		"DATABASE_URL=" + s.DatabaseURL, "NATS_URL=" + strings.Join(s.Bus, ","), "NATS_CREDS=", "LOCKSTEP_SEAL_KEY=" + s.SealKey,
		fmt.Sprintf("LOCKSTEP_PARTITIONS=%d", s.Partitions), fmt.Sprintf("LOCKSTEP_REPLICAS=%d", s.Replicas),
		fmt.Sprintf("LOCKSTEP_STREAM_BYTES=%d", s.StreamBytes),
		"LOCKSTEP_PROBE_ADDR=" + s.Probe, "LOCKSTEP_OWNER=" + s.Owner, "LOCKSTEP_LOG_LEVEL=info", "OTEL_EXPORTER_OTLP_ENDPOINT=",
	}
}
