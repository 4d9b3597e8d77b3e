package deadletter

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The oldest Redis that has all that the queue uses: XRANGE with an open interval.
const oldestMajor, oldestMinor = 6, 2

// Check asks the Redis that keeps the stream whether letters are safe there, and returns a sentence for each
// thing that makes them less so. It returns an error only where Redis does not answer.
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
		warnings = append(warnings, fmt.Sprintf("Redis does not let us ask for its appendfsync (%v): make sure that it is always, or everysec where the last two seconds may be lost", err))
	case policy["appendfsync"] == "everysec":
		warnings = append(warnings, "Redis has appendfsync everysec: if it or its machine dies, dead letters of the last two seconds may be lost; appendfsync always closes that gap")
	case policy["appendfsync"] == "no":
		warnings = append(warnings, "Redis has appendfsync no: if its machine dies, dead letters of the last half minute may be lost; set appendfsync always")
	}
	return warnings, nil
}

// node returns the client of the one node that keeps the stream.
func (q *Queue) node(ctx context.Context) (redis.Cmdable, error) {
	if cluster, ok := q.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, q.cfg.Stream)
	}
	return q.client, nil
}

// judge returns what INFO lets one say about a Redis.
func (q *Queue) judge(info map[string]string) []string {
	var warnings []string
	warn := func(format string, args ...any) { warnings = append(warnings, fmt.Sprintf(format, args...)) }

	if version := info["redis_version"]; version == "" {
		warn("Redis does not tell its version: take it that its data is gone when it ends")
	} else if !newEnough(version) {
		warn("Redis is version %s: %d.%d or later is needed", version, oldestMajor, oldestMinor)
	}
	if info["redis_mode"] == "cluster" {
		if _, ok := q.client.(*redis.ClusterClient); !ok {
			warn("Redis is part of a cluster, and is not configured as one: writes fail when the stream's slot is another node's")
		}
	}
	if info["role"] == "slave" {
		warn("Redis is a replica: writes will be refused; configure its master, or the Sentinels")
	}
	if info["connected_slaves"] != "" && info["connected_slaves"] != "0" {
		warn("Redis replicates without waiting: a failover may lose the dead letters of its last moment; min-replicas-to-write and min-replicas-max-lag bound how much")
	}
	if info["aof_enabled"] == "0" {
		warn("Redis has appendonly no: dead letters since its last snapshot are lost when it ends; set appendonly yes and appendfsync always")
	}
	if status := info["aof_last_write_status"]; status != "" && status != "ok" {
		warn("Redis could not write its append-only file (%s): see its log and its disk", status)
	}
	switch policy := info["maxmemory_policy"]; {
	case strings.HasPrefix(policy, "allkeys-"):
		warn("Redis has maxmemory-policy %s, under which it may throw the whole queue away: set noeviction", policy)
	case strings.HasPrefix(policy, "volatile-"):
		warn("Redis has maxmemory-policy %s, under which it may forget which letters it has, and leases: set noeviction", policy)
	}
	if limit, err := strconv.ParseInt(info["maxmemory"], 10, 64); err == nil && limit > 0 && limit < q.cfg.MaxBytes {
		warn("Redis has maxmemory %d, less than the queue's max_bytes, %d: it will refuse letters before the queue is full", limit, q.cfg.MaxBytes)
	}
	return warnings
}

func newEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(parts[1])
	return major > oldestMajor || major == oldestMajor && minor >= oldestMinor
}

// parseInfo reads the lines "name:value" of an INFO reply.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}
