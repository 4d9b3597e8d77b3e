// Package retention removes rows that are older than their route keeps them. A Retainer plans
// and makes one run of one route: it drops partitions that have expired, deletes expired rows
// from partitions that stay, checks what is left, and records the run in _logbatcher_retention.
// A Scheduler makes the runs at each route's interval.
//
// In come routes and a connection; out go a plan or a result as text, and metrics.
//
// What always holds: nothing is removed unless it has expired by both this machine's clock and
// ClickHouse's. A table has at most one unfinished mutation of ours.
package retention
