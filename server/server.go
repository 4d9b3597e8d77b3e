package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	grpcprometheus "github.com/grpc-ecosystem/go-grpc-middleware/providers/prometheus"
	_ "github.com/mostynb/go-grpc-compression/nonclobbering/zstd" // streams may be compressed with it
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // and with this
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/server/access"
)

// stopMargin is the fraction of Shutdown's time kept for what follows once streams must end at once.
const stopMargin = 10

// defaultShutdown bounds Shutdown if its context has no deadline.
const defaultShutdown = time.Minute

// Server is the gRPC server of an instance. Serve may be called once, and Shutdown after it.
type Server struct {
	config Config
	grpc   *grpc.Server
	ingest *ingest
	unpack *decompressor
	health *health.Server
	// readiness is what health follows.
	readiness Readiness
	// connections has its listener once Serve is called.
	connections *connections

	stopOnce sync.Once
	stopped  chan struct{} // closed when Shutdown is done
	stopErr  error
}

// New returns a server that hands requests to the router. It starts nothing.
func New(config Config, router Router, budget Budget, admin Admin, readiness Readiness) (*Server, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("server configuration: %w", err)
	}
	if router == nil || budget == nil || admin == nil || readiness == nil {
		return nil, errors.New("server: router, budget, admin and readiness are needed")
	}
	if config.Gate == nil {
		config.Gate = new(access.Gate)
	}
	m := newMetrics(config.Registerer)
	s := &Server{config: config, readiness: readiness, health: newHealth(), stopped: make(chan struct{})}
	s.ingest, s.unpack = newIngest(&s.config, router, budget, readiness, m), newDecompressor(&s.config)
	s.connections = &connections{limit: config.MaxConnections, bound: "max_connections", log: config.Log, metrics: m.connections}
	calls := grpcprometheus.NewServerMetrics()
	config.Registerer.MustRegister(calls)
	door := &doorkeeper{gate: config.Gate, log: config.Log}
	s.grpc = grpc.NewServer(append(interceptors(&s.config, m, s.unpack, calls, door, s.ingest.recovered), s.options()...)...)
	services := strict{s.grpc, s.unpack}
	services.RegisterService(s.ingest.service(), s.ingest)
	services.RegisterService(s.ingest.logsService(), s.ingest)
	pb.RegisterAdminServiceServer(services, &adminService{admin: admin, config: &s.config, life: s.ingest.life})
	grpc_health_v1.RegisterHealthServer(services, s.health)
	registerReflection(services)
	calls.InitializeMetrics(s.grpc)
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
		grpc.MaxHeaderListSize(maxHeaderBytes), // gRPC's own bound is 16 MiB for each call
		grpc.MaxConcurrentStreams(uint32(c.MaxConnectionStreams)),
		grpc.StaticStreamWindowSize(int32(c.StreamWindowBytes)),
		grpc.StaticConnWindowSize(int32(c.ConnectionWindowBytes)),
		grpc.KeepaliveParams(keep),
		// Clients may ping between streams, too, to learn early that the connection is dead.
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: c.KeepaliveMinTime, PermitWithoutStream: true}),
		grpc.WaitForHandlers(true),
	}
	if c.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(c.TLS)))
	}
	return options
}

// Serve accepts connections from the listener, which it closes, until Shutdown is done; then it returns nil. If the listener fails
// it returns that error, and Shutdown must still be called.
func (s *Server) Serve(listener net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { watchReadiness(ctx, s.health, s.readiness) })
	if s.config.WAL != nil {
		s.ingest.registry.restore() // not sooner: what the log knows may change while it is recovered
	}
	s.connections.Listener = listener
	err := s.grpc.Serve(s.connections)
	cancel()
	watching.Wait()
	if s.ingest.life.draining.Err() != nil {
		<-s.stopped
		return nil
	}
	return fmt.Errorf("serve gRPC: %w", err)
}

// Shutdown reports NOT_SERVING, tells the streams to drain, waits for them to end, and then ends whatever is left. It returns
// when no goroutine of the server is left. If ctx ends before the streams have, the Router still settles
// what they sent, and the error has their number.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopOnce.Do(func() {
		defer close(s.stopped)
		s.stopErr = s.shutdown(ctx)
	})
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

	s.health.Shutdown()
	// Half of the time for clients to move, the rest for what was accepted to be committed.
	s.ingest.life.begin(time.Now().Add(min(s.config.StreamDrain, left/2)))
	err := s.awaitCalls(ctx, left-left/stopMargin)
	s.ingest.life.hurry()

	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		s.grpc.Stop() // ends the contexts of all calls, and with them the wait of GracefulStop
	})
	s.grpc.GracefulStop()
	if !stop() {
		<-ended
	}
	s.ingest.children.Wait()
	return err
}

// awaitCalls blocks until no ingest call is open. It fails after the limit.
func (s *Server) awaitCalls(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for s.ingest.calls.Load() > 0 {
		select {
		case <-s.ingest.exited:
		case <-ctx.Done():
			return fmt.Errorf("shutdown: %d streams and calls had not ended in time", s.ingest.calls.Load())
		}
	}
	return nil
}

// Degraded returns what does not work in the server itself: connections that are refused or can't be accepted.
func (s *Server) Degraded() []string { return s.connections.degraded() }
