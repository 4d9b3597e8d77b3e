package journal

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

const (
	// keptSums is how many of a producer's last requests a repeat is compared with.
	keptSums = 64
	// keptOutcomes is how many outcomes of a producer's last requests are kept, and keptOutcomeBytes what they may take.
	keptOutcomes     = 128
	keptOutcomeBytes = 256 << 10
	// allOutcomeBytes bounds the outcomes of all producers, and with them the checkpoint.
	allOutcomeBytes = 32 << 20
)

// producerKey names a producer.
type producerKey struct{ tenant, id string }

// state is what the records up to an LSN amount to, and what has become of their requests and files since. The same methods change it when a
// record is appended and when one is read at a start.
type state struct {
	producers map[producerKey]*producer
	// requests are those that are not settled, and those that are and still have a file, by their LSN.
	requests map[uint64]*request
	// others has the books of producers that are anonymous or forgotten, by their tenant.
	others map[string]*schema.EntryLedger
	// tables has the books of tables.
	tables map[string]*schema.RowLedger
	// settled are the files whose rows have their outcome, and that may still be there.
	settled map[string]struct{}
	// damaged are the files whose contents the disk has lost, as long as an operator keeps them.
	damaged map[string]struct{}
	// forgotten is the highest epoch of all producers that were forgotten.
	forgotten uint64
	// outcomeBytes is what the kept outcomes of all producers take.
	outcomeBytes int
	// missing is the number of requests whose records are lost.
	missing int
	// recovering is set while records are read: which files are there is not known yet.
	recovering bool
	// lines are what the list of settled batches lacks.
	lines []byte
	// release gives back room on the disk.
	release func(bytes int64)
}

func newState() *state {
	return &state{
		producers: make(map[producerKey]*producer), requests: make(map[uint64]*request),
		others: make(map[string]*schema.EntryLedger), tables: make(map[string]*schema.RowLedger),
		settled: make(map[string]struct{}), damaged: make(map[string]struct{}), release: func(int64) {},
	}
}

// producer is what the log knows of one producer.
type producer struct {
	producerKey
	// known is set once it has begun an epoch. Others are anonymous, and there only while a request of theirs is.
	known                  bool
	epoch, start, accepted uint64
	// sums are the hashes of the last requests. There may be more than keptSums.
	sums     []uint64
	outcomes []schema.LoggedOutcome
	// outcomeBytes is what outcomes take.
	outcomeBytes int
	// since is the first epoch of which ledger is the account.
	since  uint64
	ledger *schema.EntryLedger // nil if it is not known
	// first and last are its requests that are not settled, in order.
	first, last *request
}

// request is a request that is not settled, or still has a file.
type request struct {
	lsn uint64
	// opening is the LSN of its opening; 0: it has none.
	opening         uint64
	epoch, sequence uint64
	routing         string
	entries         int
	owner           *producer
	ledger          *schema.EntryLedger // that its entries are in
	before, after   *request            // of the owner, while it is not settled

	// placed: all its rows are in files or refused. Nothing needs its record any more.
	placed bool
	// held: some of its rows may be in a damaged file of unknown contents. It is not replayed.
	held bool
	// present: its record was seen at this start.
	present bool
	// done: its outcome is known, and if there was anything to tell, in the log.
	done bool
	// files is the number of files that have rows of it.
	files int
	// reserved is the room on the disk that it has until it is placed.
	reserved int64
	// refused is what was refused of it, once it is placed. Nil: nothing.
	refused *schema.Outcome
	// gone are its places in files that are not there any more, by their routes. It is kept only until the request is placed.
	gone []routePlaces
	// recovery is set at a start, until its outcome is known. Nil: it was received by this process.
	recovery *recovery
}

// routePlaces are places of a request in files of a route.
type routePlaces struct {
	route  string
	places []schema.PlaceRange
}

// recovery collects the outcome of a request that an earlier process has received.
type recovery struct {
	// holds is what the outcome waits for: each file with rows of it, and its replay.
	holds   int
	outcome schema.Outcome
	// replayed is set while its replay is one of the holds.
	replayed bool
	// placed are its places in files that are there, if it is not placed itself.
	placed []routePlaces
	// waiting are files with dead letters of it: they stay until the outcome is in the log.
	waiting []*File
}

