package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// second returns a bench with the same servers and another folder, for another instance.
func (b *bench) second(t *testing.T) *bench {
	t.Helper()
	other := numbered(t, b.clickhouse, b.redis)
	other.change = func(c *config.Config) { c.Instance.ID = "second" }
	return other
}

// balance returns a cutter that passes each connection to the next of several addresses.
func balance(t *testing.T, addresses ...string) *cutter {
	t.Helper()
	var turn atomic.Uint64
	return newSwitch(t, func() string { return addresses[turn.Add(1)%uint64(len(addresses))] })
}

// TestB13TwoInstances moves producers between two instances, again and again, with acknowledgements under way.
func TestB13TwoInstances(t *testing.T) {
	times := 4
	if !testing.Short() {
		times = 30
	}
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	a, c := b.start(t), b.second(t).start(t)
	between := balance(t, b.address, c.bench.address)
	tr := b.traffic(t)
	tr.address = between.listener.Addr().String()
	tr.flow(t, 3)
	for k := range times {
		tr.progress(t, 3+k%8)
		between.cut()
	}
	tr.progress(t, 10)
	tr.finish(t)
	tr.verify(t)
	moved := a.metric(t, "logbatcher_producers_given_up_total") + c.metric(t, "logbatcher_producers_given_up_total")
	if moved == 0 || a.metric(t, "logbatcher_producers_taken_total")+c.metric(t, "logbatcher_producers_taken_total") != 0 {
		t.Errorf("%v producers were given up; the logs say what else", moved)
	}
	t.Logf("%v producers were given up", moved)
}

// TestHTTPNeedsNoAffinity posts requests with sequences to two instances in turn, each twice.
func TestHTTPNeedsNoAffinity(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	withHTTP := func(c *config.Config) { c.Listen.HTTP = "127.0.0.1:0" }
	b.change = withHTTP
	other := b.second(t)
	name := other.change
	other.change = func(c *config.Config) { name(c); withHTTP(c) }
	first, second := b.start(t), other.start(t)
	addresses := []string{address(first.httpListener), address(second.httpListener)}
	for sequence := 1; sequence <= 3; sequence++ {
		for repeat := range 2 {
			to := addresses[(sequence+repeat)%2]
			eventually(t, fmt.Sprintf("%s takes request %d", to, sequence), func() bool {
				status, body := post(t, "http://"+to+"/v1/ingest", fmt.Sprintf(`{"n":%d,"message":"x"}`, sequence-1), map[string]string{
					"logbatcher-producer": "poster", "logbatcher-sequence": fmt.Sprint(sequence),
				})
				if status != 200 && status != 503 {
					t.Fatalf("request %d: %d %s", sequence, status, body)
				}
				return status == 200
			})
		}
	}
	for n, count := range b.numbers(t, "numbered") {
		if count != 1 {
			t.Errorf("number %d is there %d times", n, count)
		}
	}
	if n := len(b.numbers(t, "numbered")); n != 3 {
		t.Errorf("%d numbers", n)
	}
}

// post posts a body and returns the status and the answer.
func post(t *testing.T, url, body string, headers map[string]string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}

// node is an instance in a process of its own, which can be killed.
type node struct {
	*process
	bench   *bench
	address string
	options []string
}

// node starts an instance with a folder of its own.
func (b *bench) node(t *testing.T, name string, options ...string) *node {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &node{bench: b, address: listener.Addr().String()}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	n.options = append([]string{
		"serve", "--config", b.file, "--set", "listen.grpc=" + n.address, "--set", "listen.http=", "--set", "instance.id=" + name,
		"--set", "memory.limit=2GiB", "--set", "clickhouse.addresses=" + strings.TrimPrefix(b.clickhouse.Address, "http://"),
		"--set", "clickhouse.database=" + b.clickhouse.Database, "--set", "redis.addresses=" + b.redis.Address(),
		"--set", "shards.linger=20ms", "--set", "wal.dir=" + filepath.Join(filepath.Dir(b.file), name),
	}, options...)
	if b.clickhouse.Username != "" {
		n.options = append(n.options, "--set", "clickhouse.user="+b.clickhouse.Username, "--set", "clickhouse.password="+b.clickhouse.Password)
	}
	n.restart(t)
	return n
}

// restart starts the instance again, with options beside those it had.
func (n *node) restart(t *testing.T, options ...string) {
	t.Helper()
	n.process = startProcess(t, append(n.options, options...)...)
	n.logged(t, `msg=serving .*grpc=(\S+)`)
}

// kill ends the instance as a crash does.
func (n *node) kill(t *testing.T) {
	t.Helper()
	if err := n.command.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-n.ended
}

// TestB14KilledInstanceReturns kills one of two instances. Its producers wait for it, and it has not forgotten them.
func TestB14KilledInstanceReturns(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	first, second := b.node(t, "first"), b.node(t, "second")
	between := balance(t, first.address, second.address)
	tr := b.traffic(t)
	tr.address = between.listener.Addr().String()
	tr.flow(t, 3)
	for k := range 2 {
		tr.progress(t, 5)
		victim := []*node{first, second}[k%2]
		victim.kill(t)
		victim.restart(t)
	}
	tr.progress(t, 10)
	tr.finish(t)
	tr.verify(t)
}

