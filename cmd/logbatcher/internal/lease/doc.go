// Package lease hands out leases, so that of several instances one migrates a table, runs a retention
// or owns a producer. It implements schema.Locker with keys in the Redis that all instances share.
//
// In come a name and a time to live; out comes a lease whose context ends when it is lost or released.
//
// What always holds: a key has one holder, told by a random token, and only that one renews or
// deletes it. A holder's lease ends in its own eyes no later than its key expires in Redis, because the holder
// counts from before it asked. Who held a key and is away from Redis for longer than its time to live has
// lost it. A lease cannot stop what its holder has already sent to others, so the work under it must bear that
// its end overlaps with the next holder's beginning. Every goroutine belongs to a lease, and its Release waits for it.
package lease
