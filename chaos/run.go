//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/logbatcher/logbatcher/embedded"
)

// A run is one run of the program: servers, links between them, producers, and the faults that strike them.
type run struct {
	options *options
	plan    *plan
	out     io.Writer
	folder  string
	binary  string    // the service's program
	began   time.Time // of the load

	clickhouse struct {
		*embedded.Server
		busy sync.Mutex
	}
	redis struct {
		*embedded.Server
		busy sync.Mutex
	}
	inserts struct {
		*insertProxy
		busy sync.Mutex
	}
	ingest, post  *link // the balancers before the gateways, for gRPC and HTTP
	links         []*busyLink
	gateways      []*gateway
	producers     []*producer
	children      []*childProducer // of producers that have one
	configuration configuration

	sent     atomic.Int64 // producers that have sent everything
	mu       sync.Mutex   // guards what follows
	outcomes []outcome
	routes   []laterRoute
}

// A busyLink is a link that one fault at a time delays.
type busyLink struct {
	*link
	busy sync.Mutex
}

// An outcome is what became of a fault.
type outcome struct {
	fault  *fault
	effect bool
}

// A laterRoute is a route that was added while entries came.
type laterRoute struct {
	name string
	// from is, for each producer, the first number that was certainly sent after all gateways had it.
	from []uint64
}

// say prints a line with the time since the load began.
func (r *run) say(format string, values ...any) {
	var at time.Duration
	if !r.began.IsZero() {
		at = time.Since(r.began)
	}
	text := fmt.Sprintf("%8.2fs  ", at.Seconds()) + fmt.Sprintf(format, values...) + "\n"
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = io.WriteString(r.out, text)
}

// newRun starts the servers and gateways. close stops them.
func newRun(ctx context.Context, o *options, out io.Writer) (_ *run, err error) {
	r := &run{options: o, out: out}
	if r.folder, err = os.MkdirTemp(o.folder, "logbatcher-chaos-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	r.clickhouse.Server = embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: filepath.Join(r.folder, "clickhouse")})
	if err := r.clickhouse.Start(ctx); err != nil {
		return nil, err
	}
	r.redis.Server = embedded.NewRedis(embedded.RedisConfig{Directory: filepath.Join(r.folder, "redis")})
	if err := r.redis.Start(ctx); err != nil {
		return nil, err
	}
	if !r.redis.Persistent() {
		return nil, &embedded.UnavailableError{What: "redis-server", Remedy: "install Redis"}
	}
	if r.inserts.insertProxy, err = newInsertProxy(r.clickhouse.Address); err != nil {
		return nil, err
	}
	if _, err := query(ctx, r.clickhouse.Address(), "CREATE DATABASE "+database); err != nil {
		return nil, err
	}
	for i := range o.gateways {
		g, err := newGateway(r, i)
		if err != nil {
			return nil, err
		}
		r.gateways = append(r.gateways, g)
		o.disks = g.disk != nil
	}
	r.plan = newPlan(o, o.kinds())
	if r.binary = o.binary; r.binary == "" {
		if r.binary, err = build(ctx, r.folder, r.plan.has("clock")); err != nil {
			return nil, err
		}
	}
	if r.ingest, err = newLink("producers→gateways", func() (addresses []string) {
		for _, g := range r.gateways {
			grpc, _ := g.addresses()
			addresses = append(addresses, grpc)
		}
		return addresses
	}); err != nil {
		return nil, err
	}
	if r.post, err = newLink("producers→gateways (HTTP)", func() (addresses []string) {
		for _, g := range r.gateways {
			_, http := g.addresses()
			addresses = append(addresses, http)
		}
		return addresses
	}); err != nil {
		return nil, err
	}
	r.links = append(r.links, &busyLink{link: r.ingest}, &busyLink{link: r.post})
	for _, g := range r.gateways {
		r.links = append(r.links, &busyLink{link: g.clickhouse}, &busyLink{link: g.redis})
		if err := g.configure(&r.configuration); err != nil {
			return nil, err
		}
		if err := g.start(); err != nil {
			return nil, err
		}
		if err := g.awaitServing(ctx); err != nil {
			return nil, fmt.Errorf("%w; its log is %s", err, g.log.Name())
		}
	}
	_, err = query(ctx, r.clickhouse.Address(), "ALTER TABLE "+database+".numbered ADD CONSTRAINT only_good CHECK bad = 0")
	return r, err
}

// close ends everything.
func (r *run) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, g := range r.gateways {
		g.close(ctx)
		g.clickhouse.close()
		g.redis.close()
		if g.disk != nil {
			if err := g.disk.close(); err != nil {
				r.say("unmount %s: %v", g.walFolder, err)
			}
		}
	}
	for _, c := range r.children {
		c.close(ctx)
	}
	for _, balancer := range []*link{r.ingest, r.post} {
		if balancer != nil {
			balancer.close()
		}
	}
	if r.inserts.insertProxy != nil {
		r.inserts.close()
	}
	if r.redis.Server != nil {
		_ = r.redis.Stop(ctx)
	}
	if r.clickhouse.Server != nil {
		_ = r.clickhouse.Kill() // its data goes, too
	}
}

