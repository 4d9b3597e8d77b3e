package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

func TestMain(m *testing.M) {
	if os.Getenv(commandVariable) != "" {
		main()
	}
	redis.SetLogger(quiet{})
	os.Exit(embeddedtest.Main(m))
}

// patience is how long a test waits for what has to happen on a busy machine.
const patience = 90 * time.Second

// numberedColumns and numberedRoute are the table of entries that are numbered: n says which one, bad is what constraints of the
// tests refuse.
const (
	numberedColumns = `
  - {name: n, type: UInt64, source: 'attributes["n"]', required: true}
  - {name: bad, type: UInt8, source: 'attributes["bad"]'}
  - {name: time, type: DateTime64(9), source: time}
  - {name: body, type: String, source: body}
`
	numberedRoute = `
  - {name: numbered, table: numbered, order_by: n, partition_by: "", columns: [n, bad, time, body], retention: {max_age: 0}}
`
)

// bench is a ClickHouse, a Redis and the configuration of a gateway between producers and them.
type bench struct {
	clickhouse *embeddedtest.Server
	redis      *embedded.Server
	file       string
	address    string // of the gateway, once one has been started
	change     func(*config.Config)
}

// newBench writes the configuration. Its addresses are filled in when it is loaded.
func newBench(t *testing.T, server *embeddedtest.Server, store *embedded.Server, text string) *bench {
	t.Helper()
	b := &bench{clickhouse: server, redis: store, file: filepath.Join(t.TempDir(), "logbatcher.yaml"), address: "127.0.0.1:0"}
	b.write(t, text)
	return b
}

// numbered is a bench with the table of numbered entries.
func numbered(t *testing.T, server *embeddedtest.Server, store *embedded.Server) *bench {
	t.Helper()
	return newBench(t, server, store, "columns:"+numberedColumns+"routes:"+numberedRoute)
}

