//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// A kind is a kind of fault.
type kind struct {
	name   string
	weight int // how many of it there are among the faults, beside others
	// targets returns how many things it can strike. 0: it can't be had in this run.
	targets func(*options) int
	// shortest and longest bound how long it lasts.
	shortest, longest time.Duration
	// fate is what becomes of entries that are due at its time. stored: it does not concern entries.
	fate fate
	// strike does it, and returns once it is over. It reports whether it took effect, and what happened in words. Nil: the fate is all.
	strike func(context.Context, *run, *fault) (effect bool, note string, err error)
}

// The gateway waits attemptTimeout for an insert, and expects it to be executed within lateAfter from then. What delays inserts must
// stay below their sum, which is the assumption that exactly once rests on.
const (
	attemptTimeout = 3 * time.Second
	lateAfter      = 20 * time.Second
)

const (
	ms = time.Millisecond
	s  = time.Second
)

// Targets.
func one(*options) int           { return 1 }
func eachGateway(o *options) int { return o.gateways }
func eachLink(o *options) int    { return 2 + 2*o.gateways }
func eachDisk(o *options) int {
	if !o.disks {
		return 0
	}
	return o.gateways
}
func eachChild(o *options) (children int) {
	for i := range o.producers {
		if o.child(i) {
			children++
		}
	}
	return children
}
func eachClock(o *options) int {
	if o.binary != "" {
		return 0 // its clock is the machine's
	}
	return o.gateways
}
func eachProducer(o *options) int {
	return o.producers
}

// kinds returns all kinds of faults.
func kinds() []*kind {
	return []*kind{
		{"gateway.kill", 5, eachGateway, 0, s, stored, killGateway},
		{"gateway.kill-twice", 3, eachGateway, 20 * ms, 1500 * ms, stored, killGatewayTwice},
		{"gateway.power", 4, eachDisk, 0, s, stored, cutPower},
		{"disk.fsync", 3, eachDisk, 0, 0, stored, failSyncs},
		{"disk.full", 3, eachDisk, 500 * ms, 5 * s, stored, fillDisk},
		{"gateway.stop", 2, eachGateway, 200 * ms, 6 * s, stored, stopGateway},
		{"gateway.restart", 2, eachGateway, 0, s, stored, restartGateway},
		{"producer.kill", 3, eachChild, 0, 2 * s, stored, killProducer},
		{"producer.stop", 1, eachChild, 100 * ms, 3 * s, stored, stopProducer},
		{"clock.step", 3, eachClock, 0, 0, stored, stepClock},
		{"clickhouse.kill", 3, one, 0, 4 * s, stored, killClickHouse},
		{"clickhouse.stop", 2, one, 200 * ms, 5 * s, stored, stopClickHouse},
		{"clickhouse.restart", 1, one, 0, 2 * s, stored, restartClickHouse},
		{"redis.kill", 2, one, 0, 3 * s, stored, killRedis},
		{"redis.stop", 1, one, 200 * ms, 4 * s, stored, stopRedis},
		{"redis.restart", 1, one, 0, 2 * s, stored, restartRedis},

		{"link.cut", 3, eachLink, 0, 0, stored, cutLink},
		{"link.half-close", 2, eachLink, 50 * ms, 2 * s, stored, halfCloseLink},
		{"link.delay", 1, eachLink, s, 4 * s, stored, delayLink},
		{"link.throttle", 1, eachLink, s, 4 * s, stored, throttleLink},
		{"link.stall", 2, eachLink, 500 * ms, 4 * s, stored, stallLink},

		{"insert.refuse", 1, one, 0, 0, stored, strikeInserts(refuseInsert)},
		{"insert.fail", 1, one, 0, 0, stored, strikeInserts(failInsert)},
		{"insert.drop-answer", 1, one, 0, 0, stored, strikeInserts(dropAnswer)},
		{"insert.late-answer", 2, one, attemptTimeout + s, attemptTimeout + 3*s, stored, strikeInserts(lateAnswer)},
		{"insert.empty-200", 2, one, 0, 0, stored, strikeInserts(emptyAnswer)},
		{"insert.empty-200-after", 1, one, 0, 0, stored, strikeInserts(emptyAnswerAfter)},
		{"insert.replay", 2, one, 0, 0, stored, strikeInserts(replayInsert)},
		{"insert.late", 2, one, 100 * ms, 5 * s, stored, strikeInserts(lateInsert)},

		{"entries.poisoned", 1, eachProducer, 0, 0, poisoned, nil},
		{"entries.unmatched", 1, eachProducer, 0, 0, unmatched, nil},
		{"entries.refused", 1, eachProducer, 0, 0, refused, nil},

		{"configuration.column", 1, one, 0, 0, stored, addColumn},
		{"configuration.route", 1, one, 0, 0, stored, addRoute},
		{"configuration.broken", 1, one, 0, 0, stored, breakConfiguration},
	}
}

