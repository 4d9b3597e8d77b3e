package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// ErrClosed is returned by Send after Close.
var ErrClosed = errors.New("the producer is closed")

// Config says who sends and how much may be uncommitted.
type Config struct {
	// Open is the opening of every stream: producer, colo, resource attributes, scope. Its producer must
	// not be empty; epoch and committed sequence are the Producer's to fill in.
	Open *logbatcherv1.Open
	// MaxUncommittedRequests and MaxUncommittedBytes bound what is kept. Send blocks above them.
	MaxUncommittedRequests, MaxUncommittedBytes int
	// MinBackoff and MaxBackoff bound the wait between two streams. It doubles from one failure to the next.
	MinBackoff, MaxBackoff time.Duration
	// OnRefusal is called for each entry that the server refuses. It must not block.
	OnRefusal func(*logbatcherv1.Refusal)
	// OnDeadLettered is called for rows that went to the dead-letter queue. It must not block.
	OnDeadLettered func(*logbatcherv1.DeadLettered)
	// OnCommitted is called when the committed watermark moves, with what it has passed since the last call.
	// It must not block.
	OnCommitted func(Committed)
	// OnThrottle is called when the server stops reading, and when it goes on (cause 0). It must not block.
	OnThrottle func(*logbatcherv1.Throttle)
	// Log takes what a person should know: broken and resumed streams.
	Log *slog.Logger
}

// Committed is what the watermark has passed.
type Committed struct {
	// Sequence is the watermark.
	Sequence uint64
	// Entries is how many entries the requests that it passed had, Bytes their size on the wire.
	Entries, Bytes int
}

// DefaultConfig returns a configuration for the producer id.
func DefaultConfig(producer string) Config {
	return Config{
		Open:                   &logbatcherv1.Open{Producer: producer},
		MaxUncommittedRequests: 1024,
		MaxUncommittedBytes:    64 << 20,
		MinBackoff:             100 * time.Millisecond,
		MaxBackoff:             10 * time.Second,
		OnRefusal:              func(*logbatcherv1.Refusal) {},
		OnDeadLettered:         func(*logbatcherv1.DeadLettered) {},
		OnCommitted:            func(Committed) {},
		OnThrottle:             func(*logbatcherv1.Throttle) {},
		Log:                    slog.New(slog.DiscardHandler),
	}
}

// Producer sends the requests of one producer id. Make it with NewProducer, call Run in a goroutine of your own,
// and Close when the last entry is sent.
type Producer struct {
	config  Config
	service logbatcherv1.IngestServiceClient

	mu       sync.Mutex
	window   window
	closing  bool
	failed   error         // why Run ended, if it did
	changed  chan struct{} // closed and replaced whenever something above changes
	doubtful uint64        // requests sent again to an instance that did not know the epoch
	streams  int           // opened and welcomed so far
}

// NewProducer returns a producer that sends over conn. It starts nothing.
func NewProducer(conn grpc.ClientConnInterface, config Config) (*Producer, error) {
	if config.Open == nil || config.Open.GetProducer() == "" {
		return nil, errors.New("the producer needs an id, in Config.Open.Producer")
	}
	if config.MaxUncommittedRequests <= 0 || config.MaxUncommittedBytes <= 0 {
		return nil, errors.New("MaxUncommittedRequests and MaxUncommittedBytes must be above 0")
	}
	return &Producer{
		config: config, service: logbatcherv1.NewIngestServiceClient(conn), changed: make(chan struct{}),
	}, nil
}

