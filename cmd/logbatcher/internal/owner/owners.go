package owner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/schema"
)

// keyPrefix begins all keys in Redis; its hash tag gives them one slot.
const keyPrefix = "{logbatcher:producers}"

// wantedFor is how long it is remembered that a producer is wanted: its client asks again every second or so.
const wantedFor = 15 * time.Second

// freshPause is the longest time between two attempts to claim a producer after Redis has started.
const freshPause = 200 * time.Millisecond

// errTaken is returned for a producer that was taken from this log a moment ago.
var errTaken = errors.New("the producer was taken from this instance")

// Journal is the write-ahead log, as far as owners need it.
type Journal interface {
	// Producers returns the tenants and ids of all producers that the log knows.
	Producers() iter.Seq2[string, string]
	// Producer returns what the log knows of a producer, and false if that is nothing.
	Producer(tenant, id string) (schema.LoggedProducer, bool)
	// Forget makes the log forget a producer. What is unsettled goes on without it.
	Forget(tenant, id string) error
	// Drop makes the log forget the producer, and drops, before anything is replayed, what is in the log and in no file of its requests above
	// the sequence from of the epoch. It returns the number of their entries once that is durable.
	Drop(tenant, id string, epoch, from uint64) (entries int, err error)
}

// Server is what uses the producers.
type Server interface {
	// Yield ends the producer's stream if it was opened before that time, unless the epoch, of an opening elsewhere, is older than its own; 0 is
	// a new one. It reports whether the producer has no user and nothing unsettled. If so, the server has forgotten it, and asks Own before
	// it uses it again. With settled it counts as settled, whatever the server knows.
	Yield(tenant, id string, epoch uint64, before time.Time, settled bool) bool
	// Unused returns the producers that have had no user for that long.
	Unused(idle time.Duration) []schema.ProducerName
}

// Owners keeps the owners of producers in Redis, for the instance with one log. It is safe for concurrent use.
type Owners struct {
	cfg     Config
	books   books
	journal Journal
	server  Server
	id      string
	self    instance
	log     *slog.Logger
	metrics *metrics

	mu sync.Mutex
	// owned are the producers that this log owns, with their records. One of revision 0 was not seen in Redis since the start.
	owned map[producer]*record
	// lost are those that the server and the journal are to forget.
	lost map[producer]struct{}
	// wanted are those that others want.
	wanted map[producer]wish
	// expired are those whose records go.
	expired map[producer]struct{}
	// busy has a producer while somebody changes its owner; the channel is closed at the end.
	busy map[producer]chan struct{}
	// mark is the mark of the records, as seen last.
	mark string
	// away is since when Redis has not answered; why is the last error. orphans is about logs of instances with this one's name.
	away    time.Time
	why     error
	orphans string
}

// New returns the owners as the log with the id sees them. name and address are the instance's, for people. The caller keeps the client, which
// must have ContextTimeoutEnabled set.
func New(client redis.UniversalClient, cfg Config, journal Journal, id, name, address string, registerer prometheus.Registerer, log *slog.Logger) *Owners {
	m := newMetrics(registerer)
	return &Owners{
		cfg: cfg, books: books{client: client, prefix: keyPrefix, grace: cfg.Grace, idle: cfg.Forgotten, errors: m.failed},
		journal: journal, id: id, self: instance{Name: name, Address: address}, log: log, metrics: m,
		owned: make(map[producer]*record), lost: make(map[producer]struct{}), wanted: make(map[producer]wish),
		expired: make(map[producer]struct{}), busy: make(map[producer]chan struct{}),
	}
}

// ID returns the id of the log.
func (o *Owners) ID() string { return o.id }

// Serve sets the server. It is called before anything else.
func (o *Owners) Serve(server Server) { o.server = server }

