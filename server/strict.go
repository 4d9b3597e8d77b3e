package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// strict registers services and replaces how their unary calls receive requests, as framing does for streams. A request is
// received inside the interceptors, so that they see it fail.
type strict struct {
	*grpc.Server
	unpack *decompressor
}

// RegisterService implements grpc.ServiceRegistrar.
func (s strict) RegisterService(d *grpc.ServiceDesc, implementation any) {
	own := *d
	own.Methods = slices.Clone(d.Methods)
	for i := range own.Methods {
		m := &own.Methods[i]
		info := &grpc.UnaryServerInfo{Server: implementation, FullMethod: "/" + d.ServiceName + "/" + m.MethodName}
		handle := m.Handler
		m.Handler = func(srv any, ctx context.Context, receive func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
			receive = receiver(ctx, s.unpack, true, receive)
			return interceptor(ctx, nil, info, func(ctx context.Context, _ any) (any, error) { return handle(srv, ctx, receive, nil) })
		}
	}
	s.Server.RegisterService(&own, implementation)
}
