package journal

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
)

// File is a sealed batch, or a dead letter of entries, in a file of the log.
type File struct {
	journal *Journal
	file    *wal.File
	table   string
	routing string
	rows    int
	head    int // where the head of who has sealed it begins in the file's

	// What follows is guarded by the journal's mu.

	// requests are those with rows in it.
	requests []uint64
	// waiting is the number of requests whose outcome must be in the log before the file goes.
	waiting int
	// recovered: an earlier process has sealed it.
	recovered bool
	// committed and deadLettered are what Settled was told.
	committed, deadLettered int
}

// Seal writes a batch or dead letter into a file of its own, which it returns once it and the requests of its contents are durable. It tries
// again while the disk is full or fails, until ctx ends.
func (j *Journal) Seal(ctx context.Context, id string, c *schema.Contents, head []byte, body io.WriterTo) (schema.LogFile, error) {
	whole := &contents{Contents: *c, entries: make([]int, len(c.Parts))}
	var last uint64
	j.mu.Lock()
	for i := range c.Parts {
		last = max(last, c.Parts[i].LSN)
		if q := j.state.requests[c.Parts[i].LSN]; q != nil {
			whole.entries[i] = q.entries
		}
	}
	j.mu.Unlock()
	if err := j.log.Sync(ctx, wal.LSN(last)); err != nil {
		return nil, fmt.Errorf("seal %s: %w", id, err)
	}
	front := whole.put([]byte{version})
	file, err := j.log.Create(ctx, id, append(front, head...), body)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", id, err)
	}
	f := &File{journal: j, file: file, head: len(front)}
	j.mu.Lock()
	f.addLocked(whole)
	j.mu.Unlock()
	return f, nil
}

// addLocked makes the file one of those that are there.
func (f *File) addLocked(c *contents) {
	j := f.journal
	f.table, f.routing, f.rows = c.Table, c.Routing, c.rows()
	f.requests = make([]uint64, len(c.Parts))
	for i := range c.Parts {
		f.requests[i] = c.Parts[i].LSN
		if q := j.state.requests[c.Parts[i].LSN]; q != nil {
			q.files++
		}
	}
	t := j.state.table(f.table)
	t.Routed += uint64(f.rows)
	t.InFlight += uint64(f.rows)
	j.files[f.ID()] = f
}

// ID implements schema.LogFile.
func (f *File) ID() string { return f.file.ID() }

// contents reads what the file has of the log's requests. It is not kept in memory, because there may be very many files.
func (f *File) contents() *contents {
	c, _, err := decodeHead(f.file.Head())
	if err != nil {
		panic("journal: the head of a file that this process has read or written: " + err.Error())
	}
	return c
}

// Contents implements schema.LogFile.
func (f *File) Contents() *schema.Contents { return &f.contents().Contents }

// Head implements schema.LogFile.
func (f *File) Head() []byte { return f.file.Head()[f.head:] }

// ReadAt implements schema.LogFile.
func (f *File) ReadAt(p []byte, offset int64) (int, error) { return f.file.ReadAt(p, offset) }

// Size implements schema.LogFile.
func (f *File) Size() int64 { return f.file.Size() }

// Notes implements schema.LogFile.
func (f *File) Notes() [][]byte { return f.file.Notes() }

// Note implements schema.LogFile.
func (f *File) Note(ctx context.Context, note []byte) error { return f.file.Note(ctx, note) }

// Settle tells the outcomes of the parts of a recovered file, in the order of its contents, before Settled.
func (f *File) Settle(outcomes []schema.Outcome) {
	j := f.journal
	var whole []*request
	j.mu.Lock()
	for i, lsn := range f.requests {
		q := j.state.requests[lsn]
		if q == nil || q.done || q.recovery == nil || i >= len(outcomes) {
			continue // its outcome was in the log already
		}
		merge(&q.recovery.outcome, &outcomes[i])
		if len(outcomes[i].DeadLettered) > 0 {
			q.recovery.waiting = append(q.recovery.waiting, f)
			f.waiting++
		}
		if q.recovery.holds--; q.recovery.holds == 0 {
			whole = append(whole, q)
		}
	}
	f.waiting++ // until Settled
	j.mu.Unlock()
	for _, q := range whole {
		j.finishRecovered(q)
	}
}

// Settled implements schema.LogFile.
func (f *File) Settled(committed, deadLettered int) {
	j := f.journal
	j.mu.Lock()
	f.committed, f.deadLettered = committed, deadLettered
	if deadLettered > 0 && !f.recovered {
		// The outcome of a request that was replayed may wait for older files. This one has its dead letters until then.
		for _, lsn := range f.requests {
			if q := j.state.requests[lsn]; q != nil && !q.done && q.recovery != nil {
				q.recovery.waiting = append(q.recovery.waiting, f)
				f.waiting++
			}
		}
	}
	if f.recovered && f.waiting > 0 {
		f.waiting--
	}
	ready := f.waiting == 0
	j.mu.Unlock()
	if ready {
		f.settle()
	}
}

// settle records that all rows have their outcome, and has the file removed once that is durable.
func (f *File) settle() {
	j := f.journal
	r := &settledRecord{id: f.ID(), at: time.Now(), committed: f.committed, deadLettered: f.deadLettered, contents: f.contents()}
	_, err := j.append(kindSettled, r.put(nil), func() {
		j.state.fileSettled(r)
		f.leaveTableLocked()
	}, func() { j.housekeeper.remove(f) })
	if err != nil {
		j.complain("log that a file is settled", err)
	}
}

// leaveTableLocked takes the rows out of the account of what is in flight: the record of the settled file has them now.
func (f *File) leaveTableLocked() {
	t := f.journal.state.table(f.table)
	t.Routed -= uint64(f.rows)
	t.InFlight -= uint64(f.rows)
}

// removedLocked records that the file is not there any more.
func (f *File) removedLocked() {
	j := f.journal
	delete(j.files, f.ID())
	j.unlinked = append(j.unlinked, f.ID())
	for _, lsn := range f.requests {
		if q := j.state.requests[lsn]; q != nil {
			q.files--
			j.state.clean(q)
		}
	}
}
