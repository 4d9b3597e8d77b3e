package server

import (
	"cmp"
	"context"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// adminService is AdminService: it converts the Admin's answers to protobuf.
type adminService struct {
	pb.UnimplementedAdminServiceServer
	admin  Admin
	config *Config
	life   *lifecycle
}

// ListShards returns the state of all shards.
func (s *adminService) ListShards(ctx context.Context, _ *pb.ListShardsRequest) (*pb.ListShardsResponse, error) {
	shards, err := s.admin.ListShards(ctx)
	if err != nil {
		return nil, statusOfAdmin(err, "")
	}
	response := &pb.ListShardsResponse{Instance: text(s.config.Instance)}
	for i := range shards {
		response.Shards = append(response.Shards, shardState(&shards[i]))
	}
	return response, nil
}

// ListRoutes returns the state of all routes.
func (s *adminService) ListRoutes(ctx context.Context, _ *pb.ListRoutesRequest) (*pb.ListRoutesResponse, error) {
	routes, unmatched, err := s.admin.ListRoutes(ctx)
	if err != nil {
		return nil, statusOfAdmin(err, "")
	}
	response := &pb.ListRoutesResponse{UnmatchedEntries: uint64(unmatched)}
	for i := range routes {
		response.Routes = append(response.Routes, routeState(&routes[i]))
	}
	return response, nil
}

// Flush seals open batches and waits until they are settled.
func (s *adminService) Flush(ctx context.Context, r *pb.FlushRequest) (*pb.FlushResponse, error) {
	batches, rows, err := s.admin.Flush(ctx, r.Table)
	if err != nil {
		return nil, statusOfAdmin(err, r.Table)
	}
	return &pb.FlushResponse{Batches: uint32(batches), Rows: uint64(rows)}, nil
}

// Explain returns what would happen to an entry.
func (s *adminService) Explain(ctx context.Context, r *pb.ExplainRequest) (*pb.ExplainResponse, error) {
	m := cmp.Or(r.Entry, &pb.Entry{})
	o, err := s.config.checkOpening(cmp.Or(r.Open, &pb.Open{}))
	if err != nil {
		return nil, err
	}
	if refusal := cmp.Or(s.config.refuse(m.SizeVT(), len(m.Attributes)), check(m)); refusal != nil {
		return &pb.ExplainResponse{Refusals: []*pb.Refusal{refused(0, refusal)}}, nil
	}
	o.defaults.received = time.Now().UnixNano()
	e := schema.Entry{Attributes: ownAttributes(m.Attributes)}
	view(m, &o.defaults, &e)
	explanation, err := s.admin.Explain(ctx, &e)
	if err != nil {
		return nil, statusOfAdmin(err, "")
	}
	response := &pb.ExplainResponse{ShardId: text(explanation.ShardID)}
	for i := range explanation.Routes {
		response.Routes = append(response.Routes, routeExplanation(&explanation.Routes[i]))
	}
	return response, nil
}

func shardState(s *schema.ShardState) *pb.ShardState {
	m := &pb.ShardState{
		Number: uint32(s.Number), QueuedRequests: uint32(s.QueuedRequests),
		InsertsInFlight: uint32(s.InsertsInFlight), RowsInFlight: uint64(s.RowsInFlight),
	}
	for _, b := range s.OpenBatches {
		m.OpenBatches = append(m.OpenBatches, &pb.OpenBatch{
			BatchId: longText(b.ID), Table: longText(b.Table), Partition: longText(b.Partition),
			Rows: uint64(b.Rows), Bytes: uint64(b.Bytes), AgeNanos: b.Age.Nanoseconds(),
		})
	}
	return m
}

func routeState(r *schema.RouteState) *pb.RouteState {
	m := &pb.RouteState{
		Name: longText(r.Name), Table: longText(r.Table), Filter: longText(r.Filter), SchemaHash: longText(r.SchemaHash),
		Held: r.HeldReason != "", HeldReason: longText(r.HeldReason),
		RowsRouted: uint64(r.RowsRouted), RowsCommitted: uint64(r.RowsCommitted), RowsDeadLettered: uint64(r.RowsDeadLettered),
		RowsRefused: uint64(r.RowsRefused), RowsInFlight: uint64(r.RowsInFlight), BytesInFlight: uint64(r.BytesInFlight),
		InsertsInFlight: uint32(r.InsertsInFlight), InsertLimit: uint32(r.InsertLimit),
	}
	if f := r.LastFailedBatch; f != nil {
		m.LastFailedBatch = &pb.FailedBatch{
			BatchId: longText(f.ID), Rows: uint64(f.Rows), TimeUnixNano: uint64(f.Time.UnixNano()), Attempt: uint32(f.Attempt),
			Class: longText(f.Class), Code: int32(f.Code), Message: longText(f.Message),
		}
	}
	return m
}

func routeExplanation(r *schema.RouteExplanation) *pb.RouteExplanation {
	m := &pb.RouteExplanation{Route: longText(r.Route), Table: longText(r.Table), Matches: r.Matches, Partition: longText(r.Partition)}
	for _, c := range r.Conditions {
		m.Conditions = append(m.Conditions, longText(c))
	}
	if r.Refusal != nil {
		m.Refusal = refused(0, r.Refusal)
	}
	return m
}
