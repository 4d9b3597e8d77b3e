package shard

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// routing is a compiled configuration of routes. It is immutable; a reload makes another, and requests and batches keep theirs.
type routing struct {
	routes  []*route
	matcher *schema.Matcher
}

// route is a schema.Route with what the shards need for it.
type route struct {
	*schema.Route
	index   int
	layout  *batch.Layout
	account *tableAccount
}

// limits returns when the route's batches are given up.
func (r *route) limits() sink.Limits {
	return sink.Limits{HoldFor: r.HoldFor, MaxAttempts: r.MaxAttempts, GiveUpAfter: r.GiveUpAfter}
}

// compile makes a routing of the routes. zone is the ClickHouse server's time zone.
func (r *Router) compile(routes []*schema.Route, zone *time.Location) (*routing, error) {
	compiled := &routing{matcher: schema.NewMatcher(routes)}
	var problems []error
	for i, configured := range routes {
		layout, err := batch.NewLayout(configured.Table, configured.Name, zone)
		if err != nil {
			problems = append(problems, fmt.Errorf("route %q, table %s: %w", configured.Name, configured.Table.FullName(), err))
		}
		compiled.routes = append(compiled.routes, &route{Route: configured, index: i, layout: layout})
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	for _, route := range compiled.routes {
		account, isNew := r.budget.account(route.Table.FullName())
		if isNew {
			r.metrics.addTable(account)
		}
		route.account = account
	}
	return compiled, nil
}

// allowed returns the set of the routes with the names; nil, which stands for all routes, if there are no names.
func (r *routing) allowed(names []string) []uint64 {
	if len(names) == 0 {
		return nil
	}
	set := make([]uint64, r.matcher.Words())
	for i, route := range r.routes {
		if slices.Contains(names, route.Name) {
			set[i/64] |= 1 << (i % 64)
		}
	}
	return set
}

// outOfTime returns why the route does not accept the entry's time, or nil.
func (r *route) outOfTime(e *schema.Entry, received time.Time) *batch.RowError {
	age := time.Duration(received.UnixNano() - e.Time)
	switch {
	case r.MaxAge > 0 && age > r.MaxAge:
		return &batch.RowError{
			Field: "time", Reason: schema.TimeTooOld, Action: r.OnTimeOutOfRange,
			Message: fmt.Sprintf("the time is %v in the past, route %s accepts at most %v", age.Round(time.Second), r.Name, r.MaxAge),
		}
	case -age > r.MaxAhead:
		return &batch.RowError{
			Field: "time", Reason: schema.TimeTooFarAhead, Action: r.OnTimeOutOfRange,
			Message: fmt.Sprintf("the time is %v in the future, route %s accepts at most %v", (-age).Round(time.Second), r.Name, r.MaxAhead),
		}
	}
	return nil
}
