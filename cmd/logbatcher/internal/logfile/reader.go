package logfile

import (
	"cmp"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Options configures a Reader. The zero value is good.
type Options struct {
	// Now is asked at each time stamp without a year, which lies in the latest year that does not put it more than
	// a day after Now. Nil is time.Now. For a file it should be [File.Now].
	Now func() time.Time
	// Location is where time stamps without a zone were written; nil is time.Local.
	Location *time.Location
	// MaxEntryBytes bounds a line and the Body of a record; 0 is 256 KiB. The rest of a longer line is cut, see
	// TruncatedBytesKey; a longer fold is split over records.
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

const (
	// maxStreams bounds how many entries are pending at a time.
	maxStreams = 32
	// maxAway is after how many lines of other streams a pending entry is returned, and its stream forgotten.
	maxAway = 256
)

// Reader reads the records of one input. It is not for concurrent use, except for Close.
type Reader struct {
	lines    *lineReader
	quiet    *quietReader // nil unless FoldWait is set
	stamps   stamps
	maxBytes int
	maxFold  int
	stats    Stats
	members  []member  // of the line being read
	streams  []*stream // at most maxStreams
	ready    []Record  // returned from the front
	returned int       // of ready
	err      error
}

// NewReader returns a Reader of r, whose bytes may be compressed with gzip or zstd, or be UTF-16.
func NewReader(r io.Reader, options Options) *Reader {
	reader := &Reader{
		maxBytes: options.MaxEntryBytes, maxFold: cmp.Or(options.MaxFoldLines, DefaultMaxFoldLines),
		stamps: stamps{now: options.Now, loc: options.Location},
	}
	if reader.maxBytes <= 0 {
		reader.maxBytes = DefaultMaxEntryBytes
	}
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

// Next returns the next record. At the end of the input the error is io.EOF; when the input fails, the records read
// before precede its error.
func (r *Reader) Next() (Record, error) {
	for r.returned == len(r.ready) {
		r.ready, r.returned = r.ready[:0], 0
		if r.err != nil {
			return Record{}, r.err
		}
		switch l, err := r.lines.next(); err {
		case nil:
			r.read(l)
		case ErrQuiet:
			if r.flush(false); len(r.ready) == 0 {
				return Record{}, err
			}
		default:
			r.err = err
			r.flush(true)
		}
	}
	record := r.ready[r.returned]
	r.ready[r.returned] = Record{}
	r.returned++
	return record, nil
}

// Stats returns the counts so far.
func (r *Reader) Stats() Stats { return r.stats }

// Close stops the goroutine that Options.FoldWait asks for as soon as the Read that it is in returns; it does not
// close the input. A waiting Next returns what is pending, and then os.ErrClosed. Close may be called from any
// goroutine, and more than once.
func (r *Reader) Close() {
	if r.quiet != nil {
		r.quiet.close()
	}
}

// read takes a line out of its envelope, joins it with the line that it is the rest of, and adds it to its stream.
func (r *Reader) read(l line) {
	w := r.unwrap(l)
	s := r.streamOf(w.stream)
	if !w.partial && s.partial == nil {
		r.add(s, &w)
		return
	}
	if s.partial == nil {
		s.partial, s.held = &wrapped{}, s.held[:0]
		*s.partial = w
	} else {
		r.stats.FoldedLines++
		s.partial.cut += w.cut
	}
	keep := fit(w.text, r.maxBytes-len(s.held))
	s.held = append(s.held, w.text[:keep]...)
	if cut := int64(len(w.text) - keep); cut > 0 {
		if s.partial.cut == 0 {
			r.stats.TruncatedLines++
		}
		r.stats.TruncatedBytes += cut
		s.partial.cut += cut
	}
	if !w.partial {
		r.endPartial(s)
	}
}

// endPartial adds a line that was read in parts.
func (r *Reader) endPartial(s *stream) {
	if w := s.partial; w != nil {
		s.partial = nil
		w.text = string(s.held)
		r.add(s, w)
	}
}

// streamOf returns the stream of a line. The streams are in the order of their last lines; it ends the first one if
// there are too many or if its last line was long ago.
func (r *Reader) streamOf(key string) *stream {
	i := slices.IndexFunc(r.streams, func(s *stream) bool { return s.key == key })
	if i < 0 {
		i = len(r.streams)
		r.streams = append(r.streams, &stream{key: key})
	}
	s := r.streams[i]
	s.touched = r.stats.Lines
	r.streams = append(slices.Delete(r.streams, i, i+1), s)
	if first := r.streams[0]; len(r.streams) > maxStreams || first.touched < s.touched-maxAway {
		r.endPartial(first)
		r.release(first)
		r.streams = slices.Delete(r.streams, 0, 1)
	}
	return s
}

// add adds a line to the pending entry of its stream, or makes an entry of it.
func (r *Reader) add(s *stream, w *wrapped) {
	text := plain(w.text)
	if isBlank(text) {
		r.stats.BlankLines++
		s.blanks++
		return
	}
	if !utf8.ValidString(w.text) {
		r.stats.InvalidUTF8++
	}
	if !w.object && (w.stream != "" || len(text) < len(w.text)) {
		w.members, w.object = r.object(text)
	}
	if w.object {
		e := r.jsonEntry(w)
		if !e.begins && s.pending && !s.entry.json && s.habit.established() && r.fold(s, w) {
			return
		}
		r.stats.JSONLines++
		r.begin(s, e, w)
		return
	}
	line := strings.TrimLeft(text, white)
	found := r.stamps.find(line)
	begins := found.found() || hasLevel(line)
	if s.pending && !begins && s.continuedBy(text) {
		if r.fold(s, w) {
			return
		}
		if !continues(text) {
			s.habit.full()
		}
		r.split(s, w)
		return
	}
	if strings.HasPrefix(line, `{"`) {
		r.stats.BrokenObjects++
	}
	e := r.textEntry(w, line, found)
	e.begins = begins
	r.begin(s, e, w)
}

// fold adds w to the pending entry, if it has room.
func (r *Reader) fold(s *stream, w *wrapped) bool {
	e := &s.entry
	size := len(e.Body)
	if e.folded > 0 {
		size = len(s.body)
	}
	if e.folded >= r.maxFold || size+s.blanks+1+len(w.text) > r.maxBytes {
		return false
	}
	if e.folded == 0 {
		s.body = append(s.body[:0], e.Body...)
	}
	for range s.blanks + 1 {
		s.body = append(s.body, '\n')
	}
	s.body = append(s.body, w.text...)
	s.blanks = 0
	e.folded++
	e.cut += w.cut
	e.traceback = e.traceback || strings.HasPrefix(w.text, traceback)
	r.stats.FoldedLines++
	return true
}

// split begins an entry with a line that continues the pending one and has no room there.
func (r *Reader) split(s *stream, w *wrapped) {
	e := s.entry
	r.release(s)
	e.Body, e.Attributes, e.folded, e.cut, e.number = w.text, nil, 0, w.cut, r.stats.Lines
	s.pending, s.entry, s.blanks = true, e, 0
}

// begin makes e, the entry of w, the pending one.
func (r *Reader) begin(s *stream, e entry, w *wrapped) {
	r.release(s)
	e.number, e.cut = r.stats.Lines, w.cut
	if !e.zoned && !w.time.IsZero() {
		e.Time = w.time
	}
	switch {
	case w.severity == 0:
	case e.SeverityNumber == 0 && e.SeverityText == "":
		e.SeverityNumber, e.SeverityText = w.severity, severityName(w.severity)
	default:
		e.Attributes = append(e.Attributes, text("PRIORITY", w.priority))
	}
	e.Service = cmp.Or(e.Service, w.service)
	switch {
	case !e.Time.IsZero():
		s.last = e.Time
	case !s.last.IsZero():
		e.Time = s.last
		r.stats.InheritedTimes++
	}
	s.habit.entry(&e)
	s.pending, s.entry, s.blanks = true, e, 0
}

// release makes the pending entry a record.
func (r *Reader) release(s *stream) {
	if !s.pending {
		return
	}
	s.pending = false
	e := &s.entry
	if e.folded > 0 {
		e.Body = string(s.body)
		if cap(s.body) > 64<<10 {
			s.body = nil
		}
	}
	if e.cut > 0 {
		e.Attributes = append(e.Attributes, integer(TruncatedBytesKey, e.cut))
	}
	if e.Time.IsZero() {
		r.stats.Untimed++
	}
	r.stats.Records++
	r.ready = append(r.ready, e.Record)
}

// flush releases all pending entries, in the order of the input. At the end of the input, lines that go on are entries as
// they are.
func (r *Reader) flush(atEnd bool) {
	byEntry := func(a, b *stream) int { return cmp.Compare(a.entry.number, b.entry.number) }
	for _, s := range slices.SortedFunc(slices.Values(r.streams), byEntry) {
		if atEnd {
			r.endPartial(s)
		}
		r.release(s)
	}
}

// textEntry makes an entry of a line of text, whose stamp and severity are looked for in line: w.text without escape sequences and
// white space at the start.
func (r *Reader) textEntry(w *wrapped, line string, found stamp) entry {
	e := entry{stamped: found.found(), zoned: found.zoned}
	e.Body, e.Time, e.Attributes = w.text, found.at, w.attributes
	if found.found() && found.at.IsZero() && w.time.IsZero() {
		r.unreadTime(line[found.start:found.end])
	}
	rest := line[found.end:]
	if host, n := syslogHost(line, found); host != "" {
		e.Attributes = append(e.Attributes, text("host.name", host))
		rest = rest[n:]
	}
	number, word := int32(0), ""
	if number, _ = priority(line); number != 0 {
		word = severityName(number)
	}
	if key, _, ok := strings.Cut(line, "="); number == 0 && ok && !strings.ContainsAny(key, " \t") {
		number, word = levelPair(line) // logfmt
	}
	if number == 0 {
		number, word = textSeverity(line[:found.start])
	}
	if number == 0 {
		number, word = textSeverity(rest)
	}
	if crash := crashSeverity(line); crash != 0 {
		e.crash, number, word = true, crash, severityName(crash)
	}
	e.traceback = strings.HasPrefix(line, traceback)
	e.SeverityNumber, e.SeverityText = number, word
	return e
}

// syslogHeader is a host and a process, with its id or not.
var syslogHeader = regexp.MustCompile(`^ ([^\s\[\]()=",]+) [^\s\[:]+(\[[^\s\]]*\])?:(?:\s|$)`)

// syslogHost returns the host of a line of syslog, and the length of its header behind the stamp. A line whose stamp
// is not syslog's own is one if it names a process with its id.
func syslogHost(line string, found stamp) (host string, width int) {
	own, rest := found.layout == syslogLayout, line[found.end:]
	if !own && found.layout != layouts[0].text {
		return "", 0
	}
	if _, pri := priority(line); pri > 0 && !own { // RFC 5424
		host, _, _ = strings.Cut(strings.TrimPrefix(rest, " "), " ")
		return strings.TrimPrefix(host, "-"), 0
	}
	if !own && !strings.Contains(rest, "]:") {
		return "", 0
	}
	m := syslogHeader.FindStringSubmatchIndex(rest)
	if m == nil || !own && m[4] < 0 || severityOf(rest[m[2]:m[3]]) != 0 {
		return "", 0
	}
	return rest[m[2]:m[3]], m[1]
}

func (r *Reader) unreadTime(stamp string) {
	r.stats.UnreadTimes++
	r.stats.UnreadTime = cmp.Or(r.stats.UnreadTime, strings.ToValidUTF8(stamp, "\ufffd"))
}
