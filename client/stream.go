package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// farewell is how long Close waits, once everything has reached the level, for the server to end a half-closed stream.
const farewell = 5 * time.Second

// errAgain ends a stream if the next one, which will go differently, is to be opened at once.
var errAgain = errors.New("open another stream")

type ingestStream = grpc.BidiStreamingClient[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]

// stream is one of a producer's streams: it sends its requests in order, over one gRPC stream after another.
type stream struct {
	p        *Producer
	id       string
	index    int
	leftover bool          // of an earlier configuration: it gets no new requests
	wake     chan struct{} // capacity 1: there may be something to send

	// For the goroutine that runs it.
	own    limits // what gRPC did not send
	moves  int    // to the next address
	warned bool   // the log has a line about a broken stream

	// Guarded by Producer.mu.
	window    window
	next      uint64 // number of the next request
	open      bool   // welcomed
	throttled bool
	steps     uint64            // how often something reached the level
	since     time.Time         // of the last progress
	watch     *time.Timer       // runs giveUp
	lastError error             // why the last gRPC stream ended
	letters   map[letter]uint64 // reported dead letters, with their last sequence, until that is committed
	cancel    context.CancelFunc
}

// letter identifies a dead letter.
type letter struct {
	id, route   string
	first, last uint64
}

func (s *stream) wakeUp() { wakeUp(s.wake) }

// readiness ranks a stream among others for the next request.
func (s *stream) readiness() int {
	switch {
	case s.open && !s.throttled:
		return 2
	case s.open:
		return 1
	}
	return 0
}

// finishedLocked reports whether nothing is left to do.
func (s *stream) finishedLocked() bool { return (s.p.closing || s.leftover) && s.window.empty() }

// run streams until the producer is closed and everything has reached the level, opening a new gRPC stream whenever one ends before.
// It fails when the server refuses the stream for good, or when GiveUpAfter has passed.
func (s *stream) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.p.mu.Lock()
	s.cancel = func() { cancel(nil) }
	if after := s.p.config.GiveUpAfter; after > 0 {
		s.watch = time.AfterFunc(after, func() { s.giveUp(cancel) })
		defer s.watch.Stop()
	}
	s.p.mu.Unlock()

	wait := pauses{min: s.p.config.MinBackoff, max: s.p.config.MaxBackoff}
	for {
		if s.finished() {
			return nil
		}
		if cause := context.Cause(ctx); cause != nil {
			if errors.Is(cause, ErrGaveUp) {
				return cause
			}
			return nil // the producer ends, or failed
		}
		began, steps, opened := time.Now(), s.progress(), s.p.Statistics().Streams
		err := s.once(ctx)
		if ctx.Err() != nil || s.finished() || errors.Is(err, errAgain) {
			continue
		}
		if err != nil {
			tell(s.p, s.p.config.OnError, err)
			if !s.retryable(err, opened > 0) {
				return fmt.Errorf("ingest stream: %w", err)
			}
		}
		if s.progressed(steps, began) {
			wait.reset()
		}
		asked, _ := retryDelay(err)
		pause := wait.next(asked)
		s.warn(err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done(): // also when the producer is closed and nothing is left
		}
	}
}

// retryable reports whether another stream may do better. A producer that was welcomed once does not end because its credentials are
// refused: they can be replaced, or a server may not know them yet.
func (s *stream) retryable(err error, welcomed bool) bool {
	code := status.Code(err)
	return retryable(err) || welcomed && (code == codes.Unauthenticated || code == codes.PermissionDenied)
}

// warn logs a broken stream, not more than one of the producer's in a minute.
func (s *stream) warn(err error, pause time.Duration) {
	if err == nil {
		return
	}
	s.p.mu.Lock()
	due := s.p.warned.IsZero() || time.Since(s.p.warned) >= logInterval
	if due {
		s.p.warned = time.Now()
	}
	waiting := s.window.entries + s.p.batch.entries
	s.p.mu.Unlock()
	if due {
		s.warned = true
		s.p.config.Log.Warn("stream ended, opening another one", "stream", s.id, "error", err, "wait", pause, "waiting_entries", waiting)
	}
}

