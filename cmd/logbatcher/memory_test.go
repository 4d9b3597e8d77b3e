package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// TestMemoryLimit has a service meet what takes most memory: many large unary calls at once, many streams with requests of tiny
// attributes, and both of it while ClickHouse is away. It never holds more than its limit, and gives the memory back once it is quiet.
func TestMemoryLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	const limit = 512 << 20
	s := newLimitedService(t, "512MiB", "")
	held := func() float64 {
		return s.metric(t, "go_memstats_sys_bytes") - s.metric(t, "go_memstats_heap_released_bytes")
	}
	highest := 0.0
	measure := func() float64 { now := held(); highest = max(highest, now); return now }
	conn, err := grpc.NewClient(s.bench.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := logbatcherv1.NewIngestServiceClient(conn)
	large := &logbatcherv1.IngestRequest{}
	for range 4000 {
		large.Entries = append(large.Entries, &logbatcherv1.Entry{Body: strings.Repeat("x", 1000), Attributes: []*logbatcherv1.Attribute{
			{Key: "n", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 1},
		}})
	}
	tiny := &logbatcherv1.IngestStreamRequest{Sequence: 1}
	attributes := []*logbatcherv1.Attribute{{Key: "n", Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: 1}}
	for range 1000 {
		attributes = append(attributes, &logbatcherv1.Attribute{Key: "k"})
	}
	for range 820 {
		tiny.Entries = append(tiny.Entries, &logbatcherv1.Entry{Attributes: attributes})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var refused atomic.Int64
	burst := func(calls, streams int) *sync.WaitGroup {
		var running sync.WaitGroup
		for range calls {
			running.Go(func() {
				_, err := client.Ingest(ctx, large)
				if grpcstatus.Code(err) == codes.Unavailable {
					refused.Add(1)
				}
				if code := grpcstatus.Code(err); code != codes.OK && code != codes.Unavailable && code != codes.DeadlineExceeded && code != codes.Canceled {
					t.Errorf("a call ended with %v", err)
				}
			})
		}
		for k := range streams {
			running.Go(func() {
				stream, err := client.IngestStream(ctx)
				if err != nil {
					t.Errorf("stream %d: %v", k, err)
					return
				}
				_ = stream.Send(&logbatcherv1.IngestStreamRequest{Open: &logbatcherv1.Open{Producer: fmt.Sprint("tiny/", k)}})
				_ = stream.Send(tiny)
				_ = stream.CloseSend()
				for {
					if _, err := stream.Recv(); err != nil {
						return // committed, or with too many streams beside it refused
					}
				}
			})
		}
		return &running
	}
	during := func(running *sync.WaitGroup) { // for as long as it takes: go test bounds it
		done := make(chan struct{})
		go func() { running.Wait(); close(done) }()
		poll := time.NewTicker(10 * time.Millisecond)
		defer poll.Stop()
		for {
			measure()
			select {
			case <-done:
				return
			case <-poll.C:
			}
		}
	}
	streams := 40
	if raceEnabled { // ten times as slow
		streams = 10
	}
	during(burst(300, 0))
	during(burst(0, streams))
	eventually(t, "the memory goes back", func() bool { return measure() < 160<<20 })
	refused.Store(0)
	s.clickhouse.close()
	outage := burst(0, 40) // more than the tables' part of the budget
	eventually(t, "a stream waits", func() bool { measure(); return s.metric(t, "logbatcher_throttled_streams") > 0 })
	more := burst(300, 0)
	eventually(t, "calls are refused, because others wait", func() bool { measure(); return refused.Load() > 100 })
	cancel()
	during(outage)
	during(more)
	t.Logf("held at most %d MiB of %d", int(highest)>>20, limit>>20)
	if highest > limit {
		t.Errorf("the runtime has held %d bytes, the limit is %d", int(highest), limit)
	}
	if peak := peakResident(t, s.command.Process.Pid); !raceEnabled && peak > limit {
		t.Errorf("the process has held %d bytes, the limit is %d", peak, limit)
	}
}

// metric returns what a metric of the service stands at, over all its labels.
func (s *service) metric(t *testing.T, name string) (sum float64) {
	t.Helper()
	response, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		label, value, _ := strings.Cut(lines.Text(), " ")
		if bare, _, _ := strings.Cut(label, "{"); bare == name {
			n, err := strconv.ParseFloat(value[strings.LastIndexByte(value, ' ')+1:], 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// peakResident returns the most memory that a process has had resident; 0 where that can't be told.
func peakResident(t *testing.T, pid int) int {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "VmHWM:" {
			n, err := strconv.Atoi(words[1])
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("resident at most %d MiB", n>>10)
			return n << 10
		}
	}
	return 0
}
