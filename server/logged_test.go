package server

import (
	"context"
	"iter"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	levelLogged    = pb.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	levelCommitted = pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED
)

// withLog makes a configuration have a log.
func withLog(log *fakeLog) func(*Config) { return func(c *Config) { c.WAL = log } }

// A stream at level LOGGED learns what is logged while nothing is committed, and its end waits for no more.
func TestLoggedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		p := b.open(&pb.Open{Producer: "p", Acknowledgement: levelLogged}, 100)
		if w := (<-p.out).Welcome; w.Acknowledgement != levelLogged || w.LoggedSequence != 0 || w.Resumed {
			t.Fatalf("welcome %v", w)
		}
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		if s := p.all(t); s.logged != 1 || s.committed != 0 {
			t.Fatalf("logged %d, committed %d", s.logged, s.committed)
		}
		log.set(func() { log.slow = true })
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("b")}
		if s := p.all(t); s.logged != 0 {
			t.Fatalf("logged %d before the disk has it", s.logged)
		}
		close(p.in)
		time.Sleep(time.Second)
		if len(p.ended) != 0 {
			t.Fatalf("ended before its request was logged: %v", <-p.ended)
		}
		log.sync(true)
		if err := <-p.ended; err != nil {
			t.Fatal(err)
		}
		if s := p.all(t); s.logged != 2 || s.committed != 0 || s.received != 2 {
			t.Errorf("logged %d, committed %d, received %d", s.logged, s.committed, s.received)
		}
		b.router.settleHeld(false)
		b.close(p)
	})
}

// A drained stream at level LOGGED waits for the log only, and says what is missing if that is away, too.
func TestLoggedDrain(t *testing.T) {
	for _, slow := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			log := &fakeLog{}
			b := newBubble(t, withLog(log))
			b.router.hold = true
			p := b.open(&pb.Open{Producer: "p", Acknowledgement: levelLogged}, 100)
			<-p.out
			log.set(func() { log.slow = slow })
			p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
			synctest.Wait()
			b.ingest.life.begin(time.Now().Add(time.Second))
			err := <-p.ended
			if slow {
				if m := wantStatus(t, err, codes.Unavailable, "NOT_FINISHED"); m["unsettled"] != "1" || !strings.Contains(err.Error(), "not logged yet") {
					t.Errorf("%v, %v", err, m)
				}
				log.sync(true)
			} else {
				wantStatus(t, err, codes.Unavailable, "DRAINED_SHUTDOWN")
			}
			b.router.settleHeld(false)
			b.close(p)
		})
	}
}

// At level COMMITTED a stream's watermark is above nothing that is not logged, even if everything is settled.
func TestCommittedIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		p := b.open(&pb.Open{Producer: "p"}, 100)
		<-p.out
		log.set(func() { log.slow = true })
		p.in <- &pb.IngestStreamRequest{Sequence: 1} // without entries: settled at once
		p.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("a")}
		if s := p.all(t); s.committed != 0 || s.logged != 0 {
			t.Fatalf("committed %d, logged %d, and a crash would lose it", s.committed, s.logged)
		}
		log.sync(true)
		if s := p.all(t); s.committed != 2 || s.logged != 2 {
			t.Fatalf("committed %d, logged %d", s.committed, s.logged)
		}
		b.close(p)
		if r := log.records[1].request; r == nil || r.Sequence != 1 || r.Entries != 0 || len(log.unplaced()) != 0 {
			t.Errorf("the request without entries: %+v", r)
		}
	})
}

