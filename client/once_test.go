package client

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// faulty keeps the protocol's promises like a server, and breaks streams everywhere it may.
type faulty struct {
	turn sync.Mutex // held by a stream: the next opening waits until the older one is settled

	random            *rand.Rand
	epoch, committed  uint64
	streams, restarts int
	stored            []string
}

func (f *faulty) serve(_ int, open *logbatcherv1.Open, s serverStream) error {
	f.turn.Lock()
	defer f.turn.Unlock()
	f.streams++
	switch {
	case open.GetEpoch() == 0:
		f.epoch++
		f.committed = 0
		if f.epoch > 1 {
			f.restarts++
		}
	case open.GetEpoch() != f.epoch || open.GetCommittedSequence() > f.committed:
		return status.Errorf(codes.InvalidArgument, "opened with epoch %d and %d, want %d and at most %d", open.GetEpoch(), open.GetCommittedSequence(), f.epoch, f.committed)
	}
	if f.random.IntN(10) == 0 {
		return unavailable("before the Welcome")
	}
	l := &logbatcherv1.Limits{MaxRequestEntries: uint32(f.random.IntN(6)), MaxRequestBytes: uint64(f.random.IntN(3) * 150)}
	if err := welcome(s, &logbatcherv1.Welcome{Epoch: f.epoch, Resumed: open.GetEpoch() != 0, CommittedSequence: f.committed, Limits: l}); err != nil {
		return err
	}
	for {
		r, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case r.GetSequence() > f.committed+1:
			return status.Errorf(codes.OutOfRange, "sequence %d after %d", r.GetSequence(), f.committed)
		case l.MaxRequestEntries > 0 && len(r.GetEntries()) > int(l.MaxRequestEntries), l.MaxRequestBytes > 0 && r.SizeVT() > int(l.MaxRequestBytes):
			return status.Errorf(codes.ResourceExhausted, "%d entries, %d bytes: the limits are %v", len(r.GetEntries()), r.SizeVT(), l)
		case r.GetSequence() == f.committed+1:
			f.committed++
			for _, e := range r.GetEntries() {
				f.stored = append(f.stored, e.GetBody())
			}
		}
		response := &logbatcherv1.IngestStreamResponse{CommittedSequence: f.committed}
		switch f.random.IntN(20) {
		case 0:
			return unavailable("stored and not told")
		case 1:
			response.Drain = &logbatcherv1.Drain{}
		case 2:
			response = &logbatcherv1.IngestStreamResponse{}
		}
		if err := s.Send(response); err != nil {
			return err
		}
		if f.random.IntN(20) == 0 {
			return unavailable("told")
		}
	}
}

// TestEachEntryOnce sends through streams that break everywhere, with limits that change from one to the next.
func TestEachEntryOnce(t *testing.T) {
	for seed := range uint64(20) {
		f := &faulty{random: rand.New(rand.NewPCG(seed, 1))}
		var l ledger
		c := l.config("once", serve(t, f.serve))
		c.MaxBytes, c.BatchEntries, c.Linger = 10_000, 20, time.Millisecond
		p := open(t, c)
		random := rand.New(rand.NewPCG(seed, 2))
		sent := 0
		for range 60 {
			var texts []string
			for range random.IntN(30) {
				texts = append(texts, fmt.Sprintf("%0*d", 1+random.IntN(80), sent))
				sent++
			}
			if err := p.Send(t.Context(), bodies(texts...)...); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		if err := p.Close(t.Context()); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if s := p.Statistics(); s.Bytes != 0 || s.Unsent != 0 || s.Given != uint64(sent) || s.Reached != s.Given {
			t.Errorf("seed %d: %+v", seed, s)
		}
		f.turn.Lock()
		if len(f.stored) != sent || l.committed.Entries != sent || l.committed.Refused != 0 {
			t.Errorf("seed %d: %d of %d entries are stored, reported %+v", seed, len(f.stored), sent, l.committed)
		}
		for n, text := range f.stored {
			if got, err := strconv.Atoi(text); err != nil || got != n {
				t.Fatalf("seed %d: entry %d is stored in place %d", seed, got, n)
			}
		}
		if f.streams < 10 {
			t.Errorf("seed %d: %d streams", seed, f.streams)
		}
		t.Logf("seed %d: %d entries, %d streams, %d new epochs", seed, sent, f.streams, f.restarts)
		f.turn.Unlock()
	}
}