// fold applies a record that was read.
func (s *state) fold(lsn uint64, kind uint8, payload []byte) error {
	err := s.foldKind(lsn, kind, payload)
	if err != nil {
		return fmt.Errorf("read record %d of the log, kind %s: %w", lsn, KindName(kind), err)
	}
	return nil
}

func (s *state) foldKind(lsn uint64, kind uint8, payload []byte) error {
	switch kind {
	case kindOpening:
		return nil
	case kindBegin:
		return foldWith(payload, decodeBegin, s.begin)
	case kindRequest:
		return foldWith(payload, decodeRequest, func(r *requestRecord) {
			q := s.request(lsn, r.opening, &r.LoggedRequest, r.Routing)
			q.present = true
		})
	case kindPlaced:
		return foldWith(payload, decodePlaced, s.placed)
	case kindOutcome:
		return foldWith(payload, decodeOutcome, s.outcome)
	case kindSettled:
		return foldWith(payload, decodeSettled, s.fileSettled)
	case kindForget:
		return foldWith(payload, decodeProducer, s.forget)
	case kindDrop:
		return foldWith(payload, decodeDrop, func(r *dropRecord) { s.drop(r) })
	case kindDamage:
		return foldWith(payload, decodeID, s.damage)
	case kindResolve:
		return foldWith(payload, decodeID, s.resolve)
	}
	return ErrVersion
}

func foldWith[R any](payload []byte, decode func([]byte) (R, error), apply func(R)) error {
	r, err := decode(payload)
	if err != nil {
		return err
	}
	apply(r)
	return nil
}

// begin begins or adopts an epoch, or moves the start of the present one.
func (s *state) begin(r *beginRecord) {
	p := s.owner(r.producerKey)
	if !p.known {
		p.known, p.since, p.ledger = true, r.epoch, &schema.EntryLedger{}
	}
	if r.epoch != p.epoch || r.start > p.accepted {
		p.epoch, p.start, p.accepted, p.sums = r.epoch, r.start, r.start, nil
		s.dropOutcomes(p, len(p.outcomes)) // what is up to the start was told elsewhere
	}
	p.start = max(p.start, r.start)
}

// request adds a request.
func (s *state) request(lsn, opening uint64, r *schema.LoggedRequest, routing string) *request {
	p := s.owner(producerKey{r.Tenant, r.Producer})
	if p.known && r.Epoch >= p.epoch {
		if r.Epoch > p.epoch { // the record of its beginning is lost
			s.begin(&beginRecord{p.producerKey, r.Epoch, r.Sequence - 1})
		}
		if r.Sequence > p.accepted {
			if r.Sequence > p.accepted+1 { // the records in between are lost
				s.missing += int(r.Sequence - p.accepted - 1)
				p.sums = nil
			}
			p.accepted = r.Sequence
			if len(p.sums) >= 2*keptSums {
				p.sums = append(p.sums[:0], p.sums[len(p.sums)-keptSums+1:]...)
			}
			p.sums = append(p.sums, r.Sum)
		}
	}
	q := &request{lsn: lsn, opening: opening, epoch: r.Epoch, sequence: r.Sequence, routing: routing, entries: r.Entries, owner: p}
	s.add(q)
	q.ledger.Received += uint64(r.Entries)
	return q
}

// owner returns the producer of a request.
func (s *state) owner(key producerKey) *producer {
	p := s.producers[key]
	if p == nil {
		p = &producer{producerKey: key}
		s.producers[key] = p
	}
	return p
}

func (s *state) othersOf(tenant string) *schema.EntryLedger {
	ledger := s.others[tenant]
	if ledger == nil {
		ledger = &schema.EntryLedger{}
		s.others[tenant] = ledger
	}
	return ledger
}

func (s *state) table(name string) *schema.RowLedger {
	ledger := s.tables[name]
	if ledger == nil {
		ledger = &schema.RowLedger{}
		s.tables[name] = ledger
	}
	return ledger
}

// add adds a request that is not settled.
func (s *state) add(q *request) {
	s.requests[q.lsn] = q
	p := q.owner
	if q.ledger = p.ledger; !p.known || q.epoch < p.since {
		q.ledger = s.othersOf(p.tenant)
	}
	q.ledger.InFlight += uint64(q.entries)
	before := p.last
	for before != nil && (before.epoch > q.epoch || before.epoch == q.epoch && before.sequence > q.sequence) {
		before = before.before
	}
	q.before = before
	if before == nil {
		q.after, p.first = p.first, q
	} else {
		q.after, before.after = before.after, q
	}
	if q.after == nil {
		p.last = q
	} else {
		q.after.before = q
	}
}