// giveUp cancels the stream if nothing has reached the level for GiveUpAfter, and otherwise looks again when that may be so.
func (s *stream) giveUp(cancel context.CancelCauseFunc) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	after := s.p.config.GiveUpAfter
	if s.open && s.window.empty() {
		s.since = time.Now() // nothing waits, and something sent now would be committed
	}
	if left := after - time.Since(s.since); left > 0 {
		s.watch.Reset(left)
		return
	}
	err := fmt.Errorf("%w: nothing was committed for %v", ErrGaveUp, after)
	if s.lastError != nil {
		err = fmt.Errorf("%w; the last stream ended with: %w", err, s.lastError)
	}
	cancel(err)
}

func (s *stream) progress() (steps uint64) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.steps
}

// progressed reports whether a gRPC stream made progress, or had nothing to send for as long as the longest wait.
func (s *stream) progressed(steps uint64, began time.Time) bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.steps != steps || s.window.empty() && time.Since(began) > s.p.config.MaxBackoff
}

// allSent reports whether everything was sent and nothing more will come.
func (s *stream) allSent() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return (s.p.closing || s.leftover) && len(s.window.waiting) == 0
}

func (s *stream) finished() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.finishedLocked()
}

// once runs one gRPC stream to its end. It returns nil if the stream was drained, or half-closed by us.
func (s *stream) once(runs context.Context) (err error) {
	p := s.p
	ctx, cancel := context.WithCancelCause(runs)
	defer cancel(nil)
	noWelcome := status.Errorf(codes.DeadlineExceeded, "no Welcome from the server within %v", p.config.WelcomeTimeout)
	late := time.AfterFunc(p.config.WelcomeTimeout, func() { cancel(noWelcome) })
	defer late.Stop()
	drained := make(chan struct{})
	defer func() {
		if err != nil && context.Cause(ctx) == noWelcome {
			err = noWelcome
		}
		p.mu.Lock()
		if s.open && s.window.empty() {
			s.since = time.Now()
		}
		select {
		case <-drained:
			s.moves++
		default:
			if !s.open && !errors.Is(err, errAgain) {
				s.moves++
			}
		}
		s.open, s.throttled, s.lastError = false, false, err
		p.mu.Unlock()
	}()

	if p.spill != nil && s.isNew() {
		// A server does not open an epoch again that was replaced by this one.
		if err := p.save(); err != nil {
			return err
		}
	}
	conn := p.conns[(s.index+s.moves)%len(p.conns)]
	stream, err := logbatcherv1.NewIngestServiceClient(conn).IngestStream(ctx, grpc.ForceCodecV2(codec{}))
	if err != nil {
		// gRPC itself fails: the connection was closed, or a call option can't work.
		if code := status.Code(err); ctx.Err() == nil && (code == codes.Canceled || code == codes.Internal) {
			return final{err}
		}
		return err
	}
	limits, err := s.welcome(ctx, stream)
	if err != nil {
		return err
	}
	late.Stop()

	p.mu.Lock()
	exceeding := s.window.exceeds(limits)
	p.mu.Unlock()
	if exceeding != nil {
		return s.restart(stream, exceeding, limits)
	}
	if p.spill != nil {
		// What is sent now is told from what was sent before by the place of the stream: that must outlive this process.
		if err := p.save(); err != nil {
			return err
		}
	}

	received := make(chan error, 1)
	go func() {
		err := s.receive(stream, drained)
		if err != nil {
			cancel(nil) // if the server violated the protocol, SendMsg must return
		}
		received <- err
	}()
	sendErr := s.transmit(ctx, stream, limits, drained, received)
	if sendErr != nil {
		cancel(nil)
	}
	err = <-received
	switch _, violated := errors.AsType[final](err); {
	case violated:
		return err
	case s.gap(err):
		return errAgain
	case sendErr != nil:
		return sendErr
	}
	return err
}

