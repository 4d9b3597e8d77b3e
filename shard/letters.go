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

// letter is a dead letter that entries are added to, until it is settled.
type letter struct {
	sink.DeadLetter
	route   *route
	places  []schema.PlaceRange // of the entries
	account *tableAccount
	bytes   int // that the account is charged for

	request *settlement    // nil: it is recovered
	file    schema.LogFile // nil: there is no log
	// recovered is told the outcome of a recovered letter.
	recovered func([]schema.Outcome)
}

func newLetters() *letters { return &letters{byReason: map[letterKey]*letter{}} }

// add adds entry i of the request.
func (l *letters) add(r *route, p *pending, i int, id *shardID, problem *batch.RowError) {
	key := letterKey{route: r, reason: problem.Reason, field: problem.Field}
	l.line = append(schema.AppendJSON(l.line[:0], &p.Entries[i]), '\n')
	at := l.byReason[key]
	if at == nil || len(at.Payload)+len(l.line) > sink.MaxPayloadBytes {
		// An entry that is too large for a letter is alone in its own: nothing else shares its fate.
		at = newLetter(r, id, problem)
		l.byReason[key] = at
		l.order = append(l.order, at)
	}
	at.Payload = append(at.Payload, l.line...)
	at.Rows++
	at.places = addPlace(at.places, 0, p.Place(i))
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
		l.ID, l.request = w.letterID(p, i), p.settlement
		l.Origins = []batch.Origin{{Tenant: p.Tenant, Producer: p.Producer, Epoch: p.Epoch, Sequence: p.Sequence, ShardID: l.ShardID, Rows: l.Rows}}
		if l.account = w.router.unmatchedAccount; l.route != nil {
			l.account = l.route.account
		}
		l.charge(len(l.Payload) + RequestBytes)
		p.hold(1)
		w.deliveries.Go(func() { w.launchLetter(ctx, l, p.routing.hash) })
	}
	if len(w.letters.order) > 0 {
		w.letters = newLetters()
	}
}

// letterID returns the id of a request's letter. With a log a letter is written to the queue only once it is in a file, with its id, so that any id will do.
func (w *worker) letterID(p *pending, number int) string {
	if p.LSN != 0 {
		return w.router.nextBatchID()
	}
	producer := p.Producer
	if p.Tenant != "" {
		producer = p.Tenant + ":" + producer // which no other tenant's can be, because a tenant's name has no colon
	}
	return fmt.Sprintf("%s/%s/%d/%d/%d/%d/%d", w.router.config.Instance, producer, p.Epoch, p.Sequence, p.piece, w.number, number)
}
