// Package deadletter is the queue of rows that tables refuse for good: a Redis stream that
// letters are written to, and read back from by whoever looks into them.
//
// In come letters from the delivery, each with an id; out go stream entries, one a letter,
// and, to a reader, the same letters again. Redis is shared by all instances, so the bound on the queue's
// bytes, and the memory of which ids it has had, are kept there too, and changed by one script
// that runs whole or not at all.
//
// What always holds: Write returns nil only when the letter is in the stream, or was put there
// before; a letter is put there once, however often it is written; nothing is taken out to make
// room unless the operator chose [Trim]; every error says whether Redis is away, the queue is
// full, or Redis refuses, and what to do then.
//
// # The keys
//
// All have the stream's hash slot, so that one script may touch them in a Redis Cluster:
//
//	STREAM             the letters
//	{STREAM}:id:ID     the stream id that the letter ID was given
//	{STREAM}:usage     the stream's length and bytes, as last counted
//
// # How long an id is remembered
//
// An id key must outlive the last retry of its letter and must not stay for ever. It expires
// [Config.RememberIDs] after the letter was last written, seven days unless configured: far longer
// than a delivery goes without trying again while it lives, and longer than an instance with a
// write-ahead log should stay down. An instance that is down for longer, and was killed between
// Redis's answer and its own note of it, may write a letter a second time; both then have the same
// field id.
//
// # How the bytes are counted
//
// What the stream takes is what MEMORY USAGE says, all of it measured, no samples. That takes a time in
// proportion to the letters (a millisecond for some 20 000), too long for each write, so the script
// adds up what it writes and measures only where the stream's length is not what it left:
// somebody has deleted or trimmed. [Queue.Run] measures at the start and once a minute besides.
package deadletter
