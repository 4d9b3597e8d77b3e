package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/journal"
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

// ListProducers implements server.Producers.
func (a *admin) ListProducers(ctx context.Context, selection *schema.ProducerSelection) ([]schema.ProducerState, error) {
	var all []schema.ProducerState
	if a.g.owners != nil {
		var err error
		if all, err = a.g.owners.List(ctx); err != nil {
			return nil, err
		}
	} else {
		for _, name := range a.g.server.Producers() {
			all = append(all, schema.ProducerState{Tenant: name.Tenant, Producer: name.Producer})
		}
		slices.SortFunc(all, func(a, b schema.ProducerState) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Producer, b.Producer))
		})
	}
	all = slices.DeleteFunc(all, func(s schema.ProducerState) bool { return !selection.Selects(&s) })
	for i := range all {
		if s := &all[i]; a.g.owners == nil || s.Log == a.g.owners.ID() {
			s.Own = a.g.server.Known(s.Tenant, s.Producer)
		}
	}
	return all, nil
}

var errNoLog = errors.New("this instance keeps no write-ahead log, and so no books: see wal.enabled")

// Books implements server.Books.
func (a *admin) Books() (*schema.Books, error) {
	if a.g.journal == nil {
		return nil, errNoLog
	}
	return &schema.Books{Log: a.g.journal.Log().ID(), Tables: a.g.journal.Rows(), Producers: a.g.journal.Entries()}, nil
}

// SettledBatches implements server.Books.
func (a *admin) SettledBatches(since time.Time, each func(*schema.SettledBatch) error) error {
	if a.g.journal == nil {
		return errNoLog
	}
	return journal.SettledBatches(wal.OS{}, a.g.config.WAL.Dir, func(b journal.SettledBatch) error {
		if b.At.Before(since) {
			return nil
		}
		return each(&schema.SettledBatch{ID: b.ID, Table: b.Table, Committed: b.Committed, DeadLettered: b.DeadLettered, At: b.At})
	})
}

// ReleaseProducers implements server.Producers.
func (a *admin) ReleaseProducers(ctx context.Context, work *schema.ProducerWork, report func(*schema.ProducerState, bool, string) error) error {
	if a.g.owners == nil {
		return errors.New("this instance keeps no owners of producers in Redis: see producers.owners and wal.enabled")
	}
	return a.g.owners.Release(ctx, work, report)
}
