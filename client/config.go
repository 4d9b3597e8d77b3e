package client

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

const (
	// maxProducerBytes is the protocol's bound on a producer id.
	maxProducerBytes = 128
	// maxEntryBytes is the most that any server accepts of an entry: a dead letter must hold it.
	maxEntryBytes = 768 << 10
)

// WhenFull is what Send does when there is no room for its entries.
type WhenFull int

const (
	// Block makes Send wait for room, until its context ends.
	Block WhenFull = iota
	// Fail makes Send return ErrFull at once.
	Fail
)

// Config describes a producer. DefaultConfig has the defaults; the zero values of numbers and durations are not valid unless the field
// says so. Functions may be nil. Calls of them never overlap; they must not block and must not call the Producer, except for
// Statistics.
type Config struct {
	// Addresses are the servers, as HOST:PORT or any other target that gRPC knows. With several, each stream begins with another
	// one, and moves to the next one when its own can't be reached or asks it to move.
	Addresses []string
	// DialOptions are for the connections to Addresses, such as TLS and tokens. Without them connections are plain text.
	DialOptions []grpc.DialOption
	// Conns are connections to use instead of dialing Addresses. They stay open after Close and may be shared.
	Conns []grpc.ClientConnInterface
	// Open is the opening of every stream: producer, acknowledgement level, colo, resource attributes, scope. Its producer must not be
	// empty; the Producer fills in epoch and watermarks.
	Open *logbatcherv1.Open
	// Streams is how many streams send at the same time. With more than one, their ids are "producer/0" to "producer/n-1". Entries
	// keep their order within a stream only.
	Streams int

	// BatchEntries and BatchBytes bound a request. It is also cut to what the server accepts.
	BatchEntries, BatchBytes int
	// Linger is the longest time that an entry waits for others. While requests wait to be sent it may be longer.
	Linger time.Duration

	// MaxBytes bounds the memory for entries that have not reached the level. A call of Send with more than that has room when no
	// other entry is there. A request counts 256 bytes more, also while it is in the spill.
	MaxBytes int
	// WhenFull is what Send does when there is no room.
	WhenFull WhenFull
	// Spill keeps requests on disk until they have reached the level: package client/spill opens one. Nil: they are kept in memory
	// only. The producer closes it.
	Spill Spill
	// KeepUntilCommitted keeps requests until they are committed, though the level is LOGGED or RECEIVED: the loss of a server's log then
	// loses nothing.
	KeepUntilCommitted bool

	// MinBackoff and MaxBackoff bound the wait between two streams. It doubles with each stream that makes no progress.
	MinBackoff, MaxBackoff time.Duration
	// WelcomeTimeout bounds the time from the start of a stream, including connecting, to the server's Welcome. The server may
	// take server.finish_timeout (30 s by default) to settle what an older stream of the producer left.
	WelcomeTimeout time.Duration
	// GiveUpAfter makes the producer fail with ErrGaveUp when a stream has made no progress for that long although requests wait, or
	// could not be opened. Zero: it never gives up.
	GiveUpAfter time.Duration
	// FlushTimeout bounds Flush and Close when their context has no deadline.
	FlushTimeout time.Duration

	// OnError receives the error with which a stream broke or could not be opened. Another one is opened, unless the producer fails.
	OnError func(error)
	// OnRefusal receives the refusal of an entry that is not stored, or not by every route. A refusal may come twice when a server with
	// smaller limits takes over.
	OnRefusal func(Refused)
	// OnDeadLettered receives rows that went to the dead-letter queue.
	OnDeadLettered func(*logbatcherv1.DeadLettered)
	// OnProgress is called when a watermark moved, or when entries were refused without being sent.
	OnProgress func(Progress)
	// OnThrottle is called when the server stops reading, and when it reads again (cause 0).
	OnThrottle func(*logbatcherv1.Throttle)
	// Log receives a line when streams break, not more than one a minute, and when they are open again. DefaultConfig sets one that
	// writes to standard error, so that a server that can't be reached is not silent. Nil discards.
	Log *slog.Logger
}

