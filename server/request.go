package server

import (
	"context"
	"hash/maphash"
	"runtime"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
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
	intake *intake
	// waits is told while the request waits for memory.
	waits    waits
	outline  outline
	sum      uint32
	buffer   *[]byte
	values   defaults
	arena    arena
	granted  int
	refusals []schema.Refusal
	// next is where the next piece begins.
	next cut
	// pieces says that the entries come in several: all that was granted is needed until the last one.
	pieces bool
}

var _ schema.Decoder = (*request)(nil)

// admit takes a frame, waits until the budget has room for it, and reads its outline. It frees the frame in any case.
func (in *intake) admit(ctx context.Context, f *frame, received time.Time, w waits) (*request, error) {
	size := f.data.Len()
	if size > in.config.MaxRequestBytes {
		f.free()
		return nil, statusTooLarge("max_request_bytes", in.config.MaxRequestBytes, size)
	}
	r := &request{intake: in, waits: w}
	r.Received, r.Size = received, size
	_, views := in.memory.plan(in.config, size, min(size/minEntryGuess, in.config.MaxRequestEntries))
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
	r.giveBack()
	r.waits.end() // of whatever it has waited for until now
	r.waits.begin(pb.ThrottleCause_THROTTLE_CAUSE_MEMORY, "")
	defer r.waits.end()
	if err := r.intake.budget.Acquire(ctx, bytes); err != nil {
		return err
	}
	r.granted = bytes
	return nil
}

func (r *request) giveBack() {
	if r.granted > 0 {
		r.intake.budget.Release(r.granted)
		r.granted = 0
	}
}

// decode makes views of the entries, of the first piece where they come in several, and sets refusals to what is wrong with those that it
// left out.
func (r *request) decode(ctx context.Context, stream *defaults) error {
	defer func() {
		if v := recover(); v != nil { // or one hostile request after the other would use the budget up
			r.free()
			panic(v)
		}
	}()
	r.values = *stream
	r.values.received = r.Received.UnixNano()
	r.Release = r.free
	if err := r.grantViews(ctx); err != nil {
		return err
	}
	// All pieces, to see what is wrong with any of them before the first one is taken.
	for r.next = (cut{}); ; r.pieces = true {
		begun := r.next
		refusals, err := r.decodePiece()
		if err == errNotProtobuf {
			return statusMalformed(problemNoMessage)
		}
		if err != nil {
			return err
		}
		r.refusals = append(r.refusals, refusals...)
		if r.next.place == r.outline.entries {
			break
		}
		if r.next.place == begun.place {
			return errArenaFull // cannot be: any entry fits into an empty arena
		}
	}
	if r.pieces {
		return r.Resume(ctx)
	}
	r.settleBooks()
	return nil
}

// grantViews has the budget grant what buffer and views may take, if it has not.
func (r *request) grantViews(ctx context.Context) error {
	r.arena.free()
	var views int
	r.arena, views = r.intake.memory.plan(r.intake.config, len(*r.buffer), r.outline.entries)
	if need := cap(*r.buffer) + views; need > r.granted {
		return r.grant(ctx, need)
	}
	return nil
}

// decodePiece makes views of as many entries as there is memory for, from next on, and returns what is wrong with those that it left out.
func (r *request) decodePiece() ([]schema.Refusal, error) {
	in := r.intake
	in.decoding <- struct{}{} // who has a place waits for nothing
	defer func() { <-in.decoding }()
	d := in.memory.decoders.Get().(*decoder)
	d.bounds = bounds{in.config.MaxEntryBytes, in.config.MaxEntryAttributes}
	d.values, d.arena = &r.values, &r.arena
	r.arena.free()
	next, refusals, err := d.decode(*r.buffer, &r.outline, r.next)
	d.reset()
	in.memory.decoders.Put(d)
	r.next = next
	r.Entries, r.Index = nil, r.arena.index
	if r.arena.entries != nil {
		r.Entries = *r.arena.entries
	}
	if r.Bytes = cap(*r.buffer) + r.arena.bytes(); r.pieces {
		r.Bytes = r.granted
	}
	return refusals, err
}

// settleBooks gives back what was granted beyond what the request occupies.
func (r *request) settleBooks() {
	if r.granted > r.Bytes {
		r.intake.budget.Release(r.granted - r.Bytes)
		r.granted = r.Bytes
	}
}

// Next implements schema.Decoder.
func (r *request) Next() bool {
	if r.next.place >= r.outline.entries {
		return false
	}
	_, _ = r.decodePiece() // decode has seen all of it
	return true
}

// Suspend implements schema.Decoder.
func (r *request) Suspend() {
	r.arena.free()
	r.Entries, r.Index = nil, nil
	r.giveBack()
}

// Resume implements schema.Decoder.
func (r *request) Resume(ctx context.Context) error {
	if err := r.grantViews(ctx); err != nil {
		return err
	}
	r.next = cut{}
	_, _ = r.decodePiece()
	if !r.pieces {
		r.settleBooks()
	}
	return nil
}

// free gives buffer, views and grant back.
func (r *request) free() {
	r.arena.free()
	if r.buffer != nil {
		r.intake.memory.buffers.Put(r.buffer)
		r.buffer = nil
	}
	r.giveBack()
}

// count counts the entries once the request is accepted.
func (r *request) count() {
	m := r.intake.metrics
	m.entries.Add(float64(r.outline.entries))
	for i := range r.refusals {
		m.refused.WithLabelValues(r.refusals[i].Reason.String()).Inc()
	}
}
