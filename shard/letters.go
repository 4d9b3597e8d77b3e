package shard

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// maxLetterBytes is the payload above which a dead letter would not fit the queue's 1 MiB with the rest of what it says.
const maxLetterBytes = 1<<20 - 192<<10

// letters gathers the entries of one request that the gateway itself sends to the dead-letter queue,
// grouped by route and reason.
type letters struct {
	byReason map[letterKey]*letter
	order    []*letter
}

type letterKey struct {
	route  *route // nil: the entry matched none
	reason schema.Reason
	field  string
}

// letter is one dead letter in the making.
type letter struct {
	letterKey
	problem *sink.RowError
	shardID string
	rows    int
	payload []byte
}

func newLetters() *letters { return &letters{byReason: map[letterKey]*letter{}} }

func (l *letters) add(r *route, e *schema.Entry, id *shardID, problem *sink.RowError) {
	key := letterKey{route: r, reason: problem.Reason, field: problem.Field}
	at := l.byReason[key]
	if at == nil || len(at.payload) >= maxLetterBytes/2 {
		// An entry is at most 768 KiB and grows when it becomes JSON: each letter takes
		// entries only while it is less than half full.
		at = &letter{letterKey: key, problem: problem, shardID: id.text}
		l.byReason[key] = at
		l.order = append(l.order, at)
	}
	at.payload = append(schema.AppendJSON(at.payload, e), '\n')
	at.rows++
}

// writeLetters starts the writing of what take has gathered; the request is not settled before it is kept.
func (w *worker) writeLetters(ctx context.Context, p *pending) {
	for i, l := range w.letters.order {
		letter := l.deadLetter(p, fmt.Sprintf("%s/%s/%d/%d/%d/%d", w.router.config.Instance, p.Producer, p.Epoch, p.Sequence, w.number, i))
		bytes := len(letter.Payload)
		w.router.budget.Charge(bytes)
		p.unsettled.Add(1)
		w.deliveries.Go(func() {
			defer w.router.budget.Release(bytes)
			if err := w.router.delivery.DeadLetter(ctx, letter); err != nil {
				w.router.leaveLetter(letter, err)
				return
			}
			if l.route != nil {
				l.route.counts.deadLettered.Add(uint64(l.rows))
			}
			p.deadLettered(schema.DeadLettered{
				Rows: l.rows, Route: letter.Route, Table: letter.Table, ID: letter.ID, Message: letter.Message,
			})
			p.settle()
		})
	}
	if len(w.letters.order) > 0 {
		w.letters = newLetters()
	}
}

func (l *letter) deadLetter(p *pending, id string) *sink.DeadLetter {
	now := time.Now()
	letter := &sink.DeadLetter{
		ID: id, ShardID: l.shardID, Class: sink.Row, Reason: l.reason.String(),
		Column: l.problem.Column, Message: l.problem.Message, First: now, Last: now,
		Origins: []sink.Origin{{
			Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: l.shardID, Rows: l.rows,
		}},
		Rows: l.rows, Format: sink.FormatJSONEntries, Payload: l.payload,
	}
	if len(l.payload) > maxLetterBytes {
		letter.Format, letter.Payload = sink.FormatJSONEntriesGzip, compressed(l.payload)
	}
	if l.route != nil {
		letter.Route, letter.Table = l.route.Name, l.route.Table.FullName()
		letter.SchemaHash = l.route.layout.SchemaHash()
	}
	return letter
}

// compressed makes an entry of 768 KiB fit, the largest that the configuration allows: what JSON adds to it, escapes or base64, is what
// gzip takes away.
func compressed(payload []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	// Writing to memory fails only where memory ends, which is no error but the end of the process.
	_, _ = w.Write(payload)
	_ = w.Close()
	return b.Bytes()
}
