package shard

import (
	"context"
	"fmt"
	"io"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// launchLetter puts a letter into a file of the log, and writes it to the queue.
func (w *worker) launchLetter(ctx context.Context, l *letter, routing string) {
	request := l.request.request
	if request.LSN == 0 {
		l.request.place()
		w.router.deliverLetter(ctx, l)
		return
	}
	contents := &schema.Contents{Routing: routing, Route: l.Route, Table: l.Table, Parts: []schema.Part{partOf(request, l.places)}}
	file, err := w.router.config.WAL.Seal(ctx, l.ID, contents, letterHead(&l.DeadLetter), payload(l.Payload))
	if err != nil {
		w.router.leave(leftLetter, l.ID, l.account.name, l.Rows, err)
		return
	}
	l.file, l.Payload, l.places = file, nil, nil
	l.request.place()
	l.charge(settlementBytes)
	if run := w.router.letterLane.add(func() { w.router.deliverLetter(ctx, l) }, func() {}); run != nil {
		run()
	}
}

// charge charges the account for what the letter occupies now.
func (l *letter) charge(bytes int) {
	if bytes < l.bytes {
		l.account.release(l.bytes - bytes)
	} else {
		l.account.charge(bytes-l.bytes, 0)
	}
	l.bytes = bytes
}

// deliverLetter writes a letter to the queue and settles its request. The payload of one in a file is in memory only meanwhile.
func (r *Router) deliverLetter(ctx context.Context, l *letter) {
	left := l.Rows
	written, err := r.writeLetter(ctx, l)
	for _, d := range written {
		left -= d.Rows
		l.account.deadLettered.Add(uint64(d.Rows))
	}
	l.charge(0)
	if err != nil {
		r.leave(leftLetter, l.ID, l.account.name, left, err)
		return
	}
	settled := func() {
		if l.file != nil {
			l.file.Settled(0, l.Rows)
		}
	}
	if l.recovered != nil {
		var outcome schema.Outcome
		for _, d := range written {
			outcome.DeadLettered = append(outcome.DeadLettered, d.DeadLettered)
		}
		l.recovered([]schema.Outcome{outcome})
		settled()
		return
	}
	for _, d := range written {
		l.request.deadLettered(d.DeadLettered)
	}
	l.request.afterwards(settled)
	l.request.settle()
}

func (r *Router) writeLetter(ctx context.Context, l *letter) ([]sink.DeadLetter, error) {
	letter := l.DeadLetter
	if l.file != nil {
		l.charge(settlementBytes + int(l.file.Size()))
		var err error
		if letter.Payload, err = io.ReadAll(io.NewSectionReader(l.file, 0, l.file.Size())); err != nil {
			return nil, fmt.Errorf("read dead letter %s: %w", l.ID, err)
		}
	}
	return r.delivery.DeadLetter(ctx, &letter)
}

// payload is the body of a letter's file.
type payload []byte

// WriteTo implements io.WriterTo.
func (p payload) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(p)
	return int64(n), err
}
