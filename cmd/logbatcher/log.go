package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/shard"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// ownersPatience is how long a start waits for Redis to say whose the log's producers are.
const ownersPatience = 10 * time.Second

// openLog opens the write-ahead log, and reads what an earlier process has left there. Without one it refuses to leave behind what an
// earlier process had in its log.
func (g *gateway) openLog(ctx context.Context) (err error) {
	c := g.config.WAL.Config
	if !g.config.WAL.Enabled {
		return refuseLog(ctx, c)
	}
	c.Log, c.Registerer = g.log, g.registry
	c.Settled = func(tenant, producer string, epoch, sequence uint64, o *schema.Outcome) {
		g.server.Settle(tenant, producer, epoch, sequence, o)
	}
	if g.journal, err = journal.Open(ctx, c); err != nil {
		return err
	}
	g.owners = g.newOwners(g.journal, g.journal.Log().ID())
	g.status.watch(g.journal.Degraded)
	g.status.log = g.journal.Log().Ready
	return nil
}

// refuseLog returns an error if the folder has a log with something that is not settled: without it nobody would ever deliver that.
func refuseLog(ctx context.Context, c journal.Config) error {
	if _, err := os.Stat(c.Dir); c.Dir == "" || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	left, err := journal.Open(ctx, c)
	if err != nil {
		return fmt.Errorf("wal.enabled is false, and there is a folder for a log: %w", err)
	}
	found := left.Recovered()
	if err := left.Close(); err != nil {
		return err
	}
	if found.Files+found.Requests+found.Held == 0 {
		return nil
	}
	return fmt.Errorf("wal.enabled is false, but the log in %s has %d batches and %d requests that are not settled: "+
		"start once with it, and stop when they are, or move the folder away to leave them behind", c.Dir, found.Files, found.Requests+found.Held)
}

// loggedZone returns ClickHouse's time zone as the batches and requests in the log have it, or nil if there are none or they don't agree.
func (g *gateway) loggedZone() (*time.Location, error) {
	if g.journal == nil {
		return nil, nil
	}
	routings, err := g.loggedRoutings()
	if err != nil {
		return nil, err
	}
	var zone *time.Location
	for _, whole := range routings {
		if zone != nil && zone.String() != whole.Zone.String() {
			return nil, nil
		}
		zone = whole.Zone
	}
	return zone, nil
}

// loggedRoutings returns the routings that batches and requests in the log need, by their hashes.
func (g *gateway) loggedRoutings() (map[string]*schema.Routing, error) {
	routings := map[string]*schema.Routing{}
	for hash, data := range g.journal.Routings() {
		whole := new(schema.Routing)
		if err := json.Unmarshal(data, whole); err != nil {
			return nil, fmt.Errorf("the write-ahead log, config/%s: %w", hash, err)
		}
		routings[hash] = whole
	}
	return routings, nil
}

// recover has what an earlier process left in the log settled: batches and dead letters first, because they only wait for ClickHouse and
// Redis, then the requests that are not in them. The router runs, and nothing else is received yet. It returns when everything is in batches
// again. If ctx ends first it fails, and the next start goes on.
func (g *gateway) recover(ctx context.Context) error {
	began, found := time.Now(), g.journal.Recovered()
	g.status.starting("what the write-ahead log has is being recovered")
	if err := g.journal.Start(ctx); err != nil {
		return err
	}
	if g.owners != nil {
		ctx, cancel := context.WithTimeout(ctx, ownersPatience)
		err := g.owners.Recover(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	routings, err := g.loggedRoutings()
	if err != nil {
		return err
	}
	for hash, whole := range routings {
		if err := g.router.AddRouting(hash, whole); err != nil {
			return err
		}
	}
	var files []shard.Recovered
	for _, f := range g.journal.Files() {
		files = append(files, shard.Recovered{LogFile: f, Settle: f.Settle})
	}
	if err := g.router.Recover(ctx, files); err != nil {
		return err
	}
	for u, err := range g.journal.Unplaced() {
		if err == nil {
			err = g.server.Replay(ctx, &u.LoggedRequest, u.LSN, u.Skip)
		}
		if err != nil {
			return fmt.Errorf("recover the write-ahead log: %w", err)
		}
	}
	g.log.Info("write-ahead log", "dir", g.config.WAL.Dir, "id", g.journal.Log().ID(), "files", found.Files, "requests", found.Requests,
		"producers", found.Producers, "missing", found.Missing, "held", found.Held, "took", time.Since(began).Round(time.Millisecond))
	return nil
}
