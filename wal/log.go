package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"
)

// LSN is the number of a record. It counts from 1.
type LSN uint64

// ErrClosed is the error of what is called after Close, or waits while it is.
var ErrClosed = errors.New("the write-ahead log is closed")

// The names in the folder of a log, and how they end.
const (
	lockName       = "LOCK"
	idName         = "ID"
	reserveName    = "reserve"
	checkpointName = "checkpoint"
	previousName   = "checkpoint.previous"
	configDir      = "config"
	filesDir       = "batches"
	damagedDir     = "damaged"
	segmentSuffix  = ".log"
	temporary      = ".tmp"
)

// Log is a write-ahead log. It is safe for concurrent use once it is started.
type Log struct {
	config  Config
	fs      FS
	log     *slog.Logger
	id      uuid.UUID
	lock    io.Closer
	codec   codec
	room    room
	health  health
	reserve reserve
	metrics *metrics

	found []Damage // by Open
	// unsavedID says that the disk did not take the file with the id, which Start writes then.
	unsavedID bool
	scanned   *Report // by Scan; nil before

	segmentsMu sync.Mutex // guards what follows
	segments   []*segment // that are there, in order. The last is the current one once the log is started.

	checkpointMu sync.Mutex  // held while a checkpoint is written; guards what follows
	checkpoint   *checkpoint // the newest; without its payload once it was written by this Log

	filesMu sync.Mutex // guards what follows
	files   map[string]*File

	groups  groups
	current atomic.Uint64 // number of the current segment
	closing chan struct{} // closed when Close begins
	done    chan struct{} // closed when the syncer has ended
}

// segment is a file of the log.
type segment struct {
	header
	name string // with the folder
	// end is where the records end. Nothing behind it counts. It grows while the segment is the current one.
	end int64
	// sure is up to where the last segment was durable for sure when the records that Scan found in it were written.
	sure int64
	// trusted says that all up to end was durable, because the next segment says so.
	trusted bool
	// bad is why the header can't be read. The numbers in it are then those that other segments imply.
	bad error
}

// Open opens the log in a folder, and locks it. What is there can be read then: Checkpoint, Scan, Files, Config. Start makes it writable.
func Open(config Config) (*Log, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	l := &Log{config: config, fs: config.FS, log: config.Log, files: map[string]*File{}, closing: make(chan struct{}), done: make(chan struct{})}
	if l.fs == nil {
		l.fs = OS{}
	}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	if err := l.open(); err != nil {
		if l.lock != nil {
			l.lock.Close()
		}
		return nil, fmt.Errorf("open the write-ahead log in %s: %w", config.Dir, err)
	}
	return l, nil
}

func (l *Log) open() (err error) {
	if !l.config.ReadOnly {
		if err := l.prepare(); err != nil {
			return err
		}
	}
	l.room.init(l)
	l.health.init(l)
	if err := l.findSegments(); err != nil {
		return err
	}
	if err := l.findID(); err != nil {
		return err
	}
	l.chain()
	for _, s := range l.segments {
		l.room.add(&l.room.log, s.end)
	}
	if err := l.findCheckpoint(); err != nil {
		return err
	}
	l.codec = newCodec(l.config.Compression)
	l.groups.init()
	l.reserve.init(l)
	l.metrics, err = newMetrics(l)
	return err
}