// B16: while ClickHouse is away a stream can be opened again, and what is unsettled goes on settling, with its outcomes.
func TestB16OpeningWaitsForTheLogOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		m := troubled(b, &pb.Open{})
		first := b.open(&pb.Open{Producer: "p"}, 100)
		epoch := (<-first.out).Welcome.Epoch
		first.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: m.Entries}
		synctest.Wait()
		log.set(func() { log.slow = true })
		first.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("a", "b")}
		synctest.Wait()
		second := b.open(&pb.Open{Producer: "p", Epoch: epoch}, 100)
		wantStatus(t, <-first.ended, codes.Aborted, "SUPERSEDED")
		synctest.Wait()
		if len(second.out) != 0 {
			t.Fatalf("welcomed before sequence 2 was logged: %v", <-second.out)
		}
		log.sync(true)
		log.set(func() { log.slow = false })
		if w := (<-second.out).Welcome; w.LoggedSequence != 2 || w.CommittedSequence != 0 || !w.Resumed || w.Epoch != epoch {
			t.Fatalf("welcome %v", w)
		}
		second.in <- &pb.IngestStreamRequest{Sequence: 2, Entries: entriesOf("a", "b")} // a repeat
		second.in <- &pb.IngestStreamRequest{Sequence: 3, Entries: entriesOf("c", "d")}
		if s := second.all(t); s.committed != 0 || s.logged != 3 {
			t.Fatalf("committed %d, logged %d", s.committed, s.logged)
		}
		b.router.settleHeld(true)
		s := second.all(t)
		if s.committed != 3 || len(s.refusals) != 1+3 || len(s.letters) == 0 {
			t.Errorf("committed %d, logged %d, refusals %v, letters %v", s.committed, s.logged, s.refusals, s.letters)
		}
		if got := b.router.sequences(); !slices.Equal(got, []uint64{1, 2, 3}) {
			t.Errorf("routed %v", got)
		}
		b.close(first, second)
	})
}

// A new epoch, too, does not wait for what an older one has in the log.
func TestB16NewEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, withLog(&fakeLog{}))
		b.router.hold = true
		m := &pb.IngestRequest{Sequence: 1, Entries: entriesOf("a"), Open: &pb.Open{Producer: "p", Epoch: 9}}
		waiting := make(chan error, 1)
		go func() {
			_, err := b.call(context.Background(), m)
			waiting <- err
		}()
		synctest.Wait()
		begun, err := b.call(t.Context(), &pb.IngestRequest{Open: &pb.Open{Producer: "p"}})
		if err != nil || begun.Epoch <= 9 || begun.CommittedSequence != 0 {
			t.Fatalf("%v, %v", begun, err)
		}
		// Nobody can tell the older call any more when its request is committed.
		wantStatus(t, <-waiting, codes.Aborted, "OLD_EPOCH")
		b.router.settleHeld(false)
		if lag := metricOf(t, b.registry, "watermark_lag_requests"); lag != 0 {
			t.Errorf("the lag is %v", lag)
		}
		b.close()
	})
}

// restarted returns a service on what the log had when the old one died.
func (b *bubble) restarted(log *fakeLog, adjust func(*Config)) (*bubble, *fakeLog) {
	found := log.crash()
	return newBubble(b.t, func(c *Config) {
		c.WAL, c.Instance = found, "i2"
		if adjust != nil {
			adjust(c)
		}
	}), found
}

// B17: a repeat is recognized after a restart, and so is one that was altered.
func TestB17RepeatsAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		send := func(b *bubble, sequence uint64, body string) (*pb.IngestResponse, error) {
			return b.call(t.Context(), &pb.IngestRequest{Sequence: sequence, Entries: entriesOf(body),
				Open: &pb.Open{Producer: "p", Epoch: 9, Acknowledgement: levelLogged}})
		}
		for sequence := range uint64(2) {
			if r, err := send(b, sequence+1, "a"); err != nil || r.LoggedSequence != sequence+1 || r.CommittedSequence != 0 || r.Acknowledgement != levelLogged {
				t.Fatalf("%v, %v", r, err)
			}
		}
		after, found := b.restarted(log, nil)
		after.router.hold = true
		if r, err := send(after, 2, "a"); err != nil || r.LoggedSequence != 2 || r.Epoch != 9 || len(after.router.routed()) != 0 {
			t.Fatalf("the repeat: %v, %v", r, err)
		}
		_, err := send(after, 1, "b")
		wantStatus(t, err, codes.FailedPrecondition, "SEQUENCE_ALTERED")
		_, err = send(after, 4, "b")
		wantStatus(t, err, codes.OutOfRange, "SEQUENCE_GAP")
		if r, err := send(after, 3, "a"); err != nil || r.LoggedSequence != 3 {
			t.Fatalf("the next one: %v, %v", r, err)
		}
		if got := len(found.records); got != 4 { // the epoch is not begun again
			t.Errorf("%d records", got)
		}
		b.router.settleHeld(false)
		after.router.settleHeld(false)
	})
}

