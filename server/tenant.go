package server

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server/access"
)

// tenant is what a tenant has in use: its streams, and how much it has sent lately. Where nobody is asked who they are there is one
// tenant, without a name and without bounds.
type tenant struct {
	name   string
	bounds atomic.Pointer[bounds]
	open   atomic.Int64 // streams and unary calls

	// Its metrics. Nil for the tenant without a name, whose numbers are those of the instance.
	streams                                prometheus.Gauge
	sentEntries, sentBytes, limitedRequest prometheus.Counter
}

// bounds are a tenant's settings, and what follows from them.
type bounds struct {
	*access.Tenant
	entries, bytes *bucket
}

// tenants are those that have called. They are as many as the configuration has, so none is forgotten.
type tenants struct {
	config  *Config
	metrics *metrics

	mu    sync.Mutex
	known map[string]*tenant
}

// of returns the tenant with the settings.
func (ts *tenants) of(settings *access.Tenant) *tenant {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	t := ts.known[settings.Name]
	if t == nil {
		t = &tenant{name: settings.Name}
		if t.name != "" {
			m := ts.metrics
			t.streams, t.limitedRequest = m.tenantStreams.WithLabelValues(t.name), m.tenantLimited.WithLabelValues(t.name)
			t.sentEntries, t.sentBytes = m.tenantEntries.WithLabelValues(t.name), m.tenantBytes.WithLabelValues(t.name)
		}
		ts.known[t.name] = t
	}
	before := t.bounds.Load()
	if before != nil && before.Tenant == settings {
		return t
	}
	now := &bounds{
		Tenant:  settings,
		entries: newBucket(settings.MaxEntries, ts.config.MaxRequestEntries), bytes: newBucket(int(settings.MaxBytes), int(ts.config.MaxRequestBytes)),
	}
	if before != nil && before.MaxEntries == now.MaxEntries && before.MaxBytes == now.MaxBytes {
		now.entries, now.bytes = before.entries, before.bytes // what has been sent counts on
	}
	t.bounds.Store(now)
	return t
}

// bucket bounds what is sent in a second. What was not sent in the second before may be sent too, and in any case the largest request.
// Nil: there is no bound. Package x/time/rate has buckets, but what is given back while others wait is not all there again.
type bucket struct {
	perSecond, most float64

	mu   sync.Mutex
	left float64 // below 0: what waits
	at   time.Time
}

// longestWait keeps waits within what a Duration can hold.
const longestWait = 24 * time.Hour

func newBucket(perSecond, largest int) *bucket {
	if perSecond == 0 {
		return nil
	}
	most := float64(max(perSecond, largest))
	return &bucket{perSecond: float64(perSecond), most: most, left: most, at: time.Now()}
}

// take takes n, and returns how long to wait until that many are there.
func (b *bucket) take(n int) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.left = min(b.most, b.left+now.Sub(b.at).Seconds()*b.perSecond) - float64(n)
	b.at = now
	return time.Duration(min(max(0, -b.left/b.perSecond), longestWait.Seconds()) * float64(time.Second))
}

// giveBack gives back n that were taken and not used.
func (b *bucket) giveBack(n int) {
	if b != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.left += float64(n)
	}
}

// enter takes a place for a stream or call; leave must be called if it returns nil.
func (t *tenant) enter() error {
	if most := t.bounds.Load().MaxStreams; t.open.Add(1) > int64(most) && most > 0 {
		t.open.Add(-1)
		return statusTooManyStreams("tenants.max_streams", most)
	}
	if t.streams != nil {
		t.streams.Inc()
	}
	return nil
}

func (t *tenant) leave() {
	t.open.Add(-1)
	if t.streams != nil {
		t.streams.Dec()
	}
}

// count counts an accepted request.
func (t *tenant) count(entries, bytes int) {
	if t.sentEntries != nil {
		t.sentEntries.Add(float64(entries))
		t.sentBytes.Add(float64(bytes))
	}
}

// admit lets a request of the session in when its tenant may send as much. A stream waits until then, one request at a time, so that the
// streams of a tenant take turns. A unary call is refused, and told when to come again. While the request waits it holds nothing of the
// budget, so that a tenant at its bound keeps no memory from others.
func (t *tenant) admit(ctx context.Context, s *session, r *request) error {
	b := t.bounds.Load()
	wait := max(b.entries.take(r.outline.entries), b.bytes.take(r.Size))
	if wait == 0 {
		return nil
	}
	if t.limitedRequest != nil {
		t.limitedRequest.Inc()
	}
	giveBack := func() {
		b.entries.giveBack(r.outline.entries)
		b.bytes.giveBack(r.Size)
	}
	if s.unary() {
		giveBack()
		return statusTenantLimit(t.name, wait)
	}
	r.Suspend()
	s.setWait(schema.WaitTenant, "")
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		giveBack()
		return context.Cause(ctx)
	}
}
