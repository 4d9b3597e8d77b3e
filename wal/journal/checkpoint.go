package journal

import (
	"encoding/binary"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
)

// The flags of a request in a checkpoint.
const (
	flagPlaced = 1 << iota
	flagHeld
	flagDone
	flagRefused
)

// marshal appends the state to a checkpoint. Of requests it has what records before it say and what the files that are there do not.
func (s *state) marshal(b []byte) []byte {
	b = append(b, version)
	b = putUint(b, s.forgotten)
	b = putUint(b, uint64(s.missing))

	known := make([]*producer, 0, len(s.producers))
	for _, p := range s.producers {
		if p.known {
			known = append(known, p)
		}
	}
	slices.SortFunc(known, func(a, b *producer) int { return compareKeys(a.producerKey, b.producerKey) })
	b = putUint(b, uint64(len(known)))
	for _, p := range known {
		b = p.marshal(b)
	}

	var kept []*request
	for _, q := range s.requests {
		if !q.placed || q.refused != nil || q.done && q.files > 0 {
			kept = append(kept, q)
		}
	}
	slices.SortFunc(kept, compareRequests)
	b = putUint(b, uint64(len(kept)))
	for _, q := range kept {
		b = q.marshal(b)
	}

	b = putMap(b, s.others, putEntryLedger)
	b = putMap(b, s.tables, func(b []byte, l *schema.RowLedger) []byte {
		b = putUint(b, l.Routed-l.InFlight) // what is in flight is counted by the files that are there
		return putUint(putUint(b, l.Committed), l.DeadLettered)
	})
	nothing := func(b []byte, _ struct{}) []byte { return b }
	return putMap(putMap(b, s.settled, nothing), s.damaged, nothing)
}

func putMap[V any](b []byte, m map[string]V, put func([]byte, V) []byte) []byte {
	b = putUint(b, uint64(len(m)))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		b = put(putText(b, key), m[key])
	}
	return b
}

func putEntryLedger(b []byte, l *schema.EntryLedger) []byte {
	return putUint(putUint(putUint(putUint(putUint(b, l.Received), l.Refused), l.Unmatched), l.Settled), l.Dropped)
}

func (d *decoder) entryLedger() *schema.EntryLedger {
	return &schema.EntryLedger{Received: d.uint(), Refused: d.uint(), Unmatched: d.uint(), Settled: d.uint(), Dropped: d.uint()}
}

func (p *producer) marshal(b []byte) []byte {
	b = putText(putText(b, p.tenant), p.id)
	b = putUint(putUint(putUint(b, p.epoch), p.start), p.accepted)
	sums := p.sums[len(p.sums)-min(len(p.sums), keptSums):]
	b = putUint(b, uint64(len(sums)))
	for _, sum := range sums {
		b = binary.LittleEndian.AppendUint64(b, sum)
	}
	b = putUint(b, uint64(len(p.outcomes)))
	for i := range p.outcomes {
		b = putOutcome(putUint(b, p.outcomes[i].Sequence), &p.outcomes[i].Outcome)
	}
	return putEntryLedger(putUint(b, p.since), p.ledger)
}

func (q *request) marshal(b []byte) []byte {
	b = putUint(putUint(b, q.lsn), q.opening)
	b = putText(putText(b, q.owner.tenant), q.owner.id)
	b = putUint(putUint(b, q.epoch), q.sequence)
	b = putUint(putText(b, q.routing), uint64(q.entries))
	flags := byte(0)
	for i, set := range [...]bool{q.placed, q.held, q.done, q.refused != nil} {
		if set {
			flags |= 1 << i
		}
	}
	b = append(b, flags)
	if q.refused != nil {
		b = putOutcome(b, q.refused)
	}
	b = putUint(b, uint64(len(q.gone)))
	for i := range q.gone {
		b = putRanges(putText(b, q.gone[i].route), q.gone[i].places)
	}
	return b
}

// unmarshalState reads a checkpoint.
func unmarshalState(b []byte) (*state, error) {
	d, err := decode(b)
	if err != nil {
		return nil, err
	}
	s := newState()
	s.forgotten, s.missing = d.uint(), d.number()
	for range d.count(13) {
		s.unmarshalProducer(d)
	}
	intern := map[string]string{}
	var kept []*request
	for range d.count(9) {
		kept = append(kept, s.unmarshalRequest(d, intern))
	}
	s.others = readMap(d, 6, d.entryLedger)
	s.tables = readMap(d, 4, func() *schema.RowLedger {
		return &schema.RowLedger{Routed: d.uint(), Committed: d.uint(), DeadLettered: d.uint()}
	})
	nothing := func() struct{} { return struct{}{} }
	s.settled = readMap(d, 1, nothing)
	s.damaged = readMap(d, 1, nothing)
	if err := d.end(); err != nil {
		return nil, err
	}
	for _, q := range kept {
		if s.requests[q.lsn] != nil {
			return nil, fmt.Errorf("request %d is there twice: %w", q.lsn, errDamaged)
		}
		done := q.done
		q.done = false
		s.add(q)
		if done {
			s.recovering = true // its files are not known yet
			s.finish(q)
			s.recovering = false
		}
	}
	return s, nil
}