// B18: who has seen committed n knows what went wrong up to n, across a crash.
func TestB18OutcomesBeforeTheWatermark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		m := troubled(b, &pb.Open{})
		p := b.open(&pb.Open{Producer: "p"}, 100)
		epoch := (<-p.out).Welcome.Epoch
		for sequence := range uint64(2) {
			p.in <- &pb.IngestStreamRequest{Sequence: sequence + 1, Entries: m.Entries}
		}
		synctest.Wait()
		log.set(func() { log.slow = true })
		b.router.settleHeld(false)
		if s := p.all(t); s.committed != 0 || len(s.refusals) != 0 {
			t.Fatalf("committed %d before the outcome is on the disk", s.committed)
		}

		// It dies: nothing is committed, and both are replayed.
		after, found := b.restarted(log, nil)
		again := after.open(&pb.Open{Producer: "p", Epoch: epoch}, 100)
		if w := (<-again.out).Welcome; w.CommittedSequence != 0 || w.LoggedSequence != 2 || !w.Resumed {
			t.Fatalf("welcome %v", w)
		}
		after.router.outcome = b.router.outcome
		if err := found.replay(t.Context(), after.server(), nil); err != nil {
			t.Fatal(err)
		}
		s := again.all(t)
		if s.committed != 2 || len(s.refusals) != 4 || len(s.letters) != 1 {
			t.Fatalf("committed %d, refusals %v, letters %v", s.committed, s.refusals, s.letters)
		}
		b.router.settleHeld(false)
		b.close(p)
		after.close(again)

		// It dies again. Whoever has seen less is told again.
		for seen, want := range map[uint64]int{0: 4, 1: 2, 2: 0} {
			last, _ := after.restarted(found, nil)
			p := last.open(&pb.Open{Producer: "p", Epoch: epoch, CommittedSequence: seen}, 100)
			if s := p.all(t); s.opened.CommittedSequence != 2 || len(s.refusals) != want || s.opened.Epoch != epoch {
				t.Errorf("who has seen %d is told %v, welcome %v", seen, s.refusals, s.opened)
			}
			last.close(p)
		}
	})
}

// server is the service's server, without a port.
func (b *bubble) server() *Server { return &Server{config: *b.ingest.config, ingest: b.ingest} }

// A crash can make the log forget what was committed: that a batch was stored needs no record before the watermark moves. A watermark
// that a client has seen does not fall.
func TestClientKnowsMoreIsCommitted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		p := b.open(&pb.Open{Producer: "p"}, 100)
		epoch := (<-p.out).Welcome.Epoch
		for sequence := range uint64(4) {
			p.in <- &pb.IngestStreamRequest{Sequence: sequence + 1, Entries: entriesOf("a")}
		}
		synctest.Wait()
		after, found := b.restarted(log, nil)
		again := after.open(&pb.Open{Producer: "p", Epoch: epoch, CommittedSequence: 3}, 100)
		if w := (<-again.out).Welcome; w.CommittedSequence != 3 || w.LoggedSequence != 4 || !w.Resumed {
			t.Fatalf("welcome %v", w)
		}
		if err := found.replay(t.Context(), after.server(), nil); err != nil {
			t.Fatal(err)
		}
		if s := again.all(t); s.committed != 4 {
			t.Errorf("committed %d", s.committed)
		}
		if lag := metricOf(t, after.registry, "watermark_lag_requests"); lag != 0 {
			t.Errorf("the lag is %v", lag)
		}
		b.router.settleHeld(false)
		b.close(p)
		after.close(again)
	})
}

