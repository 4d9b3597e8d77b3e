package server

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"
)

// registry has the producers by their ids. Those that nobody uses are forgotten after a while, and sooner where
// there are too many; it is done when a producer is asked for, so that it needs no goroutine.
type registry struct {
	limit    int
	forget   time.Duration
	instance string
	now      func() time.Time
	metrics  *metrics
	names    atomic.Uint64 // of anonymous producers
	kept     atomic.Int64  // outcomes of producers that nobody reads

	mu        sync.Mutex
	producers map[string]*place
	idle      list.List // of *place, the longest idle first
}

// place is a producer in the registry.
type place struct {
	producer *producer
	users    int
	since    time.Time     // when the last user left
	element  *list.Element // in idle; nil while there are users
}

func newRegistry(config *Config, m *metrics) *registry {
	return &registry{
		limit: config.MaxProducers, forget: config.ProducerIdle, instance: config.Instance,
		now: time.Now, metrics: m, producers: make(map[string]*place),
	}
}

// use returns the producer with the id, new where it is not known. Where the id is empty it returns one that has a new
// name and is not kept. leave must be called when the producer is no longer used.
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
		p = &place{producer: r.newProducer(id)}
		r.producers[id] = p
		r.metrics.producers.Set(float64(len(r.producers)))
	}
	if p.element != nil {
		r.idle.Remove(p.element)
		p.element = nil
	}
	p.users++
	return p.producer, nil
}

// leave says that the producer is no longer used by one who has called use.
func (r *registry) leave(p *producer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	place := r.producers[p.id]
	if place == nil || place.producer != p {
		return // anonymous
	}
	if place.users--; place.users == 0 {
		place.since = r.now()
		place.element = r.idle.PushBack(place)
	}
}

func (r *registry) newProducer(id string) *producer {
	return &producer{id: id, now: r.now, metrics: r.metrics, total: &r.kept}
}

func (r *registry) sweepLocked(now time.Time) {
	for front := r.idle.Front(); front != nil; front = r.idle.Front() {
		p := front.Value.(*place)
		if now.Sub(p.since) < r.forget {
			return
		}
		if !p.producer.idle() { // its entries are still in flight: the watermark will be asked for
			p.since = now
			r.idle.MoveToBack(front)
			continue
		}
		r.removeLocked(p)
	}
}

// forgetOldestLocked forgets the producer that has been idle for longest, if there is one.
func (r *registry) forgetOldestLocked() bool {
	for e := r.idle.Front(); e != nil; e = e.Next() {
		if p := e.Value.(*place); p.producer.idle() {
			r.removeLocked(p)
			r.metrics.forgottenProducers.Inc()
			return true
		}
	}
	return false
}

func (r *registry) removeLocked(p *place) {
	r.idle.Remove(p.element)
	delete(r.producers, p.producer.id)
	p.producer.forget()
	r.metrics.producers.Set(float64(len(r.producers)))
}
