package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	_ "github.com/mostynb/go-grpc-compression/nonclobbering/zstd" // streams may be compressed with it
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // and with this
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// stopMargin is the part of Shutdown's time that is kept for what comes after streams have been told to end at once.
const stopMargin = 10

// defaultShutdown is how long Shutdown takes at most when its context has no deadline.
const defaultShutdown = time.Minute

// Server is the gRPC face of an instance. Serve and Shutdown may be called once each, in this order.
type Server struct {
	config Config
	grpc   *grpc.Server
	ingest *ingest
	health *healthService
	life   *lifecycle
	// connections has its listener once Serve is called.
	connections *connections

	stopOnce sync.Once
	stopped  chan struct{} // closed when Shutdown has done all
	stopErr  error
}

// New returns a server that takes requests for the router. It starts nothing.
func New(config Config, router Router, budget Budget, admin Admin, readiness Readiness) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("server configuration: %w", err)
	}
	if router == nil || budget == nil || admin == nil || readiness == nil {
		return nil, errors.New("server: router, budget, admin and readiness are needed")
	}
	m := newMetrics(config.Registerer)
	s := &Server{config: config, stopped: make(chan struct{})}
	s.ingest = newIngest(&s.config, router, budget, m)
	s.life = s.ingest.life
	s.connections = &connections{limit: config.MaxConnections, bound: "max_connections", log: config.Log, metrics: m.connections}
	s.health = newHealthService(&serverReadiness{Readiness: readiness, end: s.life.draining, connections: s.connections})
	calls, err := newInterceptors(&s.config, m, s.ingest.recovered)
	if err != nil {
		return nil, fmt.Errorf("server metrics: %w", err)
	}
	s.grpc = grpc.NewServer(append(calls.options(), s.options()...)...)
	services := strict{s.grpc, int(config.MaxRequestBytes)}
	services.RegisterService(s.ingest.service(), s.ingest)
	pb.RegisterAdminServiceServer(services, &adminService{admin: admin, config: &s.config})
	grpc_health_v1.RegisterHealthServer(services, s.health.server)
	reflection.Register(services)
	calls.metrics.InitializeMetrics(s.grpc)
	return s, nil
}

func (s *Server) options() []grpc.ServerOption {
	c := &s.config
	keep := keepalive.ServerParameters{Time: c.KeepaliveTime, Timeout: c.KeepaliveTimeout, MaxConnectionIdle: c.ConnectionIdle}
	if c.MaxConnectionAge > 0 {
		keep.MaxConnectionAge, keep.MaxConnectionAgeGrace = c.MaxConnectionAge, c.connectionGrace()
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.ConnectionTimeout(c.HandshakeTimeout),
		grpc.MaxRecvMsgSize(int(c.MaxRequestBytes)),
		grpc.MaxConcurrentStreams(uint32(c.MaxConnectionStreams)),
		grpc.StaticStreamWindowSize(int32(c.StreamWindowBytes)),
		grpc.StaticConnWindowSize(int32(c.ConnectionWindowBytes)),
		grpc.KeepaliveParams(keep),
		// A client may ping as often as it likes to learn early that the connection is dead, also between two streams.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.KeepaliveMinTime, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
	if c.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c.TLS)))
	}
	return options
}

// Serve takes connections from the listener, which it closes, until Shutdown has done its work; then it returns nil. When the
// listener fails it returns that error, and Shutdown must be called all the same.
func (s *Server) Serve(listener net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watching sync.WaitGroup
	watching.Go(func() { s.health.watch(ctx) })
	s.connections.Listener = listener
	err := s.grpc.Serve(s.connections)
	cancel()
	watching.Wait()
	if s.life.draining.Err() != nil {
		<-s.stopped
		return nil
	}
	return fmt.Errorf("serve gRPC: %w", err)
}

// Shutdown ends all that the server does, in this order: it says NOT_SERVING, tells the streams to drain, waits for them to
// end by themselves, ends those that have not, lets calls finish, and then ends these too. It returns when no
// goroutine of the server is left. When ctx ends before the streams have, what they accepted is still the Router's
// to settle, and the error says how many there were.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() {
		s.stopErr = s.shutdown(ctx)
		close(s.stopped)
	})
	<-s.stopped
	return s.stopErr
}

func (s *Server) shutdown(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, max(defaultShutdown, s.config.StreamDrain+s.config.FinishTimeout))
		defer cancel()
	}
	deadline, _ := ctx.Deadline()
	left := max(time.Until(deadline), 0)

	s.health.stop()
	// Half of the time for clients to move, the rest for what was accepted to be committed.
	s.life.begin(time.Now().Add(min(s.config.StreamDrain, left/2)))
	err := s.awaitCalls(ctx, time.Now().Add(left-left/stopMargin))
	s.life.hurry()

	graceful := make(chan struct{})
	var stopping sync.WaitGroup
	stopping.Go(func() {
		s.grpc.GracefulStop()
		close(graceful)
	})
	select {
	case <-graceful:
	case <-ctx.Done():
		s.grpc.Stop() // ends the contexts of all calls, and with them the wait of GracefulStop
	}
	stopping.Wait()
	s.ingest.children.Wait()
	return err
}

// awaitCalls returns when no ingest call is open, or with an error when there still is one at the deadline.
func (s *Server) awaitCalls(ctx context.Context, deadline time.Time) error {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for s.ingest.calls.Load() > 0 {
		select {
		case <-s.ingest.exited:
		case <-timer.C:
			return fmt.Errorf("shutdown: %d streams and calls had not ended in time", s.ingest.calls.Load())
		case <-ctx.Done():
			return fmt.Errorf("shutdown: %d streams and calls had not ended in time", s.ingest.calls.Load())
		}
	}
	return nil
}

// Readiness returns what the server itself goes by: what New was given says, but not ready from the moment when it shuts down, and
// degraded while connections are refused.
func (s *Server) Readiness() Readiness { return s.health.readiness }

// Degraded returns what does not work in the server itself. Empty: all works.
func (s *Server) Degraded() []string { return s.connections.degraded() }