func TestOpeningRulesWithALog(t *testing.T) {
	const known, logged = uint64(1_000_000_000_000_000), uint64(5) // of which 3 are committed
	for name, c := range map[string]struct {
		fresh bool // the producer is not known
		open  opening
		want  welcome
		begun bool // the log is told of an epoch
	}{
		"a given epoch resumes":                  {open: opening{epoch: known}, want: welcome{epoch: known, committed: 3, logged: 5, resumed: true}},
		"with all that the producer relies on":   {open: opening{epoch: known, committed: 1, logged: 5}, want: welcome{epoch: known, committed: 3, logged: 5, resumed: true}},
		"with what it knows to be committed":     {open: opening{epoch: known, committed: 4, logged: 5}, want: welcome{epoch: known, committed: 4, logged: 5, resumed: true}},
		"one that knows less goes on from there": {open: opening{epoch: known, committed: 2, logged: 9}, want: welcome{epoch: known, committed: 9, logged: 9}, begun: true},
		"committed may be above logged":          {open: opening{epoch: known, committed: 8}, want: welcome{epoch: known, committed: 8, logged: 8}, begun: true},
		"a higher epoch is adopted":              {open: opening{epoch: known + 7, committed: 40, logged: 44}, want: welcome{epoch: known + 7, committed: 44, logged: 44}, begun: true},
		"an unknown producer's is, too":          {fresh: true, open: opening{epoch: 3, committed: 40, logged: 30}, want: welcome{epoch: 3, committed: 40, logged: 40}, begun: true},
		"zero begins an epoch":                   {open: opening{}, want: welcome{epoch: known + 1}, begun: true},
	} {
		t.Run(name, func(t *testing.T) {
			log := &fakeLog{}
			r := testRegistry(t, withLog(log))
			p, err := r.use("", "p")
			if err != nil {
				t.Fatal(err)
			}
			if !c.fresh {
				s, _, err := openAs(t.Context(), p, &opening{epoch: known})
				if err != nil {
					t.Fatal(err)
				}
				for sequence := range logged {
					if _, err := p.accept(t.Context(), s, sequence+1, 7); err != nil {
						t.Fatal(err)
					}
					p.routed(true)
					p.logged(known, sequence+1)
				}
				for _, sequence := range []uint64{3, 1, 2} {
					p.settle(known, sequence, nil, nil)
				}
				s.end()
			}
			before := len(log.records)
			_, got, err := openAs(t.Context(), p, &c.open)
			if err != nil || got != c.want {
				t.Fatalf("got %+v, %v, want %+v", got, err, c.want)
			}
			if begun := len(log.records) > before; begun != c.begun {
				t.Errorf("the log was told of an epoch: %v", begun)
			}
		})
	}
}

// An epoch is in the log before its producer is welcomed. If the log fails, the next opening tells it again.
func TestEpochIsLoggedBeforeTheWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{slow: true}
		b := newBubble(t, withLog(log))
		first := b.open(&pb.Open{Producer: "p"}, 100)
		synctest.Wait()
		second := b.open(&pb.Open{Producer: "p"}, 100)
		synctest.Wait()
		wantStatus(t, <-first.ended, codes.Aborted, "SUPERSEDED")
		if len(first.out)+len(second.out) != 0 || len(log.records) != 2 {
			t.Fatalf("%d records, %d and %d responses", len(log.records), len(first.out), len(second.out))
		}
		log.sync(true)
		w := (<-second.out).Welcome
		if got := log.records; len(got) != 2 || got[0].epoch >= got[1].epoch || got[1].epoch != w.Epoch {
			t.Fatalf("epochs %d and %d, welcome %v", got[0].epoch, got[1].epoch, w)
		}
		b.close(first, second)

		log.set(func() { log.slow, log.err = false, errDisk })
		third := b.open(&pb.Open{Producer: "p"}, 100)
		wantStatus(t, <-third.ended, codes.Unavailable, "NOT_ACCEPTING")
		log.set(func() { log.err = nil })
		fourth := b.open(&pb.Open{Producer: "p", Epoch: w.Epoch + 1}, 100)
		if w := (<-fourth.out).Welcome; w.Epoch != log.records[2].epoch || w.Resumed {
			t.Fatalf("welcome %v, records %d", w, len(log.records))
		}
		b.close(third, fourth)

		log.set(func() { log.slow = true })
		late := b.open(&pb.Open{Producer: "p"}, 100) // the disk hangs
		wantStatus(t, <-late.ended, codes.Unavailable, "OLDER_NOT_FINISHED")
		b.close(late)
	})
}

