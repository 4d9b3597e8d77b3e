package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// logInterval is the least time between two log lines about broken streams.
const logInterval = time.Minute

// tokenBytes is counted for an entry's token in memory.
const tokenBytes = 16

// Producer sends the entries of one producer. It is safe for concurrent use. Open one and Close it.
type Producer struct {
	config Config
	level  logbatcherv1.Acknowledgement
	conns  []grpc.ClientConnInterface
	dialed []*grpc.ClientConn
	spill  Spill // nil: none

	cancel  context.CancelCauseFunc // ends the streams
	running sync.WaitGroup          // the streams
	settled chan struct{}           // closed when all streams have ended
	ended   sync.Once               // runs end
	endErr  error

	telling  sync.Mutex // held while one of config's functions is called
	saving   sync.Mutex // held while the state is saved
	maxEntry atomic.Int64

	mu      sync.Mutex
	streams []*stream
	batch   batch
	limits  limits // of the newest Welcome
	memory  int    // bytes that count for MaxBytes
	closing bool
	failed  error         // why the producer failed, if it did
	done    chan struct{} // closed with failed
	waiters int           // how many wait for changed
	changed chan struct{} // closed and replaced whenever there may be room, or less to wait for
	turn    int           // rotates the choice among equal streams
	warned  time.Time     // when there was a log line about broken streams

	given, reached, refused, doubtful, lost uint64
	opened                                  int

	// For the spill.
	spillWake   chan struct{}
	stopSpill   context.CancelFunc
	spillEnded  chan struct{}
	unsaved     []*request // to be put, in order
	finished    []*request // to be removed
	put         uint64
	mark        []byte // of the newest entries
	durableMark []byte
	spillErr    error // why the spill takes nothing
}

// batch is what waits to be sealed into a request.
type batch struct {
	body    []byte
	entries int
	largest int
	tokens  []any
	mark    func() []byte
	due     bool // has lingered, and is sealed when a stream can take it
	linger  *time.Timer
	size    int // of the body of the batch before
}

// Open starts a producer, which the caller must Close. It connects in the background: the error is about the configuration or the
// spill, which then stays the caller's.
func Open(config Config) (*Producer, error) {
	if err := config.check(); err != nil {
		return nil, fmt.Errorf("producer configuration: %w", err)
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	config.Open = proto.CloneOf(config.Open)
	p := &Producer{
		config: config, level: config.level(), conns: config.Conns, spill: config.Spill,
		settled: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}), spillWake: make(chan struct{}, 1),
	}
	p.maxEntry.Store(maxEntryBytes)
	for n := range config.Streams {
		p.streamOf(config.streamID(n))
	}
	if p.spill != nil {
		if err := p.restore(); err != nil {
			return nil, err // the spill stays the caller's
		}
		p.durableMark = p.mark
		if p.spill.State() == nil {
			if err := p.save(); err != nil { // from now on it is known whose it is
				return nil, err
			}
		}
	}
	for _, address := range config.Addresses {
		conn, err := dial(address, &config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("address %q: %w", address, err), p.hangUp())
		}
		p.conns, p.dialed = append(p.conns, conn), append(p.dialed, conn)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	p.cancel = cancel
	if p.spill != nil {
		var spilling context.Context
		spilling, p.stopSpill = context.WithCancel(context.Background())
		p.spillEnded = make(chan struct{})
		go func() {
			defer close(p.spillEnded)
			p.spillAll(spilling)
		}()
	}
	for _, s := range p.streams {
		p.running.Go(func() {
			if err := s.run(ctx); err != nil {
				p.fail(err)
			}
		})
	}
	go func() {
		p.running.Wait()
		close(p.settled)
	}()
	return p, nil
}

// dial returns a connection without waiting for it.
func dial(address string, config *Config) (*grpc.ClientConn, error) {
	// By default gRPC retries only every two minutes, and never notices a server that vanishes.
	attempts := backoff.DefaultConfig
	attempts.BaseDelay = min(attempts.BaseDelay, config.MinBackoff)
	attempts.MaxDelay = min(5*time.Second, config.MaxBackoff)
	return grpc.NewClient(address, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: attempts, MinConnectTimeout: 10 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}),
	}, config.DialOptions...)...)
}

func (p *Producer) hangUp() (err error) {
	for _, conn := range p.dialed {
		err = errors.Join(err, conn.Close())
	}
	return err
}

