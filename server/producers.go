package server

import (
	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// ListProducers returns producers, one by one.
func (s *adminService) ListProducers(r *pb.ListProducersRequest, stream grpc.ServerStreamingServer[pb.ListProducersResponse]) error {
	states, err := s.admin.ListProducers(stream.Context(), producerSelection(r.Selection))
	if err != nil {
		return statusOfAdmin(err, "")
	}
	for i := range states {
		if err := stream.Send(&pb.ListProducersResponse{Producer: producerState(&states[i])}); err != nil {
			return err
		}
	}
	return nil
}

// ReleaseProducers takes producers from their owners, and reports each.
func (s *adminService) ReleaseProducers(r *pb.ReleaseProducersRequest, stream grpc.ServerStreamingServer[pb.ReleaseProducersResponse]) error {
	if m := r.GetSelection(); len(m.GetProducers()) == 0 && m.GetLog() == "" && !m.GetAll() {
		return statusInvalid("INVALID_PRODUCERS", violation{"selection", "it names no producer and no log; set all to mean every producer"})
	}
	ctx, cancel := s.untilDrained(stream.Context())
	defer cancel()
	work := &schema.ProducerWork{ProducerSelection: *producerSelection(r.Selection), Execute: r.Execute, Operator: operatorOf(ctx, r.Operator)}
	err := s.admin.ReleaseProducers(ctx, work, func(p *schema.ProducerState, released bool, message string) error {
		return stream.Send(&pb.ReleaseProducersResponse{Producer: producerState(p), Released: released, Message: longText(message)})
	})
	return s.workStatus(ctx, err)
}

func producerSelection(m *pb.ProducerSelection) *schema.ProducerSelection {
	return &schema.ProducerSelection{Producers: m.GetProducers(), Tenant: m.GetTenant(), Log: m.GetLog()}
}

func producerState(p *schema.ProducerState) *pb.ProducerState {
	m := &pb.ProducerState{
		Tenant: text(p.Tenant), Producer: text(p.Producer), Log: text(p.Log), Instance: text(p.Instance), Address: text(p.Address),
		AwayNanos: p.Away.Nanoseconds(), SinceUnixNano: nanosecondsOf(p.Since), FromEpoch: p.Epoch, FromSequence: p.From, ReleasedFrom: text(p.Released),
	}
	if o := p.Own; o != nil {
		m.Own = &pb.OwnProducer{
			Epoch: o.Epoch, AcceptedSequence: o.Accepted, LoggedSequence: o.Logged, CommittedSequence: o.Committed, IdleNanos: o.Idle.Nanoseconds(),
		}
	}
	return m
}