// What is not appended is taken back; what is, never.
func TestAppendedIsNotTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{waiting: make(chan struct{}, 10)}
		b := newBubble(t, withLog(log))
		call := func(ctx context.Context, sequence uint64, entries ...string) (*pb.IngestResponse, error) {
			r, err := b.call(ctx, &pb.IngestRequest{Sequence: sequence, Entries: entriesOf(entries...),
				Open: &pb.Open{Producer: "p", Epoch: 9, Acknowledgement: levelLogged}})
			return r, b.ingest.statusOf(err)
		}
		if _, err := call(t.Context(), 1, "a"); err != nil {
			t.Fatal(err)
		}
		for _, entries := range [][]string{{"b"}, {}} { // through the Router, and not
			log.set(func() { log.err = errDisk })
			_, err := call(t.Context(), 2, entries...)
			wantStatus(t, err, codes.Unavailable, "NOT_ACCEPTING")
			log.set(func() { log.err, log.full = nil, make(chan struct{}) })
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-log.waiting
				cancel()
			}()
			_, err = call(ctx, 2, entries...)
			wantStatus(t, err, codes.Canceled, "CANCELED")
			log.set(func() { log.full = nil })
		}
		if log.reserved != 0 {
			t.Errorf("%d reservations are left", log.reserved)
		}
		b.router.script = func(ctx context.Context, r *schema.Request, _ func(schema.WaitCause, string)) error {
			_ = r.Log.Reserve(ctx, 1, nil)
			r.LSN, _ = r.Log.Append("routing")
			panic("bug")
		}
		func() {
			defer func() { _ = recover() }()
			_, _ = call(t.Context(), 2, "c")
		}()
		b.router.script = nil
		if r, err := call(t.Context(), 2, "c"); err != nil || r.LoggedSequence != 2 || len(b.router.routed()) != 1 {
			t.Errorf("the repeat of what was logged: %v, %v", r, err)
		}
	})
}

// A log without room holds the producer back, which is told so, and no memory.
func TestFullLogThrottles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := make(chan struct{})
		log := &fakeLog{full: room, waiting: make(chan struct{}, 10)}
		b := newBubble(t, withLog(log))
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1}
		time.Sleep(time.Second)
		if s := p.all(t); len(s.throttles) != 1 || s.throttles[0].Cause != pb.ThrottleCause_THROTTLE_CAUSE_LOG {
			t.Fatalf("throttles %v", s.throttles)
		}
		if used, _ := b.budget.now(); used != 0 {
			t.Errorf("%d bytes are held", used)
		}
		log.set(func() { log.full = nil })
		close(room)
		if s := p.all(t); s.committed != 1 || len(s.throttles) != 1 || s.throttles[0].Cause != 0 {
			t.Errorf("committed %d, throttles %v", s.committed, s.throttles)
		}
		b.close(p)
	})
}

