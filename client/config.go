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

// Config describes a producer. Calls of its functions never overlap; they must not block, and nil ones are skipped.
type Config struct {
	// Open is the opening of every stream: producer, colo, resource attributes, scope. Its producer must
	// not be empty; epoch and committed sequence are the Producer's to fill in.
	Open *logbatcherv1.Open
	// MaxUncommittedRequests and MaxUncommittedBytes bound what is kept until it is committed. Send blocks above them.
	MaxUncommittedRequests, MaxUncommittedBytes int
	// MinBackoff and MaxBackoff bound the wait between two streams. It doubles with each stream
	// that gets nothing committed.
	MinBackoff, MaxBackoff time.Duration
	// WelcomeTimeout bounds the time from the start of a stream, connecting included, to the server's Welcome. The server itself
	// may take server.finish_timeout (30 s by default) to settle what an older stream of the producer left.
	WelcomeTimeout time.Duration
	// GiveUpAfter makes Run return ErrGaveUp once nothing has been committed for so long, although requests wait or no
	// stream could be opened. Zero: Run never gives up.
	GiveUpAfter time.Duration
	// OnError reports why a stream could not be opened or broke. Run opens another one unless it returns the
	// error as its own.
	OnError func(error)
	// OnRefusal reports an entry that is not stored, or not by every route. A refusal with sequence 0 is this package's: the entry is
	// too large to be sent. A refusal may be reported twice when a server with smaller limits takes over.
	OnRefusal func(*logbatcherv1.Refusal)
	// OnRefusedEntry is called beside OnRefusal, with the entry, or nil if that was settled before.
	OnRefusedEntry func(*logbatcherv1.Entry, *logbatcherv1.Refusal)
	// OnDeadLettered reports rows that went to the dead-letter queue.
	OnDeadLettered func(*logbatcherv1.DeadLettered)
	// OnCommitted reports that the committed watermark moved, or that entries were refused without being sent.
	OnCommitted func(Committed)
	// OnThrottle reports that the server stops reading, and that it goes on (cause 0).
	OnThrottle func(*logbatcherv1.Throttle)
	// Log takes what a person should know: broken and resumed streams. Nil discards.
	Log *slog.Logger
}

// Committed is what was settled since the last call of OnCommitted. Over the life of a producer each entry given to Send is
// counted once.
type Committed struct {
	// Sequence is the committed watermark.
	Sequence uint64
	// Entries is how many entries were settled, Bytes their size on the wire.
	Entries, Bytes int
	// Refused is how many of Entries were refused by the server, by one of its routes, or here.
	Refused int
}

// DefaultConfig returns a configuration for the producer id.
func DefaultConfig(producer string) Config {
	c := Config{
		Open:                   &logbatcherv1.Open{Producer: producer},
		MaxUncommittedRequests: 1024,
		MaxUncommittedBytes:    64 << 20,
		MinBackoff:             100 * time.Millisecond,
		MaxBackoff:             10 * time.Second,
		WelcomeTimeout:         time.Minute,
	}
	c.fill()
	return c
}

// check returns everything that is wrong with the configuration.
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
	if c.MaxUncommittedRequests <= 0 {
		wrong("MaxUncommittedRequests is %d: it must be above 0", c.MaxUncommittedRequests)
	}
	if c.MaxUncommittedBytes <= 0 {
		wrong("MaxUncommittedBytes is %d: it must be above 0", c.MaxUncommittedBytes)
	}
	if c.MinBackoff <= 0 {
		wrong("MinBackoff is %v: it must be above 0", c.MinBackoff)
	}
	if c.MaxBackoff <= 0 || c.MaxBackoff < c.MinBackoff {
		wrong("MaxBackoff is %v: it must be above 0 and at least MinBackoff, %v", c.MaxBackoff, c.MinBackoff)
	}
	if c.WelcomeTimeout <= 0 {
		wrong("WelcomeTimeout is %v: it must be above 0", c.WelcomeTimeout)
	}
	if c.GiveUpAfter < 0 {
		wrong("GiveUpAfter is %v: it must be 0 (never) or above", c.GiveUpAfter)
	}
	return errors.Join(problems...)
}

// fill replaces what is nil.
func (c *Config) fill() {
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	if c.OnRefusal == nil {
		c.OnRefusal = func(*logbatcherv1.Refusal) {}
	}
	if c.OnRefusedEntry == nil {
		c.OnRefusedEntry = func(*logbatcherv1.Entry, *logbatcherv1.Refusal) {}
	}
	if c.OnDeadLettered == nil {
		c.OnDeadLettered = func(*logbatcherv1.DeadLettered) {}
	}
	if c.OnCommitted == nil {
		c.OnCommitted = func(Committed) {}
	}
	if c.OnThrottle == nil {
		c.OnThrottle = func(*logbatcherv1.Throttle) {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