// prepare makes the folder and locks it.
func (l *Log) prepare() (err error) {
	if err := l.fs.MkdirAll(l.config.Dir); err != nil {
		return err
	}
	if err := l.fs.Local(l.config.Dir); err != nil {
		return err
	}
	if l.lock, err = l.fs.Lock(l.path(lockName)); err != nil {
		return err
	}
	for _, dir := range []string{configDir, filesDir, damagedDir} {
		if err := l.fs.MkdirAll(l.path(dir)); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) path(parts ...string) string {
	return filepath.Join(append([]string{l.config.Dir}, parts...)...)
}

func segmentName(seq uint64) string { return fmt.Sprintf("%016x%s", seq, segmentSuffix) }

// findSegments lists the segments and reads their headers.
func (l *Log) findSegments() error {
	names, err := l.fs.List(l.config.Dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		digits, isSegment := strings.CutSuffix(name, segmentSuffix)
		seq, err := strconv.ParseUint(digits, 16, 64)
		if !isSegment || err != nil || name != segmentName(seq) {
			continue
		}
		s := &segment{name: l.path(name), header: header{seq: seq}}
		if err := l.readHeader(s); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		l.segments = append(l.segments, s)
	}
	slices.SortFunc(l.segments, func(a, b *segment) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return nil
}

// readHeader reads the header of a segment, and takes all of its file as its end.
func (l *Log) readHeader(s *segment) error {
	handle, err := l.fs.Open(s.name)
	if err != nil {
		return err
	}
	defer handle.Close()
	if s.end, err = handle.Size(); err != nil {
		return err
	}
	b := make([]byte, min(segmentHeader, s.end))
	if _, err := handle.ReadAt(b, 0); err != nil && err != io.EOF {
		s.bad = fmt.Errorf("the header can't be read: %w", err)
		return nil
	}
	if s.bad = s.unmarshal(b, s.seq); errors.Is(s.bad, errVersion) {
		return s.bad
	}
	if s.bad != nil {
		// Its first good record says where the segment before ends at the latest.
		sc := scanner{handle: handle, seq: s.seq, at: segmentHeader, end: s.end}
		if info, _, err := sc.record(); err == nil {
			s.first = info.lsn
		} else if sc.resync(0, info, true); sc.at < sc.end {
			info, _, _ = sc.record()
			s.first = info.lsn
		}
	}
	return nil
}

// chain applies what the segments' headers say of the segments before them: some end before their files do, some never counted.
func (l *Log) chain() {
	for i, next := range l.segments {
		if next.bad != nil {
			continue
		}
		for _, s := range l.segments[:i] {
			switch {
			case s.seq > next.previous:
				s.end = 0 // given up before anything in it was durable
			case s.seq == next.previous:
				s.trusted, s.end = true, min(s.end, next.before)
			}
		}
	}
	// A file without a whole header has never had a record: it was being made when the process ended.
	for i, s := range l.segments {
		if s.bad != nil && s.end <= segmentHeader && i == len(l.segments)-1 {
			s.end = 0
		}
	}
}

// findID reads the id of the log, takes it from a segment if its file is lost, or makes one.
func (l *Log) findID() error {
	text, err := l.readFile(l.path(idName), 64)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id, hasID := parseID(text)
	for i := 0; i < len(l.segments); i++ {
		s := l.segments[i]
		switch {
		case s.bad != nil || s.log == id:
		case id == uuid.Nil:
			id = s.log
		case l.config.Repair:
			name := filepath.Base(s.name)
			l.found = append(l.found, Damage{File: name, What: fmt.Sprintf("it is of log %s, and this is %s", s.log, id), Copy: l.setAside(s.name)})
			l.segments = slices.Delete(l.segments, i, i+1)
			i--
		default:
			return fmt.Errorf("segment %s is of log %s, and this is %s: put back the one that belongs here, or run 'logbatcher wal repair'", filepath.Base(s.name), s.log, id)
		}
	}
	switch {
	case hasID:
		l.id = id
		return nil
	case id != uuid.Nil:
		l.log.Warn("the file with the id of the write-ahead log is gone or damaged; the id is taken from a segment", "id", id)
	case l.config.ReadOnly:
		return fmt.Errorf("there is no log: %s has no id", l.config.Dir)
	case err == nil && !l.config.Repair:
		return fmt.Errorf("%s has no id, and there is no segment to take it from: %q. 'logbatcher wal repair' makes a new one: the log is then another to its producers", idName, text)
	default:
		id = uuid.New()
	}
	l.id = id
	if err == nil {
		l.found = append(l.found, Damage{File: idName, What: "the id in it can't be read", Copy: l.setAside(l.path(idName))})
	}
	if l.config.ReadOnly {
		return nil
	}
	err = l.replace(l.path(idName), formatID(id))
	if err != nil && !l.config.Repair {
		l.log.Error("the disk does not take the id of the write-ahead log; it is tried again", "error", err)
		l.unsavedID, err = true, nil
	}
	return err
}

// formatID returns the id as it is in its file: with a checksum, so that damage does not make it the id of another log.
func formatID(id uuid.UUID) []byte {
	return fmt.Appendf(nil, "%s %08x\n", id, checksum(id[:]))
}

func parseID(text []byte) (uuid.UUID, bool) {
	digits, _, _ := strings.Cut(string(text), " ")
	id, err := uuid.Parse(digits)
	if err != nil || string(text) != string(formatID(id)) {
		return uuid.Nil, false
	}
	return id, true
}

// ID returns the id that the log was given when its folder was made.
func (l *Log) ID() string { return l.id.String() }

// Segment returns the number of the current segment: the next record goes there, or, if it is full or fails, to a later one.
func (l *Log) Segment() uint64 { return l.current.Load() }

// readFile reads a small file whole. A larger one than the limit is an error.
func (l *Log) readFile(name string, limit int64) ([]byte, error) {
	handle, err := l.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	size, err := handle.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that it may have", name, size, limit)
	}
	b := make([]byte, size)
	if n, err := handle.ReadAt(b, 0); n < len(b) {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return b, nil
}

// replace writes a file of that name, and returns once it is durable. After a crash either the old contents are there or the new.
func (l *Log) replace(name string, contents ...[]byte) error {
	err := l.writeFile(name+temporary, contents...)
	if err == nil {
		err = l.fs.Rename(name+temporary, name)
	}
	if err == nil {
		err = l.fs.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		l.fs.Remove(name + temporary) // it takes room, and is removed at the next start otherwise
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

func (l *Log) writeFile(name string, contents ...[]byte) error {
	handle, err := l.fs.Create(name)
	if err != nil {
		return err
	}
	var offset int64
	for _, b := range contents {
		if _, err := handle.WriteAt(b, offset); err != nil {
			handle.Close()
			return err
		}
		offset += int64(len(b))
	}
	if err := handle.Sync(); err != nil {
		handle.Close()
		return err
	}
	return handle.Close()
}

func (l *Log) isStarted() bool {
	l.groups.mu.Lock()
	defer l.groups.mu.Unlock()
	return l.groups.started
}

// SegmentInfo is a segment, for those who look at a log.
type SegmentInfo struct {
	// Number is the segment's; Name is that of its file, in the folder of the log.
	Number uint64
	Name   string
	// First is the LSN of its first record, or of the next one if it has none. Bytes is what of it counts: 0 if it never did.
	First LSN
	Bytes int64
}

// Segments returns the segments that are there.
func (l *Log) Segments() []SegmentInfo {
	l.segmentsMu.Lock()
	defer l.segmentsMu.Unlock()
	var infos []SegmentInfo
	for _, s := range l.segments {
		infos = append(infos, SegmentInfo{Number: s.seq, Name: filepath.Base(s.name), First: s.first, Bytes: s.end})
	}
	return infos
}

// Start makes durable what was found, makes a new segment, and begins to take records. Scan must have been called, and Files. While the disk is
// full or fails it tries again, until ctx ends.
func (l *Log) Start(ctx context.Context) error {
	if l.config.ReadOnly {
		return errors.New("start the write-ahead log: it was opened to be read only")
	}
	if l.scanned == nil {
		return errors.New("start the write-ahead log: it was not scanned")
	}
	if err := l.start(ctx); err != nil {
		return fmt.Errorf("start the write-ahead log in %s: %w", l.config.Dir, err)
	}
	return nil
}

// Close writes what was appended, ends the syncer and unlocks the folder. It returns an error if the disk does not take the last records.
func (l *Log) Close() error {
	l.groups.mu.Lock()
	started, closed := l.groups.started, l.groups.closed
	if !closed {
		l.groups.closed = true
		close(l.closing)
	}
	l.groups.space.Broadcast()
	l.groups.mu.Unlock()
	if closed {
		return nil
	}
	var err error
	if started {
		<-l.done
		err = l.groups.err
	}
	l.metrics.unregister()
	if l.lock == nil {
		return err
	}
	return errors.Join(err, l.lock.Close())
}
