package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
)

// Recovered is what Open has found.
type Recovered struct {
	wal.Report
	// Producers is the number of producers, Files that of files, and Requests that of requests that have to be routed again.
	Producers, Files, Requests int
	// Missing is the number of requests that were logged and that the disk has lost.
	Missing int
	// Held are requests of which some rows may be in a damaged file. They are not routed, or these might be stored twice.
	Held int
	// Damaged are the files whose contents the disk has lost. What is held for them is routed once an operator has removed them.
	Damaged []string
}

// Recovered returns what Open has found.
func (j *Journal) Recovered() Recovered { return j.report }

// Degraded returns what does not work although requests are accepted.
func (j *Journal) Degraded() []string {
	reasons := slices.Clip(j.log.Degraded())
	if len(j.report.Damaged) > 0 {
		reasons = append(reasons, fmt.Sprintf("write-ahead log: the disk has lost what was in %d batches, such as damaged/%s; %d requests that may have been in them are held: "+
			"see docs/wal.md", len(j.report.Damaged), url.PathEscape(j.report.Damaged[0]), j.report.Held))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, hash := range slices.Sorted(maps.Keys(j.lacking)) {
		reasons = append(reasons, "write-ahead log: "+j.lacking[hash].String())
	}
	return reasons
}

// recover reads checkpoint, records and files.
func (j *Journal) recover(ctx context.Context) error {
	payload, first := j.log.Checkpoint()
	if first > 0 {
		var err error
		if j.state, err = unmarshalState(payload); err != nil {
			return fmt.Errorf("read the checkpoint: %w", err)
		}
	}
	files, err := j.log.Files()
	if err != nil {
		return err
	}
	j.state.recovering = true
	openings := map[uint64]struct{}{}
	j.report.Report, err = j.log.Scan(func(r wal.Record) error {
		if r.Kind == kindOpening {
			openings[uint64(r.LSN)] = struct{}{}
		}
		if r.LSN >= first {
			return j.state.fold(uint64(r.LSN), r.Kind, r.Payload)
		}
		if q := j.state.requests[uint64(r.LSN)]; r.Kind == kindRequest && q != nil {
			q.present = true
		}
		return ctx.Err()
	})
	if err != nil {
		return err
	}
	j.next = uint64(j.report.Next)
	j.mu.Lock()
	defer j.mu.Unlock()
	j.state.release = j.log.Release
	j.dropMissing(openings)
	if err := j.openFiles(files); err != nil {
		return err
	}
	j.state.recovered()
	for _, q := range j.state.requests {
		switch {
		case q.placed:
		case q.held:
			j.report.Held++
		default:
			j.report.Requests++
			q.reserved = int64(q.entries) * replayedBytes
			j.log.ReserveNow(q.reserved)
		}
	}
	for _, p := range j.state.producers {
		if p.known {
			j.report.Producers++
		}
	}
	j.report.Files, j.report.Missing = len(j.files), j.state.missing
	return nil
}

// replayedBytes is about what an entry takes in files. What the routes make of it is not known before it is routed.
const replayedBytes = 512

// dropMissing ends the requests of which the record, or that of the opening, is lost: nobody can route them.
func (j *Journal) dropMissing(openings map[uint64]struct{}) {
	for _, q := range j.state.sorted() {
		if q.placed {
			continue
		}
		if _, opened := openings[q.opening]; q.present && (opened || q.opening == 0) {
			continue
		}
		j.state.missing++
		j.state.abandon(q)
	}
}

// openFiles takes the files that are there, and sets what their requests wait for.
func (j *Journal) openFiles(files []*wal.File) error {
	s := j.state
	stay := map[string]bool{}
	for _, file := range files {
		c, head, err := decodeHead(file.Head())
		if err != nil {
			return fmt.Errorf("file %s: %w", file.ID(), err)
		}
		if _, settled := s.settled[file.ID()]; settled { // it could not be removed any more
			if !j.config.ReadOnly {
				err = file.Remove()
			}
			if err != nil {
				j.complain("remove a settled file, which the next start does", err)
				stay[file.ID()] = true
			}
			continue // the next checkpoint forgets it, unless it is still there
		}
		for i := range c.Parts {
			s.sealedPart(&c.Parts[i], c.entries[i], c.Route)
		}
		f := &File{journal: j, file: file, head: len(file.Head()) - len(head), recovered: true}
		f.addLocked(c)
	}
	for id := range s.settled {
		if !stay[id] {
			j.unlinked = append(j.unlinked, id)
		}
	}
	for _, q := range s.requests {
		if !q.placed && !q.done {
			r := q.recover()
			r.holds++
			r.replayed = true
		}
	}
	return j.findDamaged()
}

// recover returns the request's recovery.
func (q *request) recover() *recovery {
	if q.recovery == nil {
		q.recovery = &recovery{}
		if q.refused != nil {
			merge(&q.recovery.outcome, q.refused)
		}
	}
	return q.recovery
}

// sealedPart records that a file which is there has places of a request. The request may be known from nothing else.
func (s *state) sealedPart(p *schema.Part, entries int, route string) {
	q := s.requests[p.LSN]
	if q == nil {
		q = &request{
			lsn: p.LSN, epoch: p.Epoch, sequence: p.Sequence, entries: entries, placed: true, owner: s.owner(producerKey{p.Tenant, p.Producer}),
		}
		s.add(q)
	}
	if q.done {
		return
	}
	r := q.recover()
	r.holds++
	if !q.placed {
		r.placed = addPlaces(r.placed, route, p.Places)
	}
}

// findDamaged looks for files whose contents the disk has lost, at this start or an earlier one. An operator who has removed one has done
// with it.
func (j *Journal) findDamaged() error {
	names, err := j.fs().List(filepath.Join(j.config.Dir, "damaged"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	there := map[string]struct{}{}
	for _, name := range names {
		id, err := url.PathUnescape(name)
		if err != nil || strings.Contains(name, ".log") || strings.HasPrefix(name, "checkpoint") || strings.HasPrefix(name, "ID") {
			continue
		}
		there[id] = struct{}{}
		if _, known := j.state.damaged[id]; !known {
			j.state.damage(id)
			j.damaged = append(j.damaged, id)
		}
	}
	for id := range j.state.damaged {
		if _, still := there[id]; !still {
			j.state.resolve(id)
			j.resolved = append(j.resolved, id)
		}
	}
	j.report.Damaged = slices.Sorted(maps.Keys(j.state.damaged))
	return nil
}

// fs returns the file system.
func (j *Journal) fs() wal.FS {
	if j.config.FS != nil {
		return j.config.FS
	}
	return wal.OS{}
}

// recovered ends the reading of records: what is settled and has no file needs nothing any more.
func (s *state) recovered() {
	s.recovering = false
	for _, q := range s.requests {
		s.clean(q)
	}
	for _, p := range s.producers {
		if p.known {
			p.ledger.Settle()
		}
	}
	for _, ledger := range s.others {
		ledger.Settle()
	}
}

// recordRecovery records which files are damaged, and the outcomes of the requests that nothing is left of to wait for.
func (j *Journal) recordRecovery(ctx context.Context) error {
	var whole []*request
	j.mu.Lock()
	for _, q := range j.state.sorted() {
		if !q.done && q.recover().holds == 0 {
			whole = append(whole, q)
		}
	}
	j.mu.Unlock()
	for _, id := range j.damaged {
		if _, err := j.append(kindDamage, putID(nil, id), func() { j.state.damage(id) }, nil); err != nil {
			return err
		}
	}
	for _, id := range j.resolved {
		if _, err := j.append(kindResolve, putID(nil, id), func() { j.state.resolve(id) }, nil); err != nil {
			return err
		}
	}
	for _, q := range whole {
		j.finishRecovered(q)
	}
	return j.log.Sync(ctx, wal.LSN(j.position()-1))
}

// Files returns the files that an earlier process has left, in the order in which they were sealed, as far as that is known. Those of which
// Routings has not found the routing are left out.
func (j *Journal) Files() []*File {
	j.mu.Lock()
	defer j.mu.Unlock()
	var files []*File
	for _, f := range j.files {
		if _, lacks := j.lacking[f.routing]; f.recovered && !lacks {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b *File) int {
		return slices.Compare(a.requests[:min(1, len(a.requests))], b.requests[:min(1, len(b.requests))])
	})
	return files
}

// lack is a routing that can't be read, and what is held because of it.
type lack struct {
	err             error
	files, requests int
	path            string
}

// String says what is held, and what to do.
func (l lack) String() string {
	return fmt.Sprintf("%d batches and %d requests are held, because their routing can't be read (%v): put %s back and start again, see docs/wal.md",
		l.files, l.requests, l.err, l.path)
}

// Routings returns the routings that recovered files and requests need, by their hashes. What needs one that is missing or damaged is held: it stays where
// it is, and Files and Unplaced leave it out from then on. It may be called again, to look again.
func (j *Journal) Routings() map[string][]byte {
	j.mu.Lock()
	defer j.mu.Unlock()
	needed := j.routingsLocked()
	routings := make(map[string][]byte, len(needed))
	j.lacking = make(map[string]lack)
	for hash := range needed {
		if hash == "" {
			continue // of a request without entries
		}
		data, err := j.log.Config(hash)
		if err == nil {
			routings[hash] = data
			continue
		}
		l := lack{err: err, path: filepath.Join("config", url.PathEscape(hash))}
		for _, f := range j.files {
			if f.routing == hash {
				l.files++
			}
		}
		for _, q := range j.state.requests {
			if q.routing == hash && !q.placed {
				l.requests++
			}
		}
		j.lacking[hash] = l
		if j.started && j.config.Log != nil { // before, the routing may be put again
			j.config.Log.Error("the write-ahead log: " + l.String())
		}
	}
	return routings
}

// holds reports whether a request waits for an operator. The caller holds mu.
func (j *Journal) holds(q *request) bool {
	_, lacks := j.lacking[q.routing]
	return q.held || lacks && !q.placed
}

// Unplaced is a request that has to be routed again.
type Unplaced struct {
	schema.LoggedRequest
	// LSN is its number in the log.
	LSN uint64
	// Skip reports whether the entry at a place is in a file of the route, or was.
	Skip func(route string, place uint32) bool
}

// errStop ends a reading of the log.
var errStop = errors.New("stop")

// Unplaced returns the requests that have to be routed again, in the order in which they were received. It reads them from the log one at a
// time. After an error there are no more.
func (j *Journal) Unplaced() iter.Seq2[*Unplaced, error] {
	return func(yield func(*Unplaced, error) bool) {
		if err := j.unplaced(func(u *Unplaced) bool { return yield(u, nil) }); err != nil {
			yield(nil, err)
		}
	}
}

func (j *Journal) unplaced(yield func(*Unplaced) bool) error {
	openings := map[uint64]*schema.LoggedOpening{} // nil until it was read
	left := 0
	j.mu.Lock()
	from := j.next
	for _, q := range j.state.requests {
		if !j.toReplay(q) {
			continue
		}
		left++
		from = min(from, q.lsn)
		if q.opening != 0 {
			openings[q.opening] = nil
			from = min(from, q.opening)
		}
	}
	j.mu.Unlock()
	if left == 0 {
		return nil
	}
	err := j.log.Read(wal.LSN(from), func(r wal.Record) error {
		lsn := uint64(r.LSN)
		if _, wanted := openings[lsn]; wanted && r.Kind == kindOpening && len(r.Payload) > 0 {
			openings[lsn] = &schema.LoggedOpening{Data: slices.Clone(r.Payload[1:])}
		}
		if r.Kind != kindRequest {
			return nil
		}
		j.mu.Lock()
		q := j.state.requests[lsn]
		replay := q != nil && j.toReplay(q)
		var skip []routePlaces
		if replay {
			for _, all := range [][]routePlaces{q.gone, q.recovery.placed} {
				for _, p := range all {
					skip = addPlaces(skip, p.route, p.places)
				}
			}
		}
		j.mu.Unlock()
		if !replay {
			return nil
		}
		record, err := decodeRequest(r.Payload)
		if err != nil {
			return fmt.Errorf("read request %d of the log: %w", lsn, err)
		}
		u := &Unplaced{LoggedRequest: record.LoggedRequest, LSN: lsn, Skip: skipper(skip)}
		u.Data = slices.Clone(record.Data)
		if record.opening != 0 {
			u.Opening = openings[record.opening]
		}
		left--
		if !yield(u) || left == 0 {
			return errStop
		}
		return nil
	})
	switch {
	case errors.Is(err, errStop):
		return nil
	case err != nil:
		return err
	case left > 0:
		return fmt.Errorf("%d requests that the log had when it was opened can't be read any more", left)
	}
	return nil
}

// toReplay reports whether the request has to be routed again. The caller holds mu.
func (j *Journal) toReplay(q *request) bool {
	return !q.placed && !j.holds(q) && !q.done && q.recovery != nil && q.recovery.replayed
}

// skipper returns Unplaced.Skip.
func skipper(all []routePlaces) func(string, uint32) bool {
	byRoute := make(map[string][]schema.PlaceRange, len(all))
	for _, p := range all {
		byRoute[p.route] = p.places
	}
	return func(route string, place uint32) bool {
		places := byRoute[route]
		_, found := slices.BinarySearchFunc(places, place, func(r schema.PlaceRange, place uint32) int {
			switch {
			case r.To <= place:
				return -1
			case r.From > place:
				return 1
			}
			return 0
		})
		return found
	}
}
