package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
)

// Record is a record of the log.
type Record struct {
	LSN  LSN
	Kind uint8
	// Segment is the number of the segment that has it.
	Segment uint64
	// Payload is valid until the function that is given the record returns.
	Payload []byte
}

// Report is what a scan found.
type Report struct {
	// Next is the number that the next record gets.
	Next LSN
	// Segments, Records and Bytes are what was read. Records before the checkpoint's keep are not counted.
	Segments, Records int
	Bytes             int64
	// Torn is the number of bytes at the end that were being written when the process or the machine stopped. They were never durable.
	Torn int64
	// Lost is the number of records that were durable and are not in the log any more.
	Lost uint64
	// Damage is what the disk has damaged: segments, checkpoints, files and configurations.
	Damage []Damage
}

// Damage is something that the disk has damaged.
type Damage struct {
	// File is its name within the folder of the log.
	File string
	// From and To are the bytes that can't be read. Both 0: the whole file.
	From, To int64
	// What says what is wrong.
	What string
	// Copy is the name that the file, or a copy of it, has in the folder of the log. Empty: there is none.
	Copy string
}

// String returns the damage as a line for an operator.
func (d Damage) String() string {
	text := d.File
	if d.To > 0 {
		text += fmt.Sprintf(", bytes %d to %d", d.From, d.To)
	}
	text += ": " + d.What
	if d.Copy != "" {
		text += "; kept as " + d.Copy
	}
	return text
}

// Scan reads the log before Start, and gives the function each record from the checkpoint's keep on, in order, one at a time. An error of
// the function ends it. Where a record can't be read it goes on behind, and reports what is lost; a copy of the segment is set aside.
func (l *Log) Scan(each func(Record) error) (Report, error) {
	if l.isStarted() {
		return Report{}, errors.New("scan the write-ahead log: it is started")
	}
	w := walk{log: l, each: each, recovering: true}
	keep := LSN(1)
	if l.checkpoint != nil {
		keep = l.checkpoint.keep
	} else if keep = max(1, l.firstOf(0)); keep > 1 {
		w.report.Damage = append(w.report.Damage, Damage{File: checkpointName, What: fmt.Sprintf("there is none, though segments before record %d were removed: what it said of the records before is lost", keep)})
	}
	w.from, w.expected = keep, keep
	for i := range l.segments {
		if l.firstOf(i+1) > 0 && l.firstOf(i+1) <= keep {
			continue // a checkpoint has summed up all of it
		}
		err := w.segment(l.segments[i], l.firstOf(i+1))
		if l.config.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			w.expected = max(w.expected, l.firstOf(i+1)) // a checkpoint of the process that has the log has removed it
			continue
		}
		if err != nil {
			return w.report, fmt.Errorf("scan %s: %w", l.segments[i].name, err)
		}
	}
	if l.checkpoint != nil && w.expected < l.checkpoint.at {
		// They were durable when the checkpoint was written.
		w.report.Lost += uint64(l.checkpoint.at - w.expected)
		w.expected = l.checkpoint.at
	}
	w.report.Next = w.expected
	l.found = append(l.found, w.report.Damage...)
	w.report.Damage = l.Damage()
	l.scanned = &w.report
	for _, d := range w.report.Damage {
		l.log.Error("the disk has damaged the write-ahead log", "damage", d.String())
	}
	if w.report.Lost > 0 {
		l.log.Error("records of the write-ahead log are lost", "records", w.report.Lost)
	}
	l.metrics.found(len(w.report.Damage), w.report.Lost)
	return w.report, nil
}

// Damage returns what Open, Scan and Files have found to be damaged.
func (l *Log) Damage() []Damage { return slices.Clone(l.found) }

// Read gives the function each durable record from an LSN on, in order, one at a time, as Scan does. It can be called at any time after
// Scan. Segments that a checkpoint removes meanwhile are left out.
func (l *Log) Read(from LSN, each func(Record) error) error {
	w := walk{log: l, each: each, from: from}
	var last uint64
	for {
		l.segmentsMu.Lock()
		var s segment
		var next LSN
		for i, candidate := range l.segments {
			if candidate.seq > last && (i == len(l.segments)-1 || l.segments[i+1].first > from || l.segments[i+1].bad != nil) {
				s = *candidate // with the end as it is now
				if i < len(l.segments)-1 {
					next = l.firstOf(i + 1)
				}
				break
			}
		}
		l.segmentsMu.Unlock()
		if s.seq == 0 {
			return nil
		}
		last = s.seq
		if err := w.segment(&s, next); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", s.name, err)
		}
	}
}

// firstOf returns the LSN of the first record in l.segments[i] or behind it. 0: it is not known.
func (l *Log) firstOf(i int) LSN {
	for ; i < len(l.segments); i++ {
		if s := l.segments[i]; s.first > 0 && s.end > 0 {
			return s.first
		}
	}
	return 0
}

// walk is a way through the log, one segment after the other.
type walk struct {
	log        *Log
	each       func(Record) error
	from       LSN  // the first record that is wanted
	expected   LSN  // the next record
	recovering bool // report and set aside what is damaged
	report     Report
	payload    []byte // of compressed records
}