// write replaces the configuration's columns and routes.
func (b *bench) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(b.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// load is what the gateway loads its configuration with, at the start and again.
func (b *bench) load(ctx context.Context) (*config.Config, error) {
	c, err := config.Load(ctx, b.file, nil, nil)
	if err != nil {
		return nil, err
	}
	address, err := url.Parse(b.clickhouse.Address)
	if err != nil {
		return nil, err
	}
	c.Instance.ID = "test"
	c.WAL.Dir = filepath.Join(filepath.Dir(b.file), "wal")
	c.Listen = config.Listen{GRPC: b.address}
	c.Memory.Limit = 4 * settings.GiB
	c.Shards.Linger, c.Shards.Shards = 30*time.Millisecond, 2
	c.ClickHouse.Addresses, c.ClickHouse.Database, c.ClickHouse.Fsync = []string{address.Host}, b.clickhouse.Database, false
	if b.clickhouse.Username != "" {
		c.ClickHouse.User, c.ClickHouse.Password = b.clickhouse.Username, settings.Secret(b.clickhouse.Password)
	}
	c.ClickHouse.Retry = config.Retry{Backoff: sink.Backoff{Min: 20 * time.Millisecond, Max: 500 * time.Millisecond}}
	c.ClickHouse.HoldBackoff = time.Second
	c.ClickHouse.LateAfter = 0 // nothing lies between the gateway and ClickHouse
	c.Redis.Addresses = []string{b.redis.Address()}
	c.Producers.Every, c.Producers.Grace = 50*time.Millisecond, 0 // this Redis has just started, and nobody owned anything
	if b.change != nil {
		b.change(c)
	}
	return c, nil
}

// instance is a gateway that runs in this process.
type instance struct {
	*gateway
	bench  *bench
	reload chan os.Signal
	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of run, once ended is closed
	log    *logBuffer
}

// start runs a gateway until the test ends or stop is called. The next one takes the same address.
func (b *bench) start(t *testing.T) *instance {
	t.Helper()
	cfg, err := b.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := newLogBuffer(t)
	g, err := newGateway(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	i := &instance{gateway: g, bench: b, reload: make(chan os.Signal), cancel: cancel, ended: make(chan struct{}), log: log}
	started := make(chan struct{})
	go func() {
		defer close(i.ended)
		i.err = g.run(ctx, b.load, i.reload, func(*gateway) { close(started) })
	}()
	t.Cleanup(func() { i.stop(t) })
	select {
	case <-started:
	case <-i.ended:
		t.Fatalf("the gateway did not start: %v", i.err)
	case <-time.After(patience):
		t.Fatal("the gateway did not start in time")
	}
	b.address = g.grpcListener.Addr().String()
	return i
}

// stop ends the gateway as a signal would and fails the test unless everything was settled.
func (i *instance) stop(t *testing.T) {
	t.Helper()
	i.cancel()
	select {
	case <-i.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not stop")
	}
	if i.err != nil {
		t.Errorf("the gateway ended with %v", i.err)
	}
	i.err = nil // reported once
}

// hangUp sends a SIGHUP and waits until the log has one of the texts behind it.
func (i *instance) hangUp(t *testing.T, told string) {
	t.Helper()
	before := i.log.count(told)
	select {
	case i.reload <- syscall.SIGHUP:
	case <-time.After(patience):
		t.Fatal("nobody takes the SIGHUP")
	}
	eventually(t, "the log says "+strconv.Quote(told), func() bool { return i.log.count(told) > before })
}

// logBuffer keeps a log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// newLogBuffer returns an empty log, whose end is printed when the test has failed.
func newLogBuffer(t *testing.T) *logBuffer {
	l := &logBuffer{}
	t.Cleanup(func() { l.showIfFailed(t) })
	return l
}

// shownLines is how much of a log a person is shown.
const shownLines = 100

// showIfFailed prints the last lines of the log if the test has failed.
func (l *logBuffer) showIfFailed(t *testing.T) {
	lines := strings.SplitAfter(l.String(), "\n")
	if !t.Failed() || len(lines) == 1 {
		return
	}
	t.Logf("the last of %d lines of the log:\n%s", len(lines), strings.Join(lines[max(0, len(lines)-shownLines):], ""))
}

// String returns the log.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Write implements io.Writer.
func (l *logBuffer) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// count says how often the log has the text.
func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Count(l.text.Bytes(), []byte(text))
}

// eventually blocks until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	embeddedtest.Eventually(t, what, holds)
}

// traffic numbers entries and keeps what became of them.
type traffic struct {
	bench    *bench
	address  string           // of the gateway, or of something before it
	isBad    func(n int) bool // entries that the table's constraint refuses; nil: none
	request  int              // entries of a request
	window   int              // requests that a producer may have uncommitted
	body     string
	conns    []*grpc.ClientConn
	clients  []*client.Producer
	log      *logBuffer // of all clients
	running  sync.WaitGroup
	stopSend chan struct{}
	// mayDouble says that a gateway was ended before everything was settled.
	mayDouble bool

	mu       sync.Mutex
	numbered int // numbers given out
	accepted []bool
	problems []error
	refused  []*logbatcherv1.Refusal
	letters  []*logbatcherv1.DeadLettered
}

func (b *bench) traffic(t *testing.T) *traffic {
	return &traffic{bench: b, address: b.address, request: 20, window: 8, log: newLogBuffer(t), stopSend: make(chan struct{})}
}

// entries returns the next numbers as entries of one request.
func (tr *traffic) entries(count int) (first int, entries []*logbatcherv1.Entry) {
	tr.mu.Lock()
	first = tr.numbered
	tr.numbered += count
	tr.accepted = append(tr.accepted, make([]bool, count)...)
	tr.mu.Unlock()
	now := uint64(time.Now().UnixNano())
	for n := first; n < first+count; n++ {
		e := &logbatcherv1.Entry{
			TimeUnixNano: now, Body: tr.body, Service: "test",
			Attributes: []*logbatcherv1.Attribute{{Key: "n", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: int64(n)}},
		}
		if tr.isBad != nil && tr.isBad(n) {
			e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "bad", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 1})
		}
		entries = append(entries, e)
	}
	return first, entries
}

