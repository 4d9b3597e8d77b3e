package config

import (
	"fmt"
	"math"
	"math/bits"
	"os"
	"path"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/shard"
)

// Capacity is what the settings that are 0 ("as many as fit") come to on this machine.
type Capacity struct {
	// Limit is the memory that the process may use, in bytes; LimitFrom says who set it.
	Limit     settings.Size
	LimitFrom string
	// Shards is the number of shards.
	Shards int
	// MaxStreams is the most streams and unary calls at a time.
	MaxStreams int
	// MaxConnections is the most connections to the gRPC port at a time.
	MaxConnections int
	// Stream is what one stream may occupy beside the budget, Need the most that everything can occupy together.
	Stream, Need settings.Size
}

const (
	mostStreams = 10000
	mostShards  = 4
	// fixedMemory is about what the process occupies when nothing is in flight.
	fixedMemory = 32 * settings.MiB
	// fromGOMEMLIMIT is LimitFrom where the Go runtime has a limit of its own.
	fromGOMEMLIMIT = "GOMEMLIMIT"
)

// Capacity returns what the settings come to here. What is chosen by memory takes at most four fifths of the limit.
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
func (c *Config) capacity(limit settings.Size, from string, cores int) Capacity {
	limits := &c.Server.Limits
	p := Capacity{Limit: limit, LimitFrom: from, Shards: c.Shards.Shards, MaxStreams: limits.MaxStreams}
	if p.Shards == 0 {
		p.Shards = max(1, min(cores, mostShards))
	}
	// A stream has a request that it waits with, as it was received or in one buffer, and what its client sends behind it.
	p.Stream = max(limits.MaxRequestBytes+limits.MaxEntryBytes, powerOfTwo(limits.MaxRequestBytes)) + c.Server.StreamWindowBytes
	// Buffers grow in steps, so that they have more room than the budget counts.
	others := fixedMemory + c.Memory.Budget + c.Memory.Budget/4 + c.beyondBudget()
	if p.MaxStreams == 0 {
		p.MaxStreams = int(max(1, min((limit-limit/5-others)/p.Stream, mostStreams)))
	}
	p.Need = others + settings.Size(p.MaxStreams)*p.Stream
	return p
}

// RuntimeLimit returns the limit for the Go runtime, which counts all but the program itself. 0: it has one of its own.
func (p Capacity) RuntimeLimit() settings.Size {
	if p.LimitFrom == fromGOMEMLIMIT {
		return 0
	}
	return p.Limit - min(p.Limit/8, 64*settings.MiB)
}

// beyondBudget returns what the largest request takes beyond the budget when tables hold all that they may.
func (c *Config) beyondBudget() settings.Size {
	return max(0, c.requestMemory()+c.tableBytes()-c.Memory.Budget)
}

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

// tableBytes returns what all tables together may hold of the budget: what the largest request leaves, and three quarters where it leaves less. Then
// such a request is let in beyond the budget.
func (c *Config) tableBytes() settings.Size {
	return max(c.Memory.Budget-c.requestMemory(), c.Memory.Budget/4*3)
}

// largestRows returns what the rows of the largest request may occupy in one table.
func (c *Config) largestRows() settings.Size {
	l := &c.Server.Limits
	return l.MaxRequestBytes + settings.Size(l.MaxRequestEntries)*shard.RowBytes
}

// approximate writes a size for people to read.
func approximate(s settings.Size) string {
	switch {
	case s >= 10*settings.GiB:
		return strconv.FormatInt(int64(s/settings.GiB), 10) + "GiB"
	case s >= settings.MiB && s < 10*settings.MiB:
		return strconv.FormatFloat(float64(s)/float64(settings.MiB), 'f', 1, 64) + "MiB"
	case s >= settings.MiB:
		return strconv.FormatInt(int64(s/settings.MiB), 10) + "MiB"
	}
	return s.String()
}

// systemLimit returns the memory that this process may use, and who says so: GOMEMLIMIT, else
// its cgroup or one around it, else the machine. root is where the file system begins.
func systemLimit(root string) (settings.Size, string) {
	if limit := debug.SetMemoryLimit(-1); os.Getenv("GOMEMLIMIT") != "" && limit < math.MaxInt64 {
		return settings.Size(limit), fromGOMEMLIMIT
	}
	total := machineMemory(root)
	if limit := cgroupLimit(root); limit > 0 && limit < total {
		return limit, "the cgroup"
	}
	return total, "the machine"
}

// machineMemory reads the machine's memory; 1 settings.GiB where that is not known.
func machineMemory(root string) settings.Size {
	data, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if err != nil {
		return settings.GiB
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) >= 2 && words[0] == "MemTotal:" {
			if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
				return settings.Size(n) * settings.KiB
			}
		}
	}
	return settings.GiB
}

// cgroupLimit returns the least limit of this process's cgroup (version 2, or the memory controller of
// version 1) and of those around it. 0: none.
func cgroupLimit(root string) settings.Size {
	data, err := os.ReadFile(path.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	least := settings.Size(0)
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
func readLimit(name string) settings.Size {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
	if err != nil {
		return 0
	}
	return settings.Size(n)
}