// lock waits until nobody else changes the producer's owner.
func (o *Owners) lock(ctx context.Context, p producer) (unlock func(), err error) {
	for {
		o.mu.Lock()
		busy := o.busy[p]
		if busy == nil {
			mine := make(chan struct{})
			o.busy[p] = mine
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.busy, p)
				o.mu.Unlock()
				close(mine)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// ownedRecord returns the record of a producer that this log owns, else nil, and whether it was taken from it.
func (o *Owners) ownedRecord(p producer) (r *record, lost bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, lost = o.lost[p]
	return o.owned[p], lost
}

func (o *Owners) setOwned(p producer, r *record) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r == nil {
		delete(o.owned, p)
	} else {
		o.owned[p] = r
	}
	o.metrics.owned.Set(float64(len(o.owned)))
}

// Own reports, before a producer's opening with the epoch, 0 if that names none, whether this log owns it. If nobody does it returns what the
// last owner has left, zeros if that is nothing, and nothing may be accepted from the producer before Claim. It returns a
// *schema.OwnedError if another log owns the producer, and asks that one to give it up. Another error means that the owner is not known.
func (o *Owners) Own(ctx context.Context, tenant, id string, epoch uint64) (left schema.LoggedProducer, mine bool, err error) {
	p := producer{tenant, id}
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return schema.LoggedProducer{}, false, err
	}
	defer unlock()
	record, lost := o.ownedRecord(p)
	if lost {
		return schema.LoggedProducer{}, false, errTaken
	}
	_, known := o.journal.Producer(tenant, id)
	if record != nil && !record.unsure && known {
		o.used(p)
		return schema.LoggedProducer{}, true, nil
	}
	r, who, err := o.books.read(ctx, p)
	switch {
	case err != nil:
		return schema.LoggedProducer{}, false, err
	case r.Log == o.id:
		if err := o.rewrite(ctx, p, r, r); err != nil {
			return schema.LoggedProducer{}, false, err
		}
		o.used(p)
		// If the log does not know it: claimed, and nothing accepted. The answer was lost, or the instance died before the log had begun.
		return r.state(p), known, nil
	case r.Log != "":
		o.setOwned(p, nil)
		o.metrics.refused.Inc()
		return schema.LoggedProducer{}, false, errors.Join(who.owns(r.Log), o.books.want(ctx, p, r.Log, epoch))
	}
	o.setOwned(p, nil)
	return r.state(p), false, nil
}

// used is called when a producer's client has come here.
func (o *Owners) used(p producer) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.expired, p)
}

// Claim makes this log the producer's owner, if it is not, with everything up to from in the epoch settled. It comes after Own, and before the
// log begins with the producer. It fails like Own, also if another instance has claimed the producer in between. It blocks for the grace after
// Redis has started, until others have written what they own.
func (o *Owners) Claim(ctx context.Context, tenant, id string, epoch, from uint64) error {
	p := producer{tenant, id}
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return err
	}
	defer unlock()
	for ends := time.Now().Add(o.cfg.Grace + freshPause); ; {
		err := o.claim(ctx, p, mark{epoch, from})
		if !errors.Is(err, errFresh) || time.Now().After(ends) {
			return err
		}
		select {
		case <-time.After(min(o.cfg.Every, freshPause)):
		case <-ctx.Done():
			return err
		}
	}
}

func (o *Owners) claim(ctx context.Context, p producer, begun mark) error {
	mine, lost := o.ownedRecord(p)
	if lost {
		return errTaken
	}
	if _, known := o.journal.Producer(p.tenant, p.id); mine != nil && !mine.unsure && known {
		return nil
	}
	r, who, err := o.books.read(ctx, p)
	if err != nil {
		return err
	}
	before := r.state(p)
	switch {
	case r.Log != "" && r.Log != o.id:
		o.metrics.refused.Inc()
		return who.owns(r.Log)
	case before.Epoch > begun.Epoch, before.Epoch == begun.Epoch && before.Accepted > begun.Sequence:
		return errChanged // somebody had it after Own
	case r.Log == o.id && r.From == begun:
		o.setOwned(p, r)
		return nil
	}
	next := &record{Log: o.id, From: begun, First: r.First}
	if r.revision == 0 {
		next.First = begun
	}
	tell := ""
	if r.Released != "" {
		tell = begun.String()
	}
	if err := o.books.write(ctx, p, r, next, false, r.Released, tell); err != nil {
		return err
	}
	o.setOwned(p, next)
	return nil
}

// Forget is called for a producer that has been idle for so long that it counts as new when it comes back. Its record in Redis and what the
// log knows of it go.
func (o *Owners) Forget(tenant, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expired[producer{tenant, id}] = struct{}{}
}

// Degraded returns what does not work.
func (o *Owners) Degraded() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var reasons []string
	if !o.away.IsZero() {
		reasons = append(reasons, fmt.Sprintf("owners of producers: Redis has not answered for %v, so producers that are new to this instance wait: %v",
			time.Since(o.away).Round(time.Second), o.why))
	}
	if o.orphans != "" {
		reasons = append(reasons, o.orphans)
	}
	return reasons
}
