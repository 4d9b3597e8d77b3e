package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/lease"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/owner"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/retention"
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/shard"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/deadletter"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// firstContactPause is the time between two attempts to reach ClickHouse at startup.
const firstContactPause = time.Second

// loggedPatience is how long a start waits for ClickHouse if it can do without.
const loggedPatience = 3 * time.Second

// leasePrefix begins the Redis keys of leases.
const leasePrefix = "logbatcher:lease:"

// gateway is the service: its parts, from the far end (Redis, ClickHouse) to the near one.
type gateway struct {
	config   *config.Config
	log      *slog.Logger
	instance string
	registry *prometheus.Registry
	status   *status

	keyring *keyring

	redis      redis.UniversalClient
	letters    *deadletter.Queue
	locker     *lease.Locker
	owners     *owner.Owners // nil: there are none
	clickhouse *clickhouse.Sink
	migrations *migrations
	retainer   *retention.Retainer
	scheduler  *retention.Scheduler
	delivery   *sink.Delivery
	mender     *deadletter.Mender
	budget     *shard.Budget
	journal    *journal.Journal // nil: there is no write-ahead log
	router     *shard.Router
	server     *server.Server
	http       *server.HTTP

	grpcListener, httpListener net.Listener
	served                     bool                          // the server closes grpcListener
	zone                       atomic.Pointer[time.Location] // of ClickHouse; nil before it is known
}

// newGateway makes all parts, but starts nothing and connects to nothing. It opens the write-ahead log if that is enabled. config check calls
// it without, so that both refuse the same.
func newGateway(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *gateway, err error) {
	instance, err := instanceID(cfg)
	if err != nil {
		return nil, err
	}
	g := &gateway{config: cfg, log: log, instance: instance, registry: prometheus.NewRegistry(), status: newStatus()}
	g.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	g.keyring = newKeyring(cfg, log, g.registry)
	classes, err := cfg.ClickHouse.Classes()
	if err != nil {
		return nil, err
	}
	g.redis = redisClient(cfg)
	if err := g.openLog(ctx); err != nil {
		return nil, err
	}
	if g.letters, err = deadletter.New(g.redis, cfg.DeadLetters, g.registry, log); err != nil {
		return nil, err
	}
	g.locker = lease.New(g.redis, leasePrefix, instance, log)
	if g.clickhouse, err = openClickHouse(cfg, classes, log); err != nil {
		return nil, err
	}
	g.migrations = newMigrations(newMigrator(cfg, g.clickhouse, g.locker, instance, log), log)
	g.retainer = newRetainer(cfg, g.clickhouse, g.locker, instance, log, g.registry)
	g.scheduler = retention.NewScheduler(g.retainer)

	delivery := cfg.ClickHouse.Delivery()
	delivery.Sink, delivery.DeadLetters, delivery.Classes, delivery.Migrator = g.clickhouse, g.letters, classes, g.migrations
	delivery.Log, delivery.Registerer = log, g.registry
	if g.delivery, err = sink.NewDelivery(delivery); err != nil {
		return nil, err
	}
	g.migrations.gate = g.delivery
	g.mender = deadletter.NewMender(g.letters, g.delivery, func() ([]*schema.Route, *time.Location) { return g.migrations.inForce(), g.zone.Load() }, log)
	routes, err := routesOf(cfg)
	if err != nil {
		return nil, err
	}
	g.budget = shard.NewBudget(cfg.Budget())
	// ClickHouse's time zone is not known yet; prepare reloads the router once it is.
	if g.router, err = shard.NewRouter(g.routerConfig(), g.budget, g.delivery, routes, time.UTC); err != nil {
		return nil, err
	}
	if g.server, err = server.New(g.serverConfig(), g.router, g.budget, &admin{g}, g.status); err != nil {
		return nil, err
	}
	g.status.away = g.delivery.Away
	if g.owners != nil {
		g.owners.Serve(g.server)
		g.status.watch(g.owners.Degraded)
	}
	g.status.watch(g.router.Degraded, g.delivery.Degraded, g.letters.Degraded, g.migrations.degraded, g.retainer.Degraded, g.server.Degraded, g.keyring.degraded)
	return g, nil
}