// finish records that the outcome of a request is known.
func (s *state) finish(q *request) {
	if q.done {
		return
	}
	q.done = true
	p := q.owner
	q.ledger.InFlight -= uint64(q.entries)
	if q.before == nil {
		p.first = q.after
	} else {
		q.before.after = q.after
	}
	if q.after == nil {
		p.last = q.before
	} else {
		q.after.before = q.before
	}
	q.before, q.after = nil, nil
	if p.first == nil && !p.known && s.producers[p.producerKey] == p {
		delete(s.producers, p.producerKey)
	}
	s.clean(q)
}

// finishClean records that a request is settled, and that there is nothing to tell about it.
func (s *state) finishClean(q *request) {
	if !q.done {
		q.ledger.Settled += uint64(q.entries)
	}
	s.place(q, nil)
	s.finish(q)
}

// clean removes a request that nobody asks for any more.
func (s *state) clean(q *request) {
	if q.done && q.placed && q.files == 0 && !s.recovering {
		delete(s.requests, q.lsn)
	}
}

// place records that a request needs its record no longer. refused is what was refused of it, or nil.
func (s *state) place(q *request, refused *schema.Outcome) {
	q.placed, q.gone, q.held = true, nil, false
	if q.reserved > 0 {
		s.release(q.reserved)
		q.reserved = 0
	}
	if q.recovery != nil {
		q.recovery.placed = nil
	}
	if !q.done && !empty(refused) {
		q.refused = refused
	}
	s.clean(q)
}

func (s *state) placed(r *placedRecord) {
	if q := s.requests[r.lsn]; q != nil {
		s.place(q, r.outcome)
	}
}

// outcome records the outcome of a request. It is placed then.
func (s *state) outcome(r *outcomeRecord) {
	q := s.requests[r.lsn]
	if q == nil { // its record, or its checkpoint, is gone
		q = &request{lsn: r.lsn, epoch: r.epoch, sequence: r.sequence, entries: r.entries, owner: s.owner(r.producerKey)}
		s.add(q)
	}
	if q.done {
		return
	}
	p := q.owner
	refused := countRefused(r.outcome)
	q.ledger.Refused += uint64(refused)
	q.ledger.Unmatched += uint64(r.outcome.Unmatched)
	q.ledger.Settled += uint64(max(0, q.entries-refused-r.outcome.Unmatched))
	if p.known && r.epoch == p.epoch {
		s.keepOutcome(p, schema.LoggedOutcome{Sequence: r.sequence, Outcome: *r.outcome})
	}
	q.refused = nil
	s.place(q, nil)
	s.finish(q)
}

// countRefused returns the number of entries that were refused as a whole, but not those that matched no route.
func countRefused(o *schema.Outcome) (n int) {
	seen := map[uint32]struct{}{}
	for i := range o.Refusals {
		r := &o.Refusals[i]
		if r.Route != "" || r.Reason == schema.Unmatched {
			continue
		}
		seen[r.Index] = struct{}{}
	}
	return len(seen)
}

func (s *state) keepOutcome(p *producer, o schema.LoggedOutcome) {
	size := sizeOf(&o.Outcome)
	if size > keptOutcomeBytes || s.outcomeBytes+size > allOutcomeBytes {
		return
	}
	drop := max(0, len(p.outcomes)+1-keptOutcomes)
	for bytes := p.outcomeBytes + size; drop < len(p.outcomes) && bytes > keptOutcomeBytes; drop++ {
		bytes -= sizeOf(&p.outcomes[drop].Outcome)
	}
	s.dropOutcomes(p, drop)
	p.outcomes = append(p.outcomes, o)
	p.outcomeBytes += size
	s.outcomeBytes += size
}

// dropOutcomes forgets the first n outcomes of a producer.
func (s *state) dropOutcomes(p *producer, n int) {
	for i := range p.outcomes[:n] {
		size := sizeOf(&p.outcomes[i].Outcome)
		p.outcomeBytes -= size
		s.outcomeBytes -= size
	}
	p.outcomes = slices.Delete(p.outcomes, 0, n)
}

