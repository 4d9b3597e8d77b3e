// Package clickhouse is the sink that writes batches to ClickHouse over HTTP or HTTPS.
//
// A batch flows in and goes out as one INSERT of one Native block, streamed from the batch's columns
// through frames of about 1 MiB; an acknowledgement or a classified error flows back. It also
// answers whether a batch is there, runs SQL for migration and retention, and checks at the start
// that the server can keep what the gateway promises.
//
// What always holds: an insert is one part or nothing, whatever the user's settings profile says; a retry of
// a batch stays with the address that the batch was sent to first, unless the addresses are replicas of one table; every
// failure is a *sink.Error; and nothing of a batch is read after Insert has returned.
package clickhouse
