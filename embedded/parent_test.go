//go:build linux

package embedded_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// parentVariable makes TestParent, in a process of its own, start servers and
// wait to be killed.
const parentVariable = "LOGBATCHER_TEST_PARENT"

func TestParent(t *testing.T) {
	folder := os.Getenv(parentVariable)
	if folder == "" {
		t.Skip("part of TestServersDieWithTheirParent")
	}
	clickhouse := embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: folder + "/clickhouse"})
	redis := embedded.NewRedis(embedded.RedisConfig{Directory: folder + "/redis"})
	if err := clickhouse.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := redis.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.Pause(); err != nil { // even a frozen one must go
		t.Fatal(err)
	}
	fmt.Println("started", clickhouse.Address(), redis.Address())
	select {}
}

func TestServersDieWithTheirParent(t *testing.T) {
	embeddedtest.ClickHouse(t) // skips where there is none
	parent := exec.Command(os.Args[0], "-test.run=^TestParent$", "-test.v")
	parent.Env = append(os.Environ(), parentVariable+"="+t.TempDir())
	output, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait()
	defer parent.Process.Kill()
	var addresses []string
	lines := bufio.NewScanner(output)
	for len(addresses) == 0 && lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "started "); ok {
			addresses = strings.Fields(rest)
		}
	}
	if len(addresses) != 2 {
		t.Fatalf("the parent started %v", addresses)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, address := range addresses {
		if parsed, err := url.Parse(address); err == nil && parsed.Host != "" {
			address = parsed.Host
		}
		awaitClosed(t, address)
	}
}

// awaitClosed waits until nothing listens at the address.
func awaitClosed(t *testing.T, address string) {
	t.Helper()
	embeddedtest.Eventually(t, address+" is closed", func() bool {
		connection, err := net.Dial("tcp", address)
		if err != nil {
			return true
		}
		_ = connection.Close()
		return false
	})
}