// send sends the next numbers as one request.
func (tr *traffic) send(ctx context.Context, p *client.Producer, count int) error {
	first, entries := tr.entries(count)
	if err := p.Send(ctx, entries...); err != nil {
		return err
	}
	tr.mu.Lock()
	for n := first; n < first+count; n++ {
		tr.accepted[n] = true
	}
	tr.mu.Unlock()
	return nil
}

// connect returns a connection to the gateway that comes back soon after it was lost.
func (tr *traffic) connect(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(tr.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 20 * time.Millisecond, Multiplier: 1.5, MaxDelay: 200 * time.Millisecond}, MinConnectTimeout: 10 * time.Second,
		}))
	if err != nil {
		t.Fatal(err)
	}
	tr.conns = append(tr.conns, conn)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// producer starts a producer, until finish.
func (tr *traffic) producer(t *testing.T, id string, conn *grpc.ClientConn) *client.Producer {
	t.Helper()
	c := client.DefaultConfig(id)
	c.Conns = []grpc.ClientConnInterface{conn}
	c.MinBackoff, c.MaxBackoff = 20*time.Millisecond, 200*time.Millisecond
	c.BatchEntries, c.BatchBytes, c.Linger = tr.request, 4<<20-1<<10, 10*time.Millisecond
	c.MaxBytes = tr.window * tr.request * (len(tr.body) + 100)
	c.FlushTimeout = patience
	c.Log = slog.New(slog.NewTextHandler(tr.log, nil))
	c.OnRefusal = func(r client.Refused) {
		tr.mu.Lock()
		tr.refused = append(tr.refused, r.Refusal)
		tr.mu.Unlock()
	}
	c.OnDeadLettered = func(l *logbatcherv1.DeadLettered) {
		tr.mu.Lock()
		tr.letters = append(tr.letters, l)
		tr.mu.Unlock()
	}
	p, err := client.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	tr.clients = append(tr.clients, p)
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-p.Done():
			tr.report(fmt.Errorf("producer %s: %w", id, p.Err()))
		case <-ended:
		}
	}()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = p.Close(ctx) // finish has looked at it
		close(ended)
		<-watched
	})
	return p
}

func (tr *traffic) report(err error) {
	tr.mu.Lock()
	tr.problems = append(tr.problems, err)
	tr.mu.Unlock()
}

// flow starts producers, each with a connection, that send as fast as their windows allow, until finish.
func (tr *traffic) flow(t *testing.T, producers int) {
	t.Helper()
	for k := range producers {
		p := tr.producer(t, fmt.Sprintf("test/%d", k), tr.connect(t))
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		stopped := make(chan struct{})
		tr.running.Add(1)
		go func() {
			defer tr.running.Done()
			defer close(stopped)
			for {
				select {
				case <-tr.stopSend:
					return
				default:
				}
				if err := tr.send(ctx, p, tr.request); err != nil {
					if ctx.Err() == nil && !errors.Is(err, client.ErrClosed) {
						tr.report(err)
					}
					return
				}
			}
		}()
		t.Cleanup(func() { cancel(); <-stopped })
	}
}

// committed is how many requests are.
func (tr *traffic) committed() (requests uint64) {
	for _, p := range tr.clients {
		requests += p.Statistics().Reached / uint64(tr.request)
	}
	return requests
}

// progress waits until that many more requests are committed.
func (tr *traffic) progress(t *testing.T, requests int) {
	t.Helper()
	target := tr.committed() + uint64(requests)
	eventually(t, fmt.Sprintf("%d more requests are committed", requests), func() bool {
		return tr.committed() >= target || tr.failed()
	})
	tr.check(t)
}

func (tr *traffic) failed() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return len(tr.problems) > 0
}

