package journal

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pressedInterval is the time between two checkpoints while somebody waits for room: each may free a segment.
const pressedInterval = time.Second

// housekeeper has what keepHouse has to do.
type housekeeper struct {
	wake chan struct{}
	// rotated: there is a new segment. pressed: somebody waits for room.
	rotated, pressed atomic.Bool
	// size is about that of the next checkpoint.
	size atomic.Int64

	mu      sync.Mutex
	settled []*File // to be removed
}

func (h *housekeeper) ring(why *atomic.Bool) {
	why.Store(true)
	h.signal()
}

func (h *housekeeper) signal() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// remove has a file removed.
func (h *housekeeper) remove(f *File) {
	h.mu.Lock()
	h.settled = append(h.settled, f)
	h.mu.Unlock()
	h.signal()
}

// keepHouse removes settled files, and writes checkpoints: after a change of the segment, in intervals, and while somebody waits for room.
func (j *Journal) keepHouse(ctx context.Context) {
	h := &j.housekeeper
	timer := time.NewTimer(j.config.CheckpointInterval)
	defer timer.Stop()
	var last time.Time // of the last checkpoint
	var at uint64      // what it was of
	for {
		due := false
		select {
		case <-h.wake:
		case <-timer.C:
			due = true
		case <-ctx.Done():
			return
		}
		j.removeFiles()
		due = due || h.rotated.Swap(false)
		if h.pressed.Load() {
			if wait := pressedInterval - time.Since(last); wait > 0 {
				timer.Reset(wait)
			} else {
				h.pressed.Store(j.log.Usage().Waiting > 0)
				due = true
			}
		}
		if next := j.position(); due && (next != at || h.pressed.Load()) {
			if err := j.checkpoint(); err != nil && ctx.Err() == nil {
				j.complain("write a checkpoint", err)
			}
			at, last = next, time.Now()
		}
		if due {
			timer.Reset(j.config.CheckpointInterval)
			if h.pressed.Load() {
				timer.Reset(pressedInterval)
			}
		}
	}
}

// position returns the LSN after the last record.
func (j *Journal) position() uint64 {
	j.appending.Lock()
	defer j.appending.Unlock()
	return j.next
}

// removeFiles removes the files whose settled records are durable.
func (j *Journal) removeFiles() {
	h := &j.housekeeper
	h.mu.Lock()
	files := h.settled
	h.settled = nil
	h.mu.Unlock()
	for _, f := range files {
		if err := f.file.Remove(); err != nil {
			j.complain("remove a settled file, which the next start does", err)
			continue
		}
		j.mu.Lock()
		f.removedLocked()
		j.mu.Unlock()
	}
}
