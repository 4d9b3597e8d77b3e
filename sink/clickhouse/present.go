package clickhouse

import (
	"context"
	"fmt"
	"strconv"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// The codes that say that there is no such table, and so nothing in it.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
)

// Present tells how many rows of the batch are in its table, and whether an attempt may still be running. The
// error is an *sink.Error.
//
// Running attempts are asked for before the rows are counted: an attempt that has ended before the first question is
// seen by the second one. Where the addresses are replicas, rows count as absent only once the replica that is
// asked has fetched everything that Keeper knows of.
func (s *Sink) Present(ctx context.Context, b *sink.Batch) (sink.Presence, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	asked := s.addresses
	if home := s.homes.get(b.ID()); home != nil && s.config.Failover == FailoverNone {
		asked = []*address{home}
	}
	found, err := s.count(ctx, asked, b)
	if err == nil && found.Rows == 0 {
		if found.Running, err = s.running(ctx, asked, b); err == nil {
			if err = s.synchronize(ctx, asked, b.Layout().Table()); err == nil {
				var again sink.Presence
				again, err = s.count(ctx, asked, b)
				found.Rows = again.Rows
			}
		}
	}
	if err != nil {
		failure := s.classify("ask for rows in", b.Layout().Table().FullName(), err, false)
		return sink.Presence{}, failure
	}
	return found, nil
}

// count counts the batch's rows: on servers that know nothing of each other in sum, on replicas the most that one has.
func (s *Sink) count(ctx context.Context, asked []*address, b *sink.Batch) (sink.Presence, error) {
	var found sink.Presence
	for _, a := range asked {
		rows, err := a.number(ctx, s.countStatement(b))
		if code, _ := exceptionCode(err); code == codeUnknownTable || code == codeUnknownDatabase {
			rows, err = 0, nil
		}
		if err != nil {
			if s.config.Failover == FailoverReplicas && found.Rows > 0 {
				continue
			}
			return found, err
		}
		if s.config.Failover == FailoverReplicas {
			found.Rows = max(found.Rows, rows)
		} else {
			found.Rows += rows
		}
		if rows > 0 && len(s.addresses) > 1 {
			s.homes.set(b.ID(), a)
		}
	}
	return found, nil
}

func (s *Sink) countStatement(b *sink.Batch) string {
	table := b.Layout().Table()
	statement := "SELECT count() FROM " + tableName(table) + " WHERE " + schema.QuoteIdentifier(schema.BatchIDColumn) + " = " + schema.QuoteString(b.ID())
	if p := b.Partition(); p != nil && p.Condition != "" && !s.misjudged.has(table.FullName()) {
		statement += " AND (" + p.Condition + ")"
	}
	if s.config.Failover == FailoverReplicas {
		statement += " SETTINGS select_sequential_consistency = 1"
	}
	return statement
}

// running says whether an attempt of the batch runs on one of the servers. Attempts are known by their query ids: the
// batch's id, a dash and a number.
func (s *Sink) running(ctx context.Context, asked []*address, b *sink.Batch) (bool, error) {
	prefix := b.ID() + "-"
	statement := fmt.Sprintf("SELECT count() FROM system.processes WHERE startsWith(query_id, %s) AND match(substring(query_id, %d), '^[0-9]+w?$')",
		schema.QuoteString(prefix), len(prefix)+1)
	for _, a := range asked {
		n, err := a.number(ctx, statement)
		if err != nil {
			return false, err
		}
		if n > 0 {
			return true, nil
		}
	}
	return false, nil
}

// synchronize waits until a replica has fetched what the others have written. A part that only a server that is away
// has can't be fetched, so that it takes until the context ends, and the batch's fate stays open.
func (s *Sink) synchronize(ctx context.Context, asked []*address, table *schema.Table) error {
	if s.config.Failover != FailoverReplicas {
		return nil
	}
	var err error
	for _, a := range asked {
		if err = a.exec(ctx, "SYSTEM SYNC REPLICA "+tableName(table)+" LIGHTWEIGHT"); err == nil {
			return nil
		}
	}
	return err
}

// number runs a statement that returns one number.
func (a *address) number(ctx context.Context, statement string) (int, error) {
	rows, err := a.query(ctx, statement)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 || len(rows[0]) != 1 {
		return 0, fmt.Errorf("%s: %d rows where one number was expected", a.name, len(rows))
	}
	return strconv.Atoi(rows[0][0])
}
