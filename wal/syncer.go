package wal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// retryFrom and retryTo are the pauses between two attempts to write what the disk does not take.
	retryFrom = 10 * time.Millisecond
	retryTo   = time.Second
	// refuseFrom is the number of failures in a row from which on requests are refused.
	refuseFrom = 2
)

// syncer is the goroutine that writes the log, and what only it uses.
type syncer struct {
	log     *Log
	segment *segment // the current one; in log.segments too
	handle  Handle   // of it
	// distrusted says that nothing may be added to the segment: an fsync of it failed, so that what stands behind its end may or may not
	// reach the disk, or a segment after it is begun.
	distrusted bool
	// used is the number of the last segment that was made, or begun.
	used     uint64
	lastSync time.Time
}

// start makes the first segment and starts the syncer. What the disk does not take is tried again until ctx ends or the log closes.
func (l *Log) start(ctx context.Context) error {
	g := &l.groups
	if l.isStarted() {
		return errors.New("it is started already")
	}
	s := &syncer{log: l}
	if n := len(l.segments); n > 0 {
		s.segment, s.used = l.segments[n-1], l.segments[n-1].seq
		// Those at the end that never counted are no segment to go on from.
		for i := n - 1; i > 0 && s.segment.end == 0; i-- {
			s.segment = l.segments[i-1]
		}
	}
	g.next = l.scanned.Next
	g.durable.Store(uint64(g.next - 1))
	if err := l.syncFound(ctx, s.segment); err != nil {
		return err
	}
	if err := l.retry(ctx, partLog, true, func() error { return s.newSegment(g.next) }); err != nil {
		return err
	}
	if err := l.reserve.fill(); err != nil {
		l.log.Warn("there is no room for the reserve of the write-ahead log: producers wait", "error", err)
	}
	l.room.set(func(r *room) { r.open = true })
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		s.handle.Close()
		return ErrClosed
	}
	g.started = true
	go s.run()
	return nil
}

// syncFound makes durable what Scan and Files have found. The process before may have been killed between a write and its fsync, or after an fsync
// that failed: what it wrote is there, and is acted upon from now on, but would be gone with the power.
func (l *Log) syncFound(ctx context.Context, last *segment) error {
	if l.unsavedID {
		if err := l.retry(ctx, partLog, true, func() error { return l.replace(l.path(idName), formatID(l.id)) }); err != nil {
			return err
		}
	}
	if last != nil && last.end > 0 {
		if err := l.retry(ctx, partLog, true, func() error { return l.rewrite(last.name, last.sure, last.end) }); err != nil {
			return err
		}
	}
	l.filesMu.Lock()
	files := slices.SortedFunc(maps.Values(l.files), func(a, b *File) int { return strings.Compare(a.name, b.name) })
	l.filesMu.Unlock()
	for _, f := range files {
		if len(f.Notes()) == 0 {
			continue
		}
		if err := l.retry(ctx, partFiles, true, func() error { return l.rewrite(f.name, f.notesStart(), f.size) }); err != nil {
			return err
		}
	}
	for _, dir := range []string{filesDir, configDir} { // newSegment syncs the log's own
		if err := l.retry(ctx, partFiles, true, func() error { return l.fs.SyncDir(l.path(dir)) }); err != nil {
			return fmt.Errorf("sync %s: %w", dir, err)
		}
	}
	return nil
}

// rewrite writes a part of a file again, as it is, and syncs it. An fsync alone leaves out pages of which an fsync has failed before.
func (l *Log) rewrite(name string, from, to int64) error {
	handle, err := l.fs.Open(name)
	if err != nil {
		return err
	}
	defer handle.Close()
	for b := make([]byte, min(to-from, windowBytes)); from < to; from += int64(len(b)) {
		b = b[:min(int64(len(b)), to-from)]
		if n, err := handle.ReadAt(b, from); n < len(b) {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if _, err := handle.WriteAt(b, from); err != nil {
			return fmt.Errorf("write to %s: %w", name, err)
		}
	}
	if err := handle.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", name, err)
	}
	return nil
}

// run writes group after group until the log closes and nothing is left.
func (s *syncer) run() {
	l, g := s.log, &s.log.groups
	defer close(l.done)
	defer func() {
		if s.handle != nil {
			s.handle.Close()
		}
	}()
	for {
		closing := s.wait()
		group, last := g.take()
		switch {
		case len(group) > 0:
			if !s.commit(group, LSN(g.durable.Load())+1, last) {
				g.err = fmt.Errorf("close the write-ahead log: records %d to %d are not durable: %w", g.durable.Load()+1, last, l.health.last())
				return
			}
			g.giveBack(group)
			g.setDurable(last)
			if l.config.Durable != nil {
				l.config.Durable(last)
			}
		case closing:
			return
		default:
			g.giveBack(group)
		}
	}
}

