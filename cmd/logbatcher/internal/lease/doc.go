// Package lease provides leases in the Redis that all instances share, so that only one of them migrates a table or runs a
// retention at a time. It implements schema.Locker.
//
// A name and a time to live go in; a lease whose context ends when it is lost or released comes out.
//
// Invariants: a key has one holder, identified by a random token, and only that holder renews or deletes it. A lease ends
// for its holder no later than its key expires in Redis, because the holder counts from before each request. A lease can't
// stop what its holder has already sent elsewhere, so the work under it must tolerate overlapping with the start of the
// next holder's. Every goroutine belongs to a lease, whose Release waits for it.
package lease
