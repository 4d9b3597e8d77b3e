package server

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"sync"

	"github.com/logbatcher/logbatcher/schema"
)

// fakeLog is a write-ahead log in memory whose disk a test can slow down, and that a test can crash.
type fakeLog struct {
	mu      sync.Mutex
	records []*fakeRecord
	// slow makes records wait until sync, durable is how many do not.
	slow    bool
	durable int
	// err is what every write fails with.
	err error
	// full, if any, is closed when there is room. waiting gets a value for each request that begins to wait.
	full    chan struct{}
	waiting chan struct{}
	// server learns of requests that were replayed.
	server   *Server
	reserved int
	forgot   []string
}

// fakeRecord is a record of a fakeLog: the LSN is its place, from 1.
type fakeRecord struct {
	kind         string // begin, request, placed, outcome, settled, forget
	tenant, id   string
	epoch, start uint64
	request      *schema.LoggedRequest
	lsn          uint64 // of the request that an outcome or settled is of
	outcome      *schema.Outcome
	done         func()
}

var errDisk = errors.New("the disk is on fire")

// append appends a record. done is called when it is durable.
func (l *fakeLog) append(r *fakeRecord) (uint64, error) {
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return 0, l.err
	}
	l.records = append(l.records, r)
	lsn := uint64(len(l.records))
	l.mu.Unlock()
	l.sync(false)
	return lsn, nil
}

// sync makes records durable, unless the disk is slow and it is not forced.
func (l *fakeLog) sync(force bool) {
	l.mu.Lock()
	if l.slow && !force {
		l.mu.Unlock()
		return
	}
	done := slices.Clone(l.records[l.durable:])
	l.durable = len(l.records)
	l.mu.Unlock()
	for _, r := range done {
		if r.done != nil {
			r.done()
		}
	}
}

// copied returns all records.
func (l *fakeLog) copied() []*fakeRecord {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.records)
}

func (l *fakeLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// crash returns what a process finds that starts after this one has died.
func (l *fakeLog) crash() *fakeLog {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &fakeLog{records: slices.Clone(l.records[:l.durable]), durable: l.durable}
}

// Producers implements Log.
func (l *fakeLog) Producers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		l.mu.Lock()
		var known []producerKey
		for _, r := range l.records {
			if key := (producerKey{r.tenant, r.id}); r.kind == "begin" && !slices.Contains(known, key) {
				known = append(known, key)
			}
		}
		l.mu.Unlock()
		for _, key := range known {
			if _, ok := l.Producer(key.tenant, key.id); ok && !yield(key.tenant, key.id) {
				return
			}
		}
	}
}

// Producer implements Log.
func (l *fakeLog) Producer(tenant, id string) (p schema.LoggedProducer, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		of := r
		if r.lsn != 0 {
			of = l.records[r.lsn-1]
		}
		if of.tenant != tenant || of.id != id {
			continue
		}
		switch r.kind {
		case "begin":
			known = true
			p = schema.LoggedProducer{Tenant: tenant, Producer: id, Epoch: r.epoch, Start: r.start, Accepted: r.start}
		case "forget":
			p, known = schema.LoggedProducer{}, false
		case "request":
			if known && r.epoch == p.Epoch {
				p.Accepted = r.request.Sequence
				p.Unsettled, p.Sums = append(p.Unsettled, p.Accepted), append(p.Sums, r.request.Sum)
			}
		case "outcome", "settled":
			if known && of.epoch == p.Epoch {
				p.Unsettled = slices.DeleteFunc(p.Unsettled, func(s uint64) bool { return s == of.request.Sequence })
				if r.kind == "outcome" {
					p.Outcomes = append(p.Outcomes, schema.LoggedOutcome{Sequence: of.request.Sequence, Outcome: *r.outcome})
				}
			}
		}
	}
	return p, known
}