// killed ends a gateway as a crash would.
func killed(ctx context.Context, g *gateway) error {
	_, err := g.end(ctx, syscall.SIGKILL)
	return err
}

func killGateway(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	if err := killed(ctx, g); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, g.name, g.start()
}

func killGatewayTwice(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	if err := killed(ctx, g); err != nil {
		return false, "", err
	}
	if err := g.start(); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	address, _ := g.addresses()
	if err := killed(ctx, g); err != nil {
		return false, "", err
	}
	note := g.name + ", the second time while it started"
	if address != "" {
		note = g.name + ", the second time when it served"
	}
	return true, note, g.start()
}

// cutPower kills a gateway, and loses what it had not fsynced.
func cutPower(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	if err := killed(ctx, g); err != nil {
		return false, "", err
	}
	unsynced, lost := g.disk.losePower(rand.New(rand.NewPCG(f.chance, 2)))
	rest(ctx, f.length)
	return true, fmt.Sprintf("%s, %d of %d changes that were not fsynced are lost", g.name, lost, unsynced), g.start()
}

// failSyncs has fsyncs of a gateway fail.
func failSyncs(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	before, _ := g.disk.counts()
	failed := before
	g.disk.failNextSyncs(f.count)
	for deadline := time.Now().Add(insertPatience); failed < before+f.count && time.Now().Before(deadline) && ctx.Err() == nil; failed, _ = g.disk.counts() {
		rest(ctx, 10*ms)
	}
	g.disk.failNextSyncs(0)
	return failed > before, fmt.Sprintf("%s, %d fsyncs failed", g.name, failed-before), nil
}

// fillDisk leaves a gateway's disk next to nothing.
func fillDisk(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	_, before := g.disk.counts()
	free := int64(f.chance % (1 << 20))
	g.disk.fill(diskBytes, free)
	rest(ctx, f.length)
	g.disk.fill(diskBytes, -1)
	_, refused := g.disk.counts()
	return refused > before, fmt.Sprintf("%s, %d KiB were left, %d requests were refused", g.name, free>>10, refused-before), nil
}

// clockRange is how far a clock steps in either direction: less than entries may be ahead, and far more than anything that expires.
const clockRange = 10 * 24 * time.Hour

// stepClock sets a gateway's clock to another time.
func stepClock(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	wrong := time.Duration(f.chance%uint64(2*clockRange)) - clockRange
	if f.chance>>60 < 4 {
		wrong = time.Duration(f.chance%uint64(20*time.Minute)) - 10*time.Minute
	}
	before := g.times(clockStepped)
	if err := os.WriteFile(g.clock, fmt.Append(nil, int64(wrong.Seconds())), 0o600); err != nil {
		return false, "", err
	}
	for deadline := time.Now().Add(insertPatience); g.times(clockStepped) == before && time.Now().Before(deadline) && ctx.Err() == nil; {
		rest(ctx, 10*ms)
	}
	return g.times(clockStepped) > before, fmt.Sprintf("%s is wrong by %v", g.name, wrong.Round(time.Second)), nil
}

func stopGateway(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	if err := g.signal(syscall.SIGSTOP); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, g.name, g.signal(syscall.SIGCONT)
}

func restartGateway(ctx context.Context, r *run, f *fault) (bool, string, error) {
	g := r.gateways[f.target]
	g.busy.Lock()
	defer g.busy.Unlock()
	status, err := g.stop(ctx)
	if errors.Is(err, errNotRunning) {
		return false, "", err
	}
	rest(ctx, f.length)
	return err == nil, fmt.Sprintf("%s, exit status %d", g.name, status), errors.Join(err, g.start())
}

func killClickHouse(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.clickhouse.busy.Lock()
	defer r.clickhouse.busy.Unlock()
	if err := r.clickhouse.Kill(); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.clickhouse.Restart(ctx)
}

func stopClickHouse(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.clickhouse.busy.Lock()
	defer r.clickhouse.busy.Unlock()
	if err := r.clickhouse.Pause(); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.clickhouse.Resume()
}

