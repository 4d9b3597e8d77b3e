package server

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// history is a producer at level LOGGED that keeps nothing of what is logged, its instances one after the other, and their table.
type history struct {
	t      *testing.T
	random *rand.Rand
	b      *bubble
	log    *fakeLog
	pipe   *pipe

	// What the producer knows. It has sent everything up to sent on this stream, and made requests up to made.
	epoch, committed, logged, sent, made uint64
	// stored counts how often each request was stored.
	stored map[uint64]int
}

// read takes what the stream has answered. No watermark may fall.
func (h *history) read() {
	for {
		time.Sleep(10 * time.Millisecond) // longer than ResponseInterval
		synctest.Wait()
		select {
		case r := <-h.pipe.out:
			committed, logged := r.CommittedSequence, r.LoggedSequence
			if w := r.Welcome; w != nil {
				committed, logged = w.CommittedSequence, w.LoggedSequence
				if h.epoch != 0 && (!w.Resumed || w.Epoch != h.epoch || committed < h.committed || logged < h.logged) {
					h.t.Fatalf("welcome %v for committed %d, logged %d", w, h.committed, h.logged)
				}
				h.epoch, h.sent = w.Epoch, logged
				if h.random.IntN(4) == 0 { // what is sent again is a repeat
					h.sent = max(committed, h.logged)
				}
			}
			if committed != 0 && committed < h.committed || logged != 0 && logged < h.logged {
				h.t.Fatalf("committed %d after %d, logged %d after %d", committed, h.committed, logged, h.logged)
			}
			h.committed, h.logged = max(h.committed, committed), max(h.logged, logged)
			for sequence := uint64(1); sequence <= h.committed; sequence++ {
				if h.stored[sequence] != rowsOf(sequence) {
					h.t.Fatalf("%d is committed and stored %d times", sequence, h.stored[sequence])
				}
			}
		default:
			return
		}
	}
}

func (h *history) open() {
	h.pipe = h.b.open(&pb.Open{Producer: "p", Epoch: h.epoch, CommittedSequence: h.committed, LoggedSequence: h.logged, Acknowledgement: levelLogged}, 1000)
	synctest.Wait()
	if len(h.pipe.out) == 0 {
		h.log.sync(true) // the disk is slow, not dead
	}
	h.read()
}

// rowsOf returns how many rows a request has: some have no entries.
func rowsOf(sequence uint64) int {
	if sequence%4 == 0 {
		return 0
	}
	return 1
}

func (h *history) send() {
	for h.made = max(h.made, h.sent+1); h.sent < h.made; {
		h.sent++
		request := &pb.IngestStreamRequest{Sequence: h.sent}
		for range rowsOf(h.sent) {
			request.Entries = entriesOf(fmt.Sprint(h.sent))
		}
		h.pipe.in <- request
	}
	synctest.Wait()
}

// settle stores a request, if no file had it when its instance started. No row is stored before its request is durable.
func (h *history) settle() {
	f := h.b.router
	f.mu.Lock()
	if len(f.held) == 0 {
		f.mu.Unlock()
		return
	}
	i := h.random.IntN(len(f.held))
	r := f.held[i]
	f.held = append(f.held[:i:i], f.held[i+1:]...)
	f.mu.Unlock()
	h.log.sync(true)
	if r.Skip == nil || !r.Skip("route", 0) {
		h.stored[r.Sequence]++
	}
	f.settle(r, r)
}

func (h *history) kill() {
	h.b.close(h.pipe)
	h.b, h.log = h.b.restarted(h.log, nil)
	h.b.router.hold = true
	h.log.server = h.b.server()
	live := h.log.unplaced()
	for lsn := range uint64(len(h.log.records) + 1) {
		r := live[lsn]
		if r == nil {
			continue
		}
		there := h.stored[r.Sequence] > 0 // its file, or the table, says so
		if err := h.log.server.Replay(h.t.Context(), r, lsn, func(string, uint32) bool { return there }); err != nil {
			h.t.Fatal(err)
		}
	}
}

// A producer that relies on the log has each request stored once, whatever the disk does and whenever its instance dies; and its watermarks
// never fall.
func TestLoggedHistories(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			log := &fakeLog{}
			h := &history{t: t, random: rand.New(rand.NewPCG(seed, 9)), log: log, stored: map[uint64]int{}, b: newBubble(t, withLog(log))}
			h.b.router.hold = true
			h.b.router.outcome = func(r *schema.Request) *schema.Outcome { // some have something to tell
				if r.Sequence%3 > 0 {
					return &schema.Outcome{}
				}
				return &schema.Outcome{DeadLettered: []schema.DeadLettered{{Rows: 1, ID: fmt.Sprint(r.Sequence)}}}
			}
			outcome := h.b.router.outcome
			h.open()
			for range 80 {
				switch h.random.IntN(10) {
				case 0, 1, 2, 3:
					h.send()
				case 4, 5:
					h.settle()
				case 6:
					h.log.set(func() { h.log.slow = !h.log.slow })
				case 7:
					h.log.sync(true)
				case 8:
					h.pipe.cancel()
					<-h.pipe.ended
					h.open()
				default:
					h.kill()
					h.b.router.outcome = outcome
					h.open()
				}
				h.read()
			}
			h.send()
			h.log.set(func() { h.log.slow = false })
			h.log.sync(true)
			for range 2 * h.made {
				h.settle()
			}
			h.read()
			if h.committed != h.made || h.logged != h.made {
				t.Errorf("seed %d: committed %d, logged %d of %d", seed, h.committed, h.logged, h.made)
			}
			for sequence := uint64(1); sequence <= h.made; sequence++ {
				if h.stored[sequence] != rowsOf(sequence) {
					t.Errorf("seed %d: %d is stored %d times", seed, sequence, h.stored[sequence])
				}
			}
			h.b.close(h.pipe)
		})
	}
}
