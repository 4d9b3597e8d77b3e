//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/client/spill"
)

// requestEntries is how many entries the producers give to the client at a time, at most.
const requestEntries = 400

// colos are those of the entries of every fourth producer; the others have one.
var colos = []string{"EWR", "LAX", "FRA"}

// A producer sends the numbers of one producer through the client, each once, in order.
type producer struct {
	plan                 *plan
	index                int
	address, httpAddress string
	pace                 time.Duration // between two entries
	logged               bool          // what is logged is forgotten; else what is committed
	skip                 bool          // leave some entries out, on purpose
	repeat               bool          // send some entries twice, on purpose
	spill                string        // folder; empty: what is not safe is kept in memory only
	log                  *slog.Logger

	next      atomic.Uint64 // the next number to send
	committed atomic.Uint64 // sequence
	breaks    atomic.Int64  // streams that ended with an error
}

// run sends all numbers and returns once they are as safe as the client promises.
func (p *producer) run(ctx context.Context) (err error) {
	random := rand.New(rand.NewPCG(p.plan.seed, 100+uint64(p.index)))
	c := client.DefaultConfig(fmt.Sprintf("chaos/%d", p.index), p.address)
	c.DialOptions = []grpc.DialOption{grpc.WithConnectParams(grpc.ConnectParams{
		Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond}, MinConnectTimeout: 3 * time.Second,
	})}
	c.MinBackoff, c.MaxBackoff, c.MaxBytes, c.WelcomeTimeout = 50*time.Millisecond, time.Second, 16<<20, 10*time.Second
	c.BatchEntries, c.Linger = 20+random.IntN(800), 20*time.Millisecond
	if p.logged {
		c.Open.Acknowledgement = logbatcherv1.Acknowledgement_ACKNOWLEDGEMENT_LOGGED
	}
	c.Log = p.log.With("producer", p.index)
	c.OnError = func(error) { p.breaks.Add(1) }
	c.OnProgress = func(progress client.Progress) { p.committed.Store(progress.Committed) }
	if p.spill != "" {
		if c.Spill, err = openSpill(p.spill); err != nil {
			return err
		}
	}
	sender, err := client.Open(c)
	if err != nil {
		return err
	}
	if mark := sender.Mark(); mark != nil {
		p.next.Store(binary.BigEndian.Uint64(mark) + 1)
	}
	if err = p.send(ctx, sender, random); err == nil {
		// Without a deadline of its own Close would wait for FlushTimeout only.
		closing, cancel := context.WithDeadline(ctx, time.Now().Add(24*time.Hour))
		defer cancel()
		err = sender.Close(closing)
	} else {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		err = errors.Join(err, sender.Err(), sender.Close(ended))
	}
	s := sender.Statistics()
	if s.Lost > 0 {
		err = errors.Join(err, errors.New("the log has lost requests"))
	}
	if err != nil {
		return fmt.Errorf("producer %d: %w: %+v", p.index, err, s)
	}
	return nil
}

// send gives the numbers to the client, some at a time.
func (p *producer) send(ctx context.Context, sender *client.Producer, random *rand.Rand) error {
	began := time.Now().Add(-time.Duration(p.next.Load()) * p.pace) // an earlier process may have sent some
	for request := 0; p.next.Load() < p.plan.entries; request++ {
		from := p.next.Load()
		to := min(from+1+random.Uint64N(requestEntries), p.plan.entries)
		rest(ctx, time.Until(began.Add(time.Duration(from)*p.pace)))
		times := 1
		if p.repeat && request%50 == 7 {
			times = 2
		}
		for range times {
			if err := p.give(ctx, sender, from, to); err != nil {
				return err
			}
		}
		p.next.Store(to)
	}
	return nil
}

// openSpill opens the folder in which a producer that may be killed keeps what is not safe.
func openSpill(dir string) (client.Spill, error) { return spill.Open(spill.DefaultConfig(dir)) }

// give gives the numbers [from, to) to the client. In a spill each one marks where an other process goes on.
func (p *producer) give(ctx context.Context, sender *client.Producer, from, to uint64) error {
	entries := p.request(from, to)
	if p.spill == "" {
		return sender.Send(ctx, entries...)
	}
	for i, e := range entries {
		mark := func() []byte { return binary.BigEndian.AppendUint64(nil, from+uint64(i)) }
		if err := sender.SendMark(ctx, mark, e); err != nil {
			return err
		}
	}
	return nil
}

// skipped says which entries are left out on purpose.
func skipped(n uint64) bool { return n%500 == 70 }

// request returns the numbers [from, to) as entries.
func (p *producer) request(from, to uint64) []*logbatcherv1.Entry {
	now := time.Now()
	entries := make([]logbatcherv1.Entry, to-from)
	attributes := make([]logbatcherv1.Attribute, 4*(to-from))
	pointers := make([]*logbatcherv1.Attribute, 0, len(attributes))
	all := make([]*logbatcherv1.Entry, 0, to-from)
	for i := range entries {
		n := from + uint64(i)
		if p.skip && skipped(n) {
			continue
		}
		first := len(pointers)
		set := func(key string, value int64) {
			a := &attributes[len(pointers)]
			a.Key, a.Type, a.IntValue = key, logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, value
			pointers = append(pointers, a)
		}
		e := &entries[i]
		e.TimeUnixNano = uint64(now.Add(-time.Duration(n%3) * time.Hour).UnixNano())
		e.Service, e.Body = "chaos", bodies[n%uint64(len(bodies))]
		if p.index%4 == 3 {
			e.Colo = colos[mix(n)%uint64(len(colos))]
		}
		set("p", int64(p.index))
		set("n", int64(n))
		if n%10 == 0 {
			set("tenth", 1)
		}
		switch p.plan.fate(p.index, n) {
		case poisoned:
			set("bad", 1)
		case unmatched:
			set("nowhere", 1)
		case refused:
			e.SeverityNumber = 99
		}
		e.Attributes = pointers[first:len(pointers):len(pointers)]
		all = append(all, e)
	}
	return all
}

// bodies are texts of the lengths that log lines have.
var bodies = func() (all []string) {
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 64 {
		text := make([]byte, 10+3*i)
		for k := range text {
			text[k] = "abcdefghijklmnopqrstuvwxyz 0123456789"[random.IntN(37)]
		}
		all = append(all, string(text))
	}
	return all
}()