// load sends all entries while the faults strike, and returns once everything is committed.
func (r *run) load(ctx context.Context) error {
	clientLog, err := os.Create(filepath.Join(r.folder, "producers.log"))
	if err != nil {
		return err
	}
	defer clientLog.Close()
	log := slog.New(slog.NewTextHandler(clientLog, nil))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sending, sendingCtx := errgroup.WithContext(ctx)
	r.began = time.Now()
	for i := range r.options.producers {
		p := &producer{
			plan: r.plan, index: i, address: r.ingest.address, httpAddress: r.post.address, log: log, pace: r.options.pace(),
			logged: r.options.log && i%2 == 0, skip: i == 0 && strings.Contains(r.options.breaking, "skip"), repeat: i == 1 && strings.Contains(r.options.breaking, "repeat"),
		}
		r.producers = append(r.producers, p)
		send := p.run
		switch {
		case r.options.posts(i):
			send = p.post
		case r.options.child(i):
			c, err := newChild(r, p)
			if err != nil {
				return err
			}
			r.children = append(r.children, c)
			send = c.run
		}
		sending.Go(func() error {
			err := send(sendingCtx)
			r.sent.Add(1)
			return err
		})
	}
	var striking sync.WaitGroup
	for i := range r.plan.faults {
		striking.Go(func() { r.strike(sendingCtx, &r.plan.faults[i]) })
	}
	sending.Go(func() error {
		for ctx := sendingCtx; ; rest(ctx, 100*time.Millisecond) {
			for _, g := range r.gateways {
				if err := g.problems(); err != nil {
					return fmt.Errorf("%w; its log is %s", err, g.process.log.Name())
				}
			}
			if ctx.Err() != nil || r.sent.Load() == int64(len(r.producers)) {
				return nil
			}
		}
	})
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		r.watch(sendingCtx)
	}()
	sent := make(chan error, 1)
	go func() { sent <- sending.Wait() }()
	striking.Wait()
	r.say("all faults are over")
	patience := time.NewTimer(r.options.patience)
	defer patience.Stop()
	// Producers that are behind may go on for as long as they get something committed.
	for before := uint64(0); ; {
		select {
		case err = <-sent:
			cancel(nil)
			<-watching
			return err
		case <-patience.C:
			now := r.committed()
			if now == before {
				cancel(fmt.Errorf("nothing was committed for %v although no fault strikes", r.options.patience))
				err = <-sent
				<-watching
				return err
			}
			before = now
			patience.Reset(r.options.patience)
		}
	}
}

// committed is how many requests are.
func (r *run) committed() (requests uint64) {
	for _, p := range r.producers {
		requests += p.committed.Load()
	}
	return requests
}

