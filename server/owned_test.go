package server

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// fakeOwners has one producer, which belongs to another instance, to nobody, or to this one.
type fakeOwners struct {
	err    error
	left   schema.LoggedProducer
	mine   bool
	claims []schema.LoggedProducer
	log    *fakeLog
}

func (o *fakeOwners) Own(context.Context, string, string, uint64) (schema.LoggedProducer, bool, error) {
	return o.left, o.mine, o.err
}

func (o *fakeOwners) Claim(_ context.Context, tenant, id string, epoch, start uint64) error {
	if _, begun := o.log.Producer(tenant, id); begun {
		return errors.New("the log has begun before the claim")
	}
	o.claims = append(o.claims, schema.LoggedProducer{Epoch: epoch, Start: start})
	o.mine = o.err == nil
	return o.err
}

func (o *fakeOwners) Forget(string, string) {}

// A producer of another instance is refused with its owner's name. Once that has given it up, it goes on where that was, with the outcomes
// that its client may not know, and repeats are told from others.
func TestOwnedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		owners := &fakeOwners{log: log, err: &schema.OwnedError{Instance: "other", Address: "other:4320", Log: "l"}}
		b := newBubble(t, func(c *Config) { c.WAL, c.Owners = log, owners })
		opening := &pb.Open{Producer: "p", Epoch: 5, CommittedSequence: 9}
		p := b.open(opening, 100)
		m := wantStatus(t, <-p.ended, codes.Unavailable, "OWNED_ELSEWHERE")
		if m["owner"] != "other" || m["address"] != "other:4320" {
			t.Errorf("metadata %v", m)
		}
		owners.err = errors.New("no answer")
		wantStatus(t, <-b.open(opening, 100).ended, codes.Unavailable, "OWNER_UNKNOWN")

		owners.err = nil
		owners.left = schema.LoggedProducer{
			Epoch: 5, Start: 9, Accepted: 11, Sums: []uint64{1, 2},
			Outcomes: []schema.LoggedOutcome{{Sequence: 11, Outcome: schema.Outcome{Refusals: []schema.Refusal{{Index: 3, Reason: schema.TooLarge}}}}},
		}
		p = b.open(opening, 100)
		first := <-p.out
		if w := first.Welcome; w.CommittedSequence != 11 || w.LoggedSequence != 11 || !w.Resumed {
			t.Errorf("welcome %v", w)
		}
		if len(first.Refusals) != 1 || first.Refusals[0].Sequence != 11 {
			t.Errorf("refusals %v", first.Refusals)
		}
		if len(owners.claims) != 1 || owners.claims[0].Epoch != 5 || owners.claims[0].Start != 11 {
			t.Errorf("claims %+v", owners.claims)
		}
		if known, ok := log.Producer("", "p"); !ok || known.Epoch != 5 || known.Accepted != 11 {
			t.Errorf("the log has %+v", known)
		}
		p.in <- &pb.IngestStreamRequest{Sequence: 12, Entries: entriesOf("a")}
		if s := p.all(t); s.committed != 12 {
			t.Errorf("committed %d", s.committed)
		}

		// It opens elsewhere: an older wish does not end the stream, a newer one does, and it is given up when it is settled.
		key := producerKey{"", "p"}
		if b.ingest.registry.yield(key, 5, time.Now().Add(-time.Hour), false) || len(p.ended) != 0 {
			t.Error("ended by an opening that is older than the stream")
		}
		time.Sleep(time.Second)
		if b.ingest.registry.yield(key, 4, time.Now(), false) || len(p.ended) != 0 {
			t.Error("ended by an opening with an older epoch")
		}
		b.router.hold = true
		p.in <- &pb.IngestStreamRequest{Sequence: 13, Entries: entriesOf("b")}
		synctest.Wait()
		if b.ingest.registry.yield(key, 5, time.Now(), false) {
			t.Error("given up while it has a stream")
		}
		wantStatus(t, <-p.ended, codes.Aborted, "SUPERSEDED")
		synctest.Wait()
		if b.ingest.registry.yield(key, 5, time.Now(), false) {
			t.Error("given up while something is not settled")
		}
		b.router.settleHeld(false)
		synctest.Wait()
		if !b.ingest.registry.yield(key, 5, time.Now(), false) || b.ingest.registry.lookup("", "p") != nil {
			t.Error("not given up")
		}
	})
}
