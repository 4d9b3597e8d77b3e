package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Mutation is a mutation of a table, as system.mutations has it.
type Mutation struct {
	// ID and Command are the mutation's.
	ID, Command string
	// Done and Killed tell how it ended.
	Done, Killed bool
	// PartsToDo is how many parts are left.
	PartsToDo int
	// FailReason is why the last try failed. Empty: none did.
	FailReason string
}

// ErrMutationUnfinished tells that rows were not deleted because a mutation of the table is not done: one of somebody
// else's, or one of ours that takes longer than it may.
var ErrMutationUnfinished = errors.New("a mutation of the table is not done")

// MutationFailedError tells that a mutation failed and was killed, so that it blocks the table no longer.
type MutationFailedError struct {
	// Mutation is what failed.
	Mutation Mutation
}

// Error returns the command and why it failed.
func (e *MutationFailedError) Error() string {
	return fmt.Sprintf("mutation %s %s was killed: %s", e.Mutation.ID, e.Mutation.Command, e.Mutation.FailReason)
}

// errMutationGone: ClickHouse took the statement and lists no mutation for it.
var errMutationGone = errors.New("the mutation is not in system.mutations")

// readMutations returns the mutations of a table that ClickHouse still lists, oldest first.
func readMutations(ctx context.Context, conn schema.Conn, t *schema.Table) ([]Mutation, error) {
	rows, err := conn.Query(ctx, "SELECT mutation_id, command, is_done, parts_to_do, latest_fail_reason, is_killed FROM system.mutations WHERE database = "+
		schema.QuoteString(t.Database)+" AND table = "+schema.QuoteString(t.Name)+" ORDER BY create_time, mutation_id")
	if err != nil {
		return nil, fmt.Errorf("read mutations: %w", err)
	}
	list := make([]Mutation, 0, len(rows))
	for _, row := range rows {
		left, err := strconv.Atoi(row[3])
		if err != nil {
			return nil, fmt.Errorf("read mutations: %w", err)
		}
		list = append(list, Mutation{ID: row[0], Command: row[1], Done: row[2] == "1", PartsToDo: left, FailReason: row[4], Killed: row[5] == "1"})
	}
	return list, nil
}

func unfinished(list []Mutation) []Mutation {
	return slices.DeleteFunc(slices.Clone(list), func(m Mutation) bool { return m.Done || m.Killed })
}

// startsWithComparison reports whether a mutation deletes by the comparison that retention runs use. ClickHouse puts parentheses
// around a comparison that is one of several.
func (m Mutation) startsWithComparison(comparison string) bool {
	command := schema.CanonicalTokens(schema.Tokens(m.Command))
	return strings.Contains(command, schema.CanonicalTokens(schema.Tokens("WHERE "+comparison))) ||
		strings.Contains(command, schema.CanonicalTokens(schema.Tokens("WHERE ("+comparison)))
}

// startMutation runs a statement and returns the mutation that it made.
func startMutation(ctx context.Context, conn schema.Conn, t *schema.Table, statement, comparison string) (string, error) {
	before, err := readMutations(ctx, conn, t)
	if err != nil {
		return "", err
	}
	if err := conn.Exec(ctx, statement); err != nil {
		return "", err
	}
	after, err := readMutations(ctx, conn, t)
	if err != nil {
		return "", err
	}
	for _, m := range slices.Backward(after) {
		known := slices.ContainsFunc(before, func(b Mutation) bool { return b.ID == m.ID })
		if !known && m.startsWithComparison(comparison) {
			return m.ID, nil
		}
	}
	return "", errMutationGone
}

// failuresBeforeKill is how many looks in a row must find a mutation failing: ClickHouse tries again
// by itself, and memory may have been short for a moment.
const failuresBeforeKill = 3

// watchMutation waits until a mutation is done. One that fails is killed and reported as *MutationFailedError. When ctx
// ends the mutation goes on, and the next run takes it up.
func watchMutation(ctx context.Context, conn schema.Conn, t *schema.Table, id string, poll time.Duration) error {
	failures := 0
	for {
		list, err := readMutations(ctx, conn, t)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(list, func(m Mutation) bool { return m.ID == id })
		switch {
		case i < 0:
			return errMutationGone
		case list[i].Done:
			return nil
		case list[i].Killed:
			return &MutationFailedError{Mutation: list[i]}
		case list[i].FailReason != "":
			if failures++; failures == failuresBeforeKill {
				return killMutation(ctx, conn, t, list[i])
			}
		default:
			failures = 0
		}
		if err := sleep(ctx, poll); err != nil {
			return err
		}
	}
}

func killMutation(ctx context.Context, conn schema.Conn, t *schema.Table, m Mutation) error {
	failed := &MutationFailedError{Mutation: m}
	err := conn.Exec(ctx, "KILL MUTATION"+schema.OnCluster(t)+" WHERE database = "+schema.QuoteString(t.Database)+
		" AND table = "+schema.QuoteString(t.Name)+" AND mutation_id = "+schema.QuoteString(m.ID))
	if err != nil {
		return fmt.Errorf("kill mutation: %w: %w", err, failed)
	}
	return failed
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
