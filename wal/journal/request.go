package journal

import (
	"context"
	"fmt"
	"slices"

	"github.com/logbatcher/logbatcher/schema"
)

// recordBytes is more than the log takes for a record besides its payload, and for a request's numbers.
const recordBytes = 256

// Request returns the log of one request. logged is called once the request is durable.
func (j *Journal) Request(r *schema.LoggedRequest, logged func()) schema.RequestLog {
	return &requestLog{journal: j, request: r, logged: logged}
}

type requestLog struct {
	journal *Journal
	request *schema.LoggedRequest
	logged  func()
	// record and blocks are the bytes that are reserved: for the request's record, and for files with its rows.
	record, blocks int64
}

// Reserve implements schema.RequestLog.
func (q *requestLog) Reserve(ctx context.Context, blocks int, waiting func()) error {
	record := recordSize(q.request)
	err := q.journal.log.Reserve(ctx, record+int64(blocks), func() {
		q.journal.housekeeper.ring(&q.journal.housekeeper.pressed)
		if waiting != nil {
			waiting()
		}
	})
	if err == nil {
		q.record, q.blocks = record, int64(blocks)
	}
	return err
}

// recordSize is about what a request takes in the log.
func recordSize(r *schema.LoggedRequest) int64 {
	size := recordBytes + len(r.Data) + len(r.Tenant) + len(r.Producer)
	for _, route := range r.Routes {
		size += len(route)
	}
	for i := range r.Refusals {
		size += 32 + len(r.Refusals[i].Field) + len(r.Refusals[i].Message)
	}
	if r.Opening != nil {
		size += recordBytes + len(r.Opening.Data)
	}
	return int64(size)
}

// Unreserve implements schema.RequestLog.
func (q *requestLog) Unreserve() {
	if bytes := q.record + q.blocks; bytes > 0 {
		q.journal.log.Release(bytes)
		q.record, q.blocks = 0, 0
	}
}

// Append implements schema.RequestLog.
func (q *requestLog) Append(routing string) (uint64, error) {
	lsn, err := q.append(routing)
	if err != nil {
		q.Unreserve()
		return 0, err
	}
	if q.record > 0 {
		q.journal.log.Release(q.record) // it is in the log now
	}
	q.record, q.blocks = 0, 0
	return lsn, nil
}

func (q *requestLog) append(routing string) (uint64, error) {
	j, r := q.journal, q.request
	j.appending.Lock()
	defer j.appending.Unlock()
	if segment := j.log.Segment(); segment != j.segment {
		j.segment, j.fresh = segment, j.next
		j.housekeeper.ring(&j.housekeeper.rotated)
	}
	var opening uint64
	if r.Opening != nil {
		if opening = r.Opening.Written.Load(); opening < j.fresh {
			var err error
			if opening, err = j.appendLocked(kindOpening, nil, []byte{version}, r.Opening.Data); err != nil {
				return 0, err
			}
			r.Opening.Written.Store(opening)
		}
	}
	j.header = putRequest(j.header[:0], r, routing)
	setOpening(j.header, opening)
	lsn, err := j.appendLocked(kindRequest, q.logged, j.header, r.Data)
	if err != nil {
		return 0, err
	}
	j.mu.Lock()
	j.state.request(lsn, opening, r, routing).reserved = q.blocks
	j.mu.Unlock()
	return lsn, nil
}

// Placed records that all rows of a request are in durable files or refused; the outcome has what was refused, at receipt too.
func (j *Journal) Placed(lsn uint64, o *schema.Outcome) {
	j.mu.Lock()
	q := j.state.requests[lsn]
	if q == nil || q.placed {
		j.mu.Unlock()
		return
	}
	if empty(o) {
		j.state.place(q, nil) // the files say so
		j.mu.Unlock()
		return
	}
	j.mu.Unlock()
	r := &placedRecord{lsn, &schema.Outcome{Refusals: slices.Clone(o.Refusals), Unmatched: o.Unmatched}}
	if _, err := j.append(kindPlaced, r.put(nil), func() { j.state.placed(r) }, nil); err != nil {
		j.complain("log what was refused of a request", err)
	}
}

// Settled records the whole outcome of a request, with what was refused at receipt. recorded is called once that is durable, or at once if
// there is nothing to record and the request itself is durable. If recorded is nil, the request was replayed: the outcome is a part, and Config.Settled is told the whole of it.
func (j *Journal) Settled(lsn uint64, o *schema.Outcome, recorded func()) {
	j.mu.Lock()
	q := j.state.requests[lsn]
	if q == nil || q.done {
		j.mu.Unlock()
		if recorded != nil {
			recorded()
		}
		return
	}
	if recorded == nil && q.recovery != nil {
		if q.recovery.replayed {
			q.recovery.replayed = false
			q.recovery.holds--
			merge(&q.recovery.outcome, o)
		}
		whole := q.recovery.holds == 0
		j.mu.Unlock()
		if whole {
			j.finishRecovered(q)
		}
		return
	}
	if empty(o) {
		j.state.finishClean(q)
		j.mu.Unlock()
		if recorded != nil {
			j.afterRecord(lsn, recorded)
		}
		return
	}
	j.mu.Unlock()
	if err := j.recordOutcome(q, o, recorded); err != nil {
		j.complain("log the outcome of a request", err)
	}
}

// afterRecord calls a function once a record is durable: of a request without rows, nobody has waited for that.
func (j *Journal) afterRecord(lsn uint64, call func()) {
	if uint64(j.log.Durable()) >= lsn {
		call()
		return
	}
	j.appending.Lock()
	defer j.appending.Unlock()
	j.queue.add(j.next-1, call)
	j.queue.ring()
}

// recordOutcome appends the outcome of a request that is not settled yet.
func (j *Journal) recordOutcome(q *request, o *schema.Outcome, recorded func()) error {
	r := &outcomeRecord{
		lsn: q.lsn, producerKey: q.owner.producerKey, epoch: q.epoch, sequence: q.sequence, entries: q.entries,
		outcome: &schema.Outcome{Refusals: slices.Clone(o.Refusals), DeadLettered: slices.Clone(o.DeadLettered), Unmatched: o.Unmatched},
	}
	_, err := j.append(kindOutcome, r.put(nil), func() { j.state.outcome(r) }, recorded)
	return err
}

// finishRecovered records the outcome of a request that an earlier process has received, and tells of it once that is durable.
func (j *Journal) finishRecovered(q *request) {
	o := &q.recovery.outcome
	told := func() {
		if j.config.Settled != nil {
			j.config.Settled(q.owner.tenant, q.owner.id, q.epoch, q.sequence, o)
		}
	}
	if empty(o) {
		j.mu.Lock()
		j.state.finishClean(q)
		j.mu.Unlock()
		told()
	} else if err := j.recordOutcome(q, o, told); err != nil {
		j.complain("log the outcome of a request", err)
		return
	}
	var ready []*File
	j.mu.Lock()
	for _, f := range q.recovery.waiting { // their dead letters are in the log now
		if f.waiting--; f.waiting == 0 {
			ready = append(ready, f)
		}
	}
	q.recovery = nil
	j.mu.Unlock()
	for _, f := range ready {
		f.settle()
	}
}

// complain reports what a callback can't return. It happens only when the log was closed: what is not recorded is found out again at the next
// start.
func (j *Journal) complain(what string, err error) {
	if log := j.config.Log; log != nil {
		log.Warn("the write-ahead log: "+what, "error", fmt.Sprint(err))
	}
}
