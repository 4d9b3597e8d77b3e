package server

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"google.golang.org/grpc/mem"

	"github.com/logbatcher/logbatcher/schema"
)

// minEntryGuess is the entry size from which the number of entries is guessed before a request is looked at.
const minEntryGuess = 64

// intake turns the frames of one protocol into requests, in memory that the budget has granted.
type intake struct {
	protocol string // by which the log knows it
	config   *Config
	budget   Budget
	memory   *memory
	metrics  *metrics
	decoders sync.Pool // of decoder
	// decoding bounds the decoders and conversions at work: each may hold one entry as a message, or one request, which the budget does
	// not count.
	decoding chan struct{}
	// convert appends a received request in the form that the decoder reads, which must not be longer. Nil: it is received in that form.
	// The error is the status for the client.
	convert func(dst, received []byte) ([]byte, error)
}

func newIntake(protocol string, config *Config, budget Budget, m *metrics, newDecoder func() decoder) *intake {
	return &intake{
		protocol: protocol, config: config, budget: budget, memory: newMemory(), metrics: m,
		decoders: sync.Pool{New: func() any { return newDecoder() }}, decoding: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// request is one request in memory. Whoever owns it frees it: the intake's caller, until the Router takes it.
type request struct {
	schema.Request
	intake *intake
	// session learns when the request waits for memory. It may be nil.
	session  *session
	outline  outline
	sum      uint64
	buffer   *[]byte
	values   defaults
	arena    arena
	granted  int
	refusals []schema.Refusal
	dropped  droppedAttributes
	// next is where the next piece begins.
	next cut
	// pieces is set if the entries come in several: everything granted is needed until the last one.
	pieces bool
}

var _ schema.Decoder = (*request)(nil)

// admit waits until the budget has room for a frame, and reads the outline of its request. It frees the frame in any case.
func (in *intake) admit(ctx context.Context, f *frame, received time.Time, s *session) (*request, error) {
	defer f.free()
	size := f.Len()
	if size > int(in.config.MaxRequestBytes) {
		return nil, statusTooLarge("max_request_bytes", int(in.config.MaxRequestBytes), size)
	}
	if in.convert != nil {
		if err := in.converted(f); err != nil {
			return nil, err
		}
		size = f.Len()
	}
	r, err := in.take(ctx, f, received, s)
	if err != nil {
		return nil, err
	}
	in.metrics.requests.Inc()
	in.metrics.bytes.Add(float64(size))
	return r, nil
}

// take makes a request of a frame that is within the bounds.
func (in *intake) take(ctx context.Context, f *frame, received time.Time, s *session) (*request, error) {
	r, size := &request{intake: in, session: s}, f.Len()
	r.Received, r.Size, r.Decoder, r.Release = received, size, r, r.free
	_, views := in.memory.plan(in.config, size, min(size/minEntryGuess, in.config.MaxRequestEntries))
	if err := r.grant(ctx, slabCap(size)+views); err != nil {
		return nil, err
	}
	r.buffer = f.join(in.memory.buffers)
	if err := r.readOutline(); err != nil {
		r.free()
		return nil, err
	}
	return r, nil
}

// converted replaces what a frame has by its converted form.
func (in *intake) converted(f *frame) error {
	in.decoding <- struct{}{} // whoever has a place waits for nothing
	defer func() { <-in.decoding }()
	received := f.join(in.memory.buffers)
	defer in.memory.buffers.Put(received)
	converted, err := in.convert(make([]byte, 0, len(*received)), *received)
	if err != nil {
		return err
	}
	f.BufferSlice = mem.BufferSlice{mem.SliceBuffer(converted)}
	return nil
}

func (r *request) readOutline() (err error) {
	in := r.intake
	d := in.decoders.Get().(decoder)
	r.outline, err = d.outline(*r.buffer)
	in.decoders.Put(d)
	if err != nil {
		return err
	}
	if r.outline.entries > in.config.MaxRequestEntries {
		return statusTooLarge("max_request_entries", in.config.MaxRequestEntries, r.outline.entries)
	}
	r.sum = xxhash.Sum64((*r.buffer)[r.outline.first:r.outline.end]) // the same in each process
	return nil
}

// grant replaces what was granted before. Nothing is held while it waits: two requests waiting for each other's memory would wait
// forever.
func (r *request) grant(ctx context.Context, bytes int) error {
	r.giveBack(r.granted)
	r.session.endWait() // whatever it has waited for until now
	r.session.setWait(schema.WaitMemory, "")
	defer r.session.endWait()
	if err := r.intake.budget.Acquire(ctx, bytes); err != nil {
		return err
	}
	r.granted = bytes
	return nil
}

// giveBack returns a part of what was granted.
func (r *request) giveBack(bytes int) {
	if bytes > 0 {
		r.intake.budget.Release(bytes)
		r.granted -= bytes
	}
}

// decode decodes the entries, of the first piece if they come in several, and sets refusals.
func (r *request) decode(ctx context.Context, stream *defaults) error {
	r.values = *stream
	r.values.received = r.Received.UnixNano()
	if err := r.grantViews(ctx); err != nil {
		return err
	}
	// All pieces, to learn what is wrong with any of them before the first one is taken.
	for r.next = (cut{}); ; r.pieces = true {
		begun := r.next
		if err := r.decodePiece(); err != nil {
			return err
		}
		r.refusals = append(r.refusals, r.arena.refusals...)
		r.dropped.add(r.arena.dropped)
		if r.next.place == r.outline.places() {
			break
		}
		if r.next.place == begun.place {
			return errArenaFull // impossible: any entry fits into an empty arena
		}
	}
	if r.pieces {
		return r.Resume(ctx)
	}
	r.giveBack(r.granted - r.Bytes)
	return nil
}

// grantViews reserves what buffer and views may occupy.
func (r *request) grantViews(ctx context.Context) error {
	r.arena.free()
	var views int
	r.arena, views = r.intake.memory.plan(r.intake.config, len(*r.buffer), r.outline.entries)
	if need := cap(*r.buffer) + views; need > r.granted {
		return r.grant(ctx, need)
	}
	return nil
}

// decodePiece decodes as many entries as there is memory for, from next on.
func (r *request) decodePiece() (err error) {
	in := r.intake
	in.decoding <- struct{}{} // whoever has a place waits for nothing
	defer func() { <-in.decoding }()
	d := in.decoders.Get().(decoder)
	r.arena.begin(r.outline.places()-r.next.place, r.next.place)
	r.next, err = d.decode(*r.buffer, r.next, &r.values, &r.arena)
	in.decoders.Put(d)
	r.Entries, r.Index = r.arena.views()
	if r.Bytes = cap(*r.buffer) + r.arena.bytes(); r.pieces {
		r.Bytes = r.granted
	}
	return err
}

// Next implements schema.Decoder.
func (r *request) Next() bool {
	if r.next.place >= r.outline.places() {
		return false
	}
	_ = r.decodePiece() // decode has seen all of it
	return true
}

// Suspend implements schema.Decoder.
func (r *request) Suspend() {
	r.arena.free()
	r.Entries, r.Index = nil, nil
	r.giveBack(r.granted)
}

// Resume implements schema.Decoder.
func (r *request) Resume(ctx context.Context) error {
	if err := r.grantViews(ctx); err != nil {
		return err
	}
	r.next = cut{}
	_ = r.decodePiece()
	if !r.pieces {
		r.giveBack(r.granted - r.Bytes)
	}
	return nil
}

// free releases buffer, views and grant. It is safe to call it twice.
func (r *request) free() {
	r.arena.free()
	if r.buffer != nil {
		r.intake.memory.buffers.Put(r.buffer)
		r.buffer = nil
	}
	r.giveBack(r.granted)
}

// end ends a request that has no entries for the Router.
func (r *request) end() {
	r.free()
	if r.LSN != 0 {
		r.Placed(&schema.Outcome{})
	}
	r.Settled(&schema.Outcome{})
}

// count counts the entries of an accepted request.
func (r *request) count(t *tenant) {
	t.count(r.outline.entries, r.Size)
	m := r.intake.metrics
	m.entries.Add(float64(r.outline.entries))
	for i := range r.refusals {
		m.refused.WithLabelValues(r.refusals[i].Reason.String()).Inc()
	}
	r.dropped.count(m)
}