// ForgottenEpoch implements Log.
func (l *fakeLog) ForgottenEpoch() (highest uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	epochs := map[string]uint64{}
	for _, r := range l.records {
		switch r.kind {
		case "begin":
			epochs[r.id] = r.epoch
		case "forget":
			highest = max(highest, epochs[r.id])
		}
	}
	return highest
}

// Begin implements Log.
func (l *fakeLog) Begin(ctx context.Context, tenant, id string, epoch, start uint64) error {
	done := make(chan struct{})
	if _, err := l.append(&fakeRecord{kind: "begin", tenant: tenant, id: id, epoch: epoch, start: start, done: func() { close(done) }}); err != nil {
		return err
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Request implements Log.
func (l *fakeLog) Request(r *schema.LoggedRequest, logged func()) schema.RequestLog {
	return &fakeRequestLog{l, r, logged}
}

type fakeRequestLog struct {
	log     *fakeLog
	request *schema.LoggedRequest
	logged  func()
}

// Reserve implements schema.RequestLog.
func (r *fakeRequestLog) Reserve(ctx context.Context, _ int, waiting func()) error {
	l := r.log
	l.mu.Lock()
	full := l.full
	l.mu.Unlock()
	if full != nil {
		waiting()
		l.waiting <- struct{}{}
		select {
		case <-full:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	l.set(func() { l.reserved++ })
	return nil
}

// Unreserve implements schema.RequestLog.
func (r *fakeRequestLog) Unreserve() { r.log.set(func() { r.log.reserved-- }) }

// Append implements schema.RequestLog.
func (r *fakeRequestLog) Append(routing string) (uint64, error) {
	r.Unreserve()
	c := *r.request
	c.Routing, c.Data = routing, bytes.Clone(c.Data)
	c.Opening = &schema.LoggedOpening{Data: bytes.Clone(c.Opening.Data)}
	return r.log.append(&fakeRecord{kind: "request", tenant: c.Tenant, id: c.Producer, epoch: c.Epoch, request: &c, done: r.logged})
}

// Placed implements Log.
func (l *fakeLog) Placed(lsn uint64, o *schema.Outcome) {
	_, _ = l.append(&fakeRecord{kind: "placed", lsn: lsn, outcome: o})
}

// Settled implements Log.
func (l *fakeLog) Settled(lsn uint64, o *schema.Outcome, recorded func()) {
	l.mu.Lock()
	of := l.records[lsn-1]
	l.mu.Unlock()
	if recorded == nil {
		recorded = func() { l.server.Settle(of.tenant, of.id, of.epoch, of.request.Sequence, o) }
	}
	if len(o.Refusals)+len(o.DeadLettered) > 0 {
		_, _ = l.append(&fakeRecord{kind: "outcome", lsn: lsn, outcome: o, done: recorded})
		return
	}
	_, _ = l.append(&fakeRecord{kind: "settled", lsn: lsn})
	recorded()
}

// Forget implements Log.
func (l *fakeLog) Forget(tenant, id string) error {
	_, err := l.append(&fakeRecord{kind: "forget", tenant: tenant, id: id})
	if err == nil {
		l.set(func() { l.forgot = append(l.forgot, id) })
	}
	return err
}

// unplaced returns the requests whose rows are not all in files, with their LSNs.
func (l *fakeLog) unplaced() map[uint64]*schema.LoggedRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	live := map[uint64]*schema.LoggedRequest{}
	for i, r := range l.records {
		switch r.kind {
		case "request":
			live[uint64(i+1)] = r.request
		case "placed":
			delete(live, r.lsn)
		}
	}
	return live
}

// replay replays what is not placed.
func (l *fakeLog) replay(ctx context.Context, s *Server, skip func(string, uint32) bool) error {
	l.set(func() { l.server = s })
	live := l.unplaced()
	for lsn := range uint64(len(l.copied()) + 1) {
		if r := live[lsn]; r != nil {
			if err := s.Replay(ctx, r, lsn, skip); err != nil {
				return err
			}
		}
	}
	return nil
}
