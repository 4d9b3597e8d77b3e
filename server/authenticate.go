package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/server/access"
)

// serviceRights are the rights that the methods of services need. Health needs none; every other service needs Admin.
var serviceRights = map[string]access.Right{
	pb.IngestService_ServiceDesc.ServiceName:      access.Ingest,
	otlpLogsService:                               access.Ingest,
	grpc_health_v1.Health_ServiceDesc.ServiceName: "",
}

// maxOtherCalls bounds the calls of services that take no entries: health, which everybody may watch, administration and reflection.
// Those that take entries have max_streams.
const maxOtherCalls = 1024

// doorkeeper asks each call who it is from, before anything of it is read.
type doorkeeper struct {
	gate    *access.Gate
	log     *slog.Logger
	refused rarely       // callers can cause these log lines at will
	others  atomic.Int64 // open calls of services that take no entries
}

// ask returns who shows the credentials, if they have the right. Its error is the status for the client.
func (d *doorkeeper) ask(c access.Credentials, right access.Right, from string) (*access.Caller, error) {
	caller, err := d.gate.Authenticate(c)
	var refused *access.RefusedError
	switch {
	case errors.As(err, &refused):
		d.refused.log(d.log, slog.LevelWarn, "callers are refused", "reason", refused.Reason, "from", from)
		return nil, statusUnauthenticated(refused)
	case err != nil:
		return nil, errInternal
	case !caller.May(right):
		d.refused.log(d.log, slog.LevelWarn, "callers are refused", "reason", "NOT_ALLOWED", "from", from, "caller", caller.Name, "right", string(right))
		return nil, statusNotAllowed(caller.Name, right)
	}
	return caller, nil
}

// callerKey is the key of a gRPC call's caller in its context: interceptors have no other way to give it to the handlers, which
// take it out first thing.
type callerKey struct{}

func callerOf(ctx context.Context) *access.Caller { return ctx.Value(callerKey{}).(*access.Caller) }

// rightOf returns the right that a method needs.
func rightOf(method string) access.Right {
	service, _, _ := strings.Cut(strings.TrimPrefix(method, "/"), "/")
	if right, known := serviceRights[service]; known {
		return right
	}
	return access.Admin
}

// enter takes a place for a call; leave must be called if it returns nil.
func (d *doorkeeper) enter(right access.Right) error {
	if right != access.Ingest && d.others.Add(1) > maxOtherCalls {
		d.others.Add(-1)
		return statusTooManyStreams("the bound of calls that send no entries", maxOtherCalls)
	}
	return nil
}

func (d *doorkeeper) leave(right access.Right) {
	if right != access.Ingest {
		d.others.Add(-1)
	}
}

// askCall returns the context of a gRPC call with its caller.
func (d *doorkeeper) askCall(ctx context.Context, right access.Right) (context.Context, error) {
	if right == "" {
		return ctx, nil
	}
	shown, from := access.Credentials{Authorization: grpcmetadata.ValueFromIncomingContext(ctx, "authorization")}, ""
	if p, ok := peer.FromContext(ctx); ok {
		from = p.Addr.String()
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			shown.Certificate = verified(&info.State)
		}
	}
	caller, err := d.ask(shown, right, from)
	return context.WithValue(ctx, callerKey{}, caller), err
}

// verified returns the client's certificate if it has a verified one, or nil.
func verified(state *tls.ConnectionState) *x509.Certificate {
	if state == nil || len(state.VerifiedChains) == 0 {
		return nil
	}
	return state.VerifiedChains[0][0]
}

func (d *doorkeeper) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	right := rightOf(info.FullMethod)
	ctx, err := d.askCall(ctx, right)
	if err != nil {
		return nil, err
	}
	if err := d.enter(right); err != nil {
		return nil, err
	}
	defer d.leave(right)
	return handler(ctx, request)
}

func (d *doorkeeper) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	right := rightOf(info.FullMethod)
	ctx, err := d.askCall(stream.Context(), right)
	if err != nil {
		return err
	}
	if err := d.enter(right); err != nil {
		return err
	}
	defer d.leave(right)
	return handler(srv, &askedStream{stream, ctx})
}

// askedStream is a stream whose context has its caller.
type askedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context implements grpc.ServerStream.
func (s *askedStream) Context() context.Context { return s.ctx }

// askHTTP returns who sends an HTTP request, if they have the right. Its error is a gRPC status.
func (d *doorkeeper) askHTTP(r *http.Request, right access.Right) (*access.Caller, error) {
	return d.ask(shownByHTTP(r), right, r.RemoteAddr)
}

func shownByHTTP(r *http.Request) access.Credentials {
	return access.Credentials{Authorization: r.Header.Values("Authorization"), Certificate: verified(r.TLS)}
}
