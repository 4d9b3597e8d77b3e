package wal

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"sync/atomic"
)

// groupBytes is how much a group takes before appenders wait for the one before it. A single record may be larger.
const groupBytes = 4 << 20

// ErrTooLarge is the error for what does not fit in the log even when it is empty.
var ErrTooLarge = errors.New("too large for the write-ahead log")

// groups are the records on their way to the disk: one group that is being filled, and one that the syncer writes. Appenders copy into
// the first under the mutex, which is never held while something is written.
type groups struct {
	mu      sync.Mutex // guards what follows
	space   sync.Cond  // the group that is filled was taken, or the log closes
	filling []byte     // records as they go to the disk, but for what stamp adds
	spare   []byte     // the buffer of the group that was written last
	next    LSN        // of the next record
	started bool
	closed  bool
	err     error // why the last records were not written; read once the syncer has ended

	records, bytes uint64 // appended so far

	wake chan struct{} // has a value when there is something to write
	full chan struct{} // has a value when an appender waits for space
	// rotations are requests to go on in a new segment. The channel is closed when that is done.
	rotations chan chan struct{}
	durable   atomic.Uint64 // last LSN that is durable

	syncedMu sync.Mutex    // guards synced
	synced   chan struct{} // closed and replaced when durable moves; nil while nobody waits
}

func (g *groups) init() {
	g.space.L = &g.mu
	g.wake, g.full, g.rotations = make(chan struct{}, 1), make(chan struct{}, 1), make(chan chan struct{})
}

// Append adds a record with the parts as its payload, and returns its number. It is not durable yet: see Sync and Config.Durable. The parts
// are copied. Append blocks while too much waits for the disk, a failing one included. After an error nothing was appended.
func (l *Log) Append(kind uint8, payload ...[]byte) (LSN, error) {
	return l.append(false, kind, payload)
}

// Offer is Append for what can be refused, as a request: where Append would block because the disk is full or fails, it returns an error. It
// leaves room for other records, and so does not keep anybody from recording what makes room.
func (l *Log) Offer(kind uint8, payload ...[]byte) (LSN, error) {
	return l.append(true, kind, payload)
}

func (l *Log) append(refusable bool, kind uint8, payload [][]byte) (LSN, error) {
	length, sum, flags := 0, uint32(0), uint8(0)
	for _, part := range payload {
		length += len(part)
	}
	if length > maxRecord {
		return 0, fmt.Errorf("append a record of %d bytes: %w: at most %d fit", length, ErrTooLarge, maxRecord)
	}
	if packed := l.codec.compress(payload, length); packed != nil {
		payload, length, flags = [][]byte{packed}, len(packed), flagZstd
	}
	for _, part := range payload {
		sum = crc32.Update(sum, castagnoli, part)
	}
	size := recordHeader + align(length)

	g := &l.groups
	g.mu.Lock()
	for len(g.filling) > 0 && len(g.filling)+size > groupBytes && !g.closed {
		trouble := l.room.trouble()
		if trouble != nil && refusable {
			g.mu.Unlock()
			return 0, fmt.Errorf("append a record: %w", trouble)
		}
		if trouble != nil && len(g.filling)+size <= 2*groupBytes {
			break // what can't be refused has as much again
		}
		signal(g.full)
		g.space.Wait()
	}
	if refusable && l.reserve.isLow() {
		g.mu.Unlock()
		return 0, fmt.Errorf("append a record: %w", errDiskFull)
	}
	if g.closed || !g.started {
		g.mu.Unlock()
		return 0, ErrClosed
	}
	lsn, at := g.next, len(g.filling)
	g.next++
	g.filling = slices.Grow(g.filling, size)
	g.filling = g.filling[:at+recordHeader]
	putRecord(g.filling[at:], lsn, kind, flags, length, sum)
	for _, part := range payload {
		g.filling = append(g.filling, part...)
	}
	g.filling = append(g.filling, zeros[:align(length)-length]...)
	g.records++
	g.bytes += uint64(size)
	g.mu.Unlock()

	if at == 0 {
		signal(g.wake)
	}
	return lsn, nil
}

// signal leaves a value in a channel that has room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

var zeros [8]byte

// stir has appenders look again whether they have to wait.
func (g *groups) stir() {
	g.mu.Lock()
	g.space.Broadcast()
	g.mu.Unlock()
}

// take returns the group that was filled, and lets appenders fill the next one.
func (g *groups) take() (group []byte, last LSN) {
	g.mu.Lock()
	defer g.mu.Unlock()
	group, last = g.filling, g.next-1
	g.filling, g.spare = g.spare[:0], nil
	g.space.Broadcast()
	return group, last
}

// giveBack returns the buffer of a written group. One that a large record has made large goes to the garbage collector.
func (g *groups) giveBack(group []byte) {
	if cap(group) > 2*groupBytes {
		return
	}
	g.mu.Lock()
	g.spare = group[:0]
	g.mu.Unlock()
}

// setDurable tells everybody who waits.
func (g *groups) setDurable(lsn LSN) {
	g.durable.Store(uint64(lsn))
	g.syncedMu.Lock()
	if g.synced != nil {
		close(g.synced)
		g.synced = nil
	}
	g.syncedMu.Unlock()
}

// Sync blocks until the record with the number, and all before it, are durable. If ctx ends first it returns its error.
func (l *Log) Sync(ctx context.Context, lsn LSN) error {
	g := &l.groups
	for {
		g.syncedMu.Lock()
		if LSN(g.durable.Load()) >= lsn {
			g.syncedMu.Unlock()
			return nil
		}
		if g.synced == nil {
			g.synced = make(chan struct{})
		}
		synced := g.synced
		g.syncedMu.Unlock()
		select {
		case <-synced:
		case <-l.done:
			if LSN(g.durable.Load()) >= lsn {
				return nil
			}
			return fmt.Errorf("record %d is not durable: %w", lsn, ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("wait for record %d to be durable: %w", lsn, context.Cause(ctx))
		}
	}
}

// Durable returns the last LSN that is durable.
func (l *Log) Durable() LSN { return LSN(l.groups.durable.Load()) }