// streamOf returns the stream with an id, which it adds if there is none.
func (p *Producer) streamOf(id string) *stream {
	for _, s := range p.streams {
		if s.id == id {
			return s
		}
	}
	s := &stream{
		p: p, id: id, index: len(p.streams), leftover: len(p.streams) >= p.config.Streams,
		next: 1, wake: make(chan struct{}, 1), letters: map[letter]uint64{}, since: time.Now(),
	}
	s.window.untold = map[uint64]*piece{}
	p.streams = append(p.streams, s)
	return s
}

// Send gives entries to the producer, which encodes them: they may be changed afterwards. It blocks while there is no room, not until
// they are safe; with WhenFull set to Fail it does not block. After an error none of them was taken: ErrFull, a TooLargeError, a
// SpillError, ErrClosed after Close, why the producer failed, or why ctx ended.
func (p *Producer) Send(ctx context.Context, entries ...*logbatcherv1.Entry) error {
	return p.give(ctx, nil, nil, entries...)
}

// SendToken is Send for one entry, whose refusals carry the token.
func (p *Producer) SendToken(ctx context.Context, token any, entry *logbatcherv1.Entry) error {
	return p.give(ctx, token, nil, entry)
}

// SendMark is Send for one entry, and leaves a mark in the spill together with it: see Mark. The function is called once if the entry is
// the last of its request, by another goroutine. Without a spill it is not called.
func (p *Producer) SendMark(ctx context.Context, mark func() []byte, entry *logbatcherv1.Entry) error {
	return p.give(ctx, nil, mark, entry)
}

// Mark returns the mark of the newest entry that an earlier process left in the spill: that entry and all before it need not be given
// again. It is nil without a spill, and in an empty one.
func (p *Producer) Mark() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mark
}