// run starts the gateway from the far end, runs it until ctx ends or a part fails, and stops it in flow order. It returns the
// part's error, joined with a *shard.LeftoverError if accepted rows are not settled; nil if ctx ended it and nothing is left.
func (g *gateway) run(ctx context.Context, load loader, reload <-chan os.Signal, started func(*gateway)) error {
	defer g.close()
	if err := g.listen(); err != nil {
		return err
	}
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	tasks, failed := errgroup.WithContext(background)
	defer func() {
		stopBackground()
		_ = tasks.Wait() // what ended it is reported already
	}()
	tasks.Go(func() error { return g.keyring.run(background) })
	g.http = server.NewHTTP(g.server, g.registry, g.keyring.tls())
	if g.httpListener != nil {
		tasks.Go(func() error { return g.http.Serve(g.httpListener) })
		defer func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = g.http.Shutdown(ctx) // the last scrape does not matter
		}()
	}
	routes, later, err := g.prepare(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		g.log.Info("ended before anything was accepted", "cause", context.Cause(ctx))
		return nil
	case err != nil:
		return err
	}
	tasks.Go(func() error { return g.returnMemory(background) })
	if later {
		tasks.Go(func() error { return g.makeContact(background) })
	}
	tasks.Go(func() error { return g.letters.Run(background) })
	tasks.Go(func() error { return g.migrations.run(background) })
	if g.config.Retention.Enabled {
		g.scheduler.Use(routes)
		tasks.Go(func() error { return g.scheduler.Run(background) })
	}

	routed := make(chan error, 1)
	go func() { routed <- g.router.Run(background) }()
	if g.journal != nil {
		if err := g.recover(ctx); err != nil {
			if ctx.Err() != nil {
				g.log.Info("ended before the write-ahead log was recovered; the next start does that", "cause", context.Cause(ctx))
				err = nil
			}
			return errors.Join(err, g.stop(ctx, routed))
		}
	}
	if g.owners != nil {
		tasks.Go(func() error { return g.owners.Run(background) })
	}
	g.served = true
	tasks.Go(func() error { return g.server.Serve(g.grpcListener) })
	g.status.started()
	g.log.Info("serving", "instance", g.instance, "grpc", g.grpcListener.Addr().String(), "http", address(g.httpListener))
	started(g)

	for {
		select {
		case <-reload:
			g.reload(ctx, load)
			continue
		case <-ctx.Done():
		case <-failed.Done():
			err = context.Cause(failed)
			g.log.Error("a part of the service has failed", "error", err)
		}
		return errors.Join(err, g.stop(ctx, routed))
	}
}

// listen opens the ports first, so that a taken one is reported before anything else is tried.
func (g *gateway) listen() (err error) {
	l := &g.config.Listen
	g.grpcListener, err = listenOn(listenAddress{"listen.grpc", l.GRPC}, listenAddress{"listen.otlp_grpc", l.OTLPGRPC})
	if err != nil {
		return err
	}
	g.httpListener, err = listenOn(listenAddress{"listen.http", l.HTTP}, listenAddress{"listen.otlp_http", l.OTLPHTTP})
	return err
}

// prepare connects to ClickHouse, migrates the tables, and reloads the router with the server's time zone. If ClickHouse is away and the log
// has batches, whose time zone is known, it does not wait: what is received goes into the log. later reports that, and makeContact
// must run.
func (g *gateway) prepare(ctx context.Context) (routes []*schema.Route, later bool, err error) {
	g.checkLetters(ctx)
	if g.journal != nil { // While the disk fails, Reload tries to put the routing into the log until that closes.
		defer context.AfterFunc(ctx, func() { _ = g.journal.Log().Close() })()
	}
	if routes, err = routesOf(g.config); err != nil {
		return nil, false, err
	}
	zone, err := g.loggedZone()
	if err != nil {
		return nil, false, err
	}
	contact := ctx
	if zone != nil {
		var cancel context.CancelFunc
		contact, cancel = context.WithTimeout(ctx, loggedPatience)
		defer cancel()
	}
	err = g.firstContact(contact)
	switch {
	case zone != nil && ctx.Err() == nil && contact.Err() != nil:
		g.log.Warn("ClickHouse does not answer; what is received goes into the write-ahead log", "zone", zone.String())
		g.zone.Store(zone)
		g.migrations.suspendAll(routes, errors.New("ClickHouse has not answered since the start"))
		return routes, true, g.router.Reload(routes, zone)
	case err != nil:
		return nil, false, err
	}
	g.status.starting("the tables' schema is not seen yet")
	if err := g.migrations.migrateAll(ctx, routes); err != nil {
		return nil, false, err
	}
	return routes, false, g.router.Reload(routes, g.zone.Load())
}

// makeContact blocks until ClickHouse answers, after a start without it. If its time zone is another one by now, what is received then is
// routed by that one.
func (g *gateway) makeContact(ctx context.Context) error {
	before := g.zone.Load().String()
	switch err := g.firstContact(ctx); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	case g.zone.Load().String() == before:
		return nil
	}
	return g.router.Reload(g.migrations.inForce(), g.zone.Load())
}