// segment reads the records of a segment, up to those that are in the next one, whose first is stop if it is known.
func (w *walk) segment(s *segment, stop LSN) error {
	if s.end == 0 {
		return nil // it never counted
	}
	handle, err := w.log.fs.Open(s.name)
	if err != nil {
		return err
	}
	defer handle.Close()
	w.report.Segments++
	damage := func(from, to int64, what string) {
		if w.recovering {
			w.report.Damage = append(w.report.Damage, Damage{File: filepath.Base(s.name), From: from, To: to, What: what})
		}
	}
	if s.bad != nil {
		damage(0, segmentHeader, s.bad.Error())
	}
	before := len(w.report.Damage)
	sc := scanner{handle: handle, seq: s.seq, at: segmentHeader, end: s.end}
	for sc.at < sc.end {
		info, payload, err := sc.record()
		if err != nil {
			from := sc.at
			if !sc.resync(w.expected, info, s.trusted) {
				// Nothing behind was durable when this was written: it was being written when the machine stopped.
				w.report.Torn += sc.end - from
				if w.recovering {
					s.end = from
				}
				break
			}
			damage(from, sc.at, err.Error())
			continue
		}
		if w.recovering {
			s.sure = max(s.sure, min(info.durable, sc.at))
		}
		if stop > 0 && info.lsn >= stop {
			if !s.trusted {
				break // written again in the next segment
			}
			damage(sc.at, sc.at+info.size(), fmt.Sprintf("it says that it is record %d, and the next segment begins with %d", info.lsn, stop))
			sc.at += info.size()
			continue
		}
		if info.lsn >= w.from && info.lsn >= w.expected {
			if payload, err = w.unpack(info, payload); err != nil {
				damage(sc.at, sc.at+info.size(), err.Error())
				sc.at += info.size()
				continue
			}
			w.report.Lost += uint64(info.lsn - w.expected)
			w.expected = info.lsn + 1
			w.report.Records++
			w.report.Bytes += info.size()
			if err := w.each(Record{LSN: info.lsn, Kind: info.kind, Segment: s.seq, Payload: payload}); err != nil {
				return err
			}
		}
		sc.at += info.size()
	}
	if w.recovering && (s.bad != nil || len(w.report.Damage) > before) {
		name, err := w.log.copyAside(s.name)
		if err != nil {
			w.log.log.Error("a damaged segment of the write-ahead log can't be copied; it stays where it is until it is no longer needed", "segment", s.name, "error", err)
		}
		for i := range w.report.Damage {
			if w.report.Damage[i].File == filepath.Base(s.name) {
				w.report.Damage[i].Copy = name
			}
		}
	}
	return nil
}

// unpack returns the payload as it was appended.
func (w *walk) unpack(info recordInfo, payload []byte) (_ []byte, err error) {
	switch info.flags {
	case 0:
		return payload, nil
	case flagZstd:
		w.payload, err = w.log.codec.decompress(payload, w.payload[:0])
		return w.payload, err
	default:
		return nil, fmt.Errorf("record %d was %w: flags %#x", info.lsn, errVersion, info.flags)
	}
}

// scanner reads the records of one segment through a window.
type scanner struct {
	handle  io.ReaderAt
	seq     uint64
	at, end int64 // the next record, and where the records end

	window []byte
	start  int64 // of the window
	large  []byte
}

// windowBytes is what is read at once.
const windowBytes = 1 << 20

var (
	errHeader  = errors.New("no record begins here")
	errLength  = errors.New("the record is longer than the segment")
	errPayload = errors.New("the checksum of the record is wrong")
)

// record returns the record at s.at. After errPayload its header is good.
func (s *scanner) record() (recordInfo, []byte, error) {
	var info recordInfo
	if s.end-s.at < recordHeader || !info.unmarshal(s.bytes(s.at, recordHeader), s.seq) {
		return recordInfo{}, nil, errHeader
	}
	if info.size() > s.end-s.at {
		return recordInfo{}, nil, errLength
	}
	payload := s.bytes(s.at+recordHeader, info.length)
	if checksum(payload) != info.sum {
		return info, nil, errPayload
	}
	return info, payload, nil
}

// resync moves from a bad record to the next good header. If not all of the segment is known to have been durable, and no record behind
// says that this place was, it stays where it is and reports false.
func (s *scanner) resync(expected LSN, bad recordInfo, trusted bool) bool {
	from, next := s.at, s.at+max(8, bad.size()&^7)
	if bad.lsn == 0 {
		next = s.at + 8
	}
	found := int64(-1)
	for at := next; at+recordHeader <= s.end; {
		var info recordInfo
		if !info.unmarshal(s.bytes(at, recordHeader), s.seq) || info.lsn < expected {
			at += 8
			continue
		}
		if found < 0 {
			found = at
		}
		if trusted || info.durable > from {
			s.at = found
			return true
		}
		at += info.size()
	}
	if trusted {
		s.at = s.end
	}
	return trusted
}

// bytes returns bytes of the segment. They are valid until the next call.
func (s *scanner) bytes(at, n int64) []byte {
	if at >= s.start && at+n <= s.start+int64(len(s.window)) {
		return s.window[at-s.start:][:n]
	}
	if n > windowBytes {
		if int64(cap(s.large)) < n {
			s.large = make([]byte, n)
		}
		s.large = s.large[:n]
		readAll(s.handle, s.large, at)
		return s.large
	}
	if s.window == nil {
		s.window = make([]byte, min(windowBytes, s.end))
	}
	s.start = at
	s.window = s.window[:min(int64(cap(s.window)), s.end-at)]
	readAll(s.handle, s.window, at)
	return s.window[:n]
}

// readAll reads as much as can be read. What can't is 0, which no checksum takes for good.
func readAll(handle io.ReaderAt, b []byte, at int64) {
	if n, _ := handle.ReadAt(b, at); n == len(b) {
		return
	}
	const sector = 512
	for len(b) > 0 {
		part := b[:min(int64(len(b)), sector-at%sector)]
		if n, _ := handle.ReadAt(part, at); n < len(part) {
			clear(part[n:])
		}
		b, at = b[len(part):], at+int64(len(part))
	}
}
