// Package deadletter is the dead-letter queue: a Redis stream of the rows that tables reject for good.
//
// Letters from the delivery go in, each with an id, and come out as one stream entry each; List reads them back. All instances
// share Redis, so the limit on the queue's bytes and the record of ids are kept there too, changed by one atomic script.
//
// What always holds: Write returns nil only if the letter is in the stream or was put there before; a letter is added once,
// however often it is written; nothing is deleted to make room unless the operator chose [Trim]; every error says whether Redis
// is away, the queue is full, or Redis refuses, and what to do.
//
// # Keys
//
// All have the stream's hash slot, so that one script may touch them in a Redis Cluster:
//
//	STREAM             the letters
//	{STREAM}:id:ID     the stream id of letter ID
//	{STREAM}:usage     the stream's length and bytes as last counted
//
// # How long an id is remembered
//
// An id key must outlive the last retry of its letter and must not stay forever. It expires seven days after the last write of
// the letter. An instance that was killed between Redis's answer and its own record of it, and is down for longer than that, may
// write a letter twice; both entries then have the same field id.
//
// # How bytes are counted
//
// The size of the stream is what MEMORY USAGE reports without sampling. That takes about a millisecond for 20 000 letters, too
// long for each write, so the script adds up what it writes and measures only when the stream's length is not what it left:
// somebody has deleted or trimmed. [Queue.Run] also measures at the start and once a minute.
package deadletter
