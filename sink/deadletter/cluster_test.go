package deadletter

import (
	"fmt"
	"net"
	"os/exec"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/redis/go-redis/v9"
)

// slot returns a key's hash slot, as Redis Cluster specifies it.
func slot(key string) int {
	if t := tag(key); t != "" {
		key = t
	}
	crc := uint16(0)
	for i := range len(key) {
		crc ^= uint16(key[i]) << 8
		for range 8 {
			carry := crc&0x8000 != 0
			crc <<= 1
			if carry {
				crc ^= 0x1021
			}
		}
	}
	return int(crc % 16384)
}

func TestAllKeysHaveOneSlot(t *testing.T) {
	for key, want := range map[string]int{"123456789": 12739, "foo": 12182, "bar": 5061, "{foo}bar": 12182} {
		if got := slot(key); got != want {
			t.Fatalf("slot(%q) = %d, Redis says %d", key, got, want)
		}
	}
	for _, stream := range []string{"logbatcher:dead_letters", "{logs}:dead", "a{b}c{d}", "a{b", "x", "{{a}"} {
		cfg := DefaultConfig()
		cfg.Stream = stream
		if err := cfg.Validate(); err != nil {
			t.Errorf("%q: %v", stream, err)
		}
		for _, key := range []string{cfg.usageKey(), cfg.idKey("a"), cfg.idKey("}{b}"), cfg.idKey("gw-1/7:0-2")} {
			if slot(key) != slot(stream) {
				t.Errorf("%q has slot %d, its stream %q has %d", key, slot(key), stream, slot(stream))
			}
		}
	}
	for _, stream := range []string{"a}b", "{}a", "}{"} {
		cfg := DefaultConfig()
		cfg.Stream = stream
		if cfg.Validate() == nil {
			t.Errorf("%q should be refused", stream)
		}
	}
}

// A cluster of one node refuses scripts whose keys have different slots, like any cluster.
func TestInARealCluster(t *testing.T) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("no redis-server is installed")
	}
	port, bus := freePort(t), freePort(t)
	server := exec.Command(program, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--cluster-enabled", "yes",
		"--cluster-port", fmt.Sprint(bus), "--dir", t.TempDir(), "--save", "", "--appendonly", "yes", "--appendfsync", "always")
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	address := fmt.Sprintf("127.0.0.1:%d", port)
	node := redis.NewClient(&redis.Options{Addr: address})
	defer node.Close()
	embeddedtest.Eventually(t, "the node answers", func() bool { return node.Ping(t.Context()).Err() == nil })
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{address}})
	defer cluster.Close()

	q := open(t, cluster)
	for i := range 20 {
		for range 2 {
			if err := writeUntilKept(t.Context(), q, letter(fmt.Sprint(i), 500)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantEachOnce(t, q, 20)
	if warnings, err := q.Check(t.Context()); err != nil || len(warnings) != 0 {
		t.Errorf("check = %q, %v", warnings, err)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
