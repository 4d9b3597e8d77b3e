// Package clickhouse is the sink that writes to ClickHouse over HTTP or HTTPS.
//
// A block goes out as one INSERT of one Native block, as it was encoded and compressed; an acknowledgement or a classified error
// comes back. The sink also looks batches up in their table, finds the rows of a refused batch that violate a constraint, runs SQL
// for migration and retention, and checks at the start that the server can keep what LogBatcher promises.
//
// What always holds: an insert is one part or nothing, whatever the user's settings profile says; attempts go to one server, or to
// replicas of the same tables; and every failure is a *sink.Error.
package clickhouse
