package server

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// The names by which the log knows the protocols. They are on disks: never change what one stands for.
const (
	protocolProtobuf  = "protobuf"
	protocolOTLP      = "otlp"
	protocolJSONLines = "jsonlines"
	// protocolEntryLines are JSON lines in the form of Entry.
	protocolEntryLines = "entrylines"
)

// formVersion is the first byte of an opening in the log.
const formVersion = 1

// formOf returns an opening as the log keeps it: the bounds within which its entries are decoded, and what they share. With it the
// entries of a request are the same in any later process, whatever that has for bounds and defaults.
func (c *Config) formOf(open *pb.Open) []byte {
	form := []byte{formVersion}
	for _, bound := range []int{int(c.MaxEntryBytes), c.MaxEntryAttributes, c.MaxOpenBytes} {
		form = binary.AppendUvarint(form, uint64(bound))
	}
	shared := pb.Open{
		Colo: or(open.Colo, c.Colo), ScopeName: open.ScopeName, ScopeVersion: open.ScopeVersion, ScopeSchemaUrl: open.ScopeSchemaUrl,
		ResourceSchemaUrl: open.ResourceSchemaUrl, ResourceAttributes: open.ResourceAttributes, ScopeAttributes: open.ScopeAttributes,
	}
	encoded, _ := shared.MarshalVT() // it has no way to fail
	return append(form, encoded...)
}

// entryBounds bound what an entry may be.
type entryBounds struct{ entryBytes, attributes, openBytes int }

// maxBound keeps sums and multiples of bounds within an int.
const maxBound = 1 << 30

var errBadForm = errors.New("the opening in the log can't be read")

// readForm reads what formOf has made.
func readForm(form []byte) (bounds entryBounds, shared *pb.Open, err error) {
	if len(form) == 0 || form[0] != formVersion {
		return bounds, nil, errBadForm
	}
	form = form[1:]
	for _, bound := range []*int{&bounds.entryBytes, &bounds.attributes, &bounds.openBytes} {
		v, n := binary.Uvarint(form)
		if n <= 0 || v == 0 || v > maxBound {
			return bounds, nil, errBadForm
		}
		*bound, form = int(v), form[n:]
	}
	shared = &pb.Open{}
	if err := shared.UnmarshalVT(form); err != nil {
		return bounds, nil, errBadForm
	}
	return bounds, shared, nil
}

// within returns the configuration for requests of the log with an opening.
func (c *Config) within(b entryBounds) *Config {
	bounded := *c
	bounded.MaxEntryBytes, bounded.MaxEntryAttributes, bounded.MaxOpenBytes = settings.Size(b.entryBytes), b.attributes, b.openBytes
	bounded.MaxRequestBytes, bounded.MaxRequestEntries = maxBound, maxBound
	return &bounded
}

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

// logged makes a request go through the log: the Router logs it when there is room for it, and committed moves only when the log has its
// outcome. settled is called then.
func (in *ingest) logged(s *session, r *request, settled func(*schema.Outcome)) {
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
