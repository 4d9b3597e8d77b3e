package server

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// unknown adds a field to the message that the protocol does not have.
func unknown[M proto.Message](m M) M {
	m.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 1))
	return m
}

// A field that the protocol does not have is refused everywhere: dropping it would lose what a newer client sent.
func TestUnknownFieldsAreRefused(t *testing.T) {
	f := newFixture(t, nil)
	admin := pb.NewAdminServiceClient(f.conn)
	unary := func(r *pb.IngestRequest) error { _, err := f.ingest(r); return err }
	stream := func(requests ...*pb.IngestStreamRequest) error {
		s := f.stream()
		for _, r := range requests {
			s.send(r)
		}
		_ = s.stream.CloseSend()
		return s.end()
	}
	open := &pb.IngestStreamRequest{Open: &pb.Open{Producer: "p"}}
	attribute := []*pb.Attribute{unknown(&pb.Attribute{Key: "k"})}
	for name, c := range map[string]struct {
		err           error
		reason, field string
	}{
		"opening request":  {stream(unknown(&pb.IngestStreamRequest{Open: &pb.Open{}})), "UNKNOWN_FIELD", "77"},
		"opening":          {stream(&pb.IngestStreamRequest{Open: unknown(&pb.Open{})}), "INVALID_OPENING", "open.77"},
		"scope attributes": {stream(&pb.IngestStreamRequest{Open: &pb.Open{ScopeAttributes: attribute}}), "INVALID_OPENING", `open.scope_attributes["k"].77`},
		"stream request":   {stream(open, unknown(&pb.IngestStreamRequest{Sequence: 1})), "UNKNOWN_FIELD", "77"},
		"unary request":    {unary(unknown(&pb.IngestRequest{})), "UNKNOWN_FIELD", "77"},
		"unary opening":    {unary(&pb.IngestRequest{Open: unknown(&pb.Open{})}), "INVALID_OPENING", "open.77"},
		"list shards":      {second(admin.ListShards(t.Context(), unknown(&pb.ListShardsRequest{}))), "UNKNOWN_FIELD", "77"},
		"list routes":      {second(admin.ListRoutes(t.Context(), unknown(&pb.ListRoutesRequest{}))), "UNKNOWN_FIELD", "77"},
		"flush":            {second(admin.Flush(t.Context(), unknown(&pb.FlushRequest{}))), "UNKNOWN_FIELD", "77"},
		"explain":          {second(admin.Explain(t.Context(), unknown(&pb.ExplainRequest{}))), "UNKNOWN_FIELD", "77"},
		"explained entry":  {second(admin.Explain(t.Context(), &pb.ExplainRequest{Entry: unknown(&pb.Entry{})})), "UNKNOWN_FIELD", "entry.77"},
		"its attributes": {
			second(admin.Explain(t.Context(), &pb.ExplainRequest{Entry: &pb.Entry{Attributes: attribute}})), "UNKNOWN_FIELD", "entry.attributes[0].77",
		},
	} {
		t.Run(name, func(t *testing.T) { wantField(t, c.err, c.reason, c.field) })
	}
	r, err := f.ingest(&pb.IngestRequest{Entries: []*pb.Entry{unknown(&pb.Entry{Body: "bad"}), {Body: "good"}}})
	if err != nil || len(r.Refusals) != 1 || r.Refusals[0].Field != "77" || r.Refusals[0].Reason != pb.RefusalReason(schema.InvalidField) {
		t.Errorf("an entry with an unknown field: %v, %v", r, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Bytes that are no message are the client's error, whatever the service.
func TestMalformedMessages(t *testing.T) {
	f := newFixture(t, nil)
	for _, method := range []string{
		pb.IngestService_Ingest_FullMethodName, pb.AdminService_Flush_FullMethodName, pb.AdminService_ListShards_FullMethodName,
		pb.AdminService_Explain_FullMethodName, grpc_health_v1.Health_Check_FullMethodName, grpc_health_v1.Health_Watch_FullMethodName,
		grpc_reflection_v1.ServerReflection_ServerReflectionInfo_FullMethodName, pb.IngestService_IngestStream_FullMethodName,
	} {
		t.Run(method, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := f.conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, grpc.ForceCodecV2(rawCodec{}))
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg([]byte{0x0a, 0xff, 0x01}); err != nil {
				t.Fatal(err)
			}
			_ = stream.CloseSend()
			wantStatus(t, stream.RecvMsg(new([]byte)), codes.InvalidArgument, "MALFORMED")
		})
	}
}
