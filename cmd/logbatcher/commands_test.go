package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// command runs one command as main does, and returns its exit status and what it printed.
func command(t *testing.T, in string, arguments ...string) (status int, out, errs string) {
	t.Helper()
	var stdout, stderr strings.Builder
	status = run(arguments, strings.NewReader(in), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// closedAddress returns an address without a listener.
func closedAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// TestCommands runs the tools against a gateway with the firehose.
func TestCommands(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "colo: TST\n")
	i := b.start(t)
	host := strings.TrimPrefix(b.clickhouse.Address, "http://")
	store := []string{
		"--config", b.file, "--set", "clickhouse.addresses=" + host, "--set", "clickhouse.database=" + b.clickhouse.Database,
		"--set", "redis.addresses=" + b.redis.Address(),
	}
	if b.clickhouse.Username != "" {
		store = append(store, "--set", "clickhouse.user="+b.clickhouse.Username, "--set", "clickhouse.password="+b.clickhouse.Password)
	}
	nowhere := []string{"--config", b.file, "--set", "clickhouse.addresses=" + closedAddress(t), "--set", "redis.addresses=" + b.redis.Address()}
	wrong := filepath.Join(t.TempDir(), "wrong.yaml")
	if err := os.WriteFile(wrong, []byte("colour: red\nshards: {linger: 5}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fresh, old := time.Now().UTC().Format(time.RFC3339), time.Now().AddDate(0, 0, -20).UTC().Format(time.RFC3339)
	with := func(words []string, more ...string) []string { return append(append([]string{}, more...), words...) }
	send := func(more ...string) []string {
		return append([]string{"send", "--address", b.address, "--quiet"}, more...)
	}

	for _, test := range []struct {
		name      string
		in        string
		arguments []string
		status    int
		out, errs string // parts of what is printed
	}{
		{name: "help", arguments: []string{"--help"}, out: "serve"},
		{name: "version", arguments: []string{"--version"}, out: "logbatcher version"},
		{name: "unknown command", arguments: []string{"sned"}, status: 1, errs: "sned"},
		{name: "unknown flag", arguments: []string{"serve", "--colour"}, status: 1, errs: "--colour"},
		{name: "wrong value", arguments: []string{"serve", "--set", "shards.linger=fast"}, status: 1, errs: "shards.linger"},
		{name: "serve with a wrong file", arguments: []string{"serve", "--config", wrong}, status: 1, errs: "wrong.yaml:1:1"},
		{name: "serve without its file", arguments: []string{"serve", "--config", wrong + ".none"}, status: 1, errs: "no such file"},
		{name: "config check", arguments: []string{"config", "check", b.file}, out: "no problem; 1 routes"},
		{name: "config check of a wrong file", arguments: []string{"config", "check", wrong}, status: 1, errs: "wrong.yaml:2:18"},
		{name: "config check without a file", arguments: []string{"config", "check"}, status: 1, errs: "arg"},
		{name: "config show", arguments: []string{"config", "show", b.file}, out: "colo: TST # " + b.file + ":1:7"},

		{name: "send", in: `{"time":"` + fresh + `","message":"one","service":"cli"}` + "\n" + `{"time":"` + fresh + `","message":"two","service":"cli"}` + "\n", arguments: send("-"), out: "2"},
		{name: "send a line that is too old", in: `{"time":"` + old + `","message":"three","service":"cli"}` + "\n", arguments: send("-"), status: 3, out: "480h", errs: "refused"},
		{name: "send restamped", in: `{"time":"` + old + `","message":"four","service":"cli"}` + "\n", arguments: send("--restamp", "-")},
		{name: "send no file", arguments: send(), status: 1, errs: "arg"},
		{name: "send a missing file", arguments: send(wrong + ".none"), status: 1, errs: "no such file"},
		{name: "send with a wrong attribute", arguments: send("--attribute", "novalue", "-"), status: 1, errs: "KEY=VALUE"},
		{name: "send with a wrong zone", arguments: send("--time-zone", "Mars/Base", "-"), status: 1, errs: "Mars/Base"},

		{name: "query", arguments: with(store, "query", "--format", "TSV", "SELECT Body FROM otel_logs ORDER BY Body"), out: "four\none\ntwo\n"},
		{name: "query with a format", arguments: with(store, "query", "SELECT Body FROM otel_logs ORDER BY Body LIMIT 1 FORMAT JSONEachRow;"), out: `{"Body":"four"}`},
		{name: "wrong query", arguments: with(store, "query", "SELECT nothing FROM otel_logs"), status: 1, errs: "nothing"},
		{name: "query without SQL", arguments: with(store, "query"), status: 1, errs: "arg"},
		{name: "query nowhere", arguments: with(nowhere, "query", "SELECT 1"), status: 1, errs: "refused"},

		{name: "schema plan, nothing to do", arguments: with(store, "schema", "plan"), out: "otel_logs"},
		{name: "schema plan nowhere", arguments: with(nowhere, "schema", "plan"), status: 1, errs: "refused"},
		{name: "schema apply", arguments: with(store, "schema", "apply")},
		{name: "schema apply, unknown name", arguments: with(store, "schema", "apply", "--allow", "column Body"), status: 1, errs: "Nothing was changed"},
		{name: "schema apply nowhere", arguments: with(nowhere, "schema", "apply"), status: 1, errs: "refused"},
		{name: "retention dry run", arguments: with(store, "retention", "run", "--dry-run"), out: "otel_logs"},
		{name: "retention of an unknown table", arguments: with(store, "retention", "run", "--table", "none"), status: 1, errs: "none"},
		{name: "retention", arguments: with(store, "retention", "run", "--table", "otel_logs"), out: "otel_logs"},
		{name: "retention nowhere", arguments: with(nowhere, "retention", "run"), status: 1, errs: "refused"},
		{name: "query after retention", arguments: with(store, "query", "--format", "TSV", "SELECT count() FROM otel_logs"), out: "3\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, out, errs := command(t, test.in, test.arguments...)
			if status != test.status || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) {
				t.Errorf("%q: exit status %d, want %d; printed %q, want %q in it; complained %q, want %q in it",
					test.arguments, status, test.status, out, test.out, errs, test.errs)
			}
			if test.status == 0 && strings.Contains(errs, "logbatcher: ") {
				t.Errorf("complained %q", errs)
			}
		})
	}
	if ok, reasons := i.status.Ready(); !ok {
		t.Errorf("the gateway is not ready: %q", reasons)
	}
}

// TestListenAddressTaken starts a second gateway on the address of the first.
func TestListenAddressTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	status, _, errs := command(t, "", "serve", "--set", "listen.grpc="+listener.Addr().String(), "--set", "listen.http=", "--set", "clickhouse.addresses="+closedAddress(t),
		"--set", "wal.dir="+t.TempDir())
	if want := fmt.Sprintf("listen.grpc: listen tcp %s", listener.Addr()); status != 1 || !strings.Contains(errs, want) {
		t.Errorf("exit status %d, %q; want 1, %q", status, errs, want)
	}
}
