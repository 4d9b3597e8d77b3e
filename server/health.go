package server

import (
	"context"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// readinessInterval is the time between two looks at the readiness.
const readinessInterval = time.Second

// healthService keeps gRPC's health service at what the readiness says.
type healthService struct {
	server    *health.Server
	readiness Readiness
}

// healthNames are the services that the health service knows: the instance as a whole, and each by its name.
var healthNames = []string{"", pb.IngestService_ServiceDesc.ServiceName, pb.AdminService_ServiceDesc.ServiceName}

func newHealthService(readiness Readiness) *healthService {
	h := &healthService{server: health.NewServer(), readiness: readiness}
	for _, name := range healthNames {
		h.server.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	}
	return h
}

// watch follows the readiness until ctx ends.
func (h *healthService) watch(ctx context.Context) {
	ticker := time.NewTicker(readinessInterval)
	defer ticker.Stop()
	for {
		h.update()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

func (h *healthService) update() {
	state := grpc_health_v1.HealthCheckResponse_SERVING
	ready, _ := h.readiness.Ready()
	if !ready {
		state = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	for _, name := range healthNames {
		if name == pb.AdminService_ServiceDesc.ServiceName {
			// An operator asks just when the instance can't accept.
			h.server.SetServingStatus(name, grpc_health_v1.HealthCheckResponse_SERVING)
			continue
		}
		h.server.SetServingStatus(name, state)
	}
}

// stop says NOT_SERVING for good.
func (h *healthService) stop() { h.server.Shutdown() }

// serverReadiness is a Readiness that is over when end ends, and knows about connections.
type serverReadiness struct {
	Readiness
	end         context.Context
	connections *connections
}

// Ready returns whether the instance can accept, and if not, why.
func (r *serverReadiness) Ready() (bool, []string) {
	if r.end.Err() != nil {
		return false, []string{"shutting down"}
	}
	return r.Readiness.Ready()
}

// Degraded returns what does not work although the instance can accept.
func (r *serverReadiness) Degraded() []string {
	return append(r.connections.degraded(), r.Readiness.Degraded()...)
}
