package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// ErrClosed is returned by Send after Close.
var ErrClosed = errors.New("the producer is closed")

// ErrGaveUp is what Run's error wraps when Config.GiveUpAfter has passed.
var ErrGaveUp = errors.New("gave up")

// farewell is how long Run waits, once everything is committed, for the server to end the half-closed stream.
const farewell = 5 * time.Second

// logInterval is the least time between two log lines about broken streams.
const logInterval = time.Minute

// Producer sends the requests of one producer id. Create it with NewProducer, call Run in a goroutine of your own, and Close
// after the last Send.
type Producer struct {
	config  Config
	service logbatcherv1.IngestServiceClient

	telling sync.Mutex // held while one of config's functions is called

	mu        sync.Mutex
	window    window
	closing   bool
	running   bool
	cancel    context.CancelFunc // ends Run; nil before it
	failed    error              // why Run ended, if it did
	changed   chan struct{}      // closed and replaced whenever something above changes
	letters   map[letter]uint64  // reported dead letters, with their last sequence, until that is committed
	cutBytes  int                // limits.cutBytes
	warned    bool               // the log has a line about broken streams
	doubtful  uint64             // requests sent again to an instance that did not know the epoch
	streams   int                // streams welcomed so far
	welcomed  bool               // a stream is open
	commits   uint64             // how often the watermark moved
	since     time.Time          // of the last progress
	watch     *time.Timer        // runs giveUp
	lastError error              // why the last stream ended
}

// letter identifies a dead letter.
type letter struct {
	id, route   string
	first, last uint64
}

// NewProducer returns a producer that sends over conn. It starts nothing. The error names all problems of the configuration.
func NewProducer(conn grpc.ClientConnInterface, config Config) (*Producer, error) {
	if conn == nil {
		return nil, errors.New("producer: conn is nil")
	}
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("producer configuration: %w", err)
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	config.Open = proto.CloneOf(config.Open)
	return &Producer{
		config: config, service: logbatcherv1.NewIngestServiceClient(conn),
		changed: make(chan struct{}), letters: map[letter]uint64{},
	}, nil
}

// Send queues the entries as one request, or as several if the server's limits require it. It blocks until there is room, not
// until the entries are safe. They belong to the producer from then on. It returns ErrClosed after Close, Run's error after Run
// has ended, or ctx's; in these cases nothing was queued.
func (p *Producer) Send(ctx context.Context, entries []*logbatcherv1.Entry) error {
	added := newItem()
	added.request.Entries = make([]*logbatcherv1.Entry, 0, len(entries))
	for i, e := range entries {
		if e == nil {
			return fmt.Errorf("send: entry %d is nil", i)
		}
		added.add(e, e.SizeVT())
	}
	for {
		changed, err := p.queue(added)
		if changed == nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// queue adds a request to the window. If there is no room it returns a channel that is closed at the next change.
func (p *Producer) queue(added *item) (changed <-chan struct{}, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.failed != nil:
		return nil, p.failed
	case p.closing:
		return nil, ErrClosed
	case !p.window.fits(added.bytes, p.config.MaxUncommittedRequests, p.config.MaxUncommittedBytes):
		return p.changed, nil
	case p.window.empty():
		p.since = time.Now()
	}
	p.window.add(added)
	p.notifyLocked()
	return nil, nil
}

// Close ends sending. Run returns once everything is committed. Close does not wait for it.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closing = true
	p.endLocked()
	p.notifyLocked()
	p.mu.Unlock()
}

// endLocked ends Run if the producer is closed and everything is committed: at once if no stream is open, else after farewell.
func (p *Producer) endLocked() {
	switch {
	case !p.closing || !p.window.empty() || p.cancel == nil:
	case p.welcomed:
		time.AfterFunc(farewell, p.cancel)
	default:
		p.cancel()
	}
}

// Statistics is what a producer has done so far.
type Statistics struct {
	// Sent is the last sequence sent, Committed the watermark, both in the current epoch. A server with smaller limits makes the
	// producer begin a new epoch.
	Sent, Committed uint64
	// Streams is the number of streams opened so far. Open reports whether one is open.
	Streams int
	Open    bool
	// Doubtful counts requests sent again to an instance that did not know what an earlier one had stored: their entries may be
	// stored twice.
	Doubtful uint64
	// Unsent is the number of entries waiting that were never sent to a server.
	Unsent int
}

// Statistics returns what the producer has done so far.
func (p *Producer) Statistics() Statistics {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Statistics{
		Sent: p.window.last, Committed: p.window.committed, Streams: p.streams, Open: p.welcomed, Doubtful: p.doubtful,
		Unsent: p.window.unsent(),
	}
}

