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
	// firstRunWithin spreads the first runs after a start, which many instances and routes may
	// share.
	firstRunWithin = time.Minute
	// retryAfter is the longest pause after a run that failed or that another instance was making.
	retryAfter = 10 * time.Minute
)

// Scheduler makes each route's retention runs at the route's interval.
type Scheduler struct {
	routes []*schema.Route
	log    *slog.Logger
	run    func(context.Context, *schema.Route) (*Result, error)
	jitter func(time.Duration) time.Duration
}

// NewScheduler returns a scheduler for the routes that have a retention. It starts nothing.
func NewScheduler(r *Retainer, routes []*schema.Route) *Scheduler {
	s := &Scheduler{log: r.log, run: r.RunDue, jitter: func(d time.Duration) time.Duration { return rand.N(d) }}
	for _, route := range routes {
		if route.Retention.MaxAge > 0 && route.Retention.Interval > 0 {
			s.routes = append(s.routes, route)
		}
	}
	return s
}

// Run makes runs until ctx ends, and returns once the last one has. A run that fails is logged and made again; it
// never ends the others. Each route has its own pace: a mutation of one table does not hold up the others.
func (s *Scheduler) Run(ctx context.Context) error {
	var routes sync.WaitGroup
	for _, route := range s.routes {
		routes.Go(func() { s.runRoute(ctx, route) })
	}
	<-ctx.Done()
	routes.Wait()
	return nil
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
			// Another instance made a run since. Ask again before its interval is over: that instance may be gone.
			pause = min(pause, max(interval/10, retryAfter))
		default:
			s.log.InfoContext(ctx, "retention ran", "route", route.Name, "result", strings.TrimSpace(result.String()))
		}
	}
}