// An anonymous call at level LOGGED needs no ClickHouse; one at COMMITTED is not accepted while that is away.
func TestAnonymousCallsWhileAway(t *testing.T) {
	log := &fakeLog{}
	f := newFixture(t, withLog(log))
	f.router.hold = true
	f.readiness.setAway("ClickHouse is away")
	_, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a")})
	wantStatus(t, err, codes.Unavailable, "NOT_COMMITTING")
	r, err := f.ingest(&pb.IngestRequest{Entries: entriesOf("a"), Open: &pb.Open{Acknowledgement: levelLogged}})
	if err != nil || r.LoggedSequence != 1 || r.CommittedSequence != 0 || r.Acknowledgement != levelLogged {
		t.Fatalf("%v, %v", r, err)
	}
	if len(log.records) != 1 || log.records[0].kind != "request" { // an anonymous producer begins no epoch there
		t.Errorf("records %+v", log.records)
	}
}

// The doors answer at LOGGED where they are asked to, and refuse that without a log.
func TestDoorsAtLogged(t *testing.T) {
	lines, logs := `{"msg":"a"}`, logsOf(&logspb.LogRecord{Body: str("a")})
	header := []string{headerProducer, "p", headerSequence, "1", headerAcknowledgement, "logged"}
	t.Run("without a log", func(t *testing.T) {
		f := newHTTPFixture(t, nil, (*ingest).httpProtocols)
		if code, _, body := f.postLines("", lines, header...); code != http.StatusConflict || !strings.Contains(body, "NO_LOG") {
			t.Errorf("POST /v1/ingest: %d %s", code, body)
		}
		if r, body := f.logs(contentProtobuf, logs, header...); r.StatusCode != http.StatusConflict {
			t.Errorf("POST /v1/logs: %d %s", r.StatusCode, body)
		}
		_, err := f.export(logs, header)
		wantStatus(t, err, codes.FailedPrecondition, "NO_LOG")
		p := f.stream()
		p.send(&pb.IngestStreamRequest{Open: &pb.Open{Acknowledgement: levelLogged}})
		wantStatus(t, p.end(), codes.FailedPrecondition, "NO_LOG")
	})
	t.Run("with a log", func(t *testing.T) {
		log := &fakeLog{}
		f := newHTTPFixture(t, withLog(log), (*ingest).httpProtocols)
		f.router.hold = true
		for range 2 { // a repeat is not stored again
			code, a, body := f.postLines("", lines, header...)
			if code != http.StatusOK || a.Acknowledgement != "logged" || a.LoggedSequence != 1 || a.CommittedSequence != 0 || a.Accepted != 1 {
				t.Errorf("POST /v1/ingest: %d %s", code, body)
			}
			header[1] = "q"
			if r, body := f.logs(contentProtobuf, logs, header...); r.StatusCode != http.StatusOK {
				t.Errorf("POST /v1/logs: %d %s", r.StatusCode, body)
			}
			header[1] = "r"
			if p, err := f.export(logs, header); err != nil || p.rejected != 0 {
				t.Errorf("Export: %v, %v", p, err)
			}
			header[1] = "p"
		}
		var protocols []string
		for _, r := range log.unplaced() {
			protocols = append(protocols, r.Protocol)
		}
		slices.Sort(protocols)
		if !slices.Equal(protocols, []string{protocolJSONLines, protocolOTLP, protocolOTLP}) {
			t.Errorf("logged %v", protocols)
		}
	})
	t.Run("by configuration", func(t *testing.T) {
		f := newHTTPFixture(t, func(c *Config) { c.WAL, c.Acknowledgement = &fakeLog{}, "logged" }, (*ingest).httpProtocols)
		f.router.hold = true
		if code, a, body := f.postLines("?format=entry", `{"body":"a"}`); code != http.StatusOK || a.Acknowledgement != "logged" {
			t.Errorf("POST /v1/ingest: %d %s", code, body)
		}
	})
}

