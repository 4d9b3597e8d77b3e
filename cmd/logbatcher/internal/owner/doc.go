// Package owner decides which instance a producer belongs to, where several share a Redis. A producer's owner is the instance whose
// write-ahead log has what was accepted from it: that alone knows what must not be stored again.
//
// Openings flow in, and the answer is the producer's state as its last owner left it, or who owns it now. Other instances' wishes flow in
// by way of Redis, and the server is asked to let a producer go.
//
// What must always hold: the owner is a log, by the id that was made with its folder, not an instance's name. It is recorded in Redis
// before the log begins with a producer. A record is written only in the place of the one that was read, by its revision, so a script that
// was delayed on its way changes nothing. Whoever gives a producer up writes what the next owner needs to know in the same step, and only
// when nothing of it is unsettled. Redis may lose records (a restart, a failover, an eviction): owners that live write theirs again before
// anybody can claim what has no record. An owner that does not live finds out when it returns: what was taken from it, and from where.
package owner
