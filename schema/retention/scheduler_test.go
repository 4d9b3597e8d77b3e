package retention

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

func TestScheduler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		route := func(name string, age, interval time.Duration) *schema.Route {
			return &schema.Route{Name: name, Table: &schema.Table{Database: "d", Name: name}, Retention: schema.Retention{MaxAge: age, Interval: interval}}
		}
		s := NewScheduler(New(Config{}))
		s.Use([]*schema.Route{
			route("hourly", time.Hour, time.Hour), route("failing", time.Hour, time.Hour), route("held", time.Hour, time.Hour),
			route("kept forever", 0, time.Hour), route("by hand", time.Hour, 0),
		})
		runs := make(chan string, 1000)
		s.log = slog.New(slog.DiscardHandler)
		s.jitter = func(d time.Duration) time.Duration { return d / 2 }
		s.run = func(_ context.Context, route *schema.Route) (*Result, error) {
			runs <- route.Name
			switch route.Name {
			case "failing":
				return nil, errors.New("no")
			case "held":
				return nil, schema.ErrLeaseHeld
			}
			return &Result{}, nil
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour+30*time.Minute)
		defer cancel()
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
		close(runs)
		count := make(map[string]int)
		for name := range runs {
			count[name]++
		}
		if count["hourly"] != 6 || count["failing"] != 33 || count["held"] != 33 || len(count) != 3 {
			t.Errorf("runs: %v", count)
		}
	})
}
