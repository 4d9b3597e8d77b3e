// Package client sends log entries to LogBatcher and knows when they are safe.
//
// A Producer has a stable id and is safe for concurrent use. Entries go in through Send, one by one or several at once; it encodes them
// at once, and sends them in requests by count, size and time. Refusals, dead letters and watermarks come out through the functions of
// its Config. It keeps each request until it has reached the acknowledgement level of Config.Open (committed by default), opens a new
// stream when the old one breaks, drains or ages, and sends again what the server does not have. With several streams each is a producer
// of its own, "id/0" to "id/n-1", over one of the addresses.
// NewHandler makes a slog.Handler of a Producer.
//
// What is kept is in memory: what has not reached the level when the process dies is lost with it, unless Config.Spill is set. Package
// client/spill keeps requests on disk, with the sequences that they are sent with, so that the next process goes on where this one
// stopped, and a server with a write-ahead log stores each of them exactly once.
//
// Invariants: requests are numbered 1, 2, 3 … within an epoch and sent in that order; each is cut by the limits of the server's
// Welcome before it gets its sequence, and has the same bytes whenever it is sent again; it is dropped only when the watermark of the level
// covers it; with a spill, it is durable there before it is sent; memory is bounded by Config.MaxBytes; bytes are sent as they are,
// UTF-8 or not.
//
// Nothing is silent and nothing waits forever. When there is no room, Send waits as long as its context allows, or fails, as
// Config.WhenFull says. Flush and Close report how many entries are not known to be safe. What can't succeed does not hold up the rest:
// an entry that is too large is refused, to its caller if the limit is known. A server that can't be reached is tried again, with growing
// waits, until Config.GiveUpAfter has passed; Config.Log and Config.OnError tell.
//
// The package needs gRPC, protobuf and vtprotobuf, and nothing of the server.
package client
