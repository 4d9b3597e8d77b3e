package client

import (
	"context"
	"errors"
	"fmt"
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

// farewell is how long Run waits, once everything is committed, for the server to end the stream that was half-closed.
const farewell = 5 * time.Second

// logInterval is the least time between two log lines about streams that broke.
const logInterval = time.Minute

// Producer sends the requests of one producer id. Make it with NewProducer, call Run in a goroutine of your own,
// and Close when the last entry is sent.
type Producer struct {
	config  Config
	service logbatcherv1.IngestServiceClient

	telling sync.Mutex // held while a function of config is called

	mu        sync.Mutex
	window    window
	closing   bool
	running   bool
	cancel    context.CancelFunc // ends Run; nil before it
	failed    error              // why Run ended, if it did
	changed   chan struct{}      // closed and replaced whenever something above changes
	letters   map[letter]uint64  // dead letters reported, with their last sequence, until that is committed
	cutBytes  int                // limits.cutBytes
	warned    bool               // the log has it that streams fail
	doubtful  uint64             // requests sent again to an instance that did not know the epoch
	streams   int                // opened and welcomed so far
	welcomed  bool               // a stream is open
	commits   uint64             // how often the watermark moved
	since     time.Time          // of the last progress
	lastError error              // why the last stream ended
}

// letter tells dead letters apart.
type letter struct {
	id, route   string
	first, last uint64
}

// NewProducer returns a producer that sends over conn. It starts nothing. The error names everything that is wrong with the
// configuration.
func NewProducer(conn grpc.ClientConnInterface, config Config) (*Producer, error) {
	if conn == nil {
		return nil, errors.New("producer: conn is nil")
	}
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("producer configuration: %w", err)
	}
	config.fill()
	config.Open = proto.CloneOf(config.Open)
	return &Producer{
		config: config, service: logbatcherv1.NewIngestServiceClient(conn),
		changed: make(chan struct{}), letters: map[letter]uint64{},
	}, nil
}

// Send queues the entries, which are sent as one request if the server's limits permit, and as several otherwise. It returns once there
// is room, not once they are safe. The entries belong to the producer from then on. It returns ErrClosed after Close, the error of
// Run after that has ended, or ctx's; then nothing was queued.
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
		p.mu.Lock()
		switch {
		case p.failed != nil:
			p.mu.Unlock()
			return p.failed
		case p.closing:
			p.mu.Unlock()
			return ErrClosed
		case p.window.fits(added.bytes, p.config.MaxUncommittedRequests, p.config.MaxUncommittedBytes):
			if p.window.empty() {
				p.since = time.Now()
			}
			p.window.add(added)
			p.notifyLocked()
			p.mu.Unlock()
			return nil
		}
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close ends sending. Run returns once everything is committed, which it is where nothing was sent. Close does not wait for it.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closing = true
	p.endLocked()
	p.notifyLocked()
	p.mu.Unlock()
}

// endLocked ends Run once everything is committed after Close: at once where no stream is open, else after the farewell.
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
	// Sent is the last sequence sent, Committed the watermark, both of the current epoch. A server with smaller limits makes the
	// producer begin a new one.
	Sent, Committed uint64
	// Streams is how many streams were opened. Open is whether one is.
	Streams int
	Open    bool
	// Doubtful counts requests that were sent again to an instance that did not know what an earlier one had stored: their
	// entries may be stored twice.
	Doubtful uint64
	// Unsent is how many entries wait that were never sent to a server.
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

// Run streams until Close was called and everything is committed. It opens a new stream whenever one ends otherwise. It returns
// early, with an error, when ctx ends, when the server refuses the stream for good, or when GiveUpAfter has passed. It
// must be called once.
func (p *Producer) Run(ctx context.Context) (err error) {
	p.mu.Lock()
	if p.running {
		p.mu.Unlock()
		return errors.New("run: the producer was run before")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	p.running, p.since = true, time.Now()
	p.cancel = func() { cancel(nil) }
	p.endLocked()
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.failed = err
		if err == nil {
			p.failed = ErrClosed
		}
		p.notifyLocked()
		p.mu.Unlock()
	}()

	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel(nil)
	if p.config.GiveUpAfter > 0 {
		watching.Go(func() { p.watch(ctx, cancel) })
	}

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
			p.tell(func() { p.config.OnError(err) })
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

// watch cancels when nothing has been committed for GiveUpAfter.
func (p *Producer) watch(ctx context.Context, cancel context.CancelCauseFunc) {
	timer := time.NewTimer(p.config.GiveUpAfter)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		p.mu.Lock()
		if p.welcomed && p.window.empty() {
			p.since = time.Now() // nothing waits, and something sent now would be committed
		}
		left, last := p.config.GiveUpAfter-time.Since(p.since), p.lastError
		p.mu.Unlock()
		if left <= 0 {
			err := fmt.Errorf("%w: nothing was committed for %v", ErrGaveUp, p.config.GiveUpAfter)
			if last != nil {
				err = fmt.Errorf("%w; the last stream ended with: %w", err, last)
			}
			cancel(err)
			return
		}
		timer.Reset(left)
	}
}

func (p *Producer) progress() (commits uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.commits
}

// progressed reports whether the stream that began then got anything committed, or had nothing to commit for as long as the longest wait.
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

// advance drops what the watermark covers.
func (p *Producer) advance(committed uint64) error {
	p.mu.Lock()
	if committed > p.window.last {
		last := p.window.last
		p.mu.Unlock()
		return violation("the server's committed sequence %d is beyond the last one sent, %d: does another process send as producer %q?",
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
	p.tell(func() { p.config.OnCommitted(passed) })
	return nil
}

// refuse reports entries that are not sent.
func (p *Producer) refuse(left []tooLarge) {
	if len(left) == 0 {
		return
	}
	p.mu.Lock()
	watermark := p.window.committed
	p.since = time.Now()
	p.endLocked()
	p.notifyLocked()
	p.mu.Unlock()
	p.tell(func() {
		for _, l := range left {
			r := &logbatcherv1.Refusal{Reason: logbatcherv1.RefusalReason_REFUSAL_REASON_TOO_LARGE, Message: l.why}
			p.config.OnRefusal(r)
			p.config.OnRefusedEntry(l.entry, r)
		}
		p.config.OnCommitted(Committed{Sequence: watermark, Entries: len(left), Refused: len(left)})
	})
}

func (p *Producer) tell(call func()) {
	p.telling.Lock()
	defer p.telling.Unlock()
	call()
}

func (p *Producer) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
