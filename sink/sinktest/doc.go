// Package sinktest is for tests of sinks and of what sends to them: an in-memory sink that misbehaves as ClickHouse and networks do,
// batches of numbered rows, a dead-letter queue in memory, and the suite that every sink must pass.
//
// Memory decodes the blocks that it is given and stores their rows, so what a test finds has been through the encoding that goes to
// ClickHouse.
package sinktest
