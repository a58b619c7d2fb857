package api

import (
	"context"
	"time"

	"connectrpc.com/connect"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/pipeline"
)

// pipelineService is PipelineService.
type pipelineService struct{ Config }

// GetPipeline gives the newest sample.
func (s *pipelineService) GetPipeline(ctx context.Context, _ *consolev1.GetPipelineRequest) (*consolev1.GetPipelineResponse, error) {
	return &consolev1.GetPipelineResponse{Pipeline: s.seen(ctx, s.Pipeline.Fresh(ctx))}, nil
}

// WatchPipeline gives each sample as it is taken, until the caller goes, or a
// server would cut so long an answer: then one calls again.
func (s *pipelineService) WatchPipeline(ctx context.Context, _ *consolev1.WatchPipelineRequest, out *connect.ServerStream[consolev1.WatchPipelineResponse]) error {
	end := time.NewTimer(45 * time.Second)
	defer end.Stop()
	for {
		_, news := s.Pipeline.Samples()
		if err := out.Send(&consolev1.WatchPipelineResponse{Pipeline: s.seen(ctx, s.Pipeline.Newest())}); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			return nil
		case <-news:
		}
	}
}

// seen is a sample, with the lanes of the caller's tenants.
func (s *pipelineService) seen(ctx context.Context, now *pipeline.Sample) *consolev1.Pipeline {
	checks, _ := s.Pipeline.Check(ctx)
	out := &consolev1.Pipeline{Checks: checks}
	if now == nil {
		return out
	}
	out.AtMs, out.Waiting, out.Tried = now.At*1000, int64(now.Waiting), int64(now.Failed)
	out.P50Ms, out.P95Ms, out.P99Ms, out.Writes = now.P50, now.P95, now.P99, int64(now.Writes)
	for _, stage := range now.Stages {
		out.Stages = append(out.Stages, &consolev1.Stage{
			Name: stage.Name, Partitions: int32(stage.Partitions), Owned: int32(stage.Owned), Applied: stage.Applied, Rate: stage.Rate,
			Behind: stage.Behind, AgeSeconds: stage.Age.Seconds(),
		})
	}
	caller := access.From(ctx)
	for i := range now.Lanes {
		if caller.May(now.Lanes[i].Tenant, access.Viewer) {
			out.Lanes = append(out.Lanes, laneMessage(&now.Lanes[i]))
		}
	}
	return out
}

func laneMessage(l *pipeline.Lane) *consolev1.Lane {
	return &consolev1.Lane{
		Tenant: string(l.Tenant), System: l.System.String(), Waiting: int64(l.Rows), Tried: int64(l.Failed), OldestMs: millis(l.Oldest),
		RestsUntilMs: millis(l.Pause), Because: l.Because, Used: int32(l.Used), Most: int32(l.Most), Today: int32(l.Today),
	}
}