func (tr *traffic) check(t *testing.T) {
	t.Helper()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if err := errors.Join(tr.problems...); err != nil {
		t.Fatal(err)
	}
}

// finish ends sending, waits until everything is committed, and checks that nothing may have been doubled.
func (tr *traffic) finish(t *testing.T) {
	t.Helper()
	close(tr.stopSend)
	var closing sync.WaitGroup
	for k, p := range tr.clients {
		closing.Go(func() {
			if err := p.Close(context.WithoutCancel(t.Context())); err != nil {
				tr.report(fmt.Errorf("producer %d: %w: %+v", k, err, p.Statistics()))
			}
		})
	}
	closing.Wait()
	tr.running.Wait()
	tr.check(t)
	for k, p := range tr.clients {
		if s := p.Statistics(); s.Doubtful > 0 && !tr.mayDouble || s.Given != s.Reached {
			t.Errorf("producer %d: %+v, want everything committed and nothing doubtful", k, s)
		}
	}
	for _, conn := range tr.conns {
		_ = conn.Close()
	}
}

// verify compares what was sent with the table and the dead letters: each number is in exactly one place, once. It returns how many
// were dead-lettered.
func (tr *traffic) verify(t *testing.T) (deadLettered int) {
	t.Helper()
	return tr.verifyTable(t, "numbered")
}

func (tr *traffic) verifyTable(t *testing.T, tables ...string) (deadLettered int) {
	t.Helper()
	rows := map[int]int{}
	for _, table := range tables {
		for number, count := range tr.bench.numbers(t, table) {
			rows[number] += count
		}
	}
	letters := tr.bench.letters(t)
	tr.mu.Lock()
	defer tr.mu.Unlock()
	if tr.numbered == 0 || len(rows)+len(letters) == 0 {
		t.Errorf("nothing was sent (%d) or nothing arrived (%d rows, %d dead letters)", tr.numbered, len(rows), len(letters))
	}
	var lost, doubled, misplaced, unknown []int
	for n, accepted := range tr.accepted {
		inTable, inRedis := rows[n], letters[n]
		delete(rows, n)
		delete(letters, n)
		bad := tr.isBad != nil && tr.isBad(n)
		switch {
		case inTable+inRedis > 1 && !(tr.mayDouble && inTable == 2):
			doubled = append(doubled, n)
		case inTable+inRedis == 0 && accepted:
			lost = append(lost, n)
		case inTable > 0 && bad || inRedis > 0 && !bad:
			misplaced = append(misplaced, n)
		}
		deadLettered += inRedis
	}
	for n := range rows {
		unknown = append(unknown, n)
	}
	for n := range letters {
		unknown = append(unknown, n)
	}
	for what, numbers := range map[string][]int{
		"lost": lost, "doubled": doubled, "in Redis instead of the table or the other way round": misplaced, "never sent": unknown,
	} {
		if len(numbers) > 0 {
			t.Errorf("%d of %d entries are %s: %s", len(numbers), tr.numbered, what, ranges(numbers))
		}
	}
	t.Logf("%d entries: lost %d, doubled %d; %d dead letters", tr.numbered, len(lost), len(doubled), deadLettered)
	return deadLettered
}

// ranges writes numbers for people to read.
func ranges(numbers []int) string {
	slices.Sort(numbers)
	var parts []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		part := strconv.Itoa(numbers[i])
		if k > i {
			part += "–" + strconv.Itoa(numbers[k])
		}
		if parts = append(parts, part); len(parts) == 20 {
			return strings.Join(append(parts, "…"), ", ")
		}
		i = k + 1
	}
	return strings.Join(parts, ", ")
}

// numbers reads which numbers a table has, and how often.
func (b *bench) numbers(t *testing.T, table string) map[int]int {
	t.Helper()
	result := map[int]int{}
	for line := range strings.Lines(b.clickhouse.Query(t, "SELECT n, count() FROM "+table+" GROUP BY n")) {
		number, count, _ := strings.Cut(strings.TrimSpace(line), "\t")
		n, err := strconv.Atoi(number)
		c, err2 := strconv.Atoi(count)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		result[n] = c
	}
	return result
}

