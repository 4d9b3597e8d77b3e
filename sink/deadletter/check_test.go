package deadletter

import (
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func TestCheck(t *testing.T) {
	server := embeddedtest.OwnRedis(t)
	client := connect(t, server)
	q := open(t, client)
	cases := []struct{ setting, value, back, warning string }{
		{"appendfsync", "everysec", "always", "appendfsync everysec"},
		{"appendfsync", "no", "always", "appendfsync no"},
		{"appendonly", "no", "yes", "appendonly no"},
		{"maxmemory-policy", "allkeys-lru", "noeviction", "evict the whole queue"},
		{"maxmemory-policy", "volatile-ttl", "noeviction", "evict the ids of letters"},
		{"maxmemory", "104857600", "0", "maxmemory 104857600"},
	}
	set := func(setting, value string) {
		t.Helper()
		if err := client.ConfigSet(t.Context(), setting, value).Err(); err != nil {
			t.Fatal(err)
		}
	}
	set("appendfsync", "always")
	if warnings, err := q.Check(t.Context()); err != nil || len(warnings) != 0 {
		t.Errorf("a good Redis gives %q, %v", warnings, err)
	}
	for _, c := range cases {
		set(c.setting, c.value)
		warnings, err := q.Check(t.Context())
		set(c.setting, c.back)
		if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], c.warning) {
			t.Errorf("%s %s gives %q, %v; want a warning of %q", c.setting, c.value, warnings, err, c.warning)
		}
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	_, err := q.Check(t.Context())
	wantKind(t, err, Away)
}

func TestCheckOfTheStandIn(t *testing.T) {
	warnings, err := open(t, connect(t, embeddedtest.InProcessRedis(t))).Check(t.Context())
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "version") {
		t.Errorf("the stand-in gives %q, %v", warnings, err)
	}
}

func TestJudge(t *testing.T) {
	q := open(t, connect(t, embeddedtest.InProcessRedis(t)))
	cases := []struct{ info, warning string }{
		{"redis_version:6.0.16\r\n", "6.2 or later"},
		{"redis_version:7.2.4\r\nredis_mode:cluster\r\n", "part of a cluster"},
		{"redis_version:7.2.4\r\nrole:slave\r\n", "is a replica"},
		{"redis_version:7.2.4\r\nconnected_slaves:2\r\n", "failover"},
		{"redis_version:7.2.4\r\naof_enabled:1\r\naof_last_write_status:err\r\n", "append-only file"},
	}
	for _, c := range cases {
		if got := q.judge(parseInfo(c.info)); len(got) != 1 || !strings.Contains(got[0], c.warning) {
			t.Errorf("%q gives %q, want a warning of %q", c.info, got, c.warning)
		}
	}
}
