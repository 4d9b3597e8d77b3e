package logfile

import (
	"bytes"
	"unicode/utf8"
)

const byteOrderMark = "\xef\xbb\xbf"

// lineReader splits the input into lines and keeps at most max bytes of each. It skips NUL bytes at the start of a line:
// a file that was truncated while its writer kept its offset has a hole there.
type lineReader struct {
	src   *source
	max   int
	stats *Stats
	begun bool   // a line was returned
	chunk []byte // of the input, to be read
	err   error  // ends the input, after chunk

	// The line being read.
	held    []byte
	dropped int64 // bytes after held
	last    byte  // the latest byte
}

// slack is how much of a line is held beyond max, so that a byte order mark or a rune at the cut does not change what is kept.
const slack = 8

// next returns the next line, without its end. The last line, which may lack a line feed or be cut off by a read error,
// precedes the error. Reading may continue after ErrQuiet.
func (r *lineReader) next() (line, error) {
	for {
		if end := bytes.IndexByte(r.chunk, '\n'); end >= 0 {
			r.hold(r.chunk[:end])
			r.chunk = r.chunk[end+1:]
			return r.finish(), nil
		}
		r.hold(r.chunk)
		r.chunk = nil
		switch {
		case r.err != nil && len(r.held) > 0:
			return r.finish(), nil
		case r.err != nil:
			return line{}, r.err
		}
		chunk, err := r.src.next()
		if err == ErrQuiet {
			return line{}, err
		}
		r.chunk, r.err = chunk, err
	}
}

// hold appends a piece of the line, as far as there is room.
func (r *lineReader) hold(piece []byte) {
	if len(r.held) == 0 {
		length := len(piece)
		piece = bytes.TrimLeft(piece, "\x00")
		r.stats.SkippedNULBytes += int64(length - len(piece))
	}
	if len(piece) == 0 {
		return
	}
	room := min(max(r.max+slack-len(r.held), 0), len(piece))
	r.held = append(r.held, piece[:room]...)
	r.dropped += int64(len(piece) - room)
	r.last = piece[len(piece)-1]
}

func (r *lineReader) finish() line {
	b, cut := r.held, r.dropped
	switch {
	case cut == 0:
		b = bytes.TrimSuffix(b, []byte("\r"))
	case r.last == '\r':
		cut--
	}
	if !r.begun {
		b = bytes.TrimPrefix(b, []byte(byteOrderMark))
	}
	r.begun = true
	r.stats.Lines++
	keep := fit(b, r.max)
	l := line{text: string(b[:keep]), cut: cut + int64(len(b)-keep)}
	if l.cut > 0 {
		r.stats.TruncatedLines++
		r.stats.TruncatedBytes += l.cut
	}
	r.held, r.dropped, r.last = r.held[:0], 0, 0
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
