package shard

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// routing is a compiled schema.Routing. It is immutable; a reload makes another, and requests and batches keep theirs.
type routing struct {
	*schema.Routing
	// hash names it in the log.
	hash    string
	routes  []*route
	matcher *schema.Matcher
	// log puts it into the log, once. It returns when that is durable.
	log func() error
}

// route is a schema.Route with what the shards need for it.
type route struct {
	*schema.Route
	routing string // the hash of its routing
	index   int
	layout  *batch.Layout
	account *tableAccount
}

// limits returns when the route's batches are given up.
func (r *route) limits() sink.Limits {
	return sink.Limits{HoldFor: r.HoldFor, MaxAttempts: r.MaxAttempts, GiveUpAfter: r.GiveUpAfter}
}

// configured makes a routing of routes and what else is configured.
func (r *Router) configured(routes []*schema.Route, zone *time.Location) (*routing, error) {
	whole := &schema.Routing{Routes: routes, Zone: zone, Bucket: r.config.Bucket, KeepUnmatched: r.config.KeepUnmatched}
	data, err := json.Marshal(whole)
	if err != nil {
		return nil, fmt.Errorf("write the routing as JSON: %w", err)
	}
	sum := sha256.Sum256(data)
	compiled, err := r.compile(hex.EncodeToString(sum[:8]), whole)
	if err != nil || r.config.WAL == nil {
		return compiled, err
	}
	compiled.log = sync.OnceValue(func() error {
		if err := r.config.WAL.PutRouting(compiled.hash, data); err != nil {
			return fmt.Errorf("put the routing into the log: %w", err)
		}
		return nil
	})
	return compiled, nil
}

// compile makes a routing ready for use.
func (r *Router) compile(hash string, whole *schema.Routing) (*routing, error) {
	compiled := &routing{Routing: whole, hash: hash, matcher: schema.NewMatcher(whole.Routes), log: func() error { return nil }}
	var problems []error
	for i, configured := range whole.Routes {
		layout, err := batch.NewLayout(configured.Table, configured.Name, whole.Zone)
		if err != nil {
			problems = append(problems, fmt.Errorf("route %q, table %s: %w", configured.Name, configured.Table.FullName(), err))
		}
		compiled.routes = append(compiled.routes, &route{Route: configured, routing: hash, index: i, layout: layout})
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

// AddRouting adds a routing out of the log, for the requests, batches and dead letters that name its hash.
func (r *Router) AddRouting(hash string, whole *schema.Routing) error {
	added := r.routing.Load()
	if added.hash != hash {
		var err error
		if added, err = r.compile(hash, whole); err != nil {
			return fmt.Errorf("routing %s: %w", hash, err)
		}
	}
	r.added.Store(hash, added)
	return nil
}

// routingOf returns the routing with the hash, or the current one if that is empty.
func (r *Router) routingOf(hash string) (*routing, error) {
	if hash == "" {
		return r.routing.Load(), nil
	}
	found, ok := r.added.Load(hash)
	if !ok {
		return nil, fmt.Errorf("the routing %s is not known", hash)
	}
	return found.(*routing), nil
}

// bucketOf returns the number of the time bucket.
func (r *routing) bucketOf(received time.Time) int64 {
	return received.UnixMilli() / r.Bucket.Milliseconds()
}

// several reports whether rows and dead letters of the routing have more than one account.
func (r *routing) several() bool {
	everything := slices.ContainsFunc(r.Routes, func(route *schema.Route) bool { return route.Filter == nil })
	return len(r.Routes) > 1 || r.KeepUnmatched && !everything
}

// route returns the route with the name.
func (r *routing) route(name string) (*route, error) {
	for _, route := range r.routes {
		if route.Name == name {
			return route, nil
		}
	}
	return nil, fmt.Errorf("the routing %s has no route %q", r.hash, name)
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