// Run streams until Close was called and everything is committed, opening a new stream whenever one ends before. It fails when
// ctx ends, when the server refuses the stream for good, or when GiveUpAfter has passed. It must be called once.
func (p *Producer) Run(ctx context.Context) (err error) {
	p.mu.Lock()
	if p.running {
		p.mu.Unlock()
		return errors.New("run: the producer was run before")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p.running, p.since = true, time.Now()
	p.cancel = func() { cancel(nil) }
	if p.config.GiveUpAfter > 0 {
		p.watch = time.AfterFunc(p.config.GiveUpAfter, func() { p.giveUp(cancel) })
		defer p.watch.Stop()
	}
	p.endLocked()
	p.mu.Unlock()
	defer cancel(nil)
	defer func() {
		p.mu.Lock()
		p.failed = err
		if err == nil {
			p.failed = ErrClosed
		}
		p.notifyLocked()
		p.mu.Unlock()
	}()

	wait := backoff{min: p.config.MinBackoff, max: p.config.MaxBackoff}
	var logged time.Time
	for {
		if p.done() {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		began, commits := time.Now(), p.progress()
		err := p.stream(ctx)
		if ctx.Err() != nil || p.done() || errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			tell(p, p.config.OnError, err)
			if !retryable(err) {
				return fmt.Errorf("ingest stream: %w", err)
			}
		}
		if p.progressed(commits, began) {
			wait.reset()
		}
		asked, _ := retryDelay(err)
		pause := wait.next(asked)
		if err != nil && time.Since(logged) >= logInterval {
			p.config.Log.Warn("stream ended, opening another one", "error", err, "wait", pause)
			logged = time.Now()
			p.mu.Lock()
			p.warned = true
			p.mu.Unlock()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// giveUp cancels Run if nothing has been committed for GiveUpAfter, and otherwise looks again when that may be so.
func (p *Producer) giveUp(cancel context.CancelCauseFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.welcomed && p.window.empty() {
		p.since = time.Now() // nothing waits, and something sent now would be committed
	}
	if left := p.config.GiveUpAfter - time.Since(p.since); left > 0 {
		p.watch.Reset(left)
		return
	}
	err := fmt.Errorf("%w: nothing was committed for %v", ErrGaveUp, p.config.GiveUpAfter)
	if p.lastError != nil {
		err = fmt.Errorf("%w; the last stream ended with: %w", err, p.lastError)
	}
	cancel(err)
}

func (p *Producer) progress() (commits uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commits
}

// progressed reports whether a stream got anything committed, or had nothing to commit for as long as the longest wait.
func (p *Producer) progressed(commits uint64, began time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commits != commits || p.window.empty() && time.Since(began) > p.config.MaxBackoff
}

func (p *Producer) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing && p.window.empty()
}

// advance drops the requests that the watermark covers.
func (p *Producer) advance(committed uint64) error {
	p.mu.Lock()
	if committed > p.window.last {
		last := p.window.last
		p.mu.Unlock()
		return violation("the server's committed sequence %d is beyond the last one sent, %d: is another process sending as producer %q?",
			committed, last, p.config.Open.GetProducer())
	}
	passed, requests := p.window.commit(committed)
	if requests == 0 {
		p.mu.Unlock()
		return nil
	}
	for l, last := range p.letters {
		if last <= committed {
			delete(p.letters, l)
		}
	}
	p.commits++
	p.since = time.Now()
	p.endLocked()
	p.notifyLocked()
	p.mu.Unlock()
	tell(p, p.config.OnCommitted, passed)
	return nil
}

// refuse reports entries that are not sent.
func (p *Producer) refuse(left []unsendable) {
	if len(left) == 0 {
		return
	}
	p.mu.Lock()
	watermark := p.window.committed
	p.since = time.Now()
	p.endLocked()
	p.notifyLocked()
	p.mu.Unlock()
	for _, l := range left {
		p.tellRefused(l.entry, &logbatcherv1.Refusal{Reason: logbatcherv1.RefusalReason_REFUSAL_REASON_TOO_LARGE, Message: l.why})
	}
	tell(p, p.config.OnCommitted, Committed{Sequence: watermark, Entries: len(left), Refused: len(left)})
}

// tell calls a function of the configuration, if it is not nil.
func tell[T any](p *Producer, call func(T), value T) {
	if call != nil {
		p.telling.Lock()
		defer p.telling.Unlock()
		call(value)
	}
}

func (p *Producer) tellRefused(entry *logbatcherv1.Entry, r *logbatcherv1.Refusal) {
	tell(p, p.config.OnRefusal, r)
	if p.config.OnRefusedEntry != nil {
		tell(p, func(r *logbatcherv1.Refusal) { p.config.OnRefusedEntry(entry, r) }, r)
	}
}

func (p *Producer) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
