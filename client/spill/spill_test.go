package spill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	vtcodec "github.com/planetscale/vtprotobuf/codec/grpc"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/client/spill"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// keeper is a server with a log: it stores each sequence of a producer's epoch once. It breaks streams at random, and takes nothing from
// a process that is dead.
type keeper struct {
	logbatcherv1.UnimplementedIngestServiceServer

	mu        sync.Mutex
	random    *rand.Rand
	cut       int // one of so many responses is cut, or not told; 0: none
	limits    func() *logbatcherv1.Limits
	closed    bool // takes no streams
	process   int  // the living one; its streams have it in their openings' client field
	producers map[string]*producerState
	stored    map[int]int // how often, by number
	streams   int
	epochs    int
}

type producerState struct {
	turn      sync.Mutex // held by its stream
	epoch     uint64
	committed uint64
	sums      map[uint64]string
}

func newKeeper(seed uint64) *keeper {
	return &keeper{random: rand.New(rand.NewPCG(seed, 0)), producers: map[string]*producerState{}, stored: map[int]int{}}
}

func (k *keeper) serve(t *testing.T) func(context.Context, string) (net.Conn, error) {
	listener := bufconn.Listen(64 << 10)
	server := grpc.NewServer(grpc.ForceServerCodec(vtcodec.Codec{}))
	logbatcherv1.RegisterIngestServiceServer(server, k)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
}

var errAway = status.Error(codes.Unavailable, "away")

func (k *keeper) roll() bool { return k.cut > 0 && k.random.IntN(k.cut) == 0 }

// IngestStream implements the service.
func (k *keeper) IngestStream(s grpc.BidiStreamingServer[logbatcherv1.IngestStreamRequest, logbatcherv1.IngestStreamResponse]) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	open := first.GetOpen()
	k.mu.Lock()
	p := k.producers[open.GetProducer()]
	if p == nil {
		p = &producerState{}
		k.producers[open.GetProducer()] = p
	}
	k.mu.Unlock()
	p.turn.Lock()
	defer p.turn.Unlock()
	welcome, err := k.open(p, open)
	if err != nil {
		return err
	}
	if err := s.Send(welcome); err != nil {
		return err
	}
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			// Everything that was accepted is committed: the last watermark is told.
			return s.Send(&logbatcherv1.IngestStreamResponse{CommittedSequence: p.committed})
		}
		if err != nil {
			return err
		}
		response, err := k.take(p, open, welcome.GetWelcome().GetLimits(), r)
		if err != nil {
			return err
		}
		if err := s.Send(response); err != nil {
			return err
		}
	}
}

func (k *keeper) open(p *producerState, open *logbatcherv1.Open) (*logbatcherv1.IngestStreamResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || open.GetClient() != strconv.Itoa(k.process) {
		return nil, errAway
	}
	k.streams++
	switch {
	case open.GetEpoch() == 0:
		k.epochs++
		p.epoch, p.committed, p.sums = p.epoch+1, 0, map[uint64]string{}
	case open.GetEpoch() != p.epoch || open.GetCommittedSequence() > p.committed:
		return nil, status.Errorf(codes.InvalidArgument, "opened with %v in epoch %d at %d", open, p.epoch, p.committed)
	}
	welcome := &logbatcherv1.Welcome{Epoch: p.epoch, Resumed: open.GetEpoch() != 0, LoggedSequence: p.committed, CommittedSequence: p.committed}
	if k.limits != nil {
		welcome.Limits = k.limits()
	}
	if k.roll() {
		return nil, errAway
	}
	return &logbatcherv1.IngestStreamResponse{Welcome: welcome}, nil
}

