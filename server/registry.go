package server

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// registry holds the producers by their ids. Producers without users are forgotten after a while, and sooner if there are too
// many. It happens when a producer is asked for, so that it needs no goroutine.
type registry struct {
	limit    int
	forget   time.Duration
	instance string
	now      func() time.Time
	metrics  *metrics
	names    atomic.Uint64 // of anonymous producers
	kept     atomic.Int64  // outcomes of producers that nobody reads

	mu        sync.Mutex
	producers map[string]*producer
	idle      list.List // of *producer, the longest idle first
}

func newRegistry(config *Config, m *metrics) *registry {
	return &registry{
		limit: config.MaxProducers, forget: config.ProducerIdle, instance: config.Instance,
		now: time.Now, metrics: m, producers: make(map[string]*producer),
	}
}

// use returns the producer with the id, or a new one if it is not known. For an empty id it returns one with a new name, which
// is not kept. leave must be called when the producer is no longer used.
func (r *registry) use(id string) (*producer, error) {
	if id == "" {
		p := r.newProducer("anonymous/" + r.instance + "/" + decimal(r.names.Add(1)))
		p.anonymous = true
		return p, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sweepLocked(r.now())
	p := r.producers[id]
	if p == nil {
		if len(r.producers) >= r.limit && !r.forgetOldestLocked() {
			return nil, statusTooManyProducers(r.limit)
		}
		p = r.newProducer(id)
		r.producers[id] = p
		r.metrics.producers.Set(float64(len(r.producers)))
	}
	if p.uses.idle != nil {
		r.idle.Remove(p.uses.idle)
		p.uses.idle = nil
	}
	p.uses.count++
	return p, nil
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

func (r *registry) newProducer(id string) *producer {
	return &producer{id: id, now: r.now, metrics: r.metrics, total: &r.kept, answers: make(map[uint64]*outcomes)}
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

// forgetOldestLocked forgets the producer that has been idle longest. It reports whether there was one.
func (r *registry) forgetOldestLocked() bool {
	for e := r.idle.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*producer); p.idle() {
			r.removeLocked(p)
			r.metrics.forgottenProducers.Inc()
			return true
		}
	}
	return false
}

func (r *registry) removeLocked(p *producer) {
	r.idle.Remove(p.uses.idle)
	delete(r.producers, p.id)
	p.forget()
	r.metrics.producers.Set(float64(len(r.producers)))
}
