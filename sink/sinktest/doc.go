// Package sinktest is for tests of what sends to sinks, and of sinks: an in-memory sink that can misbehave in the
// ways that ClickHouse and networks do, batches of numbered rows, a dead-letter queue that remembers, and
// the suite that every sink must pass.
//
// Memory stores the rows of the blocks that it is given, by decoding them, so that what a test finds in
// it has gone through the encoding that goes to ClickHouse. It keeps nothing of a batch.
package sinktest
