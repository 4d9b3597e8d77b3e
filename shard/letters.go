package shard

import (
	"context"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// letters gathers the entries of one request that are kept aside in the dead-letter queue, by route and reason.
type letters struct {
	byReason map[letterKey]*letter
	order    []*letter
	line     []byte // of the last entry, kept for its memory
}

type letterKey struct {
	route  *route // nil: the entry matched none
	reason schema.Reason
	field  string
}

// letter is a dead letter that entries are added to.
type letter struct {
	sink.DeadLetter
	route *route
}

func newLetters() *letters { return &letters{byReason: map[letterKey]*letter{}} }

func (l *letters) add(r *route, e *schema.Entry, id *shardID, problem *batch.RowError) {
	key := letterKey{route: r, reason: problem.Reason, field: problem.Field}
	l.line = append(schema.AppendJSON(l.line[:0], e), '\n')
	at := l.byReason[key]
	if at == nil || len(at.Payload)+len(l.line) > sink.MaxPayloadBytes {
		// An entry that is too large for a letter is alone in its own: nothing else shares its fate.
		at = newLetter(r, id, problem)
		l.byReason[key] = at
		l.order = append(l.order, at)
	}
	at.Payload = append(at.Payload, l.line...)
	at.Rows++
}

func newLetter(r *route, id *shardID, problem *batch.RowError) *letter {
	now := time.Now()
	l := &letter{route: r, DeadLetter: sink.DeadLetter{
		DeadLettered: schema.DeadLettered{Message: problem.Message},
		ShardID:      id.text, Class: sink.Row, Reason: problem.Reason.String(), Column: problem.Column,
		First: now, Last: now, Format: sink.FormatJSONEntries,
	}}
	if r != nil {
		l.Route, l.Table, l.SchemaHash = r.Name, r.Table.FullName(), r.layout.SchemaHash()
	}
	return l
}

// writeLetters starts writing the gathered letters. The request is settled once they are in the queue.
func (w *worker) writeLetters(ctx context.Context, p *pending) {
	for i, l := range w.letters.order {
		producer := p.Producer
		if p.Tenant != "" {
			producer = p.Tenant + ":" + producer // which no other tenant's can be, because a tenant's name has no colon
		}
		l.ID = fmt.Sprintf("%s/%s/%d/%d/%d/%d/%d", w.router.config.Instance, producer, p.Epoch, p.Sequence, p.piece, w.number, i)
		l.Origins = []batch.Origin{{Tenant: p.Tenant, Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: l.ShardID, Rows: l.Rows}}
		account, bytes := w.router.unmatchedAccount, len(l.Payload)+RequestBytes
		if l.route != nil {
			account = l.route.account
		}
		account.charge(bytes, 0)
		p.unsettled.Add(1)
		w.deliveries.Go(func() {
			defer account.release(bytes)
			written, err := w.router.delivery.DeadLetter(ctx, &l.DeadLetter)
			left := l.Rows
			for _, d := range written {
				left -= d.Rows
				account.deadLettered.Add(uint64(d.Rows))
				p.deadLettered(d.DeadLettered)
			}
			if err != nil {
				w.router.leave(leftLetter, l.ID, account.name, left, err)
				return
			}
			p.settle()
		})
	}
	if len(w.letters.order) > 0 {
		w.letters = newLetters()
	}
}