// A producer that never comes back after a restart is forgotten like others, but not while something of it is unsettled.
func TestProducersOfTheLogAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeLog{}
		b := newBubble(t, withLog(log))
		b.router.hold = true
		for _, id := range []string{"p", "q"} {
			m := &pb.IngestRequest{Sequence: 1, Entries: entriesOf("a"), Open: &pb.Open{Producer: id, Epoch: 9, Acknowledgement: levelLogged}}
			if _, err := b.call(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
		held := b.router.held
		b.router.settle(held[0], held[0])
		after, found := b.restarted(log, nil)
		after.ingest.registry.restore()
		if known := metricOf(t, after.registry, "known_producers"); known != 2 {
			t.Fatalf("%v producers are known", known)
		}
		idle := func() {
			time.Sleep(after.ingest.config.ProducerIdle)
			p, err := after.ingest.registry.use("", "other")
			if err != nil {
				t.Fatal(err)
			}
			after.ingest.registry.leave(p)
		}
		if idle(); !slices.Equal(found.forgot, []string{"p"}) {
			t.Fatalf("forgotten: %v", found.forgot)
		}
		if err := found.replay(t.Context(), after.server(), nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if idle(); !slices.Contains(found.forgot, "q") {
			t.Fatalf("forgotten: %v", found.forgot)
		}
		if _, ok := found.Producer("", "p"); ok {
			t.Error("the log knows p")
		}
		b.router.settleHeld(false)
	})
}

// B19: the epoch of a forgotten producer is not given again, though the clock was set back. What a client claims for one producer takes no
// epoch from the others.
func TestB19EpochsOfTheForgotten(t *testing.T) {
	for claimed, want := range map[uint64]uint64{2_000_000_000_000: 2_000_000_000_001, maxNumber: 1_700_000_000_000} {
		log := &fakeLog{}
		r := testRegistry(t, func(c *Config) { c.WAL, c.MaxProducers = log, 1 })
		r.now = func() time.Time { return time.UnixMilli(1_700_000_000_000) }
		p, _ := r.use("", "p")
		s, _, err := openAs(t.Context(), p, &opening{epoch: claimed})
		if err != nil {
			t.Fatal(err)
		}
		s.end()
		r.leave(p)
		p, err = r.use("", "q") // there is room for one
		if err != nil || !slices.Equal(log.forgot, []string{"p"}) {
			t.Fatalf("forgotten: %v, %v", log.forgot, err)
		}
		_, w, err := openAs(t.Context(), p, &opening{})
		if err != nil || w.epoch != want {
			t.Errorf("after %d: %+v, %v", claimed, w, err)
		}
	}
}

// TestCursorOfALogAgainstNaive checks a cursor that is logged, and restored at any moment.
func TestCursorOfALogAgainstNaive(t *testing.T) {
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 2))
		start := uint64(random.IntN(3)) * 1_000_000_007
		c, settled := newCursor(start, true), map[uint64]bool{}
		var sums []uint64
		for step := range 3000 {
			switch random.IntN(6) {
			case 0, 1:
				sums = append(sums, random.Uint64())
				c.accept(uint32(sums[len(sums)-1]))
			case 2:
				c.log(min(c.accepted, c.logged+uint64(random.IntN(3))))
			case 3:
				if s := c.committed + 1 + uint64(random.IntN(10)); s <= c.accepted {
					settled[s] = true
					c.settle(s)
				}
			case 4:
				if random.IntN(10) == 0 {
					s := c.committed + uint64(random.IntN(4))
					for i := start; i <= min(s, c.accepted); i++ {
						settled[i] = true
					}
					c.trust(s)
				}
			default:
				if random.IntN(20) > 0 {
					continue
				}
				sums = sums[:c.logged-start] // what is not logged is lost
				l := &schema.LoggedProducer{Accepted: c.logged, Sums: sums}
				for s := start + 1; s <= c.logged; s++ {
					if !settled[s] {
						l.Unsettled = append(l.Unsettled, s)
					}
				}
				for s := c.logged + 1; s <= c.accepted; s++ {
					delete(settled, s)
				}
				c = restoredCursor(l)
			}
			committed := start
			for committed < c.logged && settled[committed+1] {
				committed++
			}
			if c.committed != committed || c.logged > c.accepted || c.unsettled() != c.accepted-committed {
				t.Fatalf("seed %d step %d: committed %d, want %d of %d logged, %d accepted", seed, step, c.committed, committed, c.logged, c.accepted)
			}
			if n := uint64(len(sums)); n > 0 {
				i := n - 1 - uint64(random.IntN(int(min(n, rememberedSums))))
				if got := c.judge(start+1+i, uint32(sums[i])); got != verdictRepeat {
					t.Fatalf("seed %d step %d: judge(%d) is %d", seed, step, start+1+i, got)
				}
				if got := c.judge(start+1+i, uint32(sums[i])+1); got != verdictAltered {
					t.Fatalf("seed %d step %d: judge(%d) of others is %d", seed, step, start+1+i, got)
				}
			}
		}
	}
}

