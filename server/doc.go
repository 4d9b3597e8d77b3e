// Package server is the face of LogBatcher: it speaks gRPC with producers and
// operators, and HTTP with monitoring. It turns what arrives into schema.Entry views, hands them
// to a Router, and tells each producer, as its watermarks move, what is safe.
//
// It promises: a watermark covers a sequence only after every row of it is
// committed, dead-lettered or refused, and no sooner than the producer was told of
// the refusals and dead letters among them. A sequence of one epoch is routed once. Memory
// that requests occupy is taken from the Budget before they are decoded. What one
// client does (not reading, sending nonsense, going away) does not reach another.
//
// It assumes: the Router settles every request that it took; Route and Acquire return when
// their context ends; nothing reads a request's entries after Release.
//
// The pure parts own no goroutine and no clock: cursor (watermark.go) for the sequences of an epoch, the
// decoder (entries.go) and the scan before it (outline.go). A stream has three goroutines: the handler
// coordinates, one child receives, one sends. The children are joined in Shutdown, because a blocked
// RecvMsg or SendMsg ends only after the handler has returned.
//
// All gRPC codes are made in status.go. Wire types do not leave this package.
package server