// stored returns the dead letters.
func (b *bench) stored(t *testing.T) []deadletter.Stored {
	t.Helper()
	store := redis.NewClient(&redis.Options{Addr: b.redis.Address()})
	defer store.Close()
	c := deadletter.DefaultConfig()
	c.Stream = config.Default().DeadLetters.Stream
	queue, err := deadletter.New(store, c, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var all []deadletter.Stored
	for after := ""; ; after = all[len(all)-1].StreamID {
		page, err := queue.List(t.Context(), after, 100)
		if err != nil {
			t.Fatalf("list the dead letters: %v", err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

// letters reads which numbers are in the dead letters, and how often.
func (b *bench) letters(t *testing.T) map[int]int {
	t.Helper()
	result := map[int]int{}
	for _, stored := range b.stored(t) {
		if stored.Problem != nil {
			t.Errorf("dead letter %s: %v", stored.StreamID, stored.Problem)
		}
		numbers := numbersOf(t, &stored.Letter)
		if len(numbers) != stored.Letter.Rows {
			t.Errorf("dead letter %s says it has %d rows and has %d", stored.Letter.ID, stored.Letter.Rows, len(numbers))
		}
		for _, n := range numbers {
			result[n]++
		}
	}
	return result
}

// numbersOf decodes a dead letter's payload.
func numbersOf(t *testing.T, letter *sink.DeadLetter) (numbers []int) {
	t.Helper()
	switch letter.Format {
	case sink.FormatNative:
		block := proto.NewBlock()
		if err := block.Decode(chproto.NewReader(bytes.NewReader(letter.Payload)), 0); err != nil {
			t.Fatalf("dead letter %s: %v", letter.ID, err)
		}
		at := slices.Index(block.ColumnsNames(), "n")
		for row := range block.Rows() {
			numbers = append(numbers, int(block.Columns[at].Row(row, false).(uint64)))
		}
	case sink.FormatJSONEntries:
		for line := range bytes.Lines(letter.Payload) {
			var entry struct {
				Attributes []struct {
					Key   string
					Value json.RawMessage
				}
			}
			if err := json.Unmarshal(line, &entry); err != nil {
				t.Fatalf("dead letter %s: %v", letter.ID, err)
			}
			for _, a := range entry.Attributes {
				if a.Key != "n" {
					continue
				}
				number, err := strconv.Atoi(string(a.Value))
				if err != nil {
					t.Fatalf("dead letter %s: %v", letter.ID, err)
				}
				numbers = append(numbers, number)
			}
		}
	default:
		t.Fatalf("dead letter %s has the format %s", letter.ID, letter.Format)
	}
	return numbers
}

// next is the number that no entry has yet.
func (tr *traffic) next() int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.numbered
}

// settle waits until all entries are committed that have a number below the one that it returns.
func (tr *traffic) settle(t *testing.T) (below int) {
	t.Helper()
	below = tr.next()
	targets := make([]uint64, len(tr.clients))
	for k, p := range tr.clients {
		targets[k] = p.Statistics().Given + uint64(tr.request) // one may have its numbers and wait for room
	}
	eventually(t, "what was sent is committed", func() bool {
		for k, p := range tr.clients {
			if p.Statistics().Reached < targets[k] {
				return tr.failed()
			}
		}
		return true
	})
	tr.check(t)
	return below
}

func itoa(n int) string { return strconv.Itoa(n) }

// metric returns what the gateway's metric stands at, over all its labels, or over those of its series that have these values.
func (i *instance) metric(t *testing.T, name string, values ...string) (sum float64) {
	t.Helper()
	families, err := i.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				has := func(value string) bool {
					return slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == value })
				}
				if !slices.ContainsFunc(values, func(value string) bool { return !has(value) }) {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of them is not there
				}
			}
			return sum
		}
	}
	return 0
}
