package client

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// maxProducerBytes is the protocol's bound on a producer id.
const maxProducerBytes = 128

// Config describes a producer. Its functions may be nil. Calls of them never overlap; they must not block.
type Config struct {
	// Open is the opening of every stream: producer, colo, resource attributes, scope. Its producer must not be empty; the
	// Producer fills in epoch and committed sequence.
	Open *logbatcherv1.Open
	// MaxUncommittedRequests and MaxUncommittedBytes bound what is kept until it is committed. Send blocks above them.
	MaxUncommittedRequests, MaxUncommittedBytes int
	// MinBackoff and MaxBackoff bound the wait between two streams. It doubles with each stream that gets nothing committed.
	MinBackoff, MaxBackoff time.Duration
	// WelcomeTimeout bounds the time from the start of a stream, including connecting, to the server's Welcome. The server may
	// take server.finish_timeout (30 s by default) to settle what an older stream of the producer left.
	WelcomeTimeout time.Duration
	// GiveUpAfter makes Run return ErrGaveUp when nothing has been committed for that long although requests wait, or no stream
	// could be opened. Zero: Run never gives up.
	GiveUpAfter time.Duration
	// OnError receives the error with which a stream broke or could not be opened. Run opens another one unless it returns the
	// error itself.
	OnError func(error)
	// OnRefusal receives the refusal of an entry that is not stored, or not by every route. Sequence 0 means that this package
	// refused it: the entry is too large to be sent. A refusal may come twice when a server with smaller limits takes over.
	OnRefusal func(*logbatcherv1.Refusal)
	// OnRefusedEntry is called after OnRefusal, with the entry, or nil if that was settled before.
	OnRefusedEntry func(*logbatcherv1.Entry, *logbatcherv1.Refusal)
	// OnDeadLettered receives rows that went to the dead-letter queue.
	OnDeadLettered func(*logbatcherv1.DeadLettered)
	// OnCommitted is called when the committed watermark moved, or when entries were refused without being sent.
	OnCommitted func(Committed)
	// OnThrottle is called when the server stops reading, and when it reads again (cause 0).
	OnThrottle func(*logbatcherv1.Throttle)
	// Log receives broken and resumed streams. Nil discards.
	Log *slog.Logger
}

// Committed is what was settled since the last call of OnCommitted. Each entry given to Send is counted once.
type Committed struct {
	// Sequence is the committed watermark.
	Sequence uint64
	// Entries is the number of settled entries, Bytes their size on the wire.
	Entries, Bytes int
	// Refused is how many of Entries were refused by the server, by one of its routes, or here.
	Refused int
}

// DefaultConfig returns a configuration for the producer id.
func DefaultConfig(producer string) Config {
	return Config{
		Open:                   &logbatcherv1.Open{Producer: producer},
		MaxUncommittedRequests: 1024,
		MaxUncommittedBytes:    64 << 20,
		MinBackoff:             100 * time.Millisecond,
		MaxBackoff:             10 * time.Second,
		WelcomeTimeout:         time.Minute,
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
	case len(producer) > maxProducerBytes || strings.ContainsFunc(producer, notPrintable):
		wrong("Open.Producer %q: it must be at most %d bytes of printable ASCII without spaces", producer, maxProducerBytes)
	}
	if c.Open.GetEpoch() != 0 || c.Open.GetCommittedSequence() != 0 {
		wrong("Open.Epoch and Open.CommittedSequence must be 0: the Producer fills them in")
	}
	positive := func(name string, value int64) {
		if value <= 0 {
			wrong("%s must be above 0", name)
		}
	}
	positive("MaxUncommittedRequests", int64(c.MaxUncommittedRequests))
	positive("MaxUncommittedBytes", int64(c.MaxUncommittedBytes))
	positive("MinBackoff", int64(c.MinBackoff))
	positive("MaxBackoff", int64(c.MaxBackoff))
	positive("WelcomeTimeout", int64(c.WelcomeTimeout))
	if c.MaxBackoff < c.MinBackoff {
		wrong("MaxBackoff is %v: it must be at least MinBackoff, %v", c.MaxBackoff, c.MinBackoff)
	}
	if c.GiveUpAfter < 0 {
		wrong("GiveUpAfter is %v: it must be 0 (never) or above", c.GiveUpAfter)
	}
	return errors.Join(problems...)
}
