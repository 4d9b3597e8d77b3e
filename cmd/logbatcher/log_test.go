package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// loggedStream is a producer's stream at level LOGGED.
type loggedStream struct {
	grpc.BidiStreamingClient[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]
	welcome *logbatcherv1.Welcome
	logged  uint64
}

// openLogged opens a producer's stream at level LOGGED. Epoch 0 begins one.
func openLogged(t *testing.T, address string, epoch uint64) *loggedStream {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(func() { cancel(); _ = conn.Close() })
	stream, err := logbatcherv1.NewIngestServiceClient(conn).IngestStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s := &loggedStream{BidiStreamingClient: stream}
	if err := s.Send(&logbatcherv1.IngestStreamRequest{Open: &logbatcherv1.Open{
		Producer: "p", Epoch: epoch, Acknowledgement: logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED,
	}}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	s.welcome, s.logged = r.Welcome, r.Welcome.LoggedSequence
	return s
}

// send sends requests with the next numbers, and returns once they are logged.
func (s *loggedStream) send(t *testing.T, tr *traffic, requests, entries int) {
	t.Helper()
	last := s.logged
	for range requests {
		last++
		_, list := tr.entries(entries)
		if err := s.Send(&logbatcherv1.IngestStreamRequest{Sequence: last, Entries: list}); err != nil {
			t.Fatal(err)
		}
	}
	for s.logged < last {
		r, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		s.logged = max(s.logged, r.LoggedSequence)
	}
}

// kill ends the service as kill -9 does.
func (s *service) kill(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGKILL)
	<-s.ended
}

// restart starts the service again, on the same folder.
func (s *service) restart(t *testing.T) {
	t.Helper()
	s.process = startProcess(t, s.arguments()...)
	s.bench.address = s.logged(t, `msg=serving .*grpc=(\S+)`)
	s.http = s.logged(t, `msg=serving .*http=(\S+)`)
}

// once waits until each number that was given out is in the table, and checks that it is there once.
func (s *service) once(t *testing.T, tr *traffic) {
	t.Helper()
	eventually(t, "all numbers are in the table", func() bool { return len(s.bench.numbers(t, "numbered")) >= tr.numbered })
	for number, count := range s.bench.numbers(t, "numbered") {
		if count != 1 {
			t.Errorf("number %d is in the table %d times", number, count)
		}
	}
}

// TestKillLosesNothingLogged kills the service after a producer was told that all is logged: the next one stores each entry once, and the
// producer goes on where it was.
func TestKillLosesNothingLogged(t *testing.T) {
	s := newService(t, "")
	tr := s.bench.traffic(t)
	var epoch uint64
	for range 3 {
		stream := openLogged(t, s.bench.address, epoch)
		if epoch != 0 && !stream.welcome.Resumed {
			t.Errorf("the service does not know the producer: %v", stream.welcome)
		}
		epoch = stream.welcome.Epoch
		stream.send(t, tr, 20, 10)
		s.kill(t)
		s.restart(t)
	}
	if stream := openLogged(t, s.bench.address, epoch); stream.logged != 60 {
		t.Errorf("logged is %d after the last restart, want 60", stream.logged)
	}
	s.once(t, tr)
}

// TestStartInOutage starts the service while ClickHouse is away: what is in its log needs no ClickHouse to be kept, nor does what comes.
func TestStartInOutage(t *testing.T) {
	s := newService(t, "")
	tr := s.bench.traffic(t)
	there := s.clickhouse
	s.clickhouse = newCutter(t, "127.0.0.1:1")
	s.clickhouse.close()
	there.close()
	stream := openLogged(t, s.bench.address, 0)
	stream.send(t, tr, 5, 10)
	eventually(t, "a batch is sealed", func() bool {
		files, err := filepath.Glob(filepath.Join(filepath.Dir(s.bench.file), "wal", "batches", "*"))
		return err == nil && len(files) > 0
	})
	s.kill(t)
	s.restart(t)
	stream = openLogged(t, s.bench.address, stream.welcome.Epoch)
	stream.send(t, tr, 5, 10)
	s.kill(t)
	s.clickhouse = newCutter(t, strings.TrimPrefix(s.bench.clickhouse.Address, "http://"))
	s.restart(t)
	s.once(t, tr)
}

// TestStartWithoutARouting: the routing of what the log has is gone from the disk. The service starts without it and takes entries; what needs the routing is
// held until the file is back, and is then in the table once.
func TestStartWithoutARouting(t *testing.T) {
	s := newService(t, "")
	tr := s.bench.traffic(t)
	s.clickhouse.close()
	stream := openLogged(t, s.bench.address, 0)
	stream.send(t, tr, 5, 10)
	log := filepath.Join(filepath.Dir(s.bench.file), "wal")
	eventually(t, "a batch is sealed", func() bool {
		files, err := filepath.Glob(filepath.Join(log, "batches", "*"))
		return err == nil && len(files) > 0
	})
	stream.send(t, tr, 1, 10)
	s.kill(t)
	s.clickhouse = newCutter(t, strings.TrimPrefix(s.bench.clickhouse.Address, "http://"))
	if err := errors.Join(os.Rename(filepath.Join(log, "config"), filepath.Join(log, "elsewhere")), os.Mkdir(filepath.Join(log, "config"), 0o700)); err != nil {
		t.Fatal(err)
	}
	s.process = startProcess(t, append(s.arguments(), "--set", "shards.bucket=7m")...)
	s.bench.address = s.logged(t, `msg=serving .*grpc=(\S+)`)
	s.logged(t, `level=ERROR .*[1-9] batches and [0-9]+ requests are held, because their routing can't be read .*put (config/\S+) back`)
	stream = openLogged(t, s.bench.address, stream.welcome.Epoch)
	stream.send(t, tr, 1, 10)
	eventually(t, "what was sent then is in the table, and nothing else", func() bool { return len(s.bench.numbers(t, "numbered")) == 10 })
	s.signal(t, syscall.SIGTERM)
	if status, last := s.wait(t); status != exitOK {
		t.Fatalf("exit status %d, %s", status, last)
	}
	routings, err := filepath.Glob(filepath.Join(log, "elsewhere", "*"))
	if err != nil || len(routings) == 0 {
		t.Fatalf("routings: %q, %v", routings, err)
	}
	for _, name := range routings {
		if err := os.Rename(name, filepath.Join(log, "config", filepath.Base(name))); err != nil {
			t.Fatal(err)
		}
	}
	s.restart(t)
	s.once(t, tr)
}

// TestLogIsNotLeftBehind: a service without a log does not start where an earlier one has left something in its log.
func TestLogIsNotLeftBehind(t *testing.T) {
	s := newService(t, "shutdown: {timeout: 1s}\n")
	s.clickhouse.close()
	openLogged(t, s.bench.address, 0).send(t, s.bench.traffic(t), 1, 1)
	s.signal(t, syscall.SIGTERM)
	if status, last := s.wait(t); status != exitOK || !strings.Contains(last, "stay in the log") {
		t.Fatalf("exit status %d, %s", status, last)
	}
	p := startProcess(t, append(s.arguments(), "--set", "wal.enabled=false")...)
	if status, last := p.wait(t); status != exitError || !strings.Contains(last, "1 batches") {
		t.Errorf("exit status %d, %s", status, last)
	}
}