func (k *keeper) take(p *producerState, open *logbatcherv1.Open, l *logbatcherv1.Limits, r *logbatcherv1.IngestStreamRequest) (*logbatcherv1.IngestStreamResponse, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || open.GetClient() != strconv.Itoa(k.process) {
		return nil, errAway // what a dead process has sent did not arrive
	}
	if most := int(l.GetMaxRequestEntries()); most > 0 && len(r.GetEntries()) > most {
		return nil, status.Errorf(codes.ResourceExhausted, "%d entries, at most %d", len(r.GetEntries()), most)
	}
	var sum strings.Builder
	for _, e := range r.GetEntries() {
		sum.WriteString(e.GetBody() + " ")
	}
	switch sequence := r.GetSequence(); {
	case sequence > p.committed+1:
		return nil, status.Errorf(codes.OutOfRange, "sequence %d after %d", sequence, p.committed)
	case sequence <= p.committed && p.sums[sequence] != sum.String():
		return nil, status.Errorf(codes.FailedPrecondition, "sequence %d is altered: %q was %q", sequence, sum.String(), p.sums[sequence])
	case sequence == p.committed+1:
		p.committed, p.sums[sequence] = sequence, sum.String()
		for _, e := range r.GetEntries() {
			n, err := strconv.Atoi(e.GetBody())
			if err != nil {
				return nil, err
			}
			k.stored[n]++
		}
	}
	if k.roll() {
		return nil, errAway
	}
	if k.roll() {
		return &logbatcherv1.IngestStreamResponse{}, nil
	}
	return &logbatcherv1.IngestStreamResponse{LoggedSequence: p.committed, CommittedSequence: p.committed}, nil
}

// check fails unless each of the numbers is stored once.
func (k *keeper) check(t *testing.T, numbers int) {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for n := range numbers {
		if k.stored[n] != 1 {
			t.Fatalf("number %d is stored %d times, of %d", n, k.stored[n], numbers)
		}
	}
	if len(k.stored) != numbers {
		t.Fatalf("%d numbers are stored, want %d", len(k.stored), numbers)
	}
}

func (k *keeper) set(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
}

// config returns that of a producer, the nth process.
func config(dial func(context.Context, string) (net.Conn, error), process int) client.Config {
	c := client.DefaultConfig("model", "passthrough:keeper")
	c.DialOptions = []grpc.DialOption{grpc.WithContextDialer(dial), grpc.WithTransportCredentials(insecure.NewCredentials())}
	c.Open.Client = strconv.Itoa(process)
	c.MinBackoff, c.MaxBackoff = time.Millisecond, 3*time.Millisecond
	c.Linger, c.BatchEntries = time.Millisecond, 7
	c.Log = nil
	return c
}

func begin(t *testing.T, c client.Config, fs *crashfs.FS, maxBytes int64) *client.Producer {
	t.Helper()
	s := spill.DefaultConfig("spill")
	s.FS, s.MaxBytes = fs, maxBytes
	opened, err := spill.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	c.Spill = opened
	p, err := client.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// marked returns what makes a mark of a number.
func marked(n int) func() []byte { return func() []byte { return []byte(strconv.Itoa(n)) } }

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// TestEachNumberOnceAcrossCrashes gives numbers to a producer whose machine stops again and again, over streams that break everywhere, with
// limits that change. The next process goes on with the number after the last mark. Each number must be stored once.
func TestEachNumberOnceAcrossCrashes(t *testing.T) {
	const numbers, crashes = 1200, 12
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			k := newKeeper(seed)
			k.cut = 15
			if seed%2 == 1 {
				k.limits = func() *logbatcherv1.Limits { return &logbatcherv1.Limits{MaxRequestEntries: uint32(k.random.IntN(8))} }
			}
			dial := k.serve(t)
			random := rand.New(rand.NewPCG(seed, 1))
			fs := crashfs.New()
			next := 0
			for process := range crashes + 1 {
				k.set(func() { k.process = process })
				c := config(dial, process)
				c.Streams = 1 + int(seed)%3
				if random.IntN(2) == 0 {
					c.MaxBytes = 3000 // bodies leave the memory
				}
				p := begin(t, c, fs, 1<<20)
				if mark := p.Mark(); mark != nil {
					n, err := strconv.Atoi(string(mark))
					if err != nil || n >= next {
						t.Fatalf("the mark is %q, %d numbers were given", mark, next)
					}
					next = n + 1
				} else {
					next = 0
				}
				until := min(next+random.IntN(2*numbers/crashes), numbers)
				if process == crashes {
					until = numbers
				}
				for ; next < until; next++ {
					if err := p.SendMark(t.Context(), marked(next), &logbatcherv1.Entry{Body: strconv.Itoa(next)}); err != nil {
						t.Fatal(err)
					}
				}
				if process == crashes {
					if err := p.Close(t.Context()); err != nil {
						t.Fatal(err)
					}
					break
				}
				time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // somewhere
				k.set(func() { k.process = -1 })
				crashed := fs.Crash(crashfs.Crash{At: fs.Ops(), Unsynced: crashfs.Unsynced(random.IntN(3)), Seed: seed})
				_ = p.Close(ended()) // the dead process: nothing that it does counts
				fs = crashed
			}
			k.check(t, numbers)
			t.Logf("%d streams, %d epochs", k.streams, k.epochs)
		})
	}
}

