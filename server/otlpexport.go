package server

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/grpc"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// OTLP's service for logs, and the file that describes it.
const (
	otlpLogsService = "opentelemetry.proto.collector.logs.v1.LogsService"
	otlpProto       = "opentelemetry/proto/collector/logs/v1/logs_service.proto"
)

// logsService describes OTLP's LogsService to gRPC.
func (in *ingest) logsService() *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: otlpLogsService, HandlerType: (*any)(nil), Metadata: otlpProto,
		Methods: []grpc.MethodDesc{{MethodName: "Export", Handler: in.serveExport}},
	}
}

// serveExport handles one Export.
func (in *ingest) serveExport(_ any, ctx context.Context, receive func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	header, _ := grpcmetadata.FromIncomingContext(ctx)
	o, err := in.config.headerOpening(header.Get, &pb.Open{})
	if err != nil {
		return nil, err
	}
	a, err := in.exchange(ctx, &call{tenant: in.tenants.of(callerOf(ctx).Tenant), intake: in.otlp, opening: o, receive: in.message(receive)})
	if err != nil {
		return nil, err
	}
	return partialSuccessOf(&a).encode(), nil
}

// partialSuccess is an ExportLogsPartialSuccess. Without a rejected record and a message everything is stored.
type partialSuccess struct {
	rejected int64
	message  string
}

// maxProblems is how many refusals, and how many dead letters, a message describes.
const maxProblems = 5

// partialSuccessOf returns what OTLP tells the sender of an answer. A record that at least one route refused counts as rejected: it
// must not be sent again. Records in the dead-letter queue are safe, so they are only mentioned.
func partialSuccessOf(a *answer) partialSuccess {
	records := make(map[uint32]struct{})
	var problems []string
	for i, r := range a.refusals {
		records[r.Index] = struct{}{}
		if i >= maxProblems {
			continue
		}
		at := fmt.Sprintf("record %d", r.Index)
		if r.Field != "" {
			at += ", " + r.Field
		}
		if r.Route != "" {
			at += ", route " + r.Route
		}
		problems = append(problems, at+": "+r.Message)
	}
	p := partialSuccess{rejected: int64(len(records))}
	var parts []string
	if p.rejected > 0 {
		if more := len(a.refusals) - len(problems); more > 0 {
			problems = append(problems, fmt.Sprintf("and %d more", more))
		}
		parts = append(parts, fmt.Sprintf("%d of %d records are refused: %s", p.rejected, a.entries, strings.Join(problems, "; ")))
	}
	for i, l := range a.letters {
		if i == maxProblems {
			parts = append(parts, fmt.Sprintf("and %d more dead letters", len(a.letters)-i))
			break
		}
		parts = append(parts, fmt.Sprintf("%d rows for %s are kept in the dead-letter queue: %s", l.Rows, l.Table, l.Message))
	}
	p.message = longText(strings.Join(parts, ". "))
	return p
}

// encode returns the ExportLogsServiceResponse.
func (p partialSuccess) encode() encoded {
	var partial []byte
	if p.rejected != 0 {
		partial = protowire.AppendVarint(protowire.AppendTag(partial, 1, protowire.VarintType), uint64(p.rejected))
	}
	if p.message != "" {
		partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), p.message)
	}
	if partial == nil {
		return nil
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial)
}
