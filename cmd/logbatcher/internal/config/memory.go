package config

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/shard"
)

// Capacity is what the settings that are 0 ("as many as fit") come to on this machine.
type Capacity struct {
	// Limit is the memory that the process may use, in bytes; LimitFrom says who set it.
	Limit     Size
	LimitFrom string
	// Shards is the number of shards.
	Shards int
	// MaxStreams is the most streams at a time.
	MaxStreams int
	// MaxConnections is the most connections to the gRPC port at a time.
	MaxConnections int
	// MaxOpenBatches is the most batches that one shard has open.
	MaxOpenBatches int
	// Need is the most that streams, budget and open batches can occupy together.
	Need Size
}

// The bounds of what is chosen by memory.
const (
	mostStreams     = 10000
	mostOpenBatches = 64
	mostShards      = 4
)

// Capacity returns what the settings come to here. What is chosen by memory takes at most four
// fifths of the limit, open batches at most half of what the budget leaves of that.
func (c *Config) Capacity() Capacity {
	limit, from := c.Memory.Limit, "memory.limit"
	if limit == 0 {
		limit, from = systemLimit("/")
	}
	p := c.capacity(limit, from, runtime.GOMAXPROCS(0))
	if p.MaxConnections = c.Server.Limits.MaxConnections; p.MaxConnections == 0 {
		p.MaxConnections = connectionsFor(p.MaxStreams, descriptors())
	}
	return p
}

// capacity is Capacity with what it reads from the system.
func (c *Config) capacity(limit Size, from string, cores int) Capacity {
	limits := &c.Server.Limits
	p := Capacity{
		Limit: limit, LimitFrom: from,
		Shards: c.Shards.Count, MaxStreams: limits.MaxStreams, MaxOpenBatches: c.Shards.MaxOpenBatches,
	}
	if p.Shards == 0 {
		p.Shards = max(1, min(cores, mostShards))
	}
	usable := limit - limit/5 - c.Memory.Budget
	batches := Size(p.Shards) * c.Shards.MaxBatchBytes // one open batch in each shard
	if p.MaxOpenBatches == 0 {
		p.MaxOpenBatches = int(max(1, min(usable/2/max(batches, 1), mostOpenBatches)))
	}
	batches *= Size(p.MaxOpenBatches)
	if p.MaxStreams == 0 {
		p.MaxStreams = int(max(1, min((usable-batches)/max(limits.MaxRequestBytes, 1), mostStreams)))
	}
	p.Need = Size(p.MaxStreams)*limits.MaxRequestBytes + c.Memory.Budget + batches
	return p
}

// checkMemory reports settings that can occupy more than the limit.
func (c *Config) checkMemory(p Capacity) []schema.Problem {
	if p.Need <= p.Limit {
		return nil
	}
	limits := &c.Server.Limits
	request, batch := limits.MaxRequestBytes, c.Shards.MaxBatchBytes
	message := fmt.Sprintf("%d streams of %v, a budget of %v and %d open batches of %v (%d shards with %d each) need %s, more than the limit of %s (%s)",
		p.MaxStreams, request, c.Memory.Budget, p.Shards*p.MaxOpenBatches, batch, p.Shards, p.MaxOpenBatches,
		approximate(p.Need), approximate(p.Limit), p.LimitFrom)
	others := p.Need - Size(p.MaxStreams)*request
	batches := Size(p.Shards*p.MaxOpenBatches) * batch
	at, advice := "memory.budget", "lower memory.budget, shards.max_batch_bytes or server.limits.max_request_bytes, or raise the limit"
	switch {
	case limits.MaxStreams > 0 && others+request <= p.Limit:
		at = "server.limits.max_streams"
		advice = fmt.Sprintf("lower server.limits.max_streams to at most %d, or server.limits.max_request_bytes", (p.Limit-others)/request)
	case c.Shards.MaxOpenBatches > 0 && p.Need-batches+Size(p.Shards)*batch <= p.Limit:
		at = "shards.max_open_batches"
		advice = fmt.Sprintf("lower shards.max_open_batches to at most %d, or shards.max_batch_bytes",
			(p.Limit-(p.Need-batches))/(Size(p.Shards)*batch))
	}
	return []schema.Problem{{Path: at, Message: message + ": " + advice}}
}

// Budget returns how the budget is divided.
func (c *Config) Budget() shard.BudgetConfig {
	return shard.BudgetConfig{
		Limit: int(c.Memory.Budget), Tables: int(c.tableBytes()), TableShare: c.Memory.TableShare, LargestRequest: int(c.largestRows()),
	}
}

// requestMemory returns the most that one request occupies while it is decoded.
func (c *Config) requestMemory() Size {
	l := &c.Server.Limits
	s := server.Config{MaxRequestBytes: int(l.MaxRequestBytes), MaxRequestEntries: l.MaxRequestEntries, MaxEntryAttributes: l.MaxEntryAttributes}
	return Size(s.RequestMemory())
}

// tableBytes returns what all tables together may hold of the budget: what the largest request leaves, and three quarters where it leaves less. Then
// such a request is let in beyond the budget.
func (c *Config) tableBytes() Size {
	return max(c.Memory.Budget-c.requestMemory(), c.Memory.Budget/4*3)
}

// largestRows returns what the rows of the largest request may occupy in one table.
func (c *Config) largestRows() Size {
	l := &c.Server.Limits
	return l.MaxRequestBytes + Size(l.MaxRequestEntries)*shard.RowBytes
}

// approximate writes a size for people to read.
func approximate(s Size) string {
	switch {
	case s >= 10*GiB:
		return strconv.FormatInt(int64(s/GiB), 10) + "GiB"
	case s >= MiB:
		return strconv.FormatInt(int64(s/MiB), 10) + "MiB"
	}
	return s.String()
}

// systemLimit returns the memory that this process may use, and who says so: GOMEMLIMIT, else
// its cgroup or one around it, else the machine. root is where the file system begins.
func systemLimit(root string) (Size, string) {
	if limit := debug.SetMemoryLimit(-1); limit < math.MaxInt64 {
		return Size(limit), "GOMEMLIMIT"
	}
	total := machineMemory(root)
	if limit := cgroupLimit(root); limit > 0 && limit < total {
		return limit, "the cgroup"
	}
	return total, "the machine"
}

// machineMemory reads the machine's memory; 1 GiB where that is not known.
func machineMemory(root string) Size {
	data, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if err != nil {
		return GiB
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
				return Size(n) * KiB
			}
		}
	}
	return GiB
}

// cgroupLimit returns the least limit of this process's cgroup (version 2, or the memory controller of
// version 1) and of those around it. 0: none.
func cgroupLimit(root string) Size {
	data, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	least := Size(0)
	for line := range strings.SplitSeq(string(data), "\n") {
		parts := strings.SplitN(line, ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup", "memory.max"
		if parts[1] != "" {
			base, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
			if !strings.Contains(","+parts[1]+",", ",memory,") {
				continue
			}
		}
		for at := path.Clean("/" + parts[2]); ; at = path.Dir(at) {
			if limit := readLimit(path.Join(root, base, at, file)); limit > 0 && (least == 0 || limit < least) {
				least = limit
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// readLimit reads a file with a number of bytes; 0 for "max" and for a file that is not there.
func readLimit(name string) Size {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return Size(n)
}