// Refused is a refused entry.
type Refused struct {
	*logbatcherv1.Refusal // its sequence is 0 if the entry was too large to be sent
	// Stream is the producer id of its stream.
	Stream string
	// Entry is a copy of the entry. Nil: it is not kept any more.
	Entry *logbatcherv1.Entry
	// Token is what SendToken was given. Nil: nothing, or by an earlier process.
	Token any
}

// Progress is what has happened on a stream since the last call of OnProgress. Each entry that was taken is counted once.
type Progress struct {
	// Stream is the producer id of the stream.
	Stream string
	// Logged and Committed are its watermarks, in its epoch.
	Logged, Committed uint64
	// Entries is the number of entries that have reached the level, Bytes their size on the wire.
	Entries, Bytes int
	// Refused is how many of Entries were refused by the server, by one of its routes, or here.
	Refused int
}

// DefaultConfig returns a configuration for the producer id and the addresses of the servers.
func DefaultConfig(producer string, addresses ...string) Config {
	return Config{
		Addresses:      addresses,
		Open:           &logbatcherv1.Open{Producer: producer},
		Streams:        1,
		BatchEntries:   1000,
		BatchBytes:     1 << 20,
		Linger:         100 * time.Millisecond,
		MaxBytes:       64 << 20,
		MinBackoff:     100 * time.Millisecond,
		MaxBackoff:     10 * time.Second,
		WelcomeTimeout: time.Minute,
		FlushTimeout:   30 * time.Second,
		Log:            slog.New(slog.NewTextHandler(stderr{}, nil)),
	}
}

// check returns all problems of the configuration.
func (c *Config) check() error {
	var problems []error
	wrong := func(format string, values ...any) { problems = append(problems, fmt.Errorf(format, values...)) }
	producer := c.Open.GetProducer()
	notPrintable := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case producer == "":
		wrong("Open.Producer is empty: a producer needs an id")
	case c.Streams > 0 && len(c.streamID(c.Streams-1)) > maxProducerBytes || strings.ContainsFunc(producer, notPrintable):
		wrong("Open.Producer %q: it must be at most %d bytes of printable ASCII without spaces", producer, maxProducerBytes)
	}
	if c.Open.GetEpoch() != 0 || c.Open.GetCommittedSequence() != 0 {
		wrong("Open.Epoch and Open.CommittedSequence must be 0: the Producer fills them in")
	}
	if (len(c.Addresses) == 0) == (len(c.Conns) == 0) {
		wrong("Addresses or Conns must be set, and not both")
	}
	for i, conn := range c.Conns {
		if conn == nil {
			wrong("Conns[%d] is nil", i)
		}
	}
	positive := func(name string, value int64) {
		if value <= 0 {
			wrong("%s must be above 0", name)
		}
	}
	positive("Streams", int64(c.Streams))
	positive("BatchEntries", int64(c.BatchEntries))
	positive("BatchBytes", int64(c.BatchBytes))
	positive("Linger", int64(c.Linger))
	positive("MaxBytes", int64(c.MaxBytes))
	positive("MinBackoff", int64(c.MinBackoff))
	positive("MaxBackoff", int64(c.MaxBackoff))
	positive("WelcomeTimeout", int64(c.WelcomeTimeout))
	positive("FlushTimeout", int64(c.FlushTimeout))
	if c.MaxBackoff < c.MinBackoff {
		wrong("MaxBackoff is %v: it must be at least MinBackoff, %v", c.MaxBackoff, c.MinBackoff)
	}
	if c.GiveUpAfter < 0 {
		wrong("GiveUpAfter is %v: it must be 0 (never) or above", c.GiveUpAfter)
	}
	if c.WhenFull != Block && c.WhenFull != Fail {
		wrong("WhenFull is %d: it must be Block or Fail", c.WhenFull)
	}
	return errors.Join(problems...)
}

// streamID returns the producer id of a stream.
func (c *Config) streamID(n int) string {
	if c.Streams == 1 {
		return c.Open.GetProducer()
	}
	return fmt.Sprintf("%s/%d", c.Open.GetProducer(), n)
}

// level returns what an entry must have reached so that it need not be kept.
func (c *Config) level() logbatcherv1.Acknowledgement {
	level := c.Open.GetAcknowledgement()
	if c.KeepUntilCommitted || level == logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_UNSPECIFIED {
		return logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED
	}
	return level
}
