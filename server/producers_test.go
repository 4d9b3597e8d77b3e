package server

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// fakeProducers is the part of fakeAdmin that is about producers.
type fakeProducers struct {
	states    []schema.ProducerState
	selection schema.ProducerSelection
	work      schema.ProducerWork
}

func (a *fakeAdmin) ListProducers(_ context.Context, selection *schema.ProducerSelection) ([]schema.ProducerState, error) {
	a.producers.selection = *selection
	return a.producers.states, a.err
}

func (a *fakeAdmin) ReleaseProducers(_ context.Context, work *schema.ProducerWork, report func(*schema.ProducerState, bool, string) error) error {
	a.producers.work = *work
	for i := range a.producers.states {
		if err := report(&a.producers.states[i], i == 0, "bad \xff"); err != nil {
			return err
		}
	}
	return a.err
}

func TestProducerCalls(t *testing.T) {
	f := newFixture(t, nil)
	client := pb.NewAdminServiceClient(f.conn)
	f.admin.producers.states = []schema.ProducerState{
		{Tenant: "acme", Producer: "p", Log: "l", Instance: "gw", Address: "gw:1", Away: time.Second, Epoch: 5, From: 9, Since: time.Unix(1, 0),
			Own: &schema.OwnProducer{Epoch: 6, Accepted: 4, Logged: 3, Committed: 2, Idle: time.Minute}},
		{Producer: "q", Released: "l"},
	}
	list, err := client.ListProducers(t.Context(), &pb.ListProducersRequest{Selection: &pb.ProducerSelection{Producers: []string{"p"}, Tenant: "acme", Log: "l"}})
	if err != nil {
		t.Fatal(err)
	}
	first, err := list.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if p := first.Producer; p.Producer != "p" || p.FromSequence != 9 || p.AwayNanos != 1e9 || p.SinceUnixNano != 1e9 || p.Own.CommittedSequence != 2 || p.Own.IdleNanos != 60e9 {
		t.Errorf("listed: %v", p)
	}
	if s := f.admin.producers.selection; s.Tenant != "acme" || s.Log != "l" || len(s.Producers) != 1 {
		t.Errorf("selection %+v", s)
	}
	if second, err := list.Recv(); err != nil || second.Producer.ReleasedFrom != "l" || second.Producer.Own != nil {
		t.Errorf("listed: %v, %v", second, err)
	}
	if _, err := list.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("then: %v", err)
	}

	release := func(r *pb.ReleaseProducersRequest) (reports []*pb.ReleaseProducersResponse, err error) {
		calls, err := client.ReleaseProducers(t.Context(), r)
		for err == nil {
			var report *pb.ReleaseProducersResponse
			if report, err = calls.Recv(); err == nil {
				reports = append(reports, report)
			}
		}
		return reports, err
	}
	for _, selection := range []*pb.ProducerSelection{nil, {}, {Tenant: "acme"}} {
		if _, err := release(&pb.ReleaseProducersRequest{Selection: selection}); status.Code(err) != codes.InvalidArgument {
			t.Errorf("release of %v: %v", selection, err)
		}
	}
	reports, err := release(&pb.ReleaseProducersRequest{Selection: &pb.ProducerSelection{All: true}, Execute: true, Operator: "ada"})
	if !errors.Is(err, io.EOF) || len(reports) != 2 || !reports[0].Released || reports[1].Released || reports[1].Message == "" {
		t.Errorf("reports %v, %v", reports, err)
	}
	if w := f.admin.producers.work; !w.Execute || w.Operator[:3] != "ada" {
		t.Errorf("work %+v", w)
	}
}
