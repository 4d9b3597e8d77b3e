package main

import (
	"context"

	"github.com/logbatcher/logbatcher/schema"
)

// admin answers the admin service from the router and the delivery.
type admin struct{ g *gateway }

// ListDeadLetters implements server.DeadLetters.
func (a *admin) ListDeadLetters(ctx context.Context, selection *schema.LetterSelection, token string, count int) ([]schema.Letter, string, error) {
	return a.g.mender.List(ctx, selection, token, count)
}

// ShowDeadLetter implements server.DeadLetters.
func (a *admin) ShowDeadLetter(ctx context.Context, id string) (*schema.Letter, error) {
	return a.g.mender.Show(ctx, id)
}

// ReplayDeadLetters implements server.DeadLetters.
func (a *admin) ReplayDeadLetters(ctx context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error {
	return a.g.mender.Replay(ctx, work, report)
}

// DropDeadLetters implements server.DeadLetters.
func (a *admin) DropDeadLetters(ctx context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error {
	return a.g.mender.Drop(ctx, work, report)
}

// ExportDeadLetters implements server.DeadLetters.
func (a *admin) ExportDeadLetters(ctx context.Context, selection *schema.LetterSelection, write func(line []byte) error) error {
	return a.g.mender.Export(ctx, selection, write)
}

// ListShards implements server.Admin.
func (a *admin) ListShards(ctx context.Context) ([]schema.ShardState, error) {
	return a.g.router.Shards(ctx)
}

// ListRoutes implements server.Admin.
func (a *admin) ListRoutes(context.Context) ([]schema.RouteState, int, error) {
	states, unmatched := a.g.router.Routes()
	for i := range states {
		s := &states[i]
		t := a.g.delivery.TableState(s.Table)
		s.InsertsInFlight, s.InsertLimit, s.LastFailedBatch = t.InFlight, t.Limit, t.LastFailure
		if t.Held {
			s.HeldReason = t.HeldReason
		}
	}
	return states, int(unmatched), nil
}

// Flush implements server.Admin.
func (a *admin) Flush(ctx context.Context, table string) (batches, rows int, err error) {
	return a.g.router.Flush(ctx, table)
}

// Explain implements server.Admin.
func (a *admin) Explain(_ context.Context, e *schema.Entry) (*schema.Explanation, error) {
	explanation := a.g.router.Explain(e)
	return &explanation, nil
}
