package logfile

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxNesting bounds how often an input may be compressed: some gzip files decompress to themselves.
	maxNesting = 4
	// maxWindow bounds the memory that a zstd frame may ask for. The zstd command has the same bound.
	maxWindow = 128 << 20
)

// format is a kind of input that is recognized by its first bytes.
type format struct {
	magic   string // '?' is any byte, '~' any but NUL
	name    string
	open    func(*bufio.Reader) (io.Reader, error) // nil: refused
	command string                                 // makes text of it
}

// formats lists what is decoded and what is known not to be text. A magic number that begins with another one
// precedes it.
var formats = []format{
	{magic: "\x1f\x8b\x08", name: "gzip", open: newGzipReader},
	{magic: "\x28\xb5\x2f\xfd", name: "zstd", open: newZstdReader},
	{magic: "?\x2a\x4d\x18", name: "zstd", open: newZstdReader}, // a skippable frame comes first
	{magic: "\xff\xfe\x00\x00", name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8"},
	{magic: "\x00\x00\xfe\xff", name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8"},
	{magic: "\xff\xfe", name: "UTF-16", open: newUTF16Reader(binary.LittleEndian)},
	{magic: "\xfe\xff", name: "UTF-16", open: newUTF16Reader(binary.BigEndian)},
	{magic: "~\x00~\x00~\x00~\x00", name: "UTF-16", open: newUTF16Reader(binary.LittleEndian)}, // without a mark
	{magic: "\x00~\x00~\x00~\x00~", name: "UTF-16", open: newUTF16Reader(binary.BigEndian)},
	{magic: "\xfd7zXZ\x00", name: "an xz file", command: "xz -dc"},
	{magic: "BZh?1AY&SY", name: "a bzip2 file", command: "bzip2 -dc"},
	{magic: "]\x00\x00", name: "an lzma file", command: "xz -dc"},
	{magic: "\x04\x22\x4d\x18", name: "an lz4 file", command: "lz4 -dc"},
	{magic: "\x1f\x9d", name: "a file of compress", command: "gzip -dc"},
	{magic: "LZIP", name: "an lzip file", command: "lzip -dc"},
	{magic: "PK\x03\x04", name: "a zip archive", command: "unzip -p"},
	{magic: "7z\xbc\xaf\x27\x1c", name: "a 7z archive", command: "7z x -so"},
	{magic: "Rar!\x1a\x07", name: "a RAR archive", command: "unrar p -inul"},
	{magic: "LPKSHHRH", name: "a systemd journal", command: "journalctl -o json --file"},
	{magic: "ElfFile\x00", name: "a Windows event log"},
	{magic: "\x7fELF", name: "a program (ELF)"},
	{magic: "\x00asm", name: "a program (WebAssembly)"},
	{magic: "\xca\xfe\xba\xbe", name: "a program (Java class or Mach-O)"},
	{magic: "\xcf\xfa\xed\xfe", name: "a program (Mach-O)"},
	{magic: "!<arch>\n", name: "an archive (deb or ar)"},
	{magic: "\xed\xab\xee\xdb", name: "a package (rpm)"},
	{magic: "\x89PNG\r\n\x1a\n", name: "a PNG image"},
	{magic: "\xff\xd8\xff", name: "a JPEG image"},
	{magic: "GIF8?a", name: "a GIF image"},
	{magic: "RIFF????", name: "an audio or video file (RIFF)"},
	{magic: "OggS", name: "an audio or video file (Ogg)"},
	{magic: "%PDF-", name: "a PDF document"},
	{magic: "SQLite format 3\x00", name: "an SQLite database"},
	{magic: "PAR1", name: "a Parquet file"},
	{magic: "Obj\x01", name: "an Avro file"},
	{magic: "REDIS00", name: "a Redis dump"},
	{magic: "\xd4\xc3\xb2\xa1", name: "a packet capture (pcap)"},
}

// decoder reads the text of src, which it decompresses and converts to UTF-8 where that is needed. It looks at the first
// bytes when it is first read, and waits for no more of them than it needs: src may be a pipe.
type decoder struct {
	src   io.Reader
	depth int
	text  io.Reader // nil before the first Read
	err   error
}

func (d *decoder) Read(p []byte) (int, error) {
	if d.text == nil && d.err == nil {
		d.text, d.err = decode(bufio.NewReaderSize(d.src, 64<<10), d.depth)
	}
	if d.err != nil {
		return 0, d.err
	}
	return d.text.Read(p)
}

func decode(src *bufio.Reader, depth int) (io.Reader, error) {
	found, err := sniff(src)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return src, nil
	case found.open == nil && found.command == "":
		return nil, fmt.Errorf("this is %s, not a log", found.name)
	case found.open == nil:
		return nil, fmt.Errorf("this is %s, not text; try: %s FILE | logbatcher send -", found.name, found.command)
	case depth == maxNesting:
		return nil, fmt.Errorf("compressed more than %d times over", maxNesting)
	}
	text, err := found.open(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", found.name, err)
	}
	return &decoder{src: named{found.name, text}, depth: depth + 1}, nil
}

// sniff returns the format of src, or nil for text.
func sniff(src *bufio.Reader) (*format, error) {
	for n, undecided := 1, true; undecided; n++ {
		head, err := src.Peek(n)
		if len(head) == 0 && err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		undecided = false
		for i := range formats {
			magic := formats[i].magic
			if !agree(head, magic) {
				continue
			}
			if len(head) >= len(magic) {
				return &formats[i], nil
			}
			if undecided = err == nil; undecided {
				break
			}
		}
	}
	if head, _ := src.Peek(min(src.Buffered(), len(tarMagic))); len(head) == len(tarMagic) && agree(head, tarMagic) {
		return &format{name: "a tar archive", command: "tar -xOf"}, nil
	}
	return nil, nil
}

// tarMagic stands behind the first file's header. It is looked for only in what has arrived.
var tarMagic = strings.Repeat("?", 257) + "ustar"

// agree reports whether head and magic are equal as far as both go.
func agree(head []byte, magic string) bool {
	for i := range min(len(head), len(magic)) {
		if magic[i] != head[i] && magic[i] != '?' && (magic[i] != '~' || head[i] == 0) {
			return false
		}
	}
	return true
}

// named names the format in the errors of text.
type named struct {
	name string
	text io.Reader
}

func (n named) Read(p []byte) (int, error) {
	read, err := n.text.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", n.name, err)
	}
	return read, err
}

