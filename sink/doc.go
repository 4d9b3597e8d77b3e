// Package sink takes sealed batches and sees each of them settled: committed in its
// table, or, for rows that the table refuses for good, kept in the dead-letter queue
// with the reason.
//
// It has the contract of a sink, the classes of errors, and the delivery that retries, asks,
// isolates bad rows and gives up on none; batches themselves are package batch's. What always
// holds: a row of a batch is settled once, and
// a batch that is not settled is retried with the same rows under the same token, so
// that nothing is lost and nothing doubled while the process lives.
package sink
