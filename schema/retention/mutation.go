package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Mutation is a mutation of a table, as system.mutations shows it.
type Mutation struct {
	// ID and Command are the mutation's.
	ID, Command string
	// Done and Killed report how it ended.
	Done, Killed bool
	// FailReason is why the last attempt failed. Empty: none did.
	FailReason string
}

// ErrMutationUnfinished is returned when rows were not deleted because a mutation of the table is not done: one that
// LogBatcher did not start, or one of ours that runs longer than MutationTimeout.
var ErrMutationUnfinished = errors.New("a mutation of the table is not done")

// MutationFailedError is returned for a mutation that failed and was killed, so that it no longer blocks the table.
type MutationFailedError struct {
	// Mutation is what failed.
	Mutation Mutation
}

// Error returns the command and why it failed.
func (e *MutationFailedError) Error() string {
	return fmt.Sprintf("mutation %s %s was killed: %s", e.Mutation.ID, e.Mutation.Command, e.Mutation.FailReason)
}

// errMutationGone is returned for a mutation that ClickHouse accepted and does not list.
var errMutationGone = errors.New("the mutation is not in system.mutations")

// failuresBeforeKill is how many looks in a row must find a mutation failing: ClickHouse retries by itself, and memory may
// have been short for a moment.
const failuresBeforeKill = 3

func mutationsWhere(t *schema.Table) string {
	return " WHERE database = " + schema.QuoteString(t.Database) + " AND table = " + schema.QuoteString(t.Name)
}

// mutations returns the table's mutations that ClickHouse still lists, oldest first.
func (r *Retainer) mutations(ctx context.Context, t *schema.Table) ([]Mutation, error) {
	rows, err := r.config.Conn.Query(ctx, "SELECT mutation_id, command, is_done, is_killed, latest_fail_reason FROM system.mutations"+
		mutationsWhere(t)+" ORDER BY create_time, mutation_id")
	if err != nil {
		return nil, fmt.Errorf("read mutations: %w", err)
	}
	list := make([]Mutation, 0, len(rows))
	for _, row := range rows {
		list = append(list, Mutation{ID: row[0], Command: row[1], Done: row[2] == "1", Killed: row[3] == "1", FailReason: row[4]})
	}
	return list, nil
}

func (r *Retainer) unfinished(ctx context.Context, t *schema.Table) ([]Mutation, error) {
	list, err := r.mutations(ctx, t)
	return slices.DeleteFunc(list, func(m Mutation) bool { return m.Done || m.Killed }), err
}

// withoutSpelling removes what ClickHouse may add to a command or leave out.
var withoutSpelling = strings.NewReplacer("`", "", "(", "", ")", "", " ", "")

// compares reports whether a mutation deletes by the comparison that retention runs use.
func (m Mutation) compares(comparison string) bool {
	return strings.Contains(withoutSpelling.Replace(m.Command), withoutSpelling.Replace("WHERE "+comparison))
}

// mutate deletes rows and blocks until that is done.
func (r *Retainer) mutate(ctx context.Context, t *schema.Table, plan *Plan) error {
	before, err := r.mutations(ctx, t)
	if err != nil {
		return err
	}
	if err := r.config.Conn.Exec(ctx, plan.Delete.Statement); err != nil {
		return err
	}
	after, err := r.mutations(ctx, t)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(after) {
		known := slices.ContainsFunc(before, func(b Mutation) bool { return b.ID == m.ID })
		if !known && m.compares(plan.comparison) {
			return r.await(ctx, t, m.ID)
		}
	}
	return errMutationGone
}

// await blocks until a mutation is done. It kills one that keeps failing and returns a *MutationFailedError. When ctx ends, or
// after MutationTimeout, the mutation continues and the next run waits for it.
func (r *Retainer) await(ctx context.Context, t *schema.Table, id string) error {
	wait, cancel := context.WithTimeoutCause(ctx, r.config.MutationTimeout, ErrMutationUnfinished)
	defer cancel()
	for failures := 0; ; {
		list, err := r.mutations(wait, t)
		i := slices.IndexFunc(list, func(m Mutation) bool { return m.ID == id })
		switch {
		case wait.Err() != nil:
			return context.Cause(wait)
		case err != nil:
			return err
		case i < 0:
			return errMutationGone
		case list[i].Done:
			return nil
		case list[i].Killed:
			return &MutationFailedError{Mutation: list[i]}
		case list[i].FailReason == "":
			failures = 0
		default:
			failures++
		}
		if failures == failuresBeforeKill {
			return r.kill(ctx, t, list[i])
		}
		if err := sleep(wait, r.config.PollInterval); err != nil {
			return err
		}
	}
}

func (r *Retainer) kill(ctx context.Context, t *schema.Table, m Mutation) error {
	failed := &MutationFailedError{Mutation: m}
	err := r.config.Conn.Exec(ctx, "KILL MUTATION"+t.OnCluster()+mutationsWhere(t)+" AND mutation_id = "+schema.QuoteString(m.ID))
	if err != nil {
		return fmt.Errorf("kill mutation: %w: %w", err, failed)
	}
	return failed
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