// wait returns when there may be something to do, and reports whether the log closes. An fsync waits for the interval since the last one.
func (s *syncer) wait() (closing bool) {
	l := s.log
	var refill <-chan time.Time
	if next, needed := l.reserve.due(); needed {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		refill = timer.C
	}
	select {
	case <-l.groups.wake:
	case <-refill:
		if l.reserve.fill() == nil {
			l.log.Info("there is room on the disk of the write-ahead log again")
		}
		return false
	case done := <-l.groups.rotations:
		s.distrusted = true
		if err := s.newSegment(LSN(l.groups.durable.Load()) + 1); err != nil {
			l.log.Warn("the write-ahead log can't begin a new segment; it is tried again", "error", err)
		}
		close(done)
		return false
	case <-l.closing:
		return true
	}
	if rest := l.config.SyncInterval - time.Since(s.lastSync); rest > 0 {
		timer := time.NewTimer(rest)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-l.groups.full:
		case <-l.closing:
			return true
		}
	}
	return false
}

// rotate makes the log go on in a new segment, so that a checkpoint can remove the current one.
func (l *Log) rotate() {
	done := make(chan struct{})
	select {
	case l.groups.rotations <- done:
	case <-l.done:
		return
	}
	select {
	case <-done:
	case <-l.done:
	}
}

// commit writes a group until it is durable. It reports false if the log closes and the disk does not take it.
func (s *syncer) commit(group []byte, first, last LSN) bool {
	l := s.log
	for failures, pause := 0, retryFrom; ; failures++ {
		err := s.write(group, first)
		if err == nil {
			l.health.clear(partLog, true)
			return true
		}
		l.metrics.failed(partLog)
		full := isFull(err)
		l.health.set(partLog, err, !full && failures+1 >= refuseFrom)
		if full && l.reserve.release(true) || failures == 0 {
			continue // at once: there is room again, or it may have been the file
		}
		select {
		case <-time.After(pause):
		case <-l.closing:
			if failures >= refuseFrom {
				return false
			}
		}
		pause = min(2*pause, retryTo)
	}
}

// write writes a group, and syncs it.
func (s *syncer) write(group []byte, first LSN) error {
	l := s.log
	if s.distrusted || s.segment.end >= int64(l.config.SegmentBytes) {
		// A segment whose making failed may be there after a crash, and says where this one ends: nothing may be added to it.
		s.distrusted = true
		if err := s.newSegment(first); err != nil {
			return err
		}
	}
	stamp(group, s.segment.seq, s.segment.end)
	if _, err := s.handle.WriteAt(group, s.segment.end); err != nil {
		// A full disk takes the same bytes at the same place later. Any other error is a reason to go elsewhere.
		s.distrusted = s.distrusted || !isFull(err)
		return fmt.Errorf("write to %s: %w", s.segment.name, err)
	}
	began := time.Now()
	if err := s.handle.Sync(); err != nil {
		s.distrusted = true
		return fmt.Errorf("sync %s: %w", s.segment.name, err)
	}
	s.lastSync = time.Now()
	l.metrics.synced(s.lastSync.Sub(began))
	l.segmentsMu.Lock()
	s.segment.end += int64(len(group))
	l.segmentsMu.Unlock()
	l.room.add(&l.room.log, int64(len(group)))
	return nil
}

// newSegment makes a segment for the records from first on, with its header durable, and makes it the current one. The segments between
// the one that was current and this never counted: an attempt to make them failed.
func (s *syncer) newSegment(first LSN) error {
	l := s.log
	s.used++
	next := &segment{header: header{log: l.id, seq: s.used, first: first}, name: l.path(segmentName(s.used)), end: segmentHeader}
	if s.segment != nil {
		next.previous, next.before = s.segment.seq, s.segment.end
	}
	handle, err := s.makeSegment(next)
	if err != nil {
		return fmt.Errorf("make segment %s: %w", next.name, err)
	}
	if s.handle != nil {
		s.handle.Close() // all of it that counts is synced
	}
	s.segment, s.handle, s.distrusted = next, handle, false
	l.segmentsMu.Lock()
	l.segments = append(l.segments, next)
	l.segmentsMu.Unlock()
	l.current.Store(next.seq)
	l.room.add(&l.room.log, segmentHeader)
	return nil
}

func (s *syncer) makeSegment(next *segment) (Handle, error) {
	l := s.log
	handle, err := l.fs.Create(next.name)
	if err != nil {
		return nil, err
	}
	if _, err = handle.WriteAt(next.marshal(), 0); err == nil {
		err = handle.Sync()
	}
	if err == nil {
		err = l.fs.SyncDir(l.config.Dir)
	}
	if err != nil {
		handle.Close()
		l.fs.Remove(next.name) // if it stays, the next header says that it never counted
		return nil, err
	}
	return handle, nil
}
