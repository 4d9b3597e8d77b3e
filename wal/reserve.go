package wal

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// reserve is a file that takes room on the disk, to be given up when the disk is full: batch files, checkpoints and records get out of
// that state, and must not wait for room. Producers do, until the reserve is whole again.
type reserve struct {
	log *Log

	low  atomic.Bool // only what is kept for the log itself is left, or less
	mu   sync.Mutex  // guards what follows
	left int64
	want int64
	next time.Time // when to try to fill it again
}

const (
	// reserveSteps is in how many steps the reserve is given up. The last ones are for the log and its checkpoints alone: batch files
	// must not take what it takes to record that others are done.
	reserveSteps    = 8
	reserveLogSteps = 2
	// refillEvery is the time between two attempts to fill the reserve again.
	refillEvery = time.Second
)

func (r *reserve) init(l *Log) {
	r.log, r.want = l, int64(l.config.ReserveBytes)
	if handle, err := l.fs.Open(l.path(reserveName)); err == nil {
		r.left, _ = handle.Size() // as the process before has left it
		handle.Close()
	}
}

// fill takes the room, and lets producers in once it has it and nothing else lacks room.
func (r *reserve) fill() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next = time.Now().Add(refillEvery)
	if r.log.health.isFull() {
		return errDiskFull
	}
	if r.want > 0 || r.left > 0 { // always, because a file that was copied has no blocks
		if err := r.resize(r.want); err != nil {
			r.resize(r.left) // it may have taken a part of it
			r.log.room.set(func(room *room) { room.held = true })
			return err
		}
	}
	r.log.room.set(func(room *room) { room.held = false })
	return nil
}

var errDiskFull = errors.New("the disk of the write-ahead log is full")

// due returns when fill is to be tried again, and whether it is needed at all.
func (r *reserve) due() (time.Time, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next, r.log.room.isHeld()
}

// resize makes the file as long as that.
func (r *reserve) resize(size int64) error {
	handle, err := r.log.fs.Open(r.log.path(reserveName))
	if err != nil {
		if handle, err = r.log.fs.Create(r.log.path(reserveName)); err != nil {
			return err
		}
	}
	defer handle.Close()
	if err := handle.Resize(size); err != nil {
		return err
	}
	if err := handle.Sync(); err != nil {
		return err
	}
	r.left = size
	r.low.Store(size < r.want && size <= r.want/reserveSteps*reserveLogSteps)
	return nil
}

func (r *reserve) isLow() bool { return r.low.Load() }

// release gives up a step of the reserve, and reports whether there was one.
func (r *reserve) release(all bool) bool {
	defer r.log.groups.stir()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log.room.set(func(room *room) { room.held = true })
	r.next = time.Now().Add(refillEvery)
	signal(r.log.groups.wake) // the syncer fills it again
	step, least := r.want/reserveSteps, int64(0)
	if !all {
		least = step * reserveLogSteps
	}
	if r.left <= least {
		return false
	}
	before := r.left
	return r.resize(max(least, r.left-step)) == nil && r.left < before
}
