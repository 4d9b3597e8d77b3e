package shard

import (
	"context"
	"sync/atomic"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// seal starts the delivery of the batches.
func (w *worker) seal(ctx context.Context, batches []*transit) {
	for _, b := range batches {
		w.fly(b)
		w.router.metrics.sealed.WithLabelValues(b.route.account.name).Inc()
		w.deliveries.Go(func() { w.launch(ctx, b) })
	}
}

// fly records that the batch is sealed and not settled.
func (w *worker) fly(b *transit) {
	w.mu.Lock()
	w.flights[b] = struct{}{}
	w.mu.Unlock()
}

// land ends the batch's flight.
func (w *worker) land(b *transit) {
	w.mu.Lock()
	delete(w.flights, b)
	w.mu.Unlock()
	close(b.landed)
}

// launch encodes a batch, puts it into a file of the log, and delivers it.
func (w *worker) launch(ctx context.Context, b *transit) {
	account := b.route.account
	if b.rows == 0 {
		b.Release()
		b.placed()
		w.settle(b, &sink.Outcome{})
		return
	}
	w.encode(b)
	if w.router.config.WAL == nil {
		b.placed()
		w.deliver(ctx, b)
		return
	}
	file, err := w.router.config.WAL.Seal(ctx, b.block.ID(), b.contents(), batchHead(b.block), b.block)
	if err != nil {
		b.block.Release()
		w.router.leave(leftBatch, b.block.ID(), account.name, b.rows, err)
		w.land(b)
		return
	}
	b.file = file
	b.block.Keep(file, b.recharge)
	b.placed()
	b.recharge()
	if run := account.lane.add(func() { w.deliver(ctx, b) }, b.block.Evict); run != nil {
		run()
	}
}

// encode makes the block of a sealed batch. From here on the table is charged for the bytes of the block instead of the batch.
func (w *worker) encode(b *transit) {
	w.router.encoding <- struct{}{}
	b.block = b.Seal(w.router.config.Compression)
	<-w.router.encoding
	b.recharge()
}

// recharge charges the table for what the sealed batch occupies now.
func (b *transit) recharge() {
	held := b.block.Bytes() + b.requestBytes()
	if b.file != nil {
		held = b.block.Bytes() + settlementBytes*len(b.requests)
	}
	b.route.account.release(b.bytes - held)
	b.bytes = held
}

// placed drops the requests' holds: the batch's rows can't be lost any more.
func (b *transit) placed() {
	for _, s := range b.requests {
		s.place()
	}
	b.places, b.begins = nil, nil
}

// deliver drives the block until its rows are settled.
func (w *worker) deliver(ctx context.Context, b *transit) {
	outcome, err := w.router.delivery.Deliver(ctx, b.block, b.file, b.route.limits(), w.router.draining)
	w.delivered(b, outcome, err)
}

// delivered counts what has become of the rows, and settles the batch.
func (w *worker) delivered(b *transit, outcome sink.Outcome, err error) {
	account := b.route.account
	b.block.Release()
	left := b.rows - outcome.Committed
	account.committed.Add(uint64(outcome.Committed))
	for _, d := range outcome.DeadLettered {
		account.deadLettered.Add(uint64(d.Rows))
		left -= d.Rows
	}
	if err != nil {
		w.router.leave(leftBatch, b.block.ID(), account.name, left, err)
		w.land(b)
		return
	}
	w.settle(b, &outcome)
}

// settle tells the batch's requests its outcome, and then the log.
func (w *worker) settle(b *transit, outcome *sink.Outcome) {
	defer w.land(b)
	b.settled = true
	b.route.account.settle(b.bytes, b.rows)
	if b.recovered != nil {
		b.recovered(b.parts(outcome))
		b.fileSettled(outcome)
		return
	}
	told := map[*settlement]struct{}{} // who has dead letters
	for i := range outcome.DeadLettered {
		d := &outcome.DeadLettered[i]
		for _, o := range d.Origins {
			theirs := d.DeadLettered
			theirs.Rows = o.Rows
			b.requests[o.Request].deadLettered(theirs)
			told[b.requests[o.Request]] = struct{}{}
		}
	}
	// The log keeps the dead letters of a request when that is settled. Until then the file has them.
	var left atomic.Int32
	left.Store(int32(len(told) + 1))
	settled := func() {
		if left.Add(-1) == 0 {
			b.fileSettled(outcome)
		}
	}
	for s := range told {
		s.afterwards(settled)
	}
	for _, s := range b.requests {
		s.settle()
	}
	settled()
}

// fileSettled records in the log that all rows have their outcome.
func (b *transit) fileSettled(outcome *sink.Outcome) {
	if b.file == nil {
		return
	}
	deadLettered := 0
	for i := range outcome.DeadLettered {
		deadLettered += outcome.DeadLettered[i].Rows
	}
	b.file.Settled(outcome.Committed, deadLettered)
}

// parts returns the outcomes of the parts of a recovered batch.
func (b *transit) parts(outcome *sink.Outcome) []schema.Outcome {
	parts := b.file.Contents().Parts
	outcomes := make([]schema.Outcome, len(parts))
	if len(outcome.DeadLettered) == 0 {
		return outcomes
	}
	type request struct {
		tenant, producer string
		epoch, sequence  uint64
	}
	places := make(map[request]int, len(parts))
	for i := range parts {
		p := &parts[i]
		places[request{p.Tenant, p.Producer, p.Epoch, p.Sequence}] = i
	}
	for i := range outcome.DeadLettered {
		d := &outcome.DeadLettered[i]
		for _, o := range d.Origins {
			theirs := d.DeadLettered
			theirs.Rows = o.Rows
			at := &outcomes[places[request{o.Tenant, o.Producer, o.Epoch, o.Sequence}]]
			at.DeadLettered = append(at.DeadLettered, theirs)
		}
	}
	return outcomes
}