// Send queues the entries as one request, which must respect the server's limits. It returns once there is room, not once they are
// safe. The entries belong to the producer from then on. It returns ErrClosed after Close, the error of Run after
// that has ended, or ctx's.
func (p *Producer) Send(ctx context.Context, entries []*logbatcherv1.Entry) error {
	request := &logbatcherv1.IngestStreamRequest{Entries: entries}
	size := request.SizeVT()
	for {
		p.mu.Lock()
		switch {
		case p.failed != nil:
			p.mu.Unlock()
			return p.failed
		case p.closing:
			p.mu.Unlock()
			return ErrClosed
		case p.window.fits(size, p.config.MaxUncommittedRequests, p.config.MaxUncommittedBytes):
			p.window.add(request, size)
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

// Close ends sending. Run returns once everything is committed. Close does not wait for it.
func (p *Producer) Close() {
	p.mu.Lock()
	p.closing = true
	p.notifyLocked()
	p.mu.Unlock()
}

// Statistics is what a producer has done so far.
type Statistics struct {
	// Sent is the last sequence given out, Committed the watermark.
	Sent, Committed uint64
	// Streams is how many streams were opened.
	Streams int
	// Doubtful counts requests that were sent again to an instance that did not know what an earlier one had stored: their
	// entries may be stored twice.
	Doubtful uint64
}

// Statistics returns what the producer has done so far.
func (p *Producer) Statistics() Statistics {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Statistics{Sent: p.window.last, Committed: p.window.committed, Streams: p.streams, Doubtful: p.doubtful}
}

// Run streams until Close was called and everything is committed, until ctx ends, or until the server refuses the
// stream for good; then it returns that error. It opens a new stream whenever one ends otherwise.
func (p *Producer) Run(ctx context.Context) (err error) {
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
	for {
		err := p.stream(ctx, &wait)
		switch {
		case p.done():
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !retryable(err):
			return fmt.Errorf("ingest stream: %w", err)
		}
		pause := wait.next()
		if err != nil {
			p.config.Log.Warn("stream ended, opening a new one", "error", err, "wait", pause)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (p *Producer) done() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closing && p.window.empty()
}

// stream runs one stream to its end. Nil: it was drained, or half-closed by us.
func (p *Producer) stream(ctx context.Context, wait *backoff) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := p.service.IngestStream(ctx)
	if err != nil {
		return err
	}
	if err := p.open(stream); err != nil {
		return err
	}
	wait.reset()

	drained := make(chan struct{})
	received := make(chan error, 1)
	go func() { received <- p.receive(stream, drained) }()
	if p.transmit(ctx, stream, drained, received) {
		return <-received
	}
	// The stream broke, or ctx ended: what receive returns says why.
	cancel()
	return <-received
}

// open sends the opening, takes the welcome and rewinds to what the server has.
func (p *Producer) open(stream grpc.BidiStreamingClient[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]) error {
	opening := proto.CloneOf(p.config.Open)
	p.mu.Lock()
	opening.Epoch, opening.CommittedSequence = p.window.epoch, p.window.committed
	p.mu.Unlock()
	// An error of Send is io.EOF; Recv has the status.
	if err := stream.Send(&logbatcherv1.IngestStreamRequest{Open: opening}); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	response, err := stream.Recv()
	if err != nil {
		return err
	}
	welcome := response.GetWelcome()
	if welcome == nil {
		return errors.New("the server's first response is no welcome")
	}
	p.mu.Lock()
	p.streams++
	if opening.Epoch != 0 && !welcome.GetResumed() {
		p.doubtful += uint64(p.window.sent)
	}
	p.window.resume(welcome.GetEpoch())
	p.mu.Unlock()
	p.advance(welcome.GetCommittedSequence())
	return nil
}

// transmit sends pending requests until there will be no more on this stream, then half-closes. It returns false when
// the stream broke.
func (p *Producer) transmit(ctx context.Context, stream grpc.ClientStream, drained <-chan struct{}, received chan error) bool {
	for {
		p.mu.Lock()
		request := p.window.next()
		last := request == nil && p.closing
		changed := p.changed
		p.mu.Unlock()
		switch {
		case last:
			return stream.CloseSend() == nil
		case request != nil:
			select {
			case <-drained:
				p.mu.Lock()
				p.window.unsend()
				p.mu.Unlock()
				return stream.CloseSend() == nil
			default:
			}
			if err := stream.SendMsg(request); err != nil {
				return true // receive has the status
			}
			continue
		}
		select {
		case <-changed:
		case <-drained:
			return stream.CloseSend() == nil
		case err := <-received:
			received <- err
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// receive takes responses until the stream ends. Nil: it ended with OK.
func (p *Producer) receive(stream grpc.BidiStreamingClient[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse], drained chan struct{}) error {
	asked := false
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, refusal := range response.GetRefusals() {
			p.config.OnRefusal(refusal)
		}
		for _, letter := range response.GetDeadLettered() {
			p.config.OnDeadLettered(letter)
		}
		p.advance(response.GetCommittedSequence())
		if throttle := response.GetThrottle(); throttle != nil {
			p.config.OnThrottle(throttle)
		}
		if response.GetDrain() != nil && !asked {
			asked = true
			close(drained)
		}
	}
}

// advance drops what the watermark covers.
func (p *Producer) advance(committed uint64) {
	p.mu.Lock()
	entries, bytes := p.window.commit(committed)
	if entries == 0 && bytes == 0 {
		p.mu.Unlock()
		return
	}
	p.notifyLocked()
	p.mu.Unlock()
	p.config.OnCommitted(Committed{Sequence: committed, Entries: entries, Bytes: bytes})
}

func (p *Producer) notifyLocked() {
	close(p.changed)
	p.changed = make(chan struct{})
}