// watch prints the progress every ten seconds.
func (r *run) watch(ctx context.Context) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var sent uint64
		var breaks int64
		for _, p := range r.producers {
			sent += p.next.Load()
			breaks += p.breaks.Load()
		}
		r.say("%d of %d entries are sent, %d requests committed, %d streams were broken", sent, r.plan.entries*uint64(r.plan.producers), r.committed(), breaks)
	}
}

// strike waits for the time of a fault, and strikes.
func (r *run) strike(ctx context.Context, f *fault) {
	rest(ctx, time.Until(r.began.Add(f.at)))
	if ctx.Err() != nil {
		return
	}
	effect, note := true, ""
	if f.kind.strike != nil {
		r.say("fault %d of %d begins: %v", f.number, len(r.plan.faults), f)
		var err error
		if effect, note, err = f.kind.strike(ctx, r, f); err != nil {
			effect, note = false, err.Error()
		}
	}
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	r.outcomes = append(r.outcomes, outcome{f, effect})
	r.mu.Unlock()
	did := "took effect"
	if !effect {
		did = "had no effect"
	}
	r.say("fault %d of %d %s: %s %s", f.number, len(r.plan.faults), did, f.kind.name, note)
}

// reconfigure changes the configuration, and has all gateways load it. It waits until each has logged the text, and then calls done
// before anything else can strike a gateway.
func (r *run) reconfigure(ctx context.Context, text string, change func(*configuration) (string, error), done func()) (bool, string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("it takes longer than a minute"))
	defer cancel()
	for _, g := range r.gateways {
		g.busy.Lock()
		defer g.busy.Unlock()
		if err := g.awaitServing(ctx); err != nil {
			return false, "", err
		}
	}
	r.configuration.mu.Lock()
	note, err := change(&r.configuration)
	r.configuration.mu.Unlock()
	if err != nil {
		return false, "", err
	}
	for _, g := range r.gateways {
		if err := g.configure(&r.configuration); err != nil {
			return false, "", err
		}
		before := g.times(text)
		if err := g.signal(syscall.SIGHUP); err != nil {
			return false, "", err
		}
		for g.times(text) == before {
			if rest(ctx, 10*time.Millisecond); ctx.Err() != nil {
				err = errors.Join(err, fmt.Errorf("%s does not log %s: %w", g.name, text, context.Cause(ctx)))
				break
			}
		}
	}
	r.configuration.mu.Lock()
	broken := r.configuration.broken
	r.configuration.broken = false
	r.configuration.mu.Unlock()
	if broken {
		for _, g := range r.gateways {
			err = errors.Join(err, g.configure(&r.configuration))
		}
	}
	if err == nil && done != nil {
		done()
	}
	return err == nil, note, err
}

// beginRoute notes which numbers a new route must have: all that are sent from now on.
func (r *run) beginRoute(name string) {
	route := laterRoute{name: name}
	for i, p := range r.producers {
		ahead := uint64(requestEntries) // the next request may be on its way
		switch {
		case r.options.posts(i):
			ahead = postEntries
		case r.options.child(i):
			ahead = 100 * requestEntries // what a process says of itself is somewhat old
		}
		route.from = append(route.from, p.next.Load()+ahead)
	}
	r.mu.Lock()
	r.routes = append(r.routes, route)
	r.mu.Unlock()
}

// finish stops the gateways in order. What they still have is settled then.
func (r *run) finish(ctx context.Context) error {
	var problems []error
	for _, g := range r.gateways {
		if err := g.awaitServing(ctx); err != nil {
			problems = append(problems, err)
			continue
		}
		if status, err := g.stop(ctx); err != nil || status != 0 {
			problems = append(problems, fmt.Errorf("stop %s: status %d: %w", g.name, status, err))
		}
		problems = append(problems, g.problems())
	}
	return errors.Join(problems...)
}
