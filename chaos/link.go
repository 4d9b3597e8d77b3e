//go:build linux

package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A link is a TCP proxy that can fail. With several targets it is a balancer: each connection goes to the next one that answers.
type link struct {
	name    string
	address string
	targets func() []string

	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	running  sync.WaitGroup
	affected atomic.Int64 // pieces of data that a fault has struck

	mu    sync.Mutex // guards what follows
	next  int
	pairs map[*pair]struct{}
	fault linkFault
	over  chan struct{} // closed when fault is over
}

// linkFault is what happens to data on its way.
type linkFault struct {
	delay          time.Duration // of each piece
	bytesPerSecond int           // 0: no bound
	stall          bool          // nothing passes
}

// A pair is a connection of a client and the one to the target.
type pair struct{ client, target *net.TCPConn }

func (p *pair) close() {
	_ = p.client.Close()
	_ = p.target.Close()
}

// newLink listens on a free port.
func newLink(name string, targets func() []string) (*link, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{name: name, address: listener.Addr().String(), targets: targets, listener: listener, pairs: map[*pair]struct{}{}}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.running.Go(l.accept)
	return l, nil
}

// close ends all connections.
func (l *link) close() {
	l.cancel()
	_ = l.listener.Close()
	l.cut()
	l.running.Wait()
}

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		switch {
		case l.ctx.Err() != nil:
			if err == nil {
				_ = client.Close()
			}
			return
		case err != nil:
			time.Sleep(10 * time.Millisecond) // out of file descriptors, for instance
			continue
		}
		l.running.Go(func() { l.serve(client.(*net.TCPConn)) })
	}
}

// serve passes data until one end closes. Where no target answers, the client's connection is closed.
func (l *link) serve(client *net.TCPConn) {
	target, err := l.dial()
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client, target}
	l.mu.Lock()
	l.pairs[p] = struct{}{}
	l.mu.Unlock()
	if l.ctx.Err() != nil {
		p.close() // close may have missed it
	}
	var both sync.WaitGroup
	both.Go(func() { l.pass(p, target, client) })
	both.Go(func() { l.pass(p, client, target) })
	both.Wait()
	p.close()
	l.mu.Lock()
	delete(l.pairs, p)
	l.mu.Unlock()
}

func (l *link) dial() (*net.TCPConn, error) {
	targets := l.targets()
	l.mu.Lock()
	first := l.next
	l.next++
	l.mu.Unlock()
	err := errors.New("no target serves")
	for i := range targets {
		target := targets[(first+i)%len(targets)]
		if target == "" {
			continue
		}
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", target, 2*time.Second); err == nil {
			return conn.(*net.TCPConn), nil
		}
	}
	return nil, err
}

// pass copies one direction, and then closes it. An error ends both.
func (l *link) pass(p *pair, to, from *net.TCPConn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.suffer(n)
			if _, err := to.Write(buffer[:n]); err != nil {
				p.close()
				return
			}
		}
		if err != nil {
			_ = to.CloseWrite()
			if l.ctx.Err() != nil || !errors.Is(err, io.EOF) {
				p.close()
			}
			return
		}
	}
}

// suffer waits for as long as the fault holds a piece of data up.
func (l *link) suffer(bytes int) {
	l.mu.Lock()
	f, over := l.fault, l.over
	l.mu.Unlock()
	wait := f.delay
	if f.bytesPerSecond > 0 {
		wait += time.Duration(bytes) * time.Second / time.Duration(f.bytesPerSecond)
	}
	if f.stall {
		wait = time.Hour
	}
	if wait == 0 {
		return
	}
	l.affected.Add(1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-over:
	case <-l.ctx.Done():
	}
}

// suffering has the link fail for that long. It returns how many pieces of data were struck.
func (l *link) suffering(ctx context.Context, f linkFault, length time.Duration) int64 {
	before, over := l.affected.Load(), make(chan struct{})
	l.mu.Lock()
	l.fault, l.over = f, over
	l.mu.Unlock()
	rest(ctx, length)
	l.mu.Lock()
	l.fault = linkFault{}
	l.mu.Unlock()
	close(over)
	return l.affected.Load() - before
}

// cut resets all connections and returns how many that were.
func (l *link) cut() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	for p := range l.pairs {
		_ = p.client.SetLinger(0)
		_ = p.target.SetLinger(0)
		p.close()
	}
	return len(l.pairs)
}

// halfClose ends one direction of all connections, and the other one after a while. It returns how many connections it struck.
func (l *link) halfClose(ctx context.Context, towardsTarget bool, length time.Duration) int {
	l.mu.Lock()
	var struck []*pair
	for p := range l.pairs {
		struck = append(struck, p)
		if towardsTarget {
			_ = p.target.CloseWrite()
		} else {
			_ = p.client.CloseWrite()
		}
	}
	l.mu.Unlock()
	rest(ctx, length)
	for _, p := range struck {
		p.close()
	}
	return len(struck)
}

// rest waits, unless ctx ends.
func rest(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
