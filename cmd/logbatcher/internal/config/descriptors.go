package config

import "syscall"

const (
	// reservedDescriptors are for what is no connection of a client: ClickHouse, Redis, monitoring, files.
	reservedDescriptors = 256
	// spareConnections are for administrators and probes, who open no stream.
	spareConnections = 128
)

// descriptors returns how many file descriptors the process may have, 0 where that is not known.
func descriptors() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}

// connectionsFor returns the bound on connections where none is set: one for each stream and a few more, as
// far as the descriptors reach.
func connectionsFor(streams, descriptors int) int {
	wanted := streams + spareConnections
	if descriptors == 0 {
		return wanted
	}
	return max(1, min(wanted, max(descriptors-reservedDescriptors, descriptors/2)))
}