func (p *Producer) give(ctx context.Context, token any, mark func() []byte, entries ...*logbatcherv1.Entry) error {
	total := 0
	for i, e := range entries {
		if e == nil {
			return fmt.Errorf("send: entry %d is nil", i)
		}
		size := e.SizeVT()
		if most := int(p.maxEntry.Load()); size > most {
			return &TooLargeError{Index: i, Bytes: size, Limit: most}
		}
		total += entrySize(size)
	}
	if token != nil {
		total += tokenBytes
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitLocked(ctx, true, total); err != nil {
		return err
	}
	for _, e := range entries {
		size := e.SizeVT()
		body := p.beginLocked(size)
		at := len(body)
		body = body[:at+size]
		if _, err := e.MarshalToSizedBufferVT(body[at:]); err != nil {
			panic(fmt.Sprintf("encode an entry: %v", err)) // the generated code has no error to return
		}
		p.endLocked(body, size, token, mark)
	}
	return nil
}

// giveEncoded is Send for one encoded entry. It may be told not to wait for room.
func (p *Producer) giveEncoded(ctx context.Context, wait bool, entry []byte) error {
	if most := int(p.maxEntry.Load()); len(entry) > most {
		return &TooLargeError{Bytes: len(entry), Limit: most}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admitLocked(ctx, wait, entrySize(len(entry))); err != nil {
		return err
	}
	p.endLocked(append(p.beginLocked(len(entry)), entry...), len(entry), nil, nil)
	return nil
}

// admitLocked returns nil when there is room.
func (p *Producer) admitLocked(ctx context.Context, wait bool, bytes int) error {
	for {
		switch {
		case p.failed != nil:
			return p.failed
		case p.closing:
			return ErrClosed
		case p.memory == 0 || p.memory+bytes <= p.config.MaxBytes:
			return nil
		case p.spillErr != nil:
			return &SpillError{p.spillErr}
		case p.config.WhenFull == Fail || !wait:
			return ErrFull
		}
		if err := p.waitLocked(ctx); err != nil {
			return err
		}
	}
}

// waitLocked unlocks and waits for a change.
func (p *Producer) waitLocked(ctx context.Context) error {
	changed := p.changed
	p.waiters++
	p.mu.Unlock()
	var err error
	select {
	case <-changed:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	p.mu.Lock()
	p.waiters--
	return err
}

func (p *Producer) notifyLocked() {
	if p.waiters > 0 {
		close(p.changed)
		p.changed = make(chan struct{})
	}
}

// beginLocked returns the batch's bytes, to which the caller appends an entry of that size. It seals the batch first if the entry does
// not fit.
func (p *Producer) beginLocked(size int) []byte {
	b := &p.batch
	most := lower(p.config.BatchBytes, p.limits.requestBytes)
	if b.entries > 0 && len(b.body)+entrySize(size)+sequenceBytes > most {
		p.sealLocked(nil)
	}
	if need := len(b.body) + entrySize(size); need > cap(b.body) {
		grown := make([]byte, len(b.body), max(need, 2*cap(b.body), min(b.size+b.size/8, most), 512))
		copy(grown, b.body)
		b.body = grown
	}
	b.body = protowire.AppendTag(b.body, entriesField, protowire.BytesType)
	return protowire.AppendVarint(b.body, uint64(size))
}

// endLocked counts an entry that was appended, and seals the batch if it is full.
func (p *Producer) endLocked(body []byte, size int, token any, mark func() []byte) {
	b := &p.batch
	b.body = body
	if token != nil && b.tokens == nil {
		b.tokens = make([]any, b.entries, max(2*b.entries, 16))
		p.memory += b.entries * tokenBytes
	}
	if b.tokens != nil {
		b.tokens = append(b.tokens, token)
		p.memory += tokenBytes
	}
	if mark != nil {
		b.mark = mark
	}
	b.entries++
	b.largest = max(b.largest, size)
	p.memory += entrySize(size)
	p.given++
	switch {
	case b.entries >= lower(p.config.BatchEntries, p.limits.requestEntries) ||
		len(b.body)+sequenceBytes >= lower(p.config.BatchBytes, p.limits.requestBytes):
		p.sealLocked(nil)
	case b.entries > 1:
	case b.linger == nil:
		b.linger = time.AfterFunc(p.config.Linger, p.lingered)
	default:
		b.linger.Reset(p.config.Linger)
	}
}

// lingered seals the batch, unless requests wait before it: then a stream takes it when it has sent those.
func (p *Producer) lingered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.batch.entries == 0 {
		return
	}
	if s := p.chooseLocked(); p.spill != nil || len(s.window.waiting) == 0 {
		p.sealLocked(s)
	} else {
		p.batch.due = true
	}
}

// chooseLocked returns the stream that has the least to send, of those that are open and not throttled if there are any.
func (p *Producer) chooseLocked() *stream {
	p.turn++
	var best *stream
	for i := range p.config.Streams {
		s := p.streams[(p.turn+i)%p.config.Streams]
		if best == nil || s.readiness() > best.readiness() || s.readiness() == best.readiness() && s.window.bytes < best.window.bytes {
			best = s
		}
	}
	return best
}

// sealLocked makes a request of the batch and gives it to a stream; nil: to the one with the least to send.
func (p *Producer) sealLocked(s *stream) {
	b := &p.batch
	if b.entries == 0 {
		return
	}
	if s == nil {
		s = p.chooseLocked()
	}
	r := &request{
		stream: s, number: s.next, body: b.body, size: len(b.body), entries: b.entries, largest: b.largest, tokens: b.tokens, mark: b.mark,
		memory: len(b.body) + len(b.tokens)*tokenBytes + requestOverhead, ready: p.spill == nil,
	}
	p.memory += requestOverhead
	s.next++
	if s.window.empty() {
		s.since = time.Now()
	}
	s.window.add(r)
	b.size = len(b.body)
	b.body, b.entries, b.largest, b.tokens, b.mark, b.due = nil, 0, 0, nil, nil, false
	if b.linger != nil {
		b.linger.Stop()
	}
	if p.spill != nil {
		p.unsaved = append(p.unsaved, r)
		wakeUp(p.spillWake)
	}
	s.wakeUp()
}

// releaseLocked gives back memory of a request.
func (p *Producer) releaseLocked(r *request, bytes int) {
	bytes = min(bytes, r.memory)
	r.memory -= bytes
	p.memory -= bytes
}

// wakeUp wakes whoever reads from a channel of capacity 1, now or later.
func wakeUp(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Flush sends what waits for others, and blocks until all that was given before has reached the level. It returns an UnfinishedError when
// ctx ends, when it has no deadline and Config.FlushTimeout has passed, or when the producer fails.
func (p *Producer) Flush(ctx context.Context) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return ErrClosed
	}
	return p.flushLocked(ctx)
}

// bounded returns a context with a deadline.
func (p *Producer) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, p.config.FlushTimeout, fmt.Errorf("not within %v (FlushTimeout): %w", p.config.FlushTimeout, context.DeadlineExceeded))
}

func (p *Producer) flushLocked(ctx context.Context) error {
	p.sealLocked(nil)
	marks := make([]uint64, len(p.streams))
	for i, s := range p.streams {
		marks[i] = s.next
	}
	for {
		left := &UnfinishedError{Cause: p.failed}
		for i, s := range p.streams {
			entries, spilled := s.window.before(marks[i])
			left.Entries += entries
			left.Spilled += spilled
		}
		switch {
		case left.Entries == 0:
			return nil
		case left.Cause != nil:
			return left
		}
		if left.Cause = p.waitLocked(ctx); left.Cause != nil {
			return left
		}
	}
}

