package server

import (
	"context"
	"time"

	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// readinessInterval is how often the readiness is looked at.
const readinessInterval = time.Second

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// The services that follow the readiness: the instance as a whole, and the one that accepts entries. AdminService is always
// serving, because operators ask when the instance can't accept.
var readyServices = []string{"", pb.IngestService_ServiceDesc.ServiceName}

func newHealth() *health.Server {
	h := health.NewServer()
	h.SetServingStatus(pb.AdminService_ServiceDesc.ServiceName, serving)
	setHealth(h, notServing)
	return h
}

func setHealth(h *health.Server, state grpc_health_v1.HealthCheckResponse_ServingStatus) {
	for _, name := range readyServices {
		h.SetServingStatus(name, state)
	}
}

// watchReadiness keeps the health service up to date until ctx ends.
func watchReadiness(ctx context.Context, h *health.Server, readiness Readiness) {
	ticker := time.NewTicker(readinessInterval)
	defer ticker.Stop()
	for {
		state := notServing
		if ready, _ := readiness.Ready(); ready {
			state = serving
		}
		setHealth(h, state)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