// gzipReader reads the members of a gzip file. Zero bytes behind a member are padding, as for gzip -dc.
type gzipReader struct {
	src    *bufio.Reader
	member *gzip.Reader
}

func newGzipReader(src *bufio.Reader) (io.Reader, error) {
	member, err := gzip.NewReader(src)
	if err != nil {
		return nil, err
	}
	member.Multistream(false)
	return &gzipReader{src, member}, nil
}

func (r *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := r.member.Read(p)
		if err != io.EOF {
			return n, err
		}
		if n > 0 {
			return n, nil // the next Read meets the end again
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
}

// next moves on to the next member. It returns io.EOF if there is none.
func (r *gzipReader) next() error {
	for {
		b, err := r.src.ReadByte()
		if err != nil {
			return err
		}
		if b == 0 {
			continue
		}
		if err := r.src.UnreadByte(); err != nil {
			return err
		}
		if err := r.member.Reset(r.src); err != nil {
			return fmt.Errorf("the data is followed by something else: %w", err)
		}
		r.member.Multistream(false)
		return nil
	}
}

func newZstdReader(src *bufio.Reader) (io.Reader, error) {
	// With a concurrency of one it starts no goroutine, so it need not be closed.
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// utf16Reader converts UTF-16 to UTF-8. Half of a surrogate pair becomes the three bytes that encode it: they are not
// UTF-8, and are counted as such.
type utf16Reader struct {
	src   *bufio.Reader
	order binary.ByteOrder
	rest  []byte // UTF-8 that Read has not returned yet
}

func newUTF16Reader(order binary.ByteOrder) func(*bufio.Reader) (io.Reader, error) {
	return func(src *bufio.Reader) (io.Reader, error) { return &utf16Reader{src: src, order: order}, nil }
}

func (r *utf16Reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 || len(r.rest) < len(p) && r.src.Buffered() >= 4 {
		var unit [2]byte
		if _, err := io.ReadFull(r.src, unit[:]); err != nil {
			return 0, err
		}
		c := rune(r.order.Uint16(unit[:]))
		if !utf16.IsSurrogate(c) {
			r.rest = utf8.AppendRune(r.rest, c)
			continue
		}
		if next, _ := r.src.Peek(2); len(next) == 2 {
			if pair := utf16.DecodeRune(c, rune(r.order.Uint16(next))); pair != utf8.RuneError {
				_, _ = r.src.Discard(2)
				r.rest = utf8.AppendRune(r.rest, pair)
				continue
			}
		}
		r.rest = append(r.rest, 0xe0|byte(c>>12), 0x80|byte(c>>6)&0x3f, 0x80|byte(c)&0x3f)
	}
	n := copy(p, r.rest)
	r.rest = append(r.rest[:0], r.rest[n:]...)
	return n, nil
}