// firstContact blocks until ClickHouse answers. A server that can't be used (too old, for instance) fails the start.
func (g *gateway) firstContact(ctx context.Context) error {
	var said time.Time
	for tries := 1; ; tries++ {
		found, err := g.clickhouse.Check(ctx)
		var refused *clickhouse.RefusedError
		switch {
		case err == nil:
			g.zone.Store(found.Zone)
			g.log.Info("ClickHouse", "version", found.Version, "zone", found.Zone.String())
			return nil
		case errors.As(err, &refused):
			return err
		}
		g.status.waiting("ClickHouse does not answer: " + err.Error())
		if now := time.Now(); now.Sub(said) >= time.Minute {
			g.log.Warn("ClickHouse does not answer, trying again", "tries", tries, "error", err)
			said = now
		}
		select {
		case <-time.After(firstContactPause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// checkLetters logs at startup what makes dead letters less than safe.
func (g *gateway) checkLetters(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	warnings, err := g.letters.Check(ctx)
	if err != nil {
		g.log.Warn("the dead-letter queue does not answer: batches with bad rows will wait", "error", err)
	}
	for _, warning := range warnings {
		g.log.Warn("dead-letter queue", "warning", warning)
	}
}

func (g *gateway) routerConfig() shard.Config {
	c, capacity := g.config.Shards, g.config.Capacity()
	c.Instance, c.Log, c.Registerer = g.instance, g.log, g.registry
	c.Shards, c.MaxOpenBytes = capacity.Shards, g.config.Budget().Tables/4*3/capacity.Shards
	c.KeepUnmatched, c.Compression = g.config.Unmatched == config.UnmatchedDeadLetter, g.config.ClickHouse.Compression
	if g.journal != nil {
		c.WAL = g.journal
	}
	return c
}

func (g *gateway) serverConfig() server.Config {
	c, capacity := g.config.Server.Config, g.config.Capacity()
	c.Instance, c.Log, c.Registerer = g.instance, g.log, g.registry
	c.Colo, c.Gate, c.TLS = g.config.Colo, &g.keyring.gate, g.keyring.tls()
	c.MaxStreams, c.MaxConnections = capacity.MaxStreams, capacity.MaxConnections
	if g.journal != nil {
		c.WAL = g.journal
	}
	if g.owners != nil {
		c.Owners = g.owners
	}
	return c
}

// stop shuts down in flow order: streams, then what they left in batches. It gives up at shutdown.timeout, and returns what was
// not settled by then.
func (g *gateway) stop(ctx context.Context, routed <-chan error) error {
	limit := g.config.Shutdown.Timeout
	g.log.Info("shutting down", "timeout", limit)
	g.status.starting("shutting down")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if err := g.server.Shutdown(ctx); err != nil {
		// Producers that did not get their last watermark resume with another instance.
		g.log.Warn("streams were ended before their producers were done", "error", err)
	}
	g.router.Shutdown(ctx)
	err := <-routed
	if g.owners != nil {
		g.owners.Close(ctx)
	}
	return err
}

// close closes what newGateway and run opened, except for what is closed already.
func (g *gateway) close() {
	if !g.served && g.grpcListener != nil {
		_ = g.grpcListener.Close() // the start has failed and reports why
	}
	var problems []error
	if g.clickhouse != nil {
		problems = append(problems, g.clickhouse.Close())
	}
	if g.redis != nil {
		problems = append(problems, g.redis.Close())
	}
	if g.journal != nil {
		problems = append(problems, g.journal.Close())
	}
	if err := errors.Join(problems...); err != nil {
		g.log.Warn("close", "error", err)
	}
}

// openClickHouse returns the sink.
func openClickHouse(cfg *config.Config, classes *sink.Classes, log *slog.Logger) (*clickhouse.Sink, error) {
	c, delivery := cfg.ClickHouse.Config, cfg.ClickHouse.Delivery()
	c.AttemptTimeout, c.MaxInserts = delivery.AttemptTimeout, delivery.MaxInserts
	c.Classes, c.Log, c.TLS = classes, log, cfg.ClickHouseTLS()
	return clickhouse.New(c)
}

func redisClient(cfg *config.Config) redis.UniversalClient {
	c := &cfg.Redis
	return redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: c.Addresses, MasterName: c.MasterName, Username: c.User, Password: string(c.Password), DB: c.DB, TLSConfig: cfg.RedisTLS(),
		ContextTimeoutEnabled: true,
	})
}

// uniqueSuffix makes an instance's id unique: the second of the start, and random letters.
func uniqueSuffix() string {
	return fmt.Sprintf("%x-%s", time.Now().Unix(), strings.ToLower(rand.Text()[:6]))
}

func address(l net.Listener) string {
	if l == nil {
		return "none"
	}
	return l.Addr().String()
}
