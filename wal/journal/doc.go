// Package journal gives the records of the write-ahead log their meaning. It is the one home of what must survive a restart: producers with
// their epochs and watermarks, requests that are not in files yet, outcomes, files of sealed batches, and the books.
//
// Requests flow in as they were received, and batches when they are sealed. Out flow the news that a request is durable, and at a start what
// an earlier process has left: producers, files to be delivered, and requests to be routed again.
//
// What always holds:
//   - A request has a record before its entries are in a batch, a batch has a file before it is inserted, and that file has the places of its
//     entries. So what a request lacks after a crash is what no file has: nothing is computed again to decide it.
//   - A file goes after the record that its rows are settled is durable, and a request's record when all its rows are in files or refused.
//   - What was wrong with a request is durable before anybody is told that it is settled.
//   - A checkpoint is the state that the records before it amount to. The same methods make that state when a record is appended and when it
//     is read at a start.
//
// A Journal has two goroutines from Start to Close. One calls whoever waits for a record to be durable, in the order of the records. The other
// removes settled files and writes checkpoints.
package journal
