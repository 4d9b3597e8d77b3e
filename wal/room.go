package wal

import (
	"context"
	"fmt"
	"sync"
)

// room is the account of what the log takes on the disk, and of what is promised to producers.
type room struct {
	log, files, reserved int64 // bytes of segments, of batch files, and promised

	mu      sync.Mutex // guards all of it
	bound   int64      // producers wait where it would be exceeded
	max     int64
	held    bool // the disk itself is full: nobody is let in
	open    bool // before Start nobody waits
	waiting []*waiter
	refuse  error // why requests are refused: the disk fails
}

// waiter is a producer that waits for room.
type waiter struct {
	bytes int64
	done  chan error // has room one value
}

func (r *room) init(l *Log) {
	r.max = int64(l.config.MaxBytes)
	r.bound = r.max - r.max/8
}

// add changes one of the account's numbers.
func (r *room) add(what *int64, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*what += bytes
	if bytes < 0 {
		r.grant()
	}
}

func (r *room) used() int64 { return r.log + r.files + r.reserved }

// grant lets in who waits, in the order in which they came. The caller holds mu.
func (r *room) grant() {
	for len(r.waiting) > 0 {
		first := r.waiting[0]
		switch {
		case r.refuse != nil:
			first.done <- r.refuse
		case r.held || r.used()+first.bytes > r.bound:
			return
		default:
			r.reserved += first.bytes
			first.done <- nil
		}
		r.waiting = r.waiting[1:]
	}
}

// Reserve blocks until there is room for so many bytes on the disk, and promises them to the caller until Release. It calls waiting once if
// it has to wait: a checkpoint may make room then. While the disk fails it returns an error at once. Before Start it does not wait.
func (l *Log) Reserve(ctx context.Context, bytes int64, waiting func()) error {
	r := &l.room
	r.mu.Lock()
	switch {
	case !r.open:
		r.reserved += bytes
		r.mu.Unlock()
		return nil
	case r.refuse != nil:
		defer r.mu.Unlock()
		return r.refuse
	case bytes > r.bound-2*int64(l.config.SegmentBytes):
		r.mu.Unlock()
		return fmt.Errorf("%w: it takes %d bytes there, and max_bytes is %d", ErrTooLarge, bytes, r.max)
	case len(r.waiting) == 0 && !r.held && r.used()+bytes <= r.bound:
		r.reserved += bytes
		r.mu.Unlock()
		return nil
	}
	w := &waiter{bytes: bytes, done: make(chan error, 1)}
	r.waiting = append(r.waiting, w)
	r.mu.Unlock()
	if waiting != nil {
		waiting()
	}
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
	case <-l.closing:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, other := range r.waiting {
		if other == w {
			r.waiting = append(r.waiting[:i:i], r.waiting[i+1:]...)
			r.grant() // those behind may be smaller
			if ctx.Err() != nil {
				return fmt.Errorf("wait for room in the write-ahead log: %w", context.Cause(ctx))
			}
			return ErrClosed
		}
	}
	return <-w.done // it was granted meanwhile
}

// ReserveNow promises room without waiting for it. It is for requests that are in the log already.
func (l *Log) ReserveNow(bytes int64) { l.room.add(&l.room.reserved, bytes) }

// Release gives back what was reserved.
func (l *Log) Release(bytes int64) { l.room.add(&l.room.reserved, -bytes) }

// isShort reports whether producers wait, or will soon.
func (r *room) isShort() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held || len(r.waiting) > 0 || r.used() > r.bound-r.bound/8
}

// trouble returns what keeps the disk from taking anything, or nil.
func (r *room) trouble() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse == nil && r.held {
		return errDiskFull
	}
	return r.refuse
}

// isHeld reports whether the disk is full.
func (r *room) isHeld() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

// set changes whether producers are let in, as the disk's state changes.
func (r *room) set(change func(r *room)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(r)
	r.grant()
}

// Usage is what the log takes on the disk.
type Usage struct {
	// Log and Files are the bytes of segments and of batch files. Reserved is what Reserve has promised. Max is the bound of all.
	Log, Files, Reserved, Max int64
	// Waiting is the number of producers that wait for room.
	Waiting int
}

// Usage returns what the log takes on the disk.
func (l *Log) Usage() Usage {
	r := &l.room
	r.mu.Lock()
	defer r.mu.Unlock()
	return Usage{Log: r.log, Files: r.files, Reserved: r.reserved, Max: r.max, Waiting: len(r.waiting)}
}