// readMap reads a map whose elements take so many bytes at least.
func readMap[V any](d *decoder, least int, read func() V) map[string]V {
	n := d.count(least)
	m := make(map[string]V, n)
	for range n {
		key := d.text()
		m[key] = read()
	}
	return m
}

func (s *state) unmarshalProducer(d *decoder) {
	p := &producer{producerKey: producerKey{d.text(), d.text()}, known: true}
	p.epoch, p.start, p.accepted = d.uint(), d.uint(), d.uint()
	n := d.count(8)
	p.sums = make([]uint64, 0, n)
	for range n {
		p.sums = append(p.sums, d.fixed())
	}
	for range d.count(4) {
		o := schema.LoggedOutcome{Sequence: d.uint()}
		o.Outcome = *d.outcome()
		p.outcomes = append(p.outcomes, o)
		size := sizeOf(&o.Outcome)
		p.outcomeBytes += size
		s.outcomeBytes += size
	}
	p.since, p.ledger = d.uint(), d.entryLedger()
	s.producers[p.producerKey] = p
}

func (s *state) unmarshalRequest(d *decoder, intern map[string]string) *request {
	q := &request{lsn: d.uint(), opening: d.uint()}
	key := producerKey{d.text(), d.text()}
	if q.owner = s.producers[key]; q.owner == nil {
		q.owner = &producer{producerKey: key}
		s.producers[key] = q.owner
	}
	q.epoch, q.sequence = d.uint(), d.uint()
	q.routing = d.text()
	if known, ok := intern[q.routing]; ok {
		q.routing = known
	}
	intern[q.routing] = q.routing
	q.entries = d.number()
	flags := d.byte()
	q.placed, q.held, q.done = flags&flagPlaced != 0, flags&flagHeld != 0, flags&flagDone != 0
	if flags&flagRefused != 0 {
		q.refused = d.outcome()
	}
	for range d.count(2) {
		q.gone = append(q.gone, routePlaces{d.text(), d.ranges()})
	}
	return q
}

// checkpoint writes a checkpoint, and has the log delete what it needs no more.
func (j *Journal) checkpoint() error {
	if err := j.forgetUnlinked(); err != nil {
		return err
	}
	j.appending.Lock()
	at := j.next
	j.mu.Lock()
	payload := j.state.marshal(make([]byte, 0, j.housekeeper.size.Load()))
	keep := j.state.needs(at)
	j.fresh = max(j.fresh, keep) // what is before may be deleted, so openings are written again
	lines := j.state.lines
	j.state.lines = nil
	needed := j.routingsLocked()
	maps.Copy(needed, j.routings)
	j.mu.Unlock()
	j.appending.Unlock()

	j.housekeeper.size.Store(int64(len(payload) + len(payload)/8))
	// A checkpoint takes the place of the records of settled files, so their lines come first. After a crash some may be there twice.
	if err := j.appendLines(lines); err != nil {
		j.complain("write the list of settled batches", err)
		j.mu.Lock()
		if len(lines)+len(j.state.lines) <= maxLines {
			j.state.lines = append(lines, j.state.lines...)
		}
		j.mu.Unlock()
	}
	if err := j.log.SaveCheckpoint(payload, wal.LSN(at), wal.LSN(keep)); err != nil {
		return err
	}
	return j.log.KeepConfigs(func(hash string) bool { _, ok := needed[hash]; return ok })
}

// forgetUnlinked forgets the files that were removed and can't come back. Until then a start must know that they are settled.
func (j *Journal) forgetUnlinked() error {
	j.mu.Lock()
	unlinked := j.unlinked
	j.unlinked = nil
	j.mu.Unlock()
	if len(unlinked) == 0 {
		return nil
	}
	err := j.fs().SyncDir(filepath.Join(j.config.Dir, "batches"))
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.unlinked = append(unlinked, j.unlinked...)
		return fmt.Errorf("sync the folder of files: %w", err)
	}
	for _, id := range unlinked {
		delete(j.state.settled, id)
	}
	return nil
}

// routingsLocked returns the hashes of the routings that requests and files need.
func (j *Journal) routingsLocked() map[string]struct{} {
	needed := make(map[string]struct{})
	for _, q := range j.state.requests {
		if !q.placed {
			needed[q.routing] = struct{}{}
		}
	}
	for _, f := range j.files {
		needed[f.routing] = struct{}{}
	}
	return needed
}
