package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	vtcodec "github.com/planetscale/vtprotobuf/codec/grpc"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// errAgain ends a stream if the next one, which will go differently, is to be opened at once.
var errAgain = errors.New("open another stream")

type ingestStream = grpc.BidiStreamingClient[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]

// stream runs one stream to its end. It returns nil if the stream was drained, or half-closed by us.
func (p *Producer) stream(runs context.Context) (err error) {
	ctx, cancel := context.WithCancelCause(runs)
	defer cancel(nil)
	noWelcome := status.Errorf(codes.DeadlineExceeded, "no Welcome from the server within %v", p.config.WelcomeTimeout)
	late := time.AfterFunc(p.config.WelcomeTimeout, func() { cancel(noWelcome) })
	defer late.Stop()
	defer func() {
		if err != nil && context.Cause(ctx) == noWelcome {
			err = noWelcome
		}
		p.mu.Lock()
		if p.welcomed && p.window.empty() {
			p.since = time.Now()
		}
		p.welcomed, p.lastError = false, err
		p.mu.Unlock()
	}()

	// gRPC's own codec rejects strings that are not UTF-8, whose bytes entry.proto promises to keep.
	stream, err := p.service.IngestStream(ctx, grpc.ForceCodec(vtcodec.Codec{}))
	if err != nil {
		// gRPC itself fails: the connection was closed, or a call option can't work.
		if code := status.Code(err); ctx.Err() == nil && (code == codes.Canceled || code == codes.Internal) {
			return final{err}
		}
		return err
	}
	limits, err := p.open(ctx, stream)
	if err != nil {
		return err
	}
	late.Stop()

	p.mu.Lock()
	exceeding := p.window.exceeds(limits)
	p.mu.Unlock()
	if exceeding != nil {
		return p.restart(stream, exceeding, limits)
	}

	drained := make(chan struct{})
	received := make(chan error, 1)
	go func() {
		err := p.receive(stream, drained)
		if err != nil {
			cancel(nil) // if the server violated the protocol, SendMsg must return
		}
		received <- err
	}()
	if err := p.transmit(ctx, stream, limits, drained, received); err != nil {
		cancel(nil)
		<-received
		if u, ok := errors.AsType[*unsentError](err); ok && runs.Err() == nil {
			return p.unsent(u)
		}
		return err
	}
	return <-received
}

// open sends the opening, receives the Welcome and rewinds to what the server has.
func (p *Producer) open(ctx context.Context, stream ingestStream) (limits, error) {
	opening := proto.CloneOf(p.config.Open)
	p.mu.Lock()
	opening.Epoch, opening.CommittedSequence = p.window.epoch, p.window.committed
	p.mu.Unlock()
	// io.EOF means that Recv has the status; any other error is gRPC's own.
	if err := stream.Send(&logbatcherv1.IngestStreamRequest{Open: opening}); err != nil && !errors.Is(err, io.EOF) {
		return limits{}, ownError(ctx, "send the opening", err)
	}
	response, err := stream.Recv()
	if err != nil {
		return limits{}, err
	}
	welcome := response.GetWelcome()
	if welcome == nil {
		return limits{}, violation("the server's first response is no Welcome")
	}
	if epoch := welcome.GetEpoch(); epoch == 0 || opening.Epoch != 0 && epoch != opening.Epoch {
		return limits{}, violation("the server answered an opening with epoch %d with epoch %d", opening.Epoch, epoch)
	}
	p.mu.Lock()
	p.streams++
	p.welcomed = true
	warned := p.warned
	p.warned = false
	cutBytes := p.cutBytes
	if opening.Epoch != 0 && !welcome.GetResumed() {
		p.doubtful += uint64(p.window.sent)
	}
	p.window.resume(welcome.GetEpoch())
	p.mu.Unlock()
	if warned {
		p.config.Log.Info("stream open again", "instance", welcome.GetInstance(), "committed", welcome.GetCommittedSequence())
	}
	// Refusals and dead letters come first: the watermark covers them.
	if err := p.take(response); err != nil {
		return limits{}, err
	}
	l := limitsOf(welcome.GetLimits())
	l.cutBytes = cutBytes
	return l, p.advance(welcome.GetCommittedSequence())
}

