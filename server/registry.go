package server

import (
	"container/list"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// registry holds the producers by their ids. Producers without users are forgotten after a while, and sooner if there are too
// many. It happens when a producer is asked for, so that it needs no goroutine.
type registry struct {
	log      Log
	owners   Owners
	errors   rarely // of the log
	logger   *slog.Logger
	limit    int
	forget   time.Duration
	instance string
	now      func() time.Time
	metrics  *metrics
	names    atomic.Uint64 // of anonymous producers
	kept     atomic.Int64  // outcomes of producers that nobody reads

	mu        sync.Mutex
	producers map[producerKey]*producer
	idle      list.List // of *producer, the longest idle first
}

// producerKey names a producer: its id is unique within its tenant.
type producerKey struct{ tenant, id string }

func newRegistry(config *Config, m *metrics) *registry {
	return &registry{
		log: config.WAL, owners: config.Owners, logger: config.Log, limit: config.MaxProducers, forget: config.ProducerIdle, instance: config.Instance,
		now: time.Now, metrics: m, producers: make(map[producerKey]*producer),
	}
}

// use returns the tenant's producer with the id, or a new one if it is not known. For an empty id it returns one with a new name,
// which is not kept. leave must be called when the producer is no longer used.
func (r *registry) use(tenant, id string) (*producer, error) {
	key := producerKey{tenant, id}
	if id == "" {
		key.id = "anonymous/" + r.instance + "/" + decimal(r.names.Add(1))
		p := r.newProducer(key)
		p.anonymous = true
		return p, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweepLocked(r.now())
	p := r.producers[key]
	if p == nil {
		// A tenant with many producers makes room itself, before others must.
		if len(r.producers) >= r.limit && !r.forgetOldestLocked(func(p *producer) bool { return p.tenant == tenant }) &&
			!r.forgetOldestLocked(func(*producer) bool { return true }) {
			return nil, statusTooManyProducers(r.limit)
		}
		p = r.newProducer(key)
		if r.log != nil {
			if l, ok := r.log.Producer(tenant, id); ok {
				p.restore(&l)
			}
		}
		r.producers[key] = p
		r.metrics.producers.Set(float64(len(r.producers)))
	}
	if p.uses.idle != nil {
		r.idle.Remove(p.uses.idle)
		p.uses.idle = nil
	}
	p.uses.count++
	return p, nil
}

// restore makes all producers that the log knows idle ones, so that those which never come back are forgotten, too.
func (r *registry) restore() {
	for tenant, id := range r.log.Producers() {
		p, err := r.use(tenant, id)
		if err != nil {
			return // the others have their place once they are used
		}
		r.leave(p)
	}
}

// lookup returns a producer, or nil if it is not known.
func (r *registry) lookup(tenant, id string) *producer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.producers[producerKey{tenant, id}]
}

// leave ends one use of the producer.
func (r *registry) leave(p *producer) {
	if p.anonymous {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.uses.count--; p.uses.count == 0 {
		p.uses.since = r.now()
		p.uses.idle = r.idle.PushBack(p)
	}
}

func (r *registry) newProducer(key producerKey) *producer {
	return &producer{producerKey: key, now: r.now, metrics: r.metrics, log: r.log, owners: r.owners, total: &r.kept, answers: make(map[uint64]*outcomes)}
}

func (r *registry) sweepLocked(now time.Time) {
	for front := r.idle.Front(); front != nil; front = r.idle.Front() {
		p := front.Value.(*producer)
		if now.Sub(p.uses.since) < r.forget {
			return
		}
		if !p.idle() { // its entries are still in flight: the watermark will be asked for
			p.uses.since = now
			r.idle.MoveToBack(front)
			continue
		}
		r.removeLocked(p)
	}
}

// forgetOldestLocked forgets, of the producers that one may be, the one that has been idle longest. It reports whether there was one.
func (r *registry) forgetOldestLocked(may func(*producer) bool) bool {
	for e := r.idle.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*producer); may(p) && p.idle() {
			r.removeLocked(p)
			r.metrics.forgottenProducers.Inc()
			return true
		}
	}
	return false
}

// removeLocked forgets a producer, in the log, too.
func (r *registry) removeLocked(p *producer) {
	r.dropLocked(p)
	if r.log != nil {
		r.forgotten(p)
	}
}

// dropLocked forgets a producer that nobody uses.
func (r *registry) dropLocked(p *producer) {
	r.idle.Remove(p.uses.idle)
	delete(r.producers, p.producerKey)
	p.forget()
	r.metrics.producers.Set(float64(len(r.producers)))
}
