package server

import (
	"context"
	"hash/maphash"
	"runtime"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// minEntryGuess is the entry size from which the number of entries is guessed before a request is looked at.
const minEntryGuess = 64

// intake turns received frames into requests, in memory that the budget has granted.
type intake struct {
	config  *Config
	budget  Budget
	memory  *memory
	metrics *metrics
	seed    maphash.Seed
	// decoding bounds the decoders at work: each may hold one entry as a message, which the budget does not count.
	decoding chan struct{}
}

func newIntake(config *Config, budget Budget, m *metrics) *intake {
	return &intake{
		config: config, budget: budget, memory: newMemory(), metrics: m, seed: maphash.MakeSeed(),
		decoding: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
}

// request is one request in memory. It is freed by whoever has it: the intake's caller, or after Route has taken it the Router.
type request struct {
	schema.Request
	intake   *intake
	outline  outline
	sum      uint32
	buffer   *[]byte
	arena    arena
	granted  int
	refusals []schema.Refusal
}

// admit takes a frame, waits until the budget has room for it, and reads its outline. It frees the frame in any case.
func (in *intake) admit(ctx context.Context, f *frame, received time.Time) (*request, error) {
	size := f.data.Len()
	if size > in.config.MaxRequestBytes {
		f.free()
		return nil, statusTooLarge("max_request_bytes", in.config.MaxRequestBytes, size)
	}
	r := &request{intake: in}
	r.Received = received
	_, views := in.memory.plan(size, min(size/minEntryGuess, in.config.MaxRequestEntries))
	if err := r.grant(ctx, slabCap(size)+views); err != nil {
		f.free()
		return nil, err
	}
	r.buffer = f.join(in.memory.buffers)
	outline, err := readOutline(*r.buffer)
	if err != nil {
		r.free()
		return nil, err
	}
	if outline.entries > in.config.MaxRequestEntries {
		r.free()
		return nil, statusTooLarge("max_request_entries", in.config.MaxRequestEntries, outline.entries)
	}
	r.outline = outline
	r.sum = uint32(maphash.Bytes(in.seed, outline.entryBytes(*r.buffer)))
	in.metrics.requests.Inc()
	in.metrics.bytes.Add(float64(size))
	return r, nil
}

// grant has the budget grant that much in place of what was granted before. Nothing is held
// while it waits: two requests that wait for each other's memory would wait for ever.
func (r *request) grant(ctx context.Context, bytes int) error {
	if r.granted > 0 {
		r.intake.budget.Release(r.granted)
		r.granted = 0
	}
	if err := r.intake.budget.Acquire(ctx, bytes); err != nil {
		return err
	}
	r.granted = bytes
	return nil
}

// decode makes views of the entries and sets refusals to what is wrong with those that it left out.
func (r *request) decode(ctx context.Context, stream *defaults) error {
	defer func() {
		if v := recover(); v != nil { // or one hostile request after the other would use the budget up
			r.free()
			panic(v)
		}
	}()
	values := *stream
	values.received = r.Received.UnixNano()
	data := *r.buffer
	var views int
	r.arena, views = r.intake.memory.plan(len(data), r.outline.entries)
	if need := cap(data) + views; need > r.granted {
		if err := r.grant(ctx, need); err != nil {
			return err
		}
	}
	err := r.decodeInto(ctx, &values)
	if err == errArenaFull {
		err = r.decodeExact(ctx, &values)
	}
	if err == errNotProtobuf {
		return statusMalformed()
	}
	if err != nil {
		return err
	}
	r.settleBooks()
	return nil
}

// decodeExact decodes again, with as much memory as the attributes need when they are counted.
func (r *request) decodeExact(ctx context.Context, values *defaults) error {
	attributes, err := countAllAttributes(*r.buffer)
	if err != nil {
		return err
	}
	r.arena.free()
	var views int
	r.arena, views = r.intake.memory.planExact(len(*r.buffer), r.outline.entries, attributes, r.intake.config.MaxEntryAttributes)
	if err := r.grant(ctx, cap(*r.buffer)+views); err != nil {
		return err
	}
	return r.decodeInto(ctx, values)
}

func (r *request) decodeInto(ctx context.Context, values *defaults) error {
	in := r.intake
	select {
	case in.decoding <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-in.decoding }()
	d := in.memory.decoders.Get().(*decoder)
	d.bounds = bounds{in.config.MaxEntryBytes, in.config.MaxEntryAttributes}
	d.values, d.arena = values, &r.arena
	var err error
	r.refusals, err = d.decode(*r.buffer, &r.outline)
	d.reset()
	in.memory.decoders.Put(d)
	return err
}

// settleBooks gives back what was granted beyond what the request occupies, and fills in what the Router reads.
func (r *request) settleBooks() {
	r.Bytes = cap(*r.buffer) + r.arena.bytes()
	if r.granted > r.Bytes {
		r.intake.budget.Release(r.granted - r.Bytes)
		r.granted = r.Bytes
	}
	if r.arena.entries != nil {
		r.Entries = *r.arena.entries
	}
	r.Index = r.arena.index
	r.Release = r.free
}

// free gives buffer, views and grant back.
func (r *request) free() {
	r.arena.free()
	if r.buffer != nil {
		r.intake.memory.buffers.Put(r.buffer)
		r.buffer = nil
	}
	if r.granted > 0 {
		r.intake.budget.Release(r.granted)
		r.granted = 0
	}
}

// count counts the entries once the request is accepted.
func (r *request) count() {
	m := r.intake.metrics
	m.entries.Add(float64(r.outline.entries))
	for i := range r.refusals {
		m.refused.WithLabelValues(r.refusals[i].Reason.String()).Inc()
	}
}
