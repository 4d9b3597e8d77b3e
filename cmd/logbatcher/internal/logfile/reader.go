package logfile

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// Options configures a Reader. The zero value is valid.
type Options struct {
	// Now is called for each time stamp without a year, which gets the latest year that puts it no more than a day
	// after Now; nil is time.Now. See Clock.
	Now func() time.Time
	// Location is the zone of time stamps that have none; nil is time.Local.
	Location *time.Location
	// MaxEntryBytes bounds a line and the Body of an entry; 0 is 256 KiB. A longer line is cut, see truncatedBytesKey; a
	// longer fold is split over entries.
	MaxEntryBytes int
	// MaxFoldLines bounds the lines that continue an entry; 0 is 500, negative is none.
	MaxFoldLines int
	// Wait is for an input that grows, such as a pipe. When nothing has arrived for this long, Next returns the pending
	// entries, although lines that continue them may follow, and then ErrQuiet; the end of the context takes effect. 0 waits
	// for the next line.
	Wait time.Duration
	// Stats counts what is read. It may be shared by one reader after another; nil discards.
	Stats *Stats
}

// The defaults of Options.
const (
	defaultMaxEntryBytes = 256 << 10
	defaultMaxFoldLines  = 500
)

// truncatedBytesKey is the attribute of an entry that was cut: the number of bytes of its lines that its Body lacks.
const truncatedBytesKey = "logbatcher.truncated_bytes"

const (
	// maxStreams bounds the streams, and so the pending entries.
	maxStreams = 32
	// maxAway is the number of lines of other streams after which a stream is forgotten.
	maxAway = 256
)

// Reader reads the entries of one input. It is not safe for concurrent use.
type Reader struct {
	lines      *lineReader
	stamps     stamps
	objects    logline.Reader
	parsed     logline.Object
	maxBytes   int
	maxFold    int
	stats      *Stats
	attributes []schema.Attribute    // kept for their memory
	read       int64                 // lines
	streams    []*stream             // the one with the latest line comes last
	ready      []*logbatcherv1.Entry // to be returned
	err        error
}

// NewReader returns a Reader of in, whose bytes may be compressed or UTF-16. After ctx has ended, Next returns the entries that
// were read, and then ErrStopped.
func NewReader(ctx context.Context, in io.Reader, options Options) *Reader {
	r := &Reader{
		maxBytes: cmp.Or(max(options.MaxEntryBytes, 0), defaultMaxEntryBytes), maxFold: cmp.Or(options.MaxFoldLines, defaultMaxFoldLines),
		stats: cmp.Or(options.Stats, &Stats{}),
	}
	r.stamps = stamps{logline.Stamps{Now: options.Now, Location: cmp.Or(options.Location, time.Local)}}
	if r.stamps.Now == nil {
		r.stamps.Now = time.Now
	}
	r.objects.Stamps = r.stamps.Stamps
	r.lines = &lineReader{src: newSource(ctx, &decoder{src: in}, options.Wait), max: r.maxBytes, stats: r.stats}
	return r
}

// Clock returns the clock of a file, for [Options.Now]: the time at which a regular file was last written, else the
// present. A file that claims to be older than log files are has lost its time, as in a reproducible archive.
func Clock(file os.FileInfo) func() time.Time {
	if file.Mode().IsRegular() && file.ModTime().Year() > 1990 {
		return file.ModTime
	}
	return time.Now
}

// Next returns the next entry. The error is io.EOF at the end of the input; when the input fails, the entries read
// until then precede its error.
func (r *Reader) Next() (*logbatcherv1.Entry, error) {
	for len(r.ready) == 0 {
		if r.err != nil {
			return nil, r.err
		}
		switch l, err := r.lines.next(); err {
		case nil:
			r.take(l)
		case ErrQuiet:
			if r.flush(false); len(r.ready) == 0 {
				return nil, err
			}
		default:
			r.err = err
			r.flush(true)
		}
	}
	e := r.ready[0]
	r.ready = r.ready[1:]
	return e, nil
}

// take unwraps a line, joins it with the line it is the rest of, and adds it to its stream.
func (r *Reader) take(l line) {
	r.read++
	r.unwrap(&l)
	s := r.streamOf(l.stream)
	if !l.partial && s.partial == nil {
		r.add(s, &l)
		return
	}
	if s.partial == nil {
		s.partial = &l
	} else {
		r.stats.FoldedLines++
		s.partial.cut += l.cut
	}
	keep := fit(l.text, r.maxBytes-s.parts.Len())
	s.parts.WriteString(l.text[:keep])
	if cut := int64(len(l.text) - keep); cut > 0 {
		if s.partial.cut == 0 {
			r.stats.TruncatedLines++
		}
		r.stats.TruncatedBytes += cut
		s.partial.cut += cut
	}
	if !l.partial {
		r.endPartial(s)
	}
}

// endPartial adds a line that was read in parts.
func (r *Reader) endPartial(s *stream) {
	if l := s.partial; l != nil {
		l.text = s.parts.String()
		s.partial = nil
		s.parts.Reset()
		r.add(s, l)
	}
}

