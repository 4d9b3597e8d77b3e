// Package embeddedtest provides real ClickHouse and Redis servers to tests.
//
// A test asks for a server and gets one with a fresh database. The server is started if necessary, and stopped when the test ends,
// or, for the shared ClickHouse, when the test process does. Where a server is unavailable, the test is skipped with the
// reason, unless RequireVariable forbids that.
//
// A package that uses it calls Main in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }
package embeddedtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/embedded"
)

// Environment variables that tests obey.
const (
	// ClickHouseVariable is the URL of a real server's HTTP interface,
	// "http://user:password@host:8123", to be used instead of the shared engine.
	ClickHouseVariable = "LOGBATCHER_TEST_CLICKHOUSE"
	// RequireVariable, set to 1, makes tests fail where they would be skipped for
	// want of a server. Continuous integration sets it.
	RequireVariable = "LOGBATCHER_TEST_REQUIRE_ENGINE"
)

// startTimeout bounds the start of a server with all that has to be installed
// or built for it.
const startTimeout = 5 * time.Minute

// stopTimeout bounds the stop of a server.
const stopTimeout = 30 * time.Second

// Main runs a package's tests, stops what they shared, and then fails if a
// goroutine is left over. It returns the exit status. The options are for
// goroutines that may stay.
func Main(m *testing.M, options ...goleak.Option) int {
	status := m.Run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "embeddedtest:", err)
		status = max(status, 1)
	}
	http.DefaultClient.CloseIdleConnections()
	if status != 0 {
		return status
	}
	if err := goleak.Find(options...); err != nil {
		fmt.Fprintln(os.Stderr, "embeddedtest: goroutines are left over:", err)
		return 1
	}
	return 0
}

// IgnoreShared lets a leak check inside of a test overlook the goroutines of the
// shared ClickHouse.
func IgnoreShared() []goleak.Option {
	return []goleak.Option{
		goleak.IgnoreAnyFunction("github.com/logbatcher/logbatcher/embedded.(*process).own"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).writerDescriptor.func1"),
	}
}

// unavailable ends a test that cannot have its server: skipped where something
// is missing on this machine, failed otherwise.
func unavailable(t testing.TB, err error) {
	t.Helper()
	var missing *embedded.UnavailableError
	if !errors.As(err, &missing) {
		t.Fatalf("start server: %v", err)
	}
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf("%s=1 and there is no server: %v", RequireVariable, err)
	}
	t.Skipf("skipped, because there is no server: %v", err)
}

// stopAtEnd stops a server when the test ends.
func stopAtEnd(t testing.TB, stop func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Errorf("stop server: %v", err)
		}
	})
}
