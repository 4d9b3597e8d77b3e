package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// The codes that mean there is no such table, and so nothing in it.
const (
	codeUnknownTable    = 60
	codeUnknownDatabase = 81
)

// Present reports how many rows of the batch are in its table, and whether an attempt may still be running. The error is an
// *sink.Error.
//
// Running attempts are looked up before the rows are counted, so that the count sees an attempt that ended before. What else it
// takes for rows to count as absent depends on the table's engine; see look.
func (s *Sink) Present(ctx context.Context, b *batch.Block) (sink.Presence, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	found, err := s.present(ctx, b)
	if err != nil {
		return sink.Presence{}, s.classify("ask for rows in", b.Layout().Table().FullName(), err, false)
	}
	return found, nil
}

// present asks all addresses. Rows found anywhere are present. They are absent if all addresses say so, or one replica that
// has caught up with all others.
func (s *Sink) present(ctx context.Context, b *batch.Block) (found sink.Presence, err error) {
	settled := false
	var errs []error
	for _, a := range s.inOrder(0) {
		here, replicated, err := s.look(ctx, a, b)
		switch {
		case err != nil:
			errs = append(errs, err)
		case here.Rows > 0:
			return here, nil
		case here.Running:
			found.Running = true
		default:
			settled = settled || replicated
		}
	}
	if found.Running || settled {
		return found, nil
	}
	return found, errors.Join(errs...)
}

// look looks the batch up on one server, and reports whether it answers for all replicas of the table.
//
// A replica may lag behind the one that took the batch, and a load balancer may send each query to another one. So for replicated
// engines, whatever is configured, attempts are looked up on all servers of the cluster, a replica fetches the parts that Keeper
// lists, and then the rows are counted on all servers. A part that only an unreachable server has can't be fetched: that blocks
// until ctx ends, and the batch's fate stays open.
func (s *Sink) look(ctx context.Context, a *address, b *batch.Block) (found sink.Presence, replicated bool, err error) {
	table := b.Layout().Table()
	if found.Rows, err = a.count(ctx, s.countStatement(b, "")); err != nil || found.Rows > 0 {
		return found, false, err
	}
	engine, err := a.engine(ctx, table)
	if err != nil {
		return found, false, err
	}
	replicated = schema.IsReplicated(engine)
	cluster := ""
	if replicated {
		if cluster, err = s.cluster(ctx, a); err != nil {
			return found, true, err
		}
	}
	if found.Running, err = a.running(ctx, b, cluster); err != nil {
		return found, replicated, err
	}
	if replicated {
		if err := a.exec(ctx, "SYSTEM SYNC REPLICA "+tableName(table)+" LIGHTWEIGHT"); err != nil {
			return found, true, err
		}
	}
	if found.Rows, err = a.count(ctx, s.countStatement(b, "")); err != nil || found.Rows > 0 || cluster == "" {
		return found, replicated, err
	}
	found.Rows, err = a.number(ctx, s.countStatement(b, cluster))
	return found, true, err
}

// count counts rows. A missing table has none.
func (a *address) count(ctx context.Context, statement string) (int, error) {
	rows, err := a.number(ctx, statement)
	if code, _ := exceptionCode(err); code == codeUnknownTable || code == codeUnknownDatabase {
		return 0, nil
	}
	return rows, err
}

// engine returns the table's engine, or "" if the table is missing.
func (a *address) engine(ctx context.Context, table *schema.Table) (string, error) {
	rows, err := a.query(ctx, "SELECT engine FROM system.tables WHERE "+isTable(table, "name"))
	if err != nil || len(rows) == 0 {
		return "", err
	}
	return rows[0][0], nil
}

// defaultCluster is the name that ClickHouse's own configuration and ClickHouse Cloud give the cluster.
const defaultCluster = "default"

// cluster returns the name of the cluster with the table's replicas: the configured one, or the default if the server has it, or "".
func (s *Sink) cluster(ctx context.Context, a *address) (string, error) {
	if s.config.Cluster != "" {
		return s.config.Cluster, nil
	}
	n, err := a.number(ctx, "SELECT count() FROM system.clusters WHERE cluster = "+schema.QuoteString(defaultCluster))
	if err != nil || n == 0 {
		return "", err
	}
	return defaultCluster, nil
}

// countStatement counts the batch's rows on one server, or on the server of the cluster with the most. Rows hidden by a
// lightweight DELETE prove just as well that the batch was stored.
func (s *Sink) countStatement(b *batch.Block, cluster string) string {
	table := b.Layout().Table()
	where := " WHERE " + schema.QuoteIdentifier(schema.BatchIDColumn) + " = " + schema.QuoteString(b.ID())
	_, misjudged := s.misjudged.Load(table.FullName())
	if p := b.Partition(); p != nil && p.Condition != "" && !misjudged {
		where += " AND (" + p.Condition + ")"
	}
	const settings = " SETTINGS select_sequential_consistency = 1, apply_deleted_mask = 0"
	if cluster == "" {
		return "SELECT count() FROM " + tableName(table) + where + settings
	}
	return "SELECT max(rows) FROM (SELECT count() AS rows FROM clusterAllReplicas(" + schema.QuoteString(cluster) + ", " + tableName(table) + ")" +
		where + " GROUP BY hostName())" + settings + ", skip_unavailable_shards = 1"
}

// running reports whether an attempt of the batch runs on the server, or on one of the cluster. Query ids of attempts are the
// batch's id, a dash and a number. Unreachable servers of a cluster are skipped: settling waits for late attempts anyway, and
// would otherwise wait for a server that may never come back.
func (a *address) running(ctx context.Context, b *batch.Block, cluster string) (bool, error) {
	prefix := b.ID() + "-"
	where := fmt.Sprintf(" WHERE startsWith(query_id, %s) AND match(substring(query_id, %d), '^[0-9]+w?$')", schema.QuoteString(prefix), len(prefix)+1)
	statement := "SELECT count() FROM system.processes" + where
	if cluster != "" {
		statement = "SELECT count() FROM clusterAllReplicas(" + schema.QuoteString(cluster) + ", system.processes)" + where + " SETTINGS skip_unavailable_shards = 1"
	}
	n, err := a.number(ctx, statement)
	return n > 0, err
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