// streamOf returns the stream of a line. It ends the stream with the oldest line if there are too many or if that line was long ago.
func (r *Reader) streamOf(key string) *stream {
	i := slices.IndexFunc(r.streams, func(s *stream) bool { return s.key == key })
	if i < 0 {
		i = len(r.streams)
		r.streams = append(r.streams, &stream{key: key})
	}
	s := r.streams[i]
	s.touched = r.read
	r.streams = append(slices.Delete(r.streams, i, i+1), s)
	if first := r.streams[0]; len(r.streams) > maxStreams || first.touched < s.touched-maxAway {
		r.endPartial(first)
		r.release(first)
		r.streams = slices.Delete(r.streams, 0, 1)
	}
	return s
}

// add folds a line into the pending entry of its stream, or makes it an entry.
func (r *Reader) add(s *stream, l *line) {
	text := logline.Plain(l.text)
	if isBlank(text) {
		r.stats.BlankLines++
		s.blanks++
		return
	}
	if !utf8.ValidString(l.text) {
		r.stats.InvalidUTF8++
	}
	if l.json == nil && (l.stream != "" || len(text) < len(l.text)) {
		l.json = r.object(text)
	}
	var e entry
	trimmed := strings.TrimLeft(text, logline.White)
	if l.json != nil {
		e = r.jsonEntry(l)
	} else {
		e = r.textEntry(l, trimmed)
	}
	switch {
	case !s.continuedBy(&e, text):
		if !e.json && strings.HasPrefix(trimmed, `{"`) {
			r.stats.BrokenObjects++
		}
		r.begin(s, e, l)
	case !r.fold(s, l):
		if !isContinuation(text) {
			s.habit.full()
		}
		r.split(s, l)
	}
}

// fold adds l to the pending entry, if there is room.
func (r *Reader) fold(s *stream, l *line) bool {
	e := &s.entry
	size := max(s.body.Len(), len(e.Body))
	if e.folded >= r.maxFold || size+s.blanks+1+len(l.text) > r.maxBytes {
		return false
	}
	if e.folded == 0 {
		s.body.WriteString(e.Body)
	}
	s.body.WriteString(strings.Repeat("\n", s.blanks+1))
	s.body.WriteString(l.text)
	s.blanks = 0
	e.folded++
	e.cut += l.cut
	e.traceback = e.traceback || strings.HasPrefix(l.text, traceback)
	r.stats.FoldedLines++
	return true
}

// split continues the pending entry, which has no room left, with another one.
func (r *Reader) split(s *stream, l *line) {
	r.release(s)
	e := s.entry
	e.number, e.folded, e.cut = r.read, 0, l.cut
	e.Entry = &logbatcherv1.Entry{
		TimeUnixNano: e.TimeUnixNano, SeverityNumber: e.SeverityNumber, SeverityText: e.SeverityText, Service: e.Service,
		TraceId: e.TraceId, SpanId: e.SpanId, Body: l.text,
	}
	s.pending, s.entry, s.blanks = true, e, 0
}

// begin makes e, the entry of l, the pending one.
func (r *Reader) begin(s *stream, e entry, l *line) {
	r.release(s)
	e.number, e.cut = r.read, l.cut
	if !e.zoned && !l.at.IsZero() {
		e.TimeUnixNano = uint64(l.at.UnixNano())
	}
	switch {
	case l.severity == 0:
	case e.SeverityNumber == 0 && e.SeverityText == "":
		e.SeverityNumber, e.SeverityText = l.severity, logline.SeverityName(l.severity)
	default:
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: "PRIORITY", StringValue: l.priority})
	}
	e.Service = cmp.Or(e.Service, l.service)
	if e.TimeUnixNano == 0 && s.last != 0 {
		e.TimeUnixNano = s.last
		r.stats.InheritedTimes++
	}
	s.last = e.TimeUnixNano
	s.habit.entry(&e)
	s.pending, s.entry, s.blanks = true, e, 0
}

// release makes the pending entry ready to be returned.
func (r *Reader) release(s *stream) {
	if !s.pending {
		return
	}
	s.pending = false
	e := &s.entry
	if e.folded > 0 {
		e.Body = s.body.String()
		s.body.Reset()
	}
	if e.cut > 0 {
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{
			Key: truncatedBytesKey, Type: logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT, IntValue: e.cut,
		})
	}
	if e.TimeUnixNano == 0 {
		r.stats.Untimed++
	}
	r.ready = append(r.ready, e.Entry)
}

// flush releases all pending entries, in the order of the input. At the end of the input, partial lines are complete.
func (r *Reader) flush(atEnd bool) {
	byEntry := func(a, b *stream) int { return cmp.Compare(a.entry.number, b.entry.number) }
	for _, s := range slices.SortedFunc(slices.Values(r.streams), byEntry) {
		if atEnd {
			r.endPartial(s)
		}
		r.release(s)
	}
}

func (r *Reader) unreadTime(stamp string) {
	r.stats.UnreadTimes++
	r.stats.UnreadTime = cmp.Or(r.stats.UnreadTime, strings.ToValidUTF8(stamp, "\ufffd"))
}
