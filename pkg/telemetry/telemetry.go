// Package telemetry is the only room that knows the OpenTelemetry SDK: it sends
// traces and metrics by OTLP when an endpoint is configured, serves metrics for
// scraping, and makes the JSON log.
//
// A property's value never appears in any of them; the tenant appears in spans
// and logs, never as an attribute of a metric.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	promclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	apitrace "go.opentelemetry.io/otel/trace"
)

// Telemetry is a process's telemetry.
type Telemetry struct {
	Metrics *Metrics

	traces   *trace.TracerProvider
	metrics  *metric.MeterProvider
	registry *promclient.Registry
}

// Start sets up the process's telemetry. Exporters are chosen by the standard
// environment: OTEL_EXPORTER_OTLP_ENDPOINT turns both on.
func Start(ctx context.Context, service, instance string) (*Telemetry, error) {
	res, err := resource.Merge(resource.Default(), resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("service.namespace", "lockstep"), attribute.String("service.instance.id", instance)))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	t := &Telemetry{registry: promclient.NewRegistry()}
	limits := trace.NewSpanLimits() // of the environment
	if os.Getenv("OTEL_SPAN_LINK_COUNT_LIMIT") == "" {
		limits.LinkCountLimit = 1024 // a batch is linked to a hundred contacts' edits, up to eight of each
	}
	traceOptions := []trace.TracerProviderOption{trace.WithResource(res), trace.WithRawSpanLimits(limits), trace.WithSampler(linked{trace.ParentBased(root())})}
	scrape, err := prometheus.New(prometheus.WithRegisterer(t.registry))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	metricOptions := []metric.Option{metric.WithResource(res), metric.WithReader(scrape)}
	if configured() {
		spans, err := autoexport.NewSpanExporter(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: traces: %w", err)
		}
		reader, err := autoexport.NewMetricReader(ctx)
		if err != nil {
			return nil, fmt.Errorf("telemetry: metrics: %w", err)
		}
		traceOptions = append(traceOptions, trace.WithBatcher(spans))
		metricOptions = append(metricOptions, metric.WithReader(reader))
	}
	t.traces, t.metrics = trace.NewTracerProvider(traceOptions...), metric.NewMeterProvider(metricOptions...)
	otel.SetTracerProvider(t.traces)
	otel.SetMeterProvider(t.metrics)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	if err := runtime.Start(); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	if t.Metrics, err = newMetrics(t.metrics.Meter("lockstep")); err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return t, nil
}

// configured reports whether an exporter is asked for.
func configured() bool {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// root samples roots by OTEL_TRACES_SAMPLER_ARG (0 to 1), all by default. A
// span that nobody exports costs little, and its context must still travel.
func root() trace.Sampler {
	var ratio float64
	if _, err := fmt.Sscan(os.Getenv("OTEL_TRACES_SAMPLER_ARG"), &ratio); err == nil && ratio >= 0 && ratio < 1 {
		return trace.TraceIDRatioBased(ratio)
	}
	return trace.AlwaysSample()
}

// linked keeps a new root when a span that it links to is kept, so that a
// batch is never missing from the trace of an edit in it.
type linked struct{ trace.Sampler }

func (s linked) ShouldSample(p trace.SamplingParameters) trace.SamplingResult {
	for _, link := range p.Links {
		if link.SpanContext.IsSampled() {
			return trace.AlwaysSample().ShouldSample(p)
		}
	}
	return s.Sampler.ShouldSample(p)
}

// Handler serves the metrics for scraping. Only the format of OpenMetrics has
// exemplars, which lead from a slow edit to its trace.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{EnableOpenMetrics: true})
}

// Shutdown sends what is left.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}

// Logger makes the process's JSON log on standard error, with the ids of the
// span that a line belongs to.
func Logger(service string) *slog.Logger {
	level := slog.LevelInfo
	if text := os.Getenv("LOCKSTEP_LOG_LEVEL"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			level = slog.LevelInfo
		}
	}
	return slog.New(spanHandler{slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})}).With("service", service)
}

type spanHandler struct{ slog.Handler }

func (h spanHandler) Handle(ctx context.Context, r slog.Record) error {
	if span := apitrace.SpanContextFromContext(ctx); span.IsValid() {
		r.AddAttrs(slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h spanHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return spanHandler{h.Handler.WithAttrs(attrs)}
}

func (h spanHandler) WithGroup(name string) slog.Handler {
	return spanHandler{h.Handler.WithGroup(name)}
}
