package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf8"
)

// line is one line of the input, without its end.
type line struct {
	text string
	cut  int64 // bytes of the input's line that text does not hold
}

const byteOrderMark = "\xef\xbb\xbf"

// lineReader splits the input into lines and holds at most max bytes of one. NUL bytes at the start of a line are
// skipped: a file that was truncated while its writer kept its place has a hole there.
type lineReader struct {
	src   *bufio.Reader
	max   int
	stats *Stats
	err   error // ends the input, after its last line

	// The line being read, when it comes in more than one piece.
	held    []byte
	dropped int64 // its bytes behind held
	last    byte  // its last byte so far
}

// slack is what is held of a line beyond max, so that neither a byte order mark nor the
// rune across the cut changes what is kept.
const slack = 8

func newLineReader(src io.Reader, maxBytes int, stats *Stats) *lineReader {
	return &lineReader{src: bufio.NewReaderSize(src, 64<<10), max: maxBytes, stats: stats}
}

// next returns the next line. The last one, which may lack a line feed or be cut off by a failed read, precedes the
// error. After ErrQuiet it continues.
func (r *lineReader) next() (line, error) {
	for r.err == nil {
		piece, err := r.src.ReadSlice('\n')
		r.hold(bytes.TrimSuffix(piece, []byte("\n")))
		switch {
		case err == nil:
			return r.finish(), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, ErrQuiet):
			return line{}, ErrQuiet
		default:
			r.err = err
			if len(r.held) > 0 {
				return r.finish(), nil
			}
		}
	}
	return line{}, r.err
}

// hold appends piece to the line being read, as far as there is room.
func (r *lineReader) hold(piece []byte) {
	if len(r.held) == 0 && len(piece) > 0 && piece[0] == 0 {
		rest := bytes.TrimLeft(piece, "\x00")
		r.stats.SkippedNULBytes += int64(len(piece) - len(rest))
		piece = rest
	}
	if len(piece) == 0 {
		return
	}
	room := min(max(r.max+slack-len(r.held), 0), len(piece))
	r.held = append(r.held, piece[:room]...)
	r.dropped += int64(len(piece) - room)
	r.last = piece[len(piece)-1]
}

// finish makes a line of what is held.
func (r *lineReader) finish() line {
	b, cut := r.held, r.dropped
	if r.last == '\r' && cut > 0 {
		cut--
	} else {
		b = bytes.TrimSuffix(b, []byte("\r"))
	}
	if r.stats.Lines == 0 {
		b = bytes.TrimPrefix(b, []byte(byteOrderMark))
	}
	r.stats.Lines++
	keep := fit(b, r.max)
	l := line{text: string(b[:keep]), cut: cut + int64(len(b)-keep)}
	if l.cut > 0 {
		r.stats.TruncatedLines++
		r.stats.TruncatedBytes += l.cut
	}
	r.held, r.dropped, r.last = r.held[:0], 0, 0
	if cap(r.held) > 64<<10 {
		r.held = nil
	}
	return l
}

// fit returns how much of b to keep so that it has at most n bytes and no rune is cut.
func fit[T string | []byte](b T, n int) int {
	if len(b) <= n {
		return len(b)
	}
	for back := 0; back < utf8.UTFMax && back < n; back++ {
		if utf8.RuneStart(b[n-back]) {
			return n - back
		}
	}
	return n
}
