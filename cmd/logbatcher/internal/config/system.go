package config

import (
	"fmt"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/logbatcher/logbatcher/schema/settings"
)

// fromGOMEMLIMIT is Capacity.LimitFrom if the Go runtime has its own limit.
const fromGOMEMLIMIT = "GOMEMLIMIT"

// systemLimit returns the memory that this process may use, and who set that: GOMEMLIMIT, else its cgroup or one around it, else
// the machine. root is the root of the file system.
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

// machineMemory returns the machine's memory; 1 GiB if it is not known.
func machineMemory(root string) settings.Size {
	var kib settings.Size
	data, err := os.ReadFile(path.Join(root, "proc/meminfo"))
	if _, scanErr := fmt.Sscanf(string(data), "MemTotal: %d kB", &kib); err != nil || scanErr != nil {
		return settings.GiB
	}
	return kib * settings.KiB
}

// cgroupLimit returns the lowest limit of this process's cgroup (version 2, or the memory controller of version 1) and those
// around it. 0: none.
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

// readLimit reads a number of bytes from a file; 0 for "max" and for a missing file.
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

const (
	// reservedDescriptors are for what is not a client's connection: ClickHouse, Redis, monitoring, files.
	reservedDescriptors = 256
	// spareConnections are for administrators and probes, which open no stream.
	spareConnections = 128
)

// descriptors returns how many file descriptors the process may have; 0 if that is not known.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}

// servers are gRPC and HTTP, each of which may have max_connections.
const servers = 2

// connectionsFor returns the bound on connections if none is set: one for each stream and a few more, as far as the
// descriptors allow.
func connectionsFor(streams, descriptors int) int {
	wanted := streams + spareConnections
	if descriptors == 0 {
		return wanted
	}
	return max(1, min(wanted, max(descriptors-reservedDescriptors, descriptors/2)/servers))
}