func restartClickHouse(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.clickhouse.busy.Lock()
	defer r.clickhouse.busy.Unlock()
	if err := r.clickhouse.Stop(ctx); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.clickhouse.Restart(ctx)
}

func killRedis(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.redis.busy.Lock()
	defer r.redis.busy.Unlock()
	if err := r.redis.Kill(); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.redis.Restart(ctx)
}

func stopRedis(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.redis.busy.Lock()
	defer r.redis.busy.Unlock()
	if err := r.redis.Pause(); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.redis.Resume()
}

func restartRedis(ctx context.Context, r *run, f *fault) (bool, string, error) {
	r.redis.busy.Lock()
	defer r.redis.busy.Unlock()
	if err := r.redis.Stop(ctx); err != nil {
		return false, "", err
	}
	rest(ctx, f.length)
	return true, "", r.redis.Restart(ctx)
}

func cutLink(_ context.Context, r *run, f *fault) (bool, string, error) {
	l := r.links[f.target]
	n := l.cut()
	return n > 0, fmt.Sprintf("%s, %d connections", l.name, n), nil
}

func halfCloseLink(ctx context.Context, r *run, f *fault) (bool, string, error) {
	l := r.links[f.target]
	towards := f.chance%2 == 0
	n := l.halfClose(ctx, towards, f.length)
	return n > 0, fmt.Sprintf("%s, towards its target %v, %d connections", l.name, towards, n), nil
}

func delayLink(ctx context.Context, r *run, f *fault) (bool, string, error) {
	delay := time.Duration(5+f.chance%300) * ms
	return sufferLink(ctx, r, f, linkFault{delay: delay}, fmt.Sprint("each piece by ", delay))
}

func throttleLink(ctx context.Context, r *run, f *fault) (bool, string, error) {
	rate := 1 << (13 + f.chance%6)
	return sufferLink(ctx, r, f, linkFault{bytesPerSecond: rate}, fmt.Sprintf("to %d KiB/s", rate>>10))
}

func stallLink(ctx context.Context, r *run, f *fault) (bool, string, error) {
	return sufferLink(ctx, r, f, linkFault{stall: true}, "")
}

func sufferLink(ctx context.Context, r *run, f *fault, how linkFault, note string) (bool, string, error) {
	l := r.links[f.target]
	l.busy.Lock()
	defer l.busy.Unlock()
	n := l.suffering(ctx, how, f.length)
	return n > 0, fmt.Sprintf("%s %s, %d pieces", l.name, note, n), nil
}

// insertPatience is how long a fault of inserts waits for inserts that it can strike.
const insertPatience = 8 * time.Second

// exceptions are codes of errors that say nothing about the rows.
var exceptions = []int{252, 241, 202, 159, 209, 319, 999}

func strikeInserts(what insertFault) func(context.Context, *run, *fault) (bool, string, error) {
	return func(ctx context.Context, r *run, f *fault) (bool, string, error) {
		r.inserts.busy.Lock()
		defer r.inserts.busy.Unlock()
		code := exceptions[f.chance%uint64(len(exceptions))]
		n := r.inserts.strike(ctx, what, f.count, code, f.length, insertPatience)
		return n > 0, fmt.Sprintf("%d inserts", n), nil
	}
}

// errFull means that a change of the configuration was made as often as it makes sense.
var errFull = errors.New("there are enough of them")

func addColumn(ctx context.Context, r *run, _ *fault) (bool, string, error) {
	return r.reconfigure(ctx, reloaded, func(c *configuration) (string, error) {
		if c.columns == 12 {
			return "", errFull
		}
		c.columns++
		return fmt.Sprintf("%d added columns", c.columns), nil
	}, nil)
}

func addRoute(ctx context.Context, r *run, _ *fault) (bool, string, error) {
	var name string
	return r.reconfigure(ctx, reloaded, func(c *configuration) (string, error) {
		if len(c.routes) == 3 {
			return "", errFull
		}
		name = fmt.Sprintf("later%d", len(c.routes))
		c.routes = append(c.routes, name)
		return name, nil
	}, func() { r.beginRoute(name) })
}

func breakConfiguration(ctx context.Context, r *run, _ *fault) (bool, string, error) {
	return r.reconfigure(ctx, refusedConfiguration, func(c *configuration) (string, error) {
		c.broken = true
		return "refused by all", nil
	}, nil)
}