// TestB14ReleasedWhileAway has an operator release the producers of an instance that was killed with requests that are in its log and in no
// batch. Their client sends them to the other instance. When the first returns it does not store them again.
func TestB14ReleasedWhileAway(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	first := b.node(t, "first", "--set", "shards.linger=10m")
	target := atomic.Pointer[string]{}
	target.Store(&first.address)
	between := newSwitch(t, func() string { return *target.Load() })
	tr := b.traffic(t)
	tr.address = between.listener.Addr().String()
	p := tr.producer(t, "api-1/0", tr.connect(t))
	for range 5 {
		if err := tr.send(t.Context(), p, 20); err != nil {
			t.Fatal(err)
		}
	}
	conn := tr.connect(t)
	eventually(t, "the requests are logged", func() bool {
		states := listProducers(t, conn)
		return len(states) == 1 && states[0].GetOwn().GetLoggedSequence() == 5
	})
	first.kill(t)
	second := b.node(t, "second")
	target.Store(&second.address)
	between.cut()
	wantOwned(t, tr, second.address)

	status, out, errs := command(t, "", "producers", "list", "--address", second.address)
	if status != exitOK || !strings.Contains(out, "api-1/0") || !strings.Contains(out, "first") {
		t.Errorf("list: %d, %s, %s", status, out, errs)
	}
	status, out, errs = command(t, "", "producers", "release", "api-1/0", "--address", second.address)
	if status != exitOK || !strings.Contains(out, "would be released: api-1/0, owner first") || !strings.Contains(out, "Nothing was changed") {
		t.Errorf("release: %d, %s, %s", status, out, errs)
	}
	status, out, errs = command(t, "", "producers", "release", "api-1/0", "--address", second.address, "--yes")
	if status != exitOK || !strings.Contains(out, "1 producer released") {
		t.Errorf("release: %d, %s, %s", status, out, errs)
	}
	tr.progress(t, 5)
	first.restart(t, "--set", "shards.linger=20ms")
	first.logged(t, `its entries that were in the log alone are dropped.* (entries=100)`)
	for range 5 {
		if err := tr.send(t.Context(), p, 20); err != nil {
			t.Fatal(err)
		}
	}
	tr.finish(t)
	first.signalUntilEnded(t, 15)
	second.signalUntilEnded(t, 15)
	tr.verify(t)
}

// TestB15EmptyVolume: an instance that comes back without its folder is not the owner of what it had, and says so.
func TestB15EmptyVolume(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	first := b.node(t, "first")
	tr := b.traffic(t)
	tr.address = first.address
	p := tr.producer(t, "api-1/0", tr.connect(t))
	if err := tr.send(t.Context(), p, 20); err != nil {
		t.Fatal(err)
	}
	tr.progress(t, 1)
	first.kill(t)
	first.restart(t, "--set", "wal.dir="+filepath.Join(t.TempDir(), "empty"))
	first.logged(t, `(1 belong to another log of an instance that is named first like this one)`)
	wantOwned(t, tr, first.address)
	if status, out, errs := command(t, "", "producers", "release", "--all", "--yes", "--address", first.address); status != exitOK {
		t.Errorf("release: %d, %s, %s", status, out, errs)
	}
	if err := tr.send(t.Context(), p, 20); err != nil {
		t.Fatal(err)
	}
	tr.finish(t)
	tr.verify(t)
}

// wantOwned has an instance refuse the producer api-1/0, because it belongs to the one that is named first.
func wantOwned(t *testing.T, tr *traffic, address string) {
	t.Helper()
	tr.address = address
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := logbatcherv1.NewIngestServiceClient(tr.connect(t)).Ingest(ctx, &logbatcherv1.IngestRequest{Open: &logbatcherv1.Open{Producer: "api-1/0"}})
	var owner, delay bool
	for _, detail := range grpcstatus.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			owner = d.Reason == "OWNED_ELSEWHERE" && d.Metadata["owner"] == "first" && d.Metadata["address"] != ""
		case *errdetails.RetryInfo:
			delay = true
		}
	}
	if !owner || !delay || grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("opened at %s: %v", address, err)
	}
}

// listProducers asks an instance for its producers; it returns none while that does not answer.
func listProducers(t *testing.T, conn *grpc.ClientConn) (states []*logbatcherv1.ProducerState) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	calls, err := logbatcherv1.NewAdminServiceClient(conn).ListProducers(ctx, &logbatcherv1.ListProducersRequest{})
	if err != nil {
		return nil
	}
	for {
		response, err := calls.Recv()
		if err != nil {
			if code := grpcstatus.Code(err); code != codes.Unknown && code != codes.Unavailable && code != codes.OK {
				t.Errorf("list: %v", err)
			}
			return states
		}
		states = append(states, response.Producer)
	}
}