// TestSpillOutlivesAnOutage gives far more than the memory holds while no server takes it, closes, and sends it by another process.
func TestSpillOutlivesAnOutage(t *testing.T) {
	k := newKeeper(1)
	k.closed = true
	dial := k.serve(t)
	fs := crashfs.New()
	const numbers = 3000
	c := config(dial, 0)
	c.MaxBytes, c.BatchEntries = 20_000, 50
	p := begin(t, c, fs, 16<<20)
	for n := range numbers {
		if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: strconv.Itoa(n)}); err != nil {
			t.Fatal(err)
		}
		if used := p.Statistics().Bytes; used > c.MaxBytes+10_000 {
			t.Fatalf("%d bytes of memory are used, the bound is %d", used, c.MaxBytes)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err := p.Close(ctx)
	var left *client.UnfinishedError
	if !errors.As(err, &left) || left.Entries != numbers || left.Spilled != numbers {
		t.Fatalf("Close: %v", err)
	}
	k.set(func() { k.closed = false })
	p = begin(t, config(dial, 0), fs, 16<<20)
	if s := p.Statistics(); s.Given != numbers {
		t.Errorf("%+v", s)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.check(t, numbers)
}

// TestSpillIsBounded fills the spill, and the memory before it.
func TestSpillIsBounded(t *testing.T) {
	k := newKeeper(1)
	k.closed = true
	dial := k.serve(t)
	c := config(dial, 0)
	c.MaxBytes, c.BatchEntries = 20_000, 10
	p := begin(t, c, crashfs.New(), 100_000)
	given := 0
	for {
		err := p.Send(t.Context(), &logbatcherv1.Entry{Body: strconv.Itoa(given)})
		if err == nil {
			given++
			continue
		}
		var failed *client.SpillError
		if !errors.As(err, &failed) || !errors.Is(err, client.ErrSpillFull) {
			t.Fatal(err)
		}
		break
	}
	k.set(func() { k.closed = false })
	if err := p.Close(t.Context()); err != nil { // what is sent makes room for the rest
		t.Fatal(err)
	}
	k.check(t, given)
}

// TestDiskIsFull has a disk that is full, and one that fails, for a while.
func TestDiskIsFull(t *testing.T) {
	for name, test := range map[string]struct {
		begin, end func(*crashfs.FS)
		want       error
	}{
		"full":  {func(fs *crashfs.FS) { fs.Limit(fs.Used()) }, func(fs *crashfs.FS) { fs.Limit(0) }, syscall.ENOSPC},
		"fails": {func(fs *crashfs.FS) { fs.Fail(func(crashfs.Op) error { return syscall.EIO }) }, func(fs *crashfs.FS) { fs.Fail(nil) }, syscall.EIO},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeeper(1)
			dial := k.serve(t)
			fs := crashfs.New()
			c := config(dial, 0)
			c.MaxBytes = 500_000
			reported := make(chan error, 1)
			c.OnError = func(err error) {
				if failed := (*client.SpillError)(nil); errors.As(err, &failed) {
					select {
					case reported <- err:
					default:
					}
				}
			}
			p := begin(t, c, fs, 16<<20)
			if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: "0"}); err != nil {
				t.Fatal(err)
			}
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.set(func() { k.closed = true }) // nothing that is sent makes room
			test.begin(fs)
			given := 1
			for {
				err := p.Send(t.Context(), &logbatcherv1.Entry{Body: fmt.Sprintf("%050000d", given)})
				if err == nil {
					given++
					continue
				}
				var failed *client.SpillError
				if !errors.As(err, &failed) || !errors.Is(err, test.want) {
					t.Fatalf("Send: %v, want %v in it", err, test.want)
				}
				break
			}
			if err := <-reported; !errors.Is(err, test.want) {
				t.Errorf("OnError received %v", err)
			}
			test.end(fs)
			k.set(func() { k.closed = false })
			if err := p.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.check(t, given)
		})
	}
}