// isNew reports whether the stream begins an epoch.
func (s *stream) isNew() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.window.epoch == 0
}

// welcome sends the opening, receives the Welcome and rewinds to what the server has.
func (s *stream) welcome(ctx context.Context, stream ingestStream) (limits, error) {
	p := s.p
	opening := proto.CloneOf(p.config.Open)
	opening.Producer = s.id
	p.mu.Lock()
	opening.Epoch, opening.CommittedSequence = s.window.epoch, s.window.committed
	if p.level != logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED {
		opening.LoggedSequence = s.window.kept
	}
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
	l := limitsOf(welcome.GetLimits())
	p.mu.Lock()
	p.opened++
	s.open = true
	p.limits = l
	p.maxEntry.Store(int64(l.largestEntry()))
	s.window.resume(welcome.GetEpoch())
	if opening.Epoch != 0 && !welcome.GetResumed() {
		p.doubtful += uint64(len(s.window.pieces))
	}
	p.mu.Unlock()
	if s.warned {
		s.warned = false
		p.config.Log.Info("stream open again", "stream", s.id, "instance", welcome.GetInstance(), "committed", welcome.GetCommittedSequence())
	}
	response.LoggedSequence = max(response.GetLoggedSequence(), welcome.GetLoggedSequence())
	response.CommittedSequence = max(response.GetCommittedSequence(), welcome.GetCommittedSequence())
	if err := s.take(response); err != nil {
		return limits{}, err
	}
	if welcome.GetResumed() {
		p.mu.Lock()
		s.window.skip(response.GetLoggedSequence())
		p.mu.Unlock()
	}
	l.cutBytes, l.unsentBytes, l.unsent = s.own.cutBytes, s.own.unsentBytes, s.own.unsent
	return l, nil
}

