package deadletter

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The oldest supported Redis: the first that has XRANGE with an open interval.
const oldestMajor, oldestMinor = 6, 2

// Check returns a warning for each setting of Redis that makes letters less safe. It returns an error only if Redis does not
// answer.
func (q *Queue) Check(ctx context.Context) ([]string, error) {
	node, err := q.node(ctx)
	if err != nil {
		return nil, q.failed("check", err)
	}
	text, err := node.Info(ctx).Result()
	if err != nil {
		return nil, q.failed("check", err)
	}
	info := parseInfo(text)
	warnings := q.judge(info)
	if info["aof_enabled"] != "1" {
		return warnings, nil
	}
	policy, err := node.ConfigGet(ctx, "appendfsync").Result()
	switch {
	case err != nil:
		warnings = append(warnings, fmt.Sprintf("Redis does not let us read its appendfsync (%v): make sure that it is always, or everysec if the last two seconds may be lost", err))
	case policy["appendfsync"] == "everysec":
		warnings = append(warnings, "Redis has appendfsync everysec: if it or its machine dies, dead letters of the last two seconds may be lost; appendfsync always closes that gap")
	case policy["appendfsync"] == "no":
		warnings = append(warnings, "Redis has appendfsync no: if its machine dies, dead letters of the last half minute may be lost; set appendfsync always")
	}
	return warnings, nil
}

// node returns a client for the node that holds the stream.
func (q *Queue) node(ctx context.Context) (redis.Cmdable, error) {
	if cluster, ok := q.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, q.cfg.Stream)
	}
	return q.client, nil
}

// judge returns the warnings that follow from INFO.
func (q *Queue) judge(info map[string]string) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }

	if version := info["redis_version"]; version == "" {
		warn("Redis does not report its version: assume that its data is lost when it stops")
	} else if !newEnough(version) {
		warn("Redis has version %s; %d.%d or later is needed", version, oldestMajor, oldestMinor)
	}
	if info["redis_mode"] == "cluster" {
		if _, ok := q.client.(*redis.ClusterClient); !ok {
			warn("Redis is part of a cluster but not configured as one: writes fail if another node has the stream's slot")
		}
	}
	if info["role"] == "slave" {
		warn("Redis is a replica and will refuse writes: configure its master, or the Sentinels")
	}
	if info["connected_slaves"] != "" && info["connected_slaves"] != "0" {
		warn("Redis replicates without waiting: a failover may lose the last dead letters; min-replicas-to-write and min-replicas-max-lag bound how much")
	}
	if info["aof_enabled"] == "0" {
		warn("Redis has appendonly no: dead letters since its last snapshot are lost when it stops; set appendonly yes and appendfsync always")
	}
	if status := info["aof_last_write_status"]; status != "" && status != "ok" {
		warn("Redis could not write its append-only file (%s): see its log and its disk", status)
	}
	switch policy := info["maxmemory_policy"]; {
	case strings.HasPrefix(policy, "allkeys-"):
		warn("Redis has maxmemory-policy %s, which may evict the whole queue: set noeviction", policy)
	case strings.HasPrefix(policy, "volatile-"):
		warn("Redis has maxmemory-policy %s, which may evict the ids of letters, and leases: set noeviction", policy)
	}
	if limit, err := strconv.ParseInt(info["maxmemory"], 10, 64); err == nil && limit > 0 && limit < int64(q.cfg.MaxBytes) {
		warn("Redis has maxmemory %d, less than the queue's max_bytes, %v: it will refuse letters before the queue is full", limit, q.cfg.MaxBytes)
	}
	return warnings
}

func newEnough(version string) bool {
	var major, minor int
	_, err := fmt.Sscanf(version, "%d.%d", &major, &minor)
	return err == nil && (major > oldestMajor || major == oldestMajor && minor >= oldestMinor)
}

// parseInfo parses the "name:value" lines of an INFO reply.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}
