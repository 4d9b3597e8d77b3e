// Package server receives log entries over gRPC and HTTP, and serves operators over gRPC and monitoring over HTTP. It turns requests into
// schema.Entry views, hands them to a Router, and reports to each producer, as its watermarks move, what is safe.
//
// Invariants: a watermark covers a sequence only when each of its rows is committed, dead-lettered or refused, and only after the
// refusals and dead letters among them were reported. A sequence of one epoch is routed once. With a write-ahead log it covers only what is
// there, outcomes included, an epoch is in the log before its producer is welcomed, and nothing is taken back that was logged. The memory
// of a request is taken from the Budget before it is decoded. What one client does (not reading, sending nonsense, going away) does not
// reach another.
//
// It relies on this: the Router settles every request that it takes; Route and Acquire return when their context ends; nothing
// reads a request's entries after Release.
//
// A request goes from its frame (codec.go) through intake (request.go) and a decoder (decoder.go; protobuf.go, otlp.go) to the Router
// (ingest.go). A protocol without streams also has an opening from headers (headers.go) and a response of its own (otlpexport.go,
// otlphttp.go); what it posts over HTTP becomes a call in post.go. A stream has three goroutines: the handler coordinates, one child receives, one sends. They share the session,
// which is the right to send as a producer; a unary call is a short session. Shutdown joins the children, because a blocked
// RecvMsg or SendMsg ends only after the handler has returned.
//
// Over HTTP a request is a unary call, too (post.go): headers open it (headers.go), its body is the frame.
//
// On its way a request is logged as it was received (logged.go), with what it takes to decode it again in the same way (form.go). What an
// earlier process has logged and not placed comes back through Replay (replay.go).
//
// All statuses are made in status.go; httpstatus.go knows what they are in HTTP. Wire types do not leave this package.
package server