// With a log an outage does not throttle by the number of requests, and leaves no memory behind.
func TestManyUnsettledWithALog(t *testing.T) {
	p := &producer{log: &fakeLog{}, cursor: newCursor(0, true)}
	for range 4 * maxUnsettled {
		p.cursor.accept(1)
	}
	if p.cursor.unsettled() >= p.maxUnsettled() {
		t.Errorf("a stream waits with %d unsettled", p.cursor.unsettled())
	}
	p.cursor.log(4 * maxUnsettled)
	for s := range uint64(4 * maxUnsettled) {
		p.cursor.settle(s + 1)
	}
	if p.cursor.committed != 4*maxUnsettled || len(p.cursor.settled) > maxUnsettled {
		t.Errorf("committed %d, %d flags are kept", p.cursor.committed, len(p.cursor.settled))
	}
}

// instantLog is a log that costs nothing.
type instantLog struct{ Log }

func (instantLog) Begin(context.Context, string, string, uint64, uint64) error { return nil }
func (instantLog) Producers() iter.Seq2[string, string]                        { return func(func(string, string) bool) {} }
func (instantLog) Producer(string, string) (p schema.LoggedProducer, ok bool)  { return p, false }
func (instantLog) Placed(uint64, *schema.Outcome)                              {}
func (instantLog) Settled(_ uint64, _ *schema.Outcome, recorded func())        { recorded() }
func (instantLog) Request(_ *schema.LoggedRequest, logged func()) schema.RequestLog {
	return instantRequestLog(logged)
}

type instantRequestLog func()

func (instantRequestLog) Reserve(context.Context, int, func()) error { return nil }
func (instantRequestLog) Unreserve()                                 {}
func (l instantRequestLog) Append(string) (uint64, error) {
	l()
	return 1, nil
}

// instantRouter settles requests at once.
type instantRouter struct{}

func (instantRouter) Route(_ context.Context, r *schema.Request, _ func(schema.WaitCause, string)) (err error) {
	if r.Log != nil {
		r.LSN, err = r.Log.Append("routing")
	}
	r.Release()
	if r.LSN != 0 {
		r.Placed(&schema.Outcome{})
	}
	r.Settled(&schema.Outcome{})
	return err
}

// BenchmarkRoute measures what a request costs besides its decoding, in a stream, and what it costs more with a log that costs nothing.
func BenchmarkRoute(b *testing.B) {
	for name, log := range map[string]Log{"without a log": nil, "with a log": instantLog{}} {
		b.Run(name, func(b *testing.B) {
			c := testConfig()
			c.WAL = log
			in := newIngest(&c, instantRouter{}, &fakeBudget{}, &fakeReadiness{}, newMetrics(c.Registerer))
			p, _ := in.registry.use("", "p")
			o := &opening{epoch: 9, tenant: in.tenants.of(anyone().Tenant)}
			if err := c.complete(o, &pb.Open{}); err != nil {
				b.Fatal(err)
			}
			s, _, err := openAs(b.Context(), p, o)
			if err != nil {
				b.Fatal(err)
			}
			data, sequence := designRequest(1), uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				r, err := in.intake.admit(b.Context(), frameOf(data), testReceived, s)
				if err != nil {
					b.Fatal(err)
				}
				sequence++
				r.outline.sequence = sequence
				if _, err := in.route(b.Context(), s, r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