// TestCloseWithABrokenDisk closes while the disk takes nothing forever.
func TestCloseWithABrokenDisk(t *testing.T) {
	k := newKeeper(1)
	dial := k.serve(t)
	fs := crashfs.New()
	p := begin(t, config(dial, 0), fs, 16<<20)
	fs.Fail(func(crashfs.Op) error { return syscall.EIO })
	if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: "0"}); err != nil {
		t.Fatal(err)
	}
	var left *client.UnfinishedError
	if err := p.Close(ended()); !errors.As(err, &left) || left.Entries != 1 || left.Spilled != 0 {
		t.Errorf("Close: %v", err)
	}
}

// TestDamagedSpill has a request of which the disk has lost the beginning: the others are sent, in a new epoch.
func TestDamagedSpill(t *testing.T) {
	k := newKeeper(1)
	dial := k.serve(t)
	fs := crashfs.New()
	c := config(dial, 0)
	c.BatchEntries = 10
	p := begin(t, c, fs, 16<<20)
	give := func(from, to int) {
		for n := from; n < to; n++ {
			if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: strconv.Itoa(n)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	give(0, 10)
	if err := p.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.set(func() { k.closed = true })
	give(10, 40)
	_ = p.Close(ended())
	files, err := fs.List("spill/batches")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	if err := fs.Flip("spill/batches/"+files[len(files)-2], 200, 0xff); err != nil {
		t.Fatal(err)
	}
	k.set(func() { k.closed = false })
	p = begin(t, config(dial, 0), fs, 16<<20)
	doubtful := p.Statistics().Doubtful
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if doubtful == 0 || k.epochs != 2 || len(k.stored) != 30 {
		t.Errorf("%d doubtful, %d epochs, %d of 40 numbers are stored, want 30", doubtful, k.epochs, len(k.stored))
	}
}

// TestSpillBelongsToOneProducer opens a spill twice, and with another producer.
func TestSpillBelongsToOneProducer(t *testing.T) {
	k := newKeeper(1)
	dial := k.serve(t)
	dir := t.TempDir()
	open := func(id string) (*client.Producer, error) {
		s, err := spill.Open(spill.DefaultConfig(dir))
		if err != nil {
			return nil, err
		}
		c := config(dial, 0)
		c.Open.Producer, c.Spill = id, s
		p, err := client.Open(c)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return p, nil
	}
	p, err := open("one")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open("one"); err == nil {
		t.Error("two processes have the same spill")
	}
	if err := p.Send(t.Context(), &logbatcherv1.Entry{Body: "0"}); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := open("another"); err == nil || !strings.Contains(err.Error(), `"one"`) {
		t.Errorf("another producer has the spill: %v", err)
	}
	if p, err = open("one"); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.check(t, 1)
}
