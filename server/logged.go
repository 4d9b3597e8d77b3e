package server

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The names by which the log knows the protocols. They are on disks: never change what one stands for.
const (
	protocolProtobuf  = "protobuf"
	protocolOTLP      = "otlp"
	protocolJSONLines = "jsonlines"
	// protocolEntryLines are JSON lines in the form of Entry.
	protocolEntryLines = "entrylines"
)

// openings has the openings of late, by their form. The log writes an opening once for all requests that have it, and most unary calls
// have the same one.
type openings struct {
	mu    sync.Mutex
	known map[string]*schema.LoggedOpening
	bytes int
}

const (
	// maxOpeningBytes is how much is kept before all is forgotten, openingOverhead about what an opening occupies besides its form.
	maxOpeningBytes = 4 << 20
	openingOverhead = 256
)

func (o *openings) of(form []byte) *schema.LoggedOpening {
	o.mu.Lock()
	defer o.mu.Unlock()
	logged := o.known[string(form)]
	if logged == nil {
		if o.known == nil || o.bytes > maxOpeningBytes {
			o.known, o.bytes = make(map[string]*schema.LoggedOpening), 0
		}
		logged = &schema.LoggedOpening{Data: form}
		o.known[string(form)] = logged
		o.bytes += 2*len(form) + openingOverhead
	}
	return logged
}

// throughLog makes a request go through the log: the Router logs it when there is room for it, and committed moves only when the log has its
// outcome. settled is called then.
func (in *ingest) throughLog(s *session, r *request, settled func(*schema.Outcome)) {
	p, log, own := s.producer, in.config.WAL, r.refusals
	epoch, sequence, received := r.Epoch, r.Sequence, r.Received
	if s.logged == nil {
		s.logged = in.openings.of(s.opening.form)
	}
	r.Log = log.Request(&schema.LoggedRequest{
		Tenant: r.Tenant, Producer: r.Producer, Epoch: epoch, Sequence: sequence, Sum: r.sum, Received: r.Received, Routes: r.Routes,
		Protocol: r.intake.protocol, Opening: s.logged, Entries: r.outline.entries, Refusals: own, Data: *r.buffer,
	}, func() {
		in.metrics.loggedSeconds.Observe(time.Since(received).Seconds())
		p.logged(epoch, sequence)
	})
	var lsn uint64 // Settled must not keep r: in an outage many requests wait for nothing else
	r.Placed = func(o *schema.Outcome) {
		lsn = r.LSN
		log.Placed(lsn, withRefusals(own, o))
	}
	r.Settled = func(o *schema.Outcome) {
		log.Settled(lsn, withRefusals(own, o), func() { settled(o) })
	}
}

// logAlone logs a request that has no entries for the Router.
func (in *ingest) logAlone(ctx context.Context, s *session, r *request) (err error) {
	r.Suspend() // while it waits it keeps no memory from others
	defer s.endWait()
	if err = r.Log.Reserve(ctx, 0, func() { s.setWait(schema.WaitLog, "") }); err == nil {
		r.LSN, err = r.Log.Append("")
	}
	return err
}

// withRefusals returns an outcome with what was refused before any route saw it.
func withRefusals(refusals []schema.Refusal, o *schema.Outcome) *schema.Outcome {
	if len(refusals) == 0 {
		return o
	}
	whole := *o
	whole.Refusals = slices.Concat(refusals, o.Refusals)
	return &whole
}
