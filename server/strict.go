package server

import (
	"context"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// strict registers services so that what a client sends and they can't read is the client's error. By itself gRPC answers bytes that
// are no message with INTERNAL, which no interceptor sees, and protobuf drops fields that it doesn't know.
type strict struct{ *grpc.Server }

// RegisterService implements grpc.ServiceRegistrar.
func (s strict) RegisterService(d *grpc.ServiceDesc, implementation any) {
	own := *d
	own.Methods, own.Streams = slices.Clone(d.Methods), slices.Clone(d.Streams)
	for i := range own.Methods {
		m := &own.Methods[i]
		m.Handler = strictMethod("/"+d.ServiceName+"/"+m.MethodName, m.Handler)
	}
	for i := range own.Streams {
		handler := own.Streams[i].Handler
		own.Streams[i].Handler = func(srv any, stream grpc.ServerStream) error { return handler(srv, strictStream{stream}) }
	}
	s.Server.RegisterService(&own, implementation)
}

func strictMethod(name string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		var refused error
		response, err := handler(srv, ctx, func(m any) error {
			refused = receiveStrictly(decode, m)
			return refused
		}, interceptor)
		if refused == nil || interceptor == nil {
			return response, err
		}
		// The handler has not got as far as the interceptors, which count calls.
		return interceptor(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: name}, func(context.Context, any) (any, error) { return nil, refused })
	}
}

type strictStream struct{ grpc.ServerStream }

// RecvMsg implements grpc.ServerStream.
func (s strictStream) RecvMsg(m any) error { return receiveStrictly(s.ServerStream.RecvMsg, m) }

// receiveStrictly receives m as a frame, which gRPC can't fail to decode, and decodes it here.
func receiveStrictly(receive func(any) error, m any) error {
	var f frame
	if err := receive(&f); err != nil {
		return err
	}
	defer f.free()
	if err := (codec{}).Unmarshal(f.data, m); err != nil {
		return statusMalformed()
	}
	if m, ok := m.(proto.Message); ok && strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "logbatcher.") {
		if field, problem := findUnknownField(m.ProtoReflect()); field != "" {
			return statusUnknownField(field, problem)
		}
	}
	return nil
}
