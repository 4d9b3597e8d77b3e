package server

import (
	"context"
	"slices"

	"google.golang.org/grpc"
)

// strict registers services whose unary calls receive their requests as messages does. Streams have an interceptor for that.
type strict struct {
	*grpc.Server
	limit int
}

// RegisterService implements grpc.ServiceRegistrar.
func (s strict) RegisterService(d *grpc.ServiceDesc, implementation any) {
	own := *d
	own.Methods = slices.Clone(d.Methods)
	for i := range own.Methods {
		m := &own.Methods[i]
		m.Handler = s.method("/"+d.ServiceName+"/"+m.MethodName, m.Handler)
	}
	s.Server.RegisterService(&own, implementation)
}

func (s strict) method(name string, handler grpc.MethodHandler) grpc.MethodHandler {
	return func(srv any, ctx context.Context, decode func(any) error, interceptor grpc.UnaryServerInterceptor) (any, error) {
		request := messagesOf(ctx, s.limit, true, decode)
		var refused error
		response, err := handler(srv, ctx, func(m any) error {
			refused = request.receive(m)
			return refused
		}, interceptor)
		if refused == nil || interceptor == nil {
			return response, err
		}
		// The handler has not got as far as the interceptors, which count calls.
		return interceptor(ctx, nil, &grpc.UnaryServerInfo{Server: srv, FullMethod: name}, func(context.Context, any) (any, error) { return nil, refused })
	}
}
