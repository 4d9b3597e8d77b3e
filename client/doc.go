// Package client sends log entries to LogBatcher and knows when they are safe.
//
// A Producer is one stream with a stable id. Entries go in through Send, in order; refusals, dead letters and the committed
// watermark come out through the functions of its Config. It keeps every request until the server reports it committed, opens a
// new stream when the old one breaks, drains or ages, and sends again what the server does not have. It keeps them in memory: what is
// not committed when the process dies is lost with it. A program with more to send than one stream carries runs several producers,
// "id/0" to "id/n-1", over one connection.
//
// Invariants: requests are numbered 1, 2, 3 … within an epoch and sent in that order; each is cut by the limits of the server's
// Welcome before it gets its number; a request is dropped only when the watermark covers it; Send blocks while too much is
// uncommitted, so memory is bounded; bytes are sent as they are, UTF-8 or not.
//
// What can't succeed is reported and does not hold up the rest: an entry that is too large is refused. A server that can't be
// reached is reported to Config.OnError and tried again, with growing waits, until ctx ends or Config.GiveUpAfter has passed.
package client
