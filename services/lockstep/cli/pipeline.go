package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

// pipeline shows what the installation is doing, once or for as long as one
// looks.
func (c *CLI) pipeline() *cobra.Command {
	var watch bool
	cmd := &cobra.Command{
		Use: "pipeline", Short: "Show what the installation is doing: stages, lanes, quotas, and the time from an edit to its write", Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := newClient(c, consolev1connect.NewPipelineServiceClient)
			if err != nil {
				return err
			}
			if !watch {
				answer, err := client.GetPipeline(cmd.Context(), &consolev1.GetPipelineRequest{})
				if err != nil {
					return err
				}
				return c.print(cmd, answer.GetPipeline(), pipelineRows(answer.GetPipeline()))
			}
			for { // a stream lasts less than a minute, and is asked for again
				stream, err := client.WatchPipeline(cmd.Context(), &consolev1.WatchPipelineRequest{})
				if err != nil {
					return err
				}
				for stream.Receive() {
					if err := c.print(cmd, stream.Msg().GetPipeline(), append(pipelineRows(stream.Msg().GetPipeline()), []string{""})); err != nil {
						return err
					}
				}
				if err := stream.Err(); err != nil {
					return err
				}
			}
		},
	}
	cmd.Flags().BoolVar(&watch, "watch", false, "go on, with each look that the console takes")
	return cmd
}

func pipelineRows(p *consolev1.Pipeline) [][]string {
	at := "not looked at yet"
	if p.GetAtMs() != 0 {
		at = time.UnixMilli(p.GetAtMs()).UTC().Format(time.DateTime) + " UTC"
	}
	rows := [][]string{
		{at}, {fmt.Sprintf("%.0f ms median, %.0f ms 95 %%, %.0f ms 99 %% from an edit to its write, of %d in the last minute", p.GetP50Ms(), p.GetP95Ms(), p.GetP99Ms(), p.GetWrites())},
		{fmt.Sprintf("%s to be written, %d of them tried before", many(p.GetWaiting(), "contact waits", "contacts wait"), p.GetTried())}, {},
		{"STAGE", "OWNED", "A SECOND", "BEHIND", "FOR", "APPLIED"},
	}
	for _, s := range p.GetStages() {
		rows = append(rows, []string{
			s.GetName(), fmt.Sprintf("%d of %d", s.GetOwned(), s.GetPartitions()), fmt.Sprintf("%.1f", s.GetRate()), fmt.Sprint(s.GetBehind()),
			time.Duration(s.GetAgeSeconds() * float64(time.Second)).Round(time.Second).String(), fmt.Sprint(s.GetApplied()),
		})
	}
	rows = append(rows, []string{}, laneHead)
	for _, l := range p.GetLanes() {
		rows = append(rows, laneRow(l))
	}
	rows = append(rows, []string{}, []string{"PART", "SAYS"})
	for _, name := range slices.Sorted(maps.Keys(p.GetChecks())) {
		rows = append(rows, []string{name, p.GetChecks()[name]})
	}
	return rows
}

var laneHead = []string{"TENANT", "INTO", "WAITING", "TRIED", "OLDEST", "QUOTA", "STATE"}

func laneRow(l *consolev1.Lane) []string {
	oldest, quota, state := "", "", "writing"
	if l.GetOldestMs() != 0 {
		oldest = time.Since(time.UnixMilli(l.GetOldestMs())).Round(time.Second).String()
	}
	if l.GetMost() != 0 {
		quota = fmt.Sprintf("%d of %d in 10 s", l.GetUsed(), l.GetMost())
	}
	if l.GetToday() != 0 {
		quota = strings.TrimPrefix(fmt.Sprintf("%s, %d today", quota, l.GetToday()), ", ")
	}
	if l.GetRestsUntilMs() != 0 {
		state = "rests until " + when(l.GetRestsUntilMs()) + ": " + l.GetBecause()
	}
	return []string{l.GetTenant(), l.GetSystem(), fmt.Sprint(l.GetWaiting()), fmt.Sprint(l.GetTried()), oldest, quota, state}
}