// restart ends a stream whose server does not accept a request that has its sequence already. The request can't be cut within its
// epoch, because another instance may know the sequence for what it was, so its entries go into a new epoch. This stores no more
// twice than resuming: before the Welcome the server settled whatever it had accepted.
func (p *Producer) restart(stream ingestStream, exceeding *item, l limits) error {
	p.config.Log.Warn("the server accepts smaller requests than the one before, beginning a new epoch", "sequence", exceeding.request.GetSequence(),
		"entries", len(exceeding.request.GetEntries()), "bytes", exceeding.bytes, "max_request_entries", l.requestEntries, "max_request_bytes", l.requestBytes)
	if err := stream.CloseSend(); err != nil {
		return err
	}
	// The server may still have refusals to report.
	if err := p.receive(stream, make(chan struct{})); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.restart()
	clear(p.letters)
	return errAgain
}

// transmit sends pending requests until there will be no more on this stream, then half-closes. It also returns nil when the
// stream broke: receive has the status.
func (p *Producer) transmit(ctx context.Context, stream grpc.ClientStream, l limits, drained <-chan struct{}, received chan error) error {
	for {
		select {
		case <-drained:
			return stream.CloseSend()
		default:
		}
		p.mu.Lock()
		fresh := p.window.sent == p.window.numbered
		next, left := p.window.next(l)
		last := next == nil && p.closing
		changed := p.changed
		p.mu.Unlock()
		p.refuse(left)
		switch {
		case next != nil:
			err := stream.SendMsg(next.request)
			if err != nil && !errors.Is(err, io.EOF) {
				return &unsentError{next, fresh, err}
			}
			if !next.exposed {
				p.mu.Lock()
				next.exposed = true
				p.mu.Unlock()
			}
			if err != nil {
				return nil
			}
			continue
		case last:
			return stream.CloseSend()
		}
		select {
		case <-changed:
		case <-drained:
		case err := <-received:
			received <- err
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unsentError is gRPC's own error for a request that it did not send, for instance because it is larger than the connection's
// MaxCallSendMsgSize. The stream ends with it too, so receive sees it at the same time.
type unsentError struct {
	item  *item
	fresh bool // never sent before
	err   error
}

func (u *unsentError) Error() string { return u.err.Error() }

func (u *unsentError) Unwrap() error { return u.err }

// unsent handles a request that gRPC did not send. It would fail again, so it is cut if it is too large, and refused if that does not
// help.
func (p *Producer) unsent(u *unsentError) error {
	p.mu.Lock()
	if !u.fresh || !p.window.withdraw(u.item) {
		p.mu.Unlock()
		return final{fmt.Errorf("send request %d again: %w", u.item.request.GetSequence(), u.err)}
	}
	var left []unsendable
	if entries := u.item.request.GetEntries(); status.Code(u.err) == codes.ResourceExhausted && len(entries) > 1 {
		p.cutBytes = u.item.bytes / 2
	} else {
		for _, e := range entries {
			left = append(left, unsendable{e, fmt.Sprintf("the entry can't be sent: %v", u.err)})
		}
		p.window.drop()
	}
	p.mu.Unlock()
	p.refuse(left)
	return errAgain
}

// ownError returns an error of gRPC's sending side, which would occur again.
func ownError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return final{fmt.Errorf("%s: %w", what, err)}
}

// receive handles responses until the stream ends, and closes drained when the server asks to drain. It returns nil if the stream
// ended with OK.
func (p *Producer) receive(stream ingestStream, drained chan struct{}) error {
	asked := false
	for {
		response, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := p.take(response); err != nil {
			return err
		}
		if response.GetDrain() != nil && !asked {
			asked = true
			close(drained)
		}
	}
}

// take reports what is in a response, the watermark last.
func (p *Producer) take(response *logbatcherv1.IngestStreamResponse) error {
	for _, r := range response.GetRefusals() {
		p.mu.Lock()
		entry, fresh := p.window.refuse(r)
		p.mu.Unlock()
		if fresh {
			p.tellRefused(entry, r)
		}
	}
	for _, l := range response.GetDeadLettered() {
		key := letter{l.GetDeadLetter(), l.GetRoute(), l.GetFirstSequence(), l.GetLastSequence()}
		p.mu.Lock()
		_, known := p.letters[key]
		if l.GetDeadLetter() != "" && l.GetLastSequence() > p.window.committed {
			p.letters[key] = l.GetLastSequence()
		}
		p.mu.Unlock()
		if !known {
			tell(p, p.config.OnDeadLettered, l)
		}
	}
	if throttle := response.GetThrottle(); throttle != nil {
		tell(p, p.config.OnThrottle, throttle)
	}
	return p.advance(response.GetCommittedSequence())
}