// restart ends a stream whose server does not accept a request that has its sequence already. The request can't be cut within its
// epoch, because another instance may know the sequence for what it was, so its entries go into a new epoch. This stores no more
// twice than resuming: before the stream ends with OK, the server has brought whatever it had accepted to the level.
func (s *stream) restart(stream ingestStream, exceeding *piece, l limits) error {
	s.p.config.Log.Warn("the server accepts smaller requests than the one before, beginning a new epoch", "stream", s.id,
		"entries", exceeding.entries, "bytes", exceeding.bytes(), "max_request_entries", l.requestEntries, "max_request_bytes", l.requestBytes)
	if err := stream.CloseSend(); err != nil {
		return err
	}
	// The server may still have refusals to report.
	if err := s.receive(stream, make(chan struct{})); err != nil {
		return err
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.newEpochLocked()
	return errAgain
}

// newEpochLocked takes all sequences back.
func (s *stream) newEpochLocked() {
	for _, d := range s.window.untold {
		if d.last {
			s.p.releaseLocked(d.of, d.of.memory)
		}
	}
	s.window.restart()
	clear(s.letters)
}

// gap handles a server that does not have requests that have reached the level RECEIVED or LOGGED, and are not kept: they are lost, and
// the others go into a new epoch.
func (s *stream) gap(err error) bool {
	p := s.p
	if status.Code(err) != codes.OutOfRange || p.level == logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED {
		return false
	}
	p.mu.Lock()
	missing := s.window.kept - s.window.committed
	if missing > 0 {
		p.lost += missing
		s.newEpochLocked()
	}
	p.mu.Unlock()
	if missing > 0 {
		p.config.Log.Error("the server lost requests that it had acknowledged, beginning a new epoch", "stream", s.id, "requests", missing, "level", p.level)
	}
	return missing > 0
}

// transmit sends requests until there will be no more on this stream, then half-closes. It also returns nil when the stream broke:
// receive has the status.
func (s *stream) transmit(ctx context.Context, stream grpc.ClientStream, l limits, drained <-chan struct{}, received chan error) error {
	for {
		select {
		case <-drained:
			return stream.CloseSend()
		default:
		}
		next, message, fresh, err := s.nextPiece(ctx, l)
		switch {
		case err != nil:
			return err
		case next != nil:
			err := stream.SendMsg(message)
			if err != nil && !errors.Is(err, io.EOF) {
				return s.unsent(next, message, fresh, err)
			}
			if err != nil {
				return nil
			}
			continue
		case s.allSent():
			return stream.CloseSend()
		}
		select {
		case <-s.wake:
		case <-drained:
		case err := <-received:
			received <- err
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// nextPiece returns the next piece to send, its message, and whether it is sent for the first time, or nil. A request without a
// sequence is cut by the limits.
func (s *stream) nextPiece(ctx context.Context, l limits) (next *piece, message *encoded, fresh bool, err error) {
	p := s.p
	for {
		p.mu.Lock()
		w := &s.window
		if w.sent == len(w.pieces) && len(w.waiting) == 0 && p.batch.due && !s.leftover {
			p.sealLocked(s)
		}
		if w.sent < len(w.pieces) {
			next := w.pieces[w.sent]
			body, sequence, fresh := next.of.body, w.kept+uint64(w.sent)+1, !next.exposed
			w.sent++
			next.exposed = true
			p.mu.Unlock()
			if body != nil {
				return next, &encoded{sequence, body[next.from:next.to]}, fresh, nil
			}
			body, err := next.of.load(next.from, next.to)
			return next, &encoded{sequence, body}, fresh, err
		}
		if len(w.waiting) == 0 || !w.waiting[0].ready {
			p.mu.Unlock()
			return nil, nil, false, nil
		}
		r := w.waiting[0]
		body, epoch := r.body, w.epoch
		p.mu.Unlock()

		pieces, left, err := r.cut(l, func() ([]byte, error) {
			if body != nil {
				return body, nil
			}
			return r.load(0, r.size)
		})
		// A request without a note is one piece. The note has those before r.from too: an older state may begin with them.
		cuts := slices.DeleteFunc(slices.Clone(r.cuts), func(p *piece) bool { return p.from >= r.from })
		cuts = append(cuts, pieces...)
		if err == nil && p.spill != nil && (len(r.cuts) > 0 || len(pieces) != 1 || len(left) > 0) {
			err = r.saved.Note(ctx, cutNote(epoch, cuts))
		}
		if err != nil {
			return nil, nil, false, err
		}
		p.mu.Lock()
		r.cuts = cuts
		gone := w.number(pieces, left)
		if gone {
			s.goneLocked(r)
		}
		p.mu.Unlock()
		s.refuse(r, left)
	}
}

// unsent handles a request that gRPC did not send. If it was too large for gRPC, smaller ones are made of it.
func (s *stream) unsent(next *piece, message *encoded, fresh bool, err error) error {
	if status.Code(err) != codes.ResourceExhausted {
		return err
	}
	s.p.mu.Lock()
	if fresh {
		next.exposed = false
	}
	s.p.mu.Unlock()
	if next.entries > 1 {
		s.own.cutBytes = next.bytes() / 2
	} else if e, malformed := nextEntry(message.entries, 0); malformed == nil {
		s.own.unsentBytes, s.own.unsent = len(e.bytes), err.Error()
	}
	return errAgain
}

// goneLocked counts a request that nothing is left of.
func (s *stream) goneLocked(r *request) {
	s.p.releaseLocked(r, r.memory)
	if r.saved != nil {
		s.p.finished = append(s.p.finished, r)
		wakeUp(s.p.spillWake)
	}
	s.p.notifyLocked()
	if s.finishedLocked() {
		s.sayFarewellLocked()
	}
}

// sayFarewellLocked ends the stream: at once if no gRPC stream is open, else when the server has had some time to end that.
func (s *stream) sayFarewellLocked() {
	switch {
	case s.cancel == nil: // it has not begun
	case s.open:
		time.AfterFunc(farewell, s.cancel)
	default:
		s.cancel()
	}
	s.wakeUp()
}

// ownError returns an error of gRPC's sending side, which would occur again.
func ownError(ctx context.Context, what string, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return final{fmt.Errorf("%s: %w", what, err)}
}
