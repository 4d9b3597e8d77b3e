// Package shard routes entries into batches.
//
// Requests come in, whose entries alias a receive buffer; blocks go out to the delivery, and one outcome for each request. The Router
// matches every entry once against the routes and hands the request to the shards that its entries belong to. A shard is a worker:
// one goroutine with a queue and its open batches, one for each table and partition. It copies each entry into the columns of its
// batches, seals a batch by rows, bytes, linger, Flush or shutdown, and starts a goroutine that delivers it.
//
// With a write-ahead log, a request is in the log before its entries are in batches, and a batch is in a file of its own, with the places of
// its entries in their requests, before it is delivered. From then on it can leave memory, and needs no goroutine while it waits. After a
// restart Recover puts the files in flight, and Route takes the requests of which some entries are in no file.
//
// What always holds: a request's buffer is released once all shards have copied it, and only then; a request is settled once, after
// all of its rows are; the rows of a request for one table, partition and shard id are in one batch; bytes in flight are charged to
// one budget from receipt to settlement; a worker never waits for memory, a table, the log or ClickHouse, so that whoever waits for the
// worker gets a turn; and a request that is in the log goes into batches, whatever happens.
package shard
