package retention

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

const (
	// firstRunWithin spreads the first runs after a start, which many instances and routes may share.
	firstRunWithin = time.Minute
	// retryAfter is the longest pause after a run that failed or that another instance was making.
	retryAfter = 10 * time.Minute
)

// Scheduler makes each route's runs at the route's interval.
type Scheduler struct {
	log    *slog.Logger
	run    func(context.Context, *schema.Route) (*Result, error)
	jitter func(time.Duration) time.Duration
	routes chan []*schema.Route
}

// NewScheduler returns a scheduler without routes. It starts nothing.
func NewScheduler(r *Retainer) *Scheduler {
	return &Scheduler{log: r.log, run: r.RunDue, jitter: rand.N[time.Duration], routes: make(chan []*schema.Route, 1)}
}

// Use makes these the routes. Run ends the runs of the earlier ones first. Use blocks until Run has taken over the routes
// of the call before.
func (s *Scheduler) Use(routes []*schema.Route) { s.routes <- routes }

// Run makes runs until ctx ends, and returns once the last run has. A run that fails is logged and repeated.
func (s *Scheduler) Run(ctx context.Context) error {
	var routes []*schema.Route
	for ctx.Err() == nil {
		routes = s.runRoutes(ctx, routes)
	}
	return nil
}

// runRoutes makes the routes' runs until ctx ends or Use replaces the routes, and returns their replacement. Each route has its
// own goroutine, so that a mutation of one table does not delay the others.
func (s *Scheduler) runRoutes(ctx context.Context, routes []*schema.Route) (next []*schema.Route) {
	var runs sync.WaitGroup
	defer runs.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, route := range routes {
		if route.Retention.MaxAge > 0 && route.Retention.Interval > 0 {
			runs.Go(func() { s.runRoute(ctx, route) })
		}
	}
	select {
	case next = <-s.routes:
	case <-ctx.Done():
	}
	return next
}

func (s *Scheduler) runRoute(ctx context.Context, route *schema.Route) {
	interval := route.Retention.Interval
	pause := s.jitter(min(interval, firstRunWithin))
	for sleep(ctx, pause) == nil {
		result, err := s.run(ctx, route)
		// A tenth earlier or later, so that instances and routes drift apart.
		pause = interval*9/10 + s.jitter(max(interval/5, 1))
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, schema.ErrLeaseHeld):
			pause = min(pause, retryAfter)
		case err != nil:
			pause = min(pause, retryAfter)
			s.log.ErrorContext(ctx, "retention failed", "route", route.Name, "table", route.Table.FullName(), "error", err)
		case result == nil:
			// Another instance made the run. Ask again before the interval is over, because that instance may be gone.
			pause = min(pause, max(interval/10, retryAfter))
		default:
			s.log.InfoContext(ctx, "retention ran", "route", route.Name, "result", strings.TrimSpace(result.String()))
		}
	}
}
