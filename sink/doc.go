// Package sink settles sealed batches: each ends up committed in its table or, for rows that the table rejects permanently, in
// the dead-letter queue with the reason.
//
// It has the contract of a Sink, the classes of errors, and the Delivery that retries, looks up, isolates bad rows and never gives
// up unasked. What always holds: a row of a batch is settled once, and a batch that is not settled is retried with the same bytes
// under the same token, so that nothing is lost and nothing is duplicated while the process lives.
package sink