// fileSettled records that all rows of a file have their outcome.
func (s *state) fileSettled(r *settledRecord) {
	if _, again := s.settled[r.id]; again {
		return
	}
	t := s.table(r.contents.Table)
	t.Routed += uint64(r.contents.rows())
	t.Committed += uint64(r.committed)
	t.DeadLettered += uint64(r.deadLettered)
	s.settled[r.id] = struct{}{}
	s.lines = putLine(s.lines, r)
	for i := range r.contents.Parts {
		if q := s.requests[r.contents.Parts[i].LSN]; q != nil && !q.placed {
			q.gone = addPlaces(q.gone, r.contents.Route, r.contents.Parts[i].Places)
		}
	}
}

// addPlaces adds places of a route.
func addPlaces(all []routePlaces, route string, places []schema.PlaceRange) []routePlaces {
	for i := range all {
		if all[i].route == route {
			all[i].places = normal(append(all[i].places, places...))
			return all
		}
	}
	return append(all, routePlaces{route, normal(slices.Clone(places))})
}

// forget forgets a producer. Its requests that are not settled go on as those of an anonymous one.
func (s *state) forget(key producerKey) {
	p := s.producers[key]
	if p == nil || !p.known {
		return
	}
	s.forgotten = max(s.forgotten, p.epoch)
	s.dropOutcomes(p, len(p.outcomes))
	others := s.othersOf(key.tenant)
	others.Add(p.ledger)
	if p.first == nil {
		delete(s.producers, key)
		return
	}
	for q := p.first; q != nil; q = q.after {
		q.ledger = others
	}
	p.known, p.ledger = false, nil
	p.epoch, p.start, p.accepted, p.sums = 0, 0, 0, nil
}

// drop forgets a producer that another instance has, and drops its requests above an epoch and sequence that are not placed: the other has
// accepted them, too. It returns the number of their entries.
func (s *state) drop(r *dropRecord) (entries int) {
	p := s.producers[r.producerKey]
	if p == nil {
		return 0
	}
	for q := p.first; q != nil; {
		next := q.after
		if !q.placed && (q.epoch > r.epoch || q.epoch == r.epoch && q.sequence > r.above) {
			entries += q.entries
			s.abandon(q)
		}
		q = next
	}
	s.forget(r.producerKey)
	return entries
}

// abandon ends a request that is not replayed: what is in files goes on, the rest does not.
func (s *state) abandon(q *request) {
	q.ledger.Dropped += uint64(q.entries)
	s.place(q, nil)
	s.finish(q)
}

// damage records that the disk has lost the contents of a file. Nobody knows which entries it had, so none that may have been in it is sent
// again: ClickHouse may have them.
func (s *state) damage(id string) {
	if _, again := s.damaged[id]; again {
		return
	}
	s.damaged[id] = struct{}{}
	for _, q := range s.requests {
		q.held = !q.placed
	}
}

// resolve records that an operator has done with a damaged file: what was held for it is replayed.
func (s *state) resolve(id string) {
	delete(s.damaged, id)
	if len(s.damaged) > 0 {
		return
	}
	for _, q := range s.requests {
		q.held = false
	}
}

// unsettled returns the sequences of a producer's epoch that are not settled, in order.
func (p *producer) unsettled() (sequences []uint64) {
	for q := p.first; q != nil; q = q.after {
		if q.epoch == p.epoch && q.sequence > p.start && q.sequence <= p.accepted {
			sequences = append(sequences, q.sequence)
		}
	}
	return slices.Compact(sequences)
}

func (p *producer) logged() schema.LoggedProducer {
	return schema.LoggedProducer{
		Tenant: p.tenant, Producer: p.id, Epoch: p.epoch, Start: p.start, Accepted: p.accepted, Unsettled: p.unsettled(),
		Sums: slices.Clone(p.sums[len(p.sums)-min(len(p.sums), keptSums):]), Outcomes: slices.Clone(p.outcomes),
	}
}

// needs returns the least LSN that a request which is not placed needs, or at if none needs any.
func (s *state) needs(at uint64) uint64 {
	for _, q := range s.requests {
		if q.placed {
			continue
		}
		at = min(at, q.lsn)
		if q.opening != 0 {
			at = min(at, q.opening)
		}
	}
	return at
}

// sorted returns the requests by their LSN.
func (s *state) sorted() []*request {
	return slices.SortedFunc(maps.Values(s.requests), compareRequests)
}

func compareRequests(a, b *request) int { return cmp.Compare(a.lsn, b.lsn) }