// before returns how many entries of requests with numbers below that have not reached the level, and how many of them are in the spill.
func (w *window) before(number uint64) (entries, spilled int) {
	count := func(r *request, n int) {
		if r.number < number {
			entries += n
			if r.saved != nil {
				spilled += n
			}
		}
	}
	for _, p := range w.pieces {
		count(p.of, p.entries)
	}
	for _, r := range w.waiting {
		count(r, r.entries-r.first-r.leftBehind())
	}
	return entries, spilled
}

// Close sends what waits, blocks as Flush does, and ends the producer. With a spill, what has not reached the level is sent by the next
// producer with it; Close then waits until it is in the spill, too.
func (p *Producer) Close(ctx context.Context) error {
	p.ended.Do(func() { p.endErr = p.end(ctx) })
	return p.endErr
}

func (p *Producer) end(ctx context.Context) error {
	ctx, cancel := p.bounded(ctx)
	defer cancel()
	p.mu.Lock()
	p.sealLocked(nil)
	p.closing = true
	if p.batch.linger != nil {
		p.batch.linger.Stop()
	}
	for _, s := range p.streams {
		if s.finishedLocked() {
			s.sayFarewellLocked()
		}
	}
	p.notifyLocked()
	err := p.flushLocked(ctx)
	if err == nil {
		err = p.failed
	}
	p.mu.Unlock()
	if err == nil {
		select {
		case <-p.settled: // the streams end once they have nothing left
		case <-ctx.Done():
		}
	}
	p.cancel(ErrClosed)
	if p.spill != nil {
		// A disk that takes nothing must not keep Close.
		late := time.AfterFunc(farewell, func() { _ = p.spill.Close() })
		defer late.Stop()
		p.stopSpill()
		<-p.spillEnded
	}
	<-p.settled
	if p.spill != nil {
		if left, ok := errors.AsType[*UnfinishedError](err); ok {
			left.Entries, left.Spilled = p.unfinished() // the spill has taken more meanwhile
		}
		err = errors.Join(err, p.clean(), p.spill.Close())
	}
	return errors.Join(err, p.hangUp())
}

// unfinished returns how many entries have not reached the level, and how many of them are in the spill.
func (p *Producer) unfinished() (entries, spilled int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		e, n := s.window.before(s.next)
		entries, spilled = entries+e, spilled+n
	}
	return entries, spilled
}

// fail ends the producer for a reason that another stream would not change.
func (p *Producer) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed != nil {
		return
	}
	p.failed = err
	close(p.done)
	p.cancel(err)
	p.notifyLocked()
}

// Done is closed when the producer fails: Err says why.
func (p *Producer) Done() <-chan struct{} { return p.done }

// Err returns why the producer failed, nil if it did not: the server refuses the producer for good, another process sends as it, or
// GiveUpAfter has passed.
func (p *Producer) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// Statistics is what a producer has done so far.
type Statistics struct {
	// Given is the number of entries that were taken, those in the spill at first included. Reached is how many of them have reached the
	// level, Refused how many of these were refused.
	Given, Reached, Refused uint64
	// Unsent is how many entries were never sent to a server.
	Unsent int
	// Bytes is the memory in use, as it counts for MaxBytes.
	Bytes int
	// Streams is the number of streams opened so far, Open how many are.
	Streams, Open int
	// Doubtful counts requests sent again to an instance that did not know what an earlier one had stored: their entries may be
	// stored twice.
	Doubtful uint64
	// Lost counts requests that had reached the level RECEIVED or LOGGED, and that the server does not have any more.
	Lost uint64
}

// Statistics returns what the producer has done so far.
func (p *Producer) Statistics() Statistics {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Statistics{
		Given: p.given, Reached: p.reached, Refused: p.refused, Unsent: p.batch.entries, Bytes: p.memory, Streams: p.opened,
		Doubtful: p.doubtful, Lost: p.lost,
	}
	for _, one := range p.streams {
		s.Unsent += one.window.unsent()
		if one.open {
			s.Open++
		}
	}
	return s
}

// tell calls a function of the configuration, if it is not nil.
func tell[T any](p *Producer, call func(T), value T) {
	if call != nil {
		p.telling.Lock()
		defer p.telling.Unlock()
		call(value)
	}
}
