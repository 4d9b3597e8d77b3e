package logfile

import (
	"io"
	"strings"
	"time"
)

// Options says how to read. The zero value is good.
type Options struct {
	// Now is asked at each time stamp without a year, which lies in the latest year that does not put it more than
	// a day after Now. Nil is time.Now. For a file it should be [File.Now].
	Now func() time.Time
	// Location is where time stamps without a zone were written; nil is time.Local.
	Location *time.Location
	// MaxEntryBytes bounds a line and the Body of a record; 0 is 256 KiB. Of a longer line the
	// rest is cut, see TruncatedBytesKey; a longer fold is split over records.
	MaxEntryBytes int
	// MaxFoldLines is how many lines continue an entry at most; 0 is 500, negative is none.
	MaxFoldLines int
	// FoldWait is for input that grows, such as a pipe: when nothing has arrived for this long, Next returns the
	// pending records, although lines that continue them may follow, and then ErrQuiet. 0 waits for the next line.
	// With it, Next reads in a goroutine that Close stops.
	FoldWait time.Duration
}

// DefaultMaxEntryBytes and DefaultMaxFoldLines stand for zero in Options.
const (
	DefaultMaxEntryBytes = 256 << 10
	DefaultMaxFoldLines  = 500
)

// Reader reads the records of one input. It is not for concurrent use, Close excepted.
type Reader struct {
	lines    *lineReader
	quiet    *quietReader // nil unless FoldWait is set
	stamps   stampParser
	habit    habit
	maxBytes int
	maxFold  int
	stats    Stats
	members  []Attribute // of the JSON line being read

	// The entry that is being put together.
	pending bool
	entry   entry
	body    []byte // its Body, once lines were folded
	blanks  int    // blank lines behind it
	last    time.Time
	offset  int64
	err     error
}

// entry is a record and what decides whether a line continues it.
type entry struct {
	Record
	format    stampFormat
	folded    int   // lines
	cut       int64 // bytes
	end       int64
	crash     bool   // every line without a stamp continues it
	traceback bool   // the next line that is not indented does
	container string // the stream of a Docker line
	partial   bool   // a Docker line that goes on in the next
	rest      bool   // of the entry before, which had no room for it
}

// NewReader returns a Reader of r, whose bytes may be compressed with gzip or zstd, or be UTF-16.
func NewReader(r io.Reader, options Options) *Reader {
	reader := &Reader{maxBytes: options.MaxEntryBytes, maxFold: options.MaxFoldLines}
	if reader.maxBytes <= 0 {
		reader.maxBytes = DefaultMaxEntryBytes
	}
	if reader.maxFold == 0 {
		reader.maxFold = DefaultMaxFoldLines
	}
	reader.stamps.now, reader.stamps.loc = options.Now, options.Location
	if reader.stamps.now == nil {
		reader.stamps.now = time.Now
	}
	if reader.stamps.loc == nil {
		reader.stamps.loc = time.Local
	}
	r = &decoder{src: r}
	if options.FoldWait > 0 {
		reader.quiet = newQuietReader(r, options.FoldWait)
		r = reader.quiet
	}
	reader.lines = newLineReader(r, reader.maxBytes, &reader.stats)
	return reader
}

// Next returns the next record. At the end of the input the error is io.EOF; when the input fails, what
// it gave before is returned first, and then its error.
func (r *Reader) Next() (Record, error) {
	for r.err == nil {
		next, err := r.lines.next()
		switch {
		case err == ErrQuiet:
			if r.pending {
				return r.take(), nil
			}
			return Record{}, err
		case err != nil:
			r.err = err
			continue
		case isBlank(next.text):
			r.stats.BlankLines++
			r.blanks++
			continue
		}
		entry, folded := r.read(next)
		if folded {
			continue
		}
		if r.pending {
			record := r.take()
			r.begin(entry)
			return record, nil
		}
		r.begin(entry)
		if r.maxFold < 0 {
			return r.take(), nil
		}
	}
	if r.pending {
		return r.take(), nil
	}
	r.offset = r.lines.offset
	return Record{}, r.err
}

// Offset is the offset in the input of the byte after the last record that Next returned. Reading again from
// there gives the records that follow. At the end it is the input's length.
func (r *Reader) Offset() int64 { return r.offset }

// Stats returns the counts so far.
func (r *Reader) Stats() Stats { return r.stats }

// Close stops the goroutine that Options.FoldWait asks for, as soon as the Read that it is in
// returns; it does not close the input. A Next that waits meanwhile gives out what it has, and
// then os.ErrClosed. Close may be called from any goroutine, also twice.
func (r *Reader) Close() {
	if r.quiet != nil {
		r.quiet.close()
	}
}

// read folds a line into the pending entry or makes an entry of it.
func (r *Reader) read(l line) (made entry, folded bool) {
	if l.text[0] == '{' {
		if made, ok := r.readJSON(l); ok {
			return made, r.foldJSON(l, made)
		}
	} else if r.pending && continues(l.text) {
		if r.fold(l, l.text) {
			return entry{}, true
		}
		return r.rest(l), false
	}
	found, stamped := r.stamps.find(l.text)
	if stamped {
		return r.readText(l, found), false
	}
	if r.pending && r.continuesUnstamped(l.text) {
		if r.fold(l, l.text) {
			return entry{}, true
		}
		made = r.rest(l)
		r.habit.full()
		return made, false
	}
	return r.readText(l, stamp{}), false
}

