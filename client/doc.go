// Package client sends log entries to LogBatcher and knows when they are safe.
//
// A Producer is one stream with a stable id: entries go in through Send, in the order of
// their requests; what comes out are calls for refusals, for dead letters and for the committed
// watermark. It keeps every request until the server says that it is committed, opens a new
// stream when the old one breaks, drains or ages, and sends again what the server does not have.
//
// What always holds: requests are numbered 1, 2, 3 … in one epoch and sent in that order; a
// request is dropped only when the watermark covers it; Send blocks while too much is
// uncommitted, so memory is bounded.
package client
