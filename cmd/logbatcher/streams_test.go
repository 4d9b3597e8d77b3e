package main

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// TestManyStreams has a hundred streams at once, on five connections.
func TestManyStreams(t *testing.T) {
	streams, requests := 100, 5
	if !testing.Short() {
		requests = 50
	}
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	b.start(t)
	tr := b.traffic(t)
	tr.window = requests
	tr.open(t, streams, 5)
	for range requests {
		tr.sendEach(t)
	}
	tr.finish(t)
	tr.verify(t)
}

// TestThousandStreamsWait has a thousand streams whose requests are many times the budget, while ClickHouse takes nothing.
func TestThousandStreamsWait(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const budget = 4 * settings.MiB
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.change = func(c *config.Config) {
		c.Memory.Budget = budget
		c.Server.Limits.MaxRequestBytes, c.Server.Limits.MaxStreams = settings.MiB, 1000
		c.Shards.MaxBatchBytes, c.Shards.MaxOpenBatches = settings.MiB, 4
	}
	i := b.start(t)
	tr := b.traffic(t)
	tr.body = strings.Repeat("x", 1000)
	tr.open(t, 1000, 10)
	before := heap()
	if err := b.clickhouse.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		tr.sendEach(t)
	}
	most, highest := 0, uint64(0)
	eventually(t, "a stream waits for the table", func() bool {
		most, highest = max(most, i.budget.Used()), max(highest, heap())
		return i.metric(t, "logbatcher_throttled_streams") > 0
	})
	for range 300 {
		most, highest = max(most, i.budget.Used()), max(highest, heap())
		eventually(t, "the gateway still answers", func() bool { ready, _ := i.status.Ready(); return ready })
	}
	if err := b.clickhouse.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	tr.finish(t)
	tr.verify(t)
	if most > int(budget)*5/4 {
		t.Errorf("%d bytes in flight, the budget is %d", most, int(budget))
	}
	t.Logf("budget %d, at most %d in flight; heap, with all the producers' own, %d MiB before and at most %d MiB", int(budget), most, before>>20, highest>>20)
	eventually(t, "all bytes are given back", func() bool { return i.budget.Used() == 0 })
}

// open runs producers and waits until their streams are welcomed.
func (tr *traffic) open(t *testing.T, streams, connections int) {
	t.Helper()
	var conns []*grpc.ClientConn
	for range connections {
		conns = append(conns, tr.connect(t))
	}
	for k := range streams {
		tr.producer(t, "test/"+itoa(k), conns[k%len(conns)])
	}
	eventually(t, "all streams are open", func() bool {
		for _, p := range tr.clients {
			if p.Statistics().Streams == 0 {
				return tr.failed()
			}
		}
		return true
	})
	tr.check(t)
}

// sendEach sends a request by each producer.
func (tr *traffic) sendEach(t *testing.T) {
	t.Helper()
	for _, p := range tr.clients {
		if err := tr.send(t.Context(), p, tr.request); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionsCut cuts connections under load: producers resume where the gateway was, and nothing is doubtful.
func TestConnectionsCut(t *testing.T) {
	times := 10
	if !testing.Short() {
		times = 100
	}
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	b.start(t)
	between := newCutter(t, b.address)
	tr := b.traffic(t)
	tr.address = between.listener.Addr().String()
	tr.flow(t, 4)
	for k := range times {
		tr.progress(t, 1+k%8)
		between.cut()
	}
	tr.progress(t, 10)
	streams := 0
	for _, p := range tr.clients {
		streams += p.Statistics().Streams
	}
	if streams < times {
		t.Errorf("only %d streams were opened, the connections were cut %d times", streams, times)
	}
	tr.finish(t)
	tr.verify(t)
}

// cutter passes connections on, and cuts them when it is told.
type cutter struct {
	listener net.Listener
	target   func() string // the address for the next connection
	running  sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
	ended bool
}

func newCutter(t *testing.T, target string) *cutter {
	t.Helper()
	return newSwitch(t, func() string { return target })
}

// newSwitch is newCutter with an address for each connection.
func newSwitch(t *testing.T, target func() string) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{listener: listener, target: target}
	c.running.Add(1)
	go func() {
		defer c.running.Done()
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.pass(conn)
		}
	}()
	t.Cleanup(c.close)
	return c
}

// close cuts all connections and refuses others from now on.
func (c *cutter) close() {
	_ = c.listener.Close()
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.cut()
	c.running.Wait()
}

// pass passes a connection on.
func (c *cutter) pass(near net.Conn) {
	far, err := net.Dial("tcp", c.target())
	if err != nil {
		_ = near.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		_, _ = near.Close(), far.Close()
		return
	}
	c.conns = append(c.conns, near, far)
	for from, to := range map[net.Conn]net.Conn{near: far, far: near} {
		c.running.Add(1)
		go func() {
			defer c.running.Done()
			_, _ = io.Copy(to, from)
			_, _ = to.Close(), from.Close()
		}()
	}
}

// cut cuts all connections.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}