// rest makes an entry of a line that continues the pending one and has no room there.
func (r *Reader) rest(l line) entry {
	e := r.entry
	e.Attributes = nil
	e.Body = l.text
	e.folded, e.cut, e.end = 0, l.cut, l.end
	e.rest = true
	return e
}

// continuesUnstamped says whether a line without a stamp continues the pending entry.
func (r *Reader) continuesUnstamped(text string) bool {
	e := &r.entry
	switch {
	case crashes(text) != 0:
		return false
	case e.crash:
		return true
	case e.traceback:
		e.traceback = false
		return true
	}
	return r.habit.established() && e.format != jsonStamp
}

// foldJSON folds a JSON line: into a Docker line, the text of another of the same
// stream; into text entries with stamps, an object without one, as text. A Docker line without
// text counts as blank.
func (r *Reader) foldJSON(l line, made entry) bool {
	into := &r.entry
	if r.pending && made.container == "" && made.Time.IsZero() &&
		into.format != jsonStamp && r.habit.established() && r.fold(l, l.text) {
		return true
	}
	r.stats.JSONLines++
	goesOn := r.pending && made.container != "" && made.container == into.container
	switch {
	case made.container != "" && isBlank(made.Body) && !(goesOn && into.partial):
		r.stats.BlankLines++
		r.blanks++
		return true
	case goesOn && (into.partial || continues(made.Body)) && r.fold(l, made.Body):
		into.partial = made.partial
		return true
	}
	return false
}

// fold appends text, which is or is in l, to the pending entry, if it has room.
func (r *Reader) fold(l line, text string) bool {
	e := &r.entry
	size := len(e.Body)
	if e.folded > 0 {
		size = len(r.body)
	}
	if e.folded >= r.maxFold || size+r.blanks+1+len(text) > r.maxBytes {
		return false
	}
	if e.folded == 0 {
		r.body = append(r.body[:0], e.Body...)
	}
	if !e.partial {
		for range r.blanks + 1 {
			r.body = append(r.body, '\n')
		}
	}
	r.body = append(r.body, text...)
	e.folded++
	e.cut += l.cut
	e.end = l.end
	e.traceback = e.traceback || isTraceback(text)
	r.blanks = 0
	r.stats.FoldedLines++
	return true
}

// readText makes an entry of a line of text.
func (r *Reader) readText(l line, found stamp) entry {
	e := entry{format: found.format, cut: l.cut, end: l.end}
	e.Body, e.Time = l.text, found.at
	switch found.format {
	case accessStamp:
		readAccess(&e.Record, found.end)
	case klogStamp:
		readKlog(&e.Record, found.end)
	case syslogStamp, isoStamp:
		readSyslog(&e.Record, found)
	case noStamp:
		if severity := crashes(l.text); severity != 0 {
			e.crash = true
			e.SeverityNumber, e.SeverityText = severity, severityName(severity)
		} else {
			e.traceback = isTraceback(l.text)
		}
	}
	if e.SeverityNumber == 0 {
		text := e.Body[found.end:]
		if found.format == noStamp && text[0] == '<' {
			if pri, n := priority(text); n > 0 {
				setPriority(&e.Record, pri)
				return e
			}
		}
		e.SeverityNumber, e.SeverityText = textSeverity(text)
		if e.SeverityNumber == 0 && found.end > 8 && isLetterOrBracket(e.Body[0]) {
			// INFO [2006-01-02 15:04:05] text
			e.SeverityNumber, e.SeverityText = textSeverity(e.Body[:found.end])
		}
	}
	return e
}

// begin makes e the pending entry.
func (r *Reader) begin(e entry) {
	stamped := e.format != noStamp && !e.Time.IsZero()
	switch {
	case e.rest:
	case stamped:
		r.last = e.Time
	case !r.last.IsZero():
		e.Time = r.last
		r.stats.InheritedTimes++
	}
	if !e.rest {
		r.habit.entry(stamped)
	}
	r.pending, r.entry, r.blanks = true, e, 0
}

// take gives the pending entry out.
func (r *Reader) take() Record {
	e := &r.entry
	if e.folded > 0 {
		e.Body = string(r.body)
		if cap(r.body) > 64<<10 {
			r.body = nil
		}
	}
	if e.cut > 0 {
		e.Attributes = append(e.Attributes, integer(TruncatedBytesKey, e.cut))
	}
	if e.Time.IsZero() {
		r.stats.Untimed++
	}
	r.offset = e.end
	r.pending = false
	r.stats.Records++
	record := e.Record
	r.entry = entry{}
	return record
}

func isBlank(s string) bool { return s == "" || (s[0] <= ' ' && strings.TrimSpace(s) == "") }

func isLetterOrBracket(c byte) bool { return isLetter(c) || c == '[' }
