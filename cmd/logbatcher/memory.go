package main

import (
	"context"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

const (
	// memoryTick is the time between two checks, of which two in a row must find the gateway quiet.
	memoryTick = 5 * time.Second
	// worthReturning is how much the process must have grown since the last time.
	worthReturning = 64 << 20
)

// limitMemory sets the memory limit of the Go runtime, unless the operator has set GOMEMLIMIT.
func limitMemory(c *config.Config) {
	if limit := c.Capacity().RuntimeLimit(); limit > 0 {
		debug.SetMemoryLimit(int64(limit))
	}
}

// returnMemory returns the memory of a burst to the system once the gateway is quiet, until ctx ends. On its own, the runtime
// collects garbage only as more is allocated, and pooled objects survive that once.
func (g *gateway) returnMemory(ctx context.Context) error {
	tick := time.NewTicker(memoryTick)
	defer tick.Stop()
	quiet, floor := 0, uint64(0)
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		if g.budget.Used() > g.budget.Limit()/16 {
			quiet = 0
			continue
		}
		if quiet++; quiet > 1 && memoryHeld() > floor+worthReturning {
			runtime.GC() // pools are emptied by the second collection
			debug.FreeOSMemory()
			floor = memoryHeld()
		}
	}
}

// memoryHeld returns the bytes that the runtime holds from the system.
func memoryHeld() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64() - sample[1].Value.Uint64()
}
