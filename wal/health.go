package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// The parts of the log that the disk may fail. They are labels of metrics.
const (
	partLog        = "log"
	partFiles      = "files"
	partCheckpoint = "checkpoint"
	partConfig     = "config"
)

// health is what does not work at the moment.
type health struct {
	log *Log

	mu     sync.Mutex // guards what follows
	broken map[string]error
	latest error
}

func (h *health) init(l *Log) { h.log, h.broken = l, map[string]error{} }

// set records that the disk did not take something. From the second time on that it does not take the log itself, requests are refused.
func (h *health) set(part string, err error, refuse bool) {
	h.mu.Lock()
	known := h.broken[part] != nil
	h.broken[part], h.latest = err, err
	h.mu.Unlock()
	if !known {
		h.log.log.Error("the disk does not take what the write-ahead log writes; it is tried again", "part", part, "error", err)
	}
	if refuse {
		h.log.room.set(func(r *room) { r.refuse = fmt.Errorf("the disk of the write-ahead log fails: %w", err) })
		h.log.groups.stir()
	}
}

// clear records that a part works, or that nobody tries any more.
func (h *health) clear(part string, works bool) {
	h.mu.Lock()
	known := h.broken[part] != nil
	delete(h.broken, part)
	h.mu.Unlock()
	if known && works {
		h.log.log.Info("the disk takes what the write-ahead log writes again", "part", part)
		if part == partLog {
			h.log.room.set(func(r *room) { r.refuse = nil })
		}
	}
}

// isFull reports whether something waits for room on the disk.
func (h *health) isFull() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.broken {
		if isFull(err) {
			return true
		}
	}
	return false
}

func (h *health) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.latest
}

// Degraded returns what does not work as it should, as sentences for an operator.
func (l *Log) Degraded() []string {
	var texts []string
	l.health.mu.Lock()
	for _, part := range []string{partLog, partFiles, partCheckpoint, partConfig} {
		if err := l.health.broken[part]; err != nil {
			texts = append(texts, fmt.Sprintf("the write-ahead log can't write its %s: %v", part, err))
		}
	}
	l.health.mu.Unlock()
	r := &l.room
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.held:
		texts = append(texts, fmt.Sprintf("the disk of the write-ahead log (%s) is full: producers wait until there is room", l.config.Dir))
	case len(r.waiting) > 0:
		texts = append(texts, fmt.Sprintf("the write-ahead log has reached its bound (wal.max_bytes): %d producers wait for room", len(r.waiting)))
	}
	return texts
}

// Ready returns why no request can be taken at the moment, or nil.
func (l *Log) Ready() error {
	if !l.isStarted() {
		return errors.New("the write-ahead log is not open")
	}
	r := &l.room
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.refuse != nil:
		return r.refuse
	case r.held:
		return errDiskFull
	case len(r.waiting) > 0:
		return errors.New("the write-ahead log is full")
	}
	return nil
}

// retry does something until the disk takes it, ctx ends, or the log closes. The reserve makes room for it where the disk is full; for the log itself and
// its checkpoints all of the reserve.
func (l *Log) retry(ctx context.Context, part string, all bool, do func() error) error {
	for pause := retryFrom; ; pause = min(2*pause, retryTo) {
		err := do()
		if err == nil {
			l.health.clear(part, true)
			return nil
		}
		l.metrics.failed(part)
		l.health.set(part, err, false)
		if isFull(err) && l.reserve.release(all) {
			pause = retryFrom / 2
			continue
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			l.health.clear(part, false)
			return errors.Join(err, context.Cause(ctx))
		case <-l.closing:
			return errors.Join(err, ErrClosed)
		}
	}
}
