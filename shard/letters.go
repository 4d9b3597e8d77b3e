package shard

import (
	"context"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// letters gathers the entries of one request that the gateway itself sends to the dead-letter queue,
// grouped by route and reason.
type letters struct {
	byReason map[letterKey]*letter
	order    []*letter
	line     []byte // the last entry's, kept for its memory
}

type letterKey struct {
	route  *route // nil: the entry matched none
	reason schema.Reason
	field  string
}

// letter is one dead letter in the making.
type letter struct {
	letterKey
	problem *batch.RowError
	shardID string
	rows    int
	payload []byte
}

func newLetters() *letters { return &letters{byReason: map[letterKey]*letter{}} }

func (l *letters) add(r *route, e *schema.Entry, id *shardID, problem *batch.RowError) {
	key := letterKey{route: r, reason: problem.Reason, field: problem.Field}
	l.line = append(schema.AppendJSON(l.line[:0], e), '\n')
	at := l.byReason[key]
	if at == nil || len(at.payload)+len(l.line) > sink.MaxPayloadBytes {
		// An entry that is too large for a letter is alone in its own: nothing else shares its fate.
		at = &letter{letterKey: key, problem: problem, shardID: id.text}
		l.byReason[key] = at
		l.order = append(l.order, at)
	}
	at.payload = append(at.payload, l.line...)
	at.rows++
}

// writeLetters starts the writing of what take has gathered; the request is not settled before it is kept.
func (w *worker) writeLetters(ctx context.Context, p *pending) {
	for i, l := range w.letters.order {
		letter := l.deadLetter(p, fmt.Sprintf("%s/%s/%d/%d/%d/%d/%d", w.router.config.Instance, p.Producer, p.Epoch, p.Sequence, p.piece, w.number, i))
		account, bytes := w.router.unmatchedAccount, len(letter.Payload)
		if l.route != nil {
			account = l.route.account
		}
		account.charge(bytes, 0)
		p.unsettled.Add(1)
		w.deliveries.Go(func() {
			defer account.release(bytes)
			written, err := w.router.delivery.DeadLetter(ctx, letter)
			left := letter.Rows
			for _, d := range written {
				left -= d.Rows
				if l.route != nil {
					l.route.account.deadLettered.Add(uint64(d.Rows))
				}
				p.deadLettered(schema.DeadLettered{Rows: d.Rows, Route: d.Route, Table: d.Table, ID: d.ID, Message: d.Message})
			}
			if err != nil {
				w.router.leaveLetter(letter.Table, left, err)
				return
			}
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
		Origins: []batch.Origin{{
			Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: l.shardID, Rows: l.rows,
		}},
		Rows: l.rows, Format: sink.FormatJSONEntries, Payload: l.payload,
	}
	if l.route != nil {
		letter.Route, letter.Table = l.route.Name, l.route.Table.FullName()
		letter.SchemaHash = l.route.layout.SchemaHash()
	}
	return letter
}
