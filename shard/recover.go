package shard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Recovered is a sealed batch, or a dead letter of entries, that an earlier process has left in a file of the log.
type Recovered struct {
	schema.LogFile
	// Settle is told the outcomes of the file's parts, in the order of its contents, before the file is settled.
	Settle func([]schema.Outcome)
}

// The first byte of a file's head says what its body is.
const (
	headOfBatch  = 'b'
	headOfLetter = 'l'
)

func batchHead(b *batch.Block) []byte { return append([]byte{headOfBatch}, b.Head()...) }

func letterHead(l *sink.DeadLetter) []byte {
	bare := *l
	bare.Payload = nil
	head, err := json.Marshal(&bare)
	if err != nil {
		panic("shard: write a dead letter as JSON: " + err.Error()) // can't happen: it has no value that JSON lacks
	}
	return append([]byte{headOfLetter}, head...)
}

// Recover puts what an earlier process has left in flight, in the order of files, as if it had just been sealed. The router runs, and AddRouting
// has been called for all routings of the files. It blocks while the sink is asked, once for many batches, what it has already. Files that can't be
// used are left as they are, and their requests are not settled: Degraded says so.
func (r *Router) Recover(ctx context.Context, files []Recovered) error {
	var batches []*transit
	var letters []*letter
	unusable := 0
	for _, f := range files {
		b, l, err := r.open(f)
		switch {
		case err != nil:
			r.config.Log.Error("a file of the log can't be used, and stays there", "id", f.ID(), "error", err)
			unusable++
			text := fmt.Sprintf("write-ahead log: %d files can't be used and stay there, with the requests of their rows; the last of them is %s: %v", unusable, f.ID(), err)
			r.unusable.Store(&text)
		case b != nil:
			batches = append(batches, b)
		default:
			letters = append(letters, l)
		}
	}
	blocks := make([]*batch.Block, len(batches))
	for i, b := range batches {
		blocks[i] = b.block
	}
	found := r.delivery.FindAll(ctx, blocks)
	r.entrance.RLock()
	defer r.entrance.RUnlock()
	if r.closed {
		return ErrClosed
	}
	for i, b := range batches {
		w := r.workers[i%len(r.workers)]
		b.route.account.charge(0, b.rows)
		b.recharge()
		b.route.account.routed.Add(uint64(b.rows))
		w.fly(b)
		if found[b.block] {
			w.delivered(b, sink.Outcome{Committed: b.rows}, nil)
			continue
		}
		if run := b.route.account.lane.add(func() { w.deliver(r.deliveries, b) }, func() {}); run != nil {
			w.deliveries.Go(run)
		}
	}
	for i, l := range letters {
		l.charge(settlementBytes)
		l.account.routed.Add(uint64(l.Rows))
		if run := r.letterLane.add(func() { r.deliverLetter(r.deliveries, l) }, func() {}); run != nil {
			r.workers[i%len(r.workers)].deliveries.Go(run)
		}
	}
	return ctx.Err()
}

// Degraded returns what of the files of Recover does not work.
func (r *Router) Degraded() []string {
	if text := r.unusable.Load(); text != nil {
		return []string{*text}
	}
	return nil
}

// open makes a batch or letter of a file.
func (r *Router) open(f Recovered) (*transit, *letter, error) {
	contents, head := f.Contents(), f.Head()
	routing, err := r.routingOf(contents.Routing)
	if err != nil {
		return nil, nil, err
	}
	var at *route
	if contents.Route != "" {
		if at, err = routing.route(contents.Route); err != nil {
			return nil, nil, err
		}
	}
	switch {
	case len(head) > 0 && head[0] == headOfBatch && at != nil:
		block, err := batch.OpenBlock(at.layout, head[1:], f.LogFile)
		if err != nil {
			return nil, nil, err
		}
		return &transit{
			route: at, rows: block.Rows(), block: block, file: f.LogFile, recovered: f.Settle, landed: make(chan struct{}),
		}, nil, nil
	case len(head) > 0 && head[0] == headOfLetter:
		l := &letter{route: at, account: r.unmatchedAccount, file: f.LogFile, recovered: f.Settle}
		if at != nil {
			l.account = at.account
		}
		if err := json.Unmarshal(head[1:], &l.DeadLetter); err != nil {
			return nil, nil, fmt.Errorf("read the dead letter's head: %w", err)
		}
		return nil, l, nil
	}
	return nil, nil, errors.New("its head is neither that of a batch nor that of a dead letter")
}
