package config

import (
	"fmt"
	"math/bits"
	"runtime"

	"github.com/dustin/go-humanize"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/shard"
)

// Capacity is what the settings that are 0 ("as many as fit") amount to on this machine.
type Capacity struct {
	// Limit is the memory that the process may use, LimitFrom who set it.
	Limit     settings.Size
	LimitFrom string
	// Shards is the number of shards.
	Shards int
	// MaxStreams is the most streams and unary calls at a time, MaxConnections the most connections to the gRPC port.
	MaxStreams, MaxConnections int
	// Stream is the most that one stream occupies outside of the budget, Need the most that everything occupies together.
	Stream, Need settings.Size
}

const (
	mostStreams = 10000
	mostShards  = 4
	// fixedMemory is roughly what the idle process occupies.
	fixedMemory = 32 * settings.MiB
	// logMemory is what the write-ahead log occupies: two groups on their way to the disk, which may be twice as large while it is full. One may
	// hold a largest request beside others.
	logMemory = 16 * settings.MiB
)

// Capacity returns what the settings amount to here. What is chosen by memory stays within four fifths of the limit.
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

// capacity is Capacity without what it reads from the system.
func (c *Config) capacity(limit settings.Size, from string, cores int) Capacity {
	limits := &c.Server.Limits
	p := Capacity{Limit: limit, LimitFrom: from, Shards: c.Shards.Shards, MaxStreams: limits.MaxStreams}
	if p.Shards == 0 {
		p.Shards = max(1, min(cores, mostShards))
	}
	// A stream holds a request that waits, as received or in one buffer, and the window of what its client sends next.
	p.Stream = max(limits.MaxRequestBytes+limits.MaxEntryBytes, powerOfTwo(limits.MaxRequestBytes)) + c.Server.StreamWindowBytes
	// Buffers grow in steps, so they have more room than the budget counts.
	others := fixedMemory + c.Memory.Budget + c.Memory.Budget/4 + c.beyondBudget()
	if c.WAL.Enabled {
		others += logMemory + limits.MaxRequestBytes
	}
	if p.MaxStreams == 0 {
		p.MaxStreams = int(max(1, min((limit-limit/5-others)/p.Stream, mostStreams)))
	}
	p.Need = others + settings.Size(p.MaxStreams)*p.Stream
	return p
}

// RuntimeLimit returns the limit to set in the Go runtime, which does not count the program itself. 0: it has its own.
func (p Capacity) RuntimeLimit() settings.Size {
	if p.LimitFrom == fromGOMEMLIMIT {
		return 0
	}
	return p.Limit - min(p.Limit/8, 64*settings.MiB)
}

// beyondBudget returns what the largest request takes beyond the budget when the tables hold all that they may.
func (c *Config) beyondBudget() settings.Size {
	return max(0, c.requestMemory()+c.tableBytes()-c.Memory.Budget)
}

// powerOfTwo rounds up to a power of two.
func powerOfTwo(s settings.Size) settings.Size { return 1 << bits.Len64(uint64(s-1)) }

// checkMemory reports settings that can occupy more than the limit.
func (c *Config) checkMemory(p Capacity) []schema.Problem {
	if p.Need <= p.Limit {
		return nil
	}
	others := p.Need - settings.Size(p.MaxStreams)*p.Stream
	message := fmt.Sprintf("%d streams of %s, a budget of %v and %s beside it need %s, more than the limit of %s (%s)",
		p.MaxStreams, approximate(p.Stream), c.Memory.Budget, approximate(others-c.Memory.Budget), approximate(p.Need), approximate(p.Limit), p.LimitFrom)
	at, advice := "memory.budget", "lower memory.budget or server.limits.max_request_bytes, or raise the limit"
	if c.Server.Limits.MaxStreams > 0 && others+p.Stream <= p.Limit {
		at = "server.limits.max_streams"
		advice = fmt.Sprintf("lower server.limits.max_streams to at most %d, or server.limits.max_request_bytes", (p.Limit-others)/p.Stream)
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
func (c *Config) requestMemory() settings.Size {
	return settings.Size(c.Server.RequestMemory())
}

// tableBytes returns what all tables together may hold of the budget: what the largest request leaves, but at least three
// quarters. If it leaves less, such a request is admitted beyond the budget.
func (c *Config) tableBytes() settings.Size {
	return max(c.Memory.Budget-c.requestMemory(), c.Memory.Budget/4*3)
}

// largestRows returns the most that the rows of one request occupy in a table.
func (c *Config) largestRows() settings.Size {
	l := &c.Server.Limits
	return l.MaxRequestBytes + settings.Size(l.MaxRequestEntries)*shard.RowBytes + shard.RequestBytes
}

// approximate writes a size for people to read.
func approximate(s settings.Size) string { return humanize.IBytes(uint64(s)) }
