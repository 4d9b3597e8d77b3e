package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/google/uuid"
)

// A checkpoint's file has a header of 64 bytes, and the payload behind it.
//
//	 0  "LBWALCKP"                  40  keep                      u64
//	 8  version           u32       48  length of the payload     u64
//	12  zero              u32       56  CRC32C of the payload
//	16  id of the log     16 bytes  60  CRC32C of bytes 0 to 60
//	32  at                u64
const (
	checkpointHeader = 64
	checkpointMagic  = "LBWALCKP"
	// maxCheckpoint bounds what a checkpoint may take in memory.
	maxCheckpoint = 1 << 30
	// saveTimeout is how long SaveCheckpoint tries.
	saveTimeout = 5 * time.Second
)

// checkpoint sums up the records before at.
type checkpoint struct {
	at, keep LSN
	payload  []byte
}

func (c *checkpoint) marshal(id uuid.UUID) []byte {
	b := make([]byte, checkpointHeader)
	copy(b, checkpointMagic)
	le.PutUint32(b[8:], formatVersion)
	copy(b[16:], id[:])
	le.PutUint64(b[32:], uint64(c.at))
	le.PutUint64(b[40:], uint64(c.keep))
	le.PutUint64(b[48:], uint64(len(c.payload)))
	le.PutUint32(b[56:], checksum(c.payload))
	le.PutUint32(b[60:], checksum(b[:60]))
	return b
}

func (c *checkpoint) unmarshal(b []byte, id uuid.UUID) error {
	switch {
	case len(b) < checkpointHeader || string(b[:8]) != checkpointMagic || le.Uint32(b[60:]) != checksum(b[:60]):
		return errors.New("the header is damaged")
	case le.Uint32(b[8:]) != formatVersion:
		return fmt.Errorf("%w of the format: %d, this program knows %d", errVersion, le.Uint32(b[8:]), formatVersion)
	case uuid.UUID(b[16:32]) != id:
		return fmt.Errorf("it is of log %s", uuid.UUID(b[16:32]))
	case le.Uint64(b[48:]) != uint64(len(b)-checkpointHeader):
		return errors.New("it is cut off")
	case le.Uint32(b[56:]) != checksum(b[checkpointHeader:]):
		return errors.New("the checksum is wrong")
	}
	*c = checkpoint{at: LSN(le.Uint64(b[32:])), keep: LSN(le.Uint64(b[40:])), payload: b[checkpointHeader:]}
	if c.keep > c.at || c.keep == 0 {
		return fmt.Errorf("it keeps from record %d on, and is of %d", c.keep, c.at)
	}
	return nil
}

// findCheckpoint reads the newest good checkpoint.
func (l *Log) findCheckpoint() error {
	for _, name := range []string{checkpointName, previousName} {
		b, err := l.readFile(l.path(name), maxCheckpoint)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var c checkpoint
		if err == nil {
			err = c.unmarshal(b, l.id)
		}
		if errors.Is(err, errVersion) {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err != nil {
			l.found = append(l.found, Damage{File: name, What: err.Error(), Copy: l.setAside(l.path(name))})
			continue
		}
		l.checkpoint = &c
		return nil
	}
	return nil
}

// Checkpoint returns the payload of the newest checkpoint that can be read, and the LSN before which it sums up all records. There is
// none if at is 0.
func (l *Log) Checkpoint() (payload []byte, at LSN) {
	if l.checkpoint == nil {
		return nil, 0
	}
	return l.checkpoint.payload, l.checkpoint.at
}

// Keep returns the LSN from which on the checkpoint needs records, 0 if there is none.
func (l *Log) Keep() LSN {
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	if l.checkpoint == nil {
		return 0
	}
	return l.checkpoint.keep
}

// SaveCheckpoint makes all records before at durable, then a checkpoint that sums them up, and then removes the segments of which all
// records are before keep. The checkpoint before stays, and so do the segments that it needs, unless room is short. While the disk is full or
// fails it tries for some seconds: whoever calls it may have other means to make room.
func (l *Log) SaveCheckpoint(payload []byte, at, keep LSN) error {
	if err := l.saveCheckpoint(&checkpoint{at: at, keep: max(1, min(keep, at)), payload: payload}); err != nil {
		return fmt.Errorf("save a checkpoint of the records before %d: %w", at, err)
	}
	return nil
}

func (l *Log) saveCheckpoint(c *checkpoint) error {
	if len(c.payload) > maxCheckpoint-checkpointHeader {
		return fmt.Errorf("%d bytes: %w", len(c.payload), ErrTooLarge)
	}
	l.checkpointMu.Lock()
	defer l.checkpointMu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), saveTimeout)
	defer cancel()
	if err := l.Sync(ctx, c.at-1); err != nil {
		return err
	}
	err := l.retry(ctx, partCheckpoint, true, func() error { return l.writeCheckpoint(c) })
	if err != nil {
		return err
	}
	oldest := c.keep
	if previous := l.checkpoint; previous != nil {
		oldest = min(oldest, previous.keep)
	}
	if l.room.isShort() {
		// Now the checkpoint before would lack segments.
		if err := l.fs.Remove(l.path(previousName)); err == nil || errors.Is(err, fs.ErrNotExist) {
			if err := l.fs.SyncDir(l.config.Dir); err == nil {
				oldest = c.keep
			}
		}
		if l.firstOfCurrent() < c.keep && l.Durable() < c.keep {
			l.rotate()
		}
	}
	l.checkpoint = &checkpoint{at: c.at, keep: c.keep} // the payload belongs to the caller
	return l.removeSegments(oldest)
}

// writeCheckpoint replaces the checkpoint, and keeps it as the one before.
func (l *Log) writeCheckpoint(c *checkpoint) error {
	name := l.path(checkpointName)
	if err := l.writeFile(name+temporary, c.marshal(l.id), c.payload); err != nil {
		l.fs.Remove(name + temporary)
		return err
	}
	if err := l.fs.Rename(name, l.path(previousName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := l.fs.Rename(name+temporary, name); err != nil {
		return err
	}
	return l.fs.SyncDir(l.config.Dir)
}

// removeSegments removes the segments of which all records are before an LSN, but never the current one.
func (l *Log) removeSegments(before LSN) error {
	l.segmentsMu.Lock()
	n := 0
	for n < len(l.segments)-1 && l.segments[n+1].first > 0 && l.segments[n+1].first <= before {
		n++
	}
	old := l.segments[:n:n]
	l.segments = l.segments[n:]
	l.segmentsMu.Unlock()
	var problem error
	for _, s := range old {
		if err := l.fs.Remove(s.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problem = errors.Join(problem, fmt.Errorf("remove %s: %w", filepath.Base(s.name), err))
		}
		l.room.add(&l.room.log, -s.end)
	}
	if n == 0 {
		return nil
	}
	return errors.Join(problem, l.fs.SyncDir(l.config.Dir))
}

// firstOfCurrent returns the first LSN of the current segment.
func (l *Log) firstOfCurrent() LSN {
	l.segmentsMu.Lock()
	defer l.segmentsMu.Unlock()
	return l.segments[len(l.segments)-1].first
}
