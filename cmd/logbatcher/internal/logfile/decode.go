package logfile

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxNesting bounds how many layers of compression an input may have: some gzip files decompress to themselves.
	maxNesting = 4
	// maxWindow bounds the memory that a zstd frame may request, like the zstd command does.
	maxWindow = 128 << 20
)

// format is a kind of input recognized by its first bytes.
type format struct {
	magic   string // '?' matches any byte, '~' any byte but NUL
	name    string
	open    func(*bufio.Reader) (io.Reader, error) // nil: refused
	command string                                 // converts it to text
}

// formats lists what is decoded, and what is known not to be text. A magic number precedes its own prefixes.
var formats = []format{
	{magic: "\x1f\x8b\x08", name: "gzip", open: newGzipReader},
	{magic: "\x28\xb5\x2f\xfd", name: "zstd", open: newZstdReader},
	{magic: "?\x2a\x4d\x18", name: "zstd", open: newZstdReader}, // a skippable frame
	{magic: "\xff\xfe\x00\x00", name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8"},
	{magic: "\x00\x00\xfe\xff", name: "UTF-32", command: "iconv -f UTF-32 -t UTF-8"},
	{magic: "\xff\xfe", name: "UTF-16", open: newUTF16Reader(binary.LittleEndian)},
	{magic: "\xfe\xff", name: "UTF-16", open: newUTF16Reader(binary.BigEndian)},
	{magic: "~\x00~\x00~\x00~\x00", name: "UTF-16", open: newUTF16Reader(binary.LittleEndian)}, // no byte order mark
	{magic: "\x00~\x00~\x00~\x00~", name: "UTF-16", open: newUTF16Reader(binary.BigEndian)},
	{magic: "\xfd7zXZ\x00", name: "an xz file", command: "xz -dc"},
	{magic: "BZh?1AY&SY", name: "a bzip2 file", command: "bzip2 -dc"},
	{magic: "]\x00\x00", name: "an lzma file", command: "xz -dc"},
	{magic: "\x04\x22\x4d\x18", name: "an lz4 file", command: "lz4 -dc"},
	{magic: "\x1f\x9d", name: "a compress file (.Z)", command: "gzip -dc"},
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

// tarMagic follows the first file's header. It is checked only against bytes that have already arrived.
var tarMagic = strings.Repeat("?", 257) + "ustar"

// decoder reads src as UTF-8, decompressed. It inspects the first bytes on its first Read and, because src may be a pipe,
// waits for no more of them than it needs.
type decoder struct {
	src   io.Reader
	name  string // of the format that src is the content of
	depth int
	text  io.Reader // nil before the first Read
}

// Read implements io.Reader.
func (d *decoder) Read(p []byte) (n int, err error) {
	if d.text == nil {
		d.text, err = decode(bufio.NewReaderSize(d.src, 64<<10), d.depth)
	}
	if err == nil {
		n, err = d.text.Read(p)
	}
	if err != nil && err != io.EOF && d.name != "" {
		err = fmt.Errorf("%s: %w", d.name, err)
	}
	return n, err
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
	content, err := found.open(src)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", found.name, err)
	}
	return &decoder{src: content, name: found.name, depth: depth + 1}, nil
}

// sniff returns the format of src, or nil for text.
func sniff(src *bufio.Reader) (*format, error) {
	for n := 1; ; n++ {
		head, err := src.Peek(n)
		if len(head) == 0 && err != io.EOF {
			return nil, err
		}
		i := slices.IndexFunc(formats, func(f format) bool {
			return matches(head, f.magic) && (err == nil || len(head) >= len(f.magic))
		})
		if i < 0 {
			break
		}
		if len(head) >= len(formats[i].magic) {
			return &formats[i], nil
		}
	}
	if head, _ := src.Peek(min(src.Buffered(), len(tarMagic))); len(head) == len(tarMagic) && matches(head, tarMagic) {
		return &format{name: "a tar archive", command: "tar -xOf"}, nil
	}
	return nil, nil
}

// matches compares head and magic up to the shorter length.
func matches(head []byte, magic string) bool {
	for i := range min(len(head), len(magic)) {
		if magic[i] != head[i] && magic[i] != '?' && (magic[i] != '~' || head[i] == 0) {
			return false
		}
	}
	return true
}

// gzipReader reads the members of a gzip file. Like gzip -dc, it skips zero bytes after a member.
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

// Read implements io.Reader.
func (r *gzipReader) Read(p []byte) (int, error) {
	for {
		n, err := r.member.Read(p)
		if n > 0 && err == io.EOF {
			err = nil // of this member; the next Read returns it again
		}
		if n > 0 || err != io.EOF {
			return n, err
		}
		padding := byte(0)
		for padding == 0 {
			if padding, err = r.src.ReadByte(); err != nil {
				return 0, err
			}
		}
		if err := errors.Join(r.src.UnreadByte(), r.member.Reset(r.src)); err != nil {
			return 0, fmt.Errorf("other data follows: %w", err)
		}
		r.member.Multistream(false)
	}
}

func newZstdReader(src *bufio.Reader) (io.Reader, error) {
	// A concurrency of one starts no goroutine, so the decoder needs no Close.
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}

// utf16Reader converts UTF-16 to UTF-8. Half a surrogate pair becomes its three-byte encoding, which is not UTF-8 and is
// counted as such.
type utf16Reader struct {
	src   *bufio.Reader
	order binary.ByteOrder
	rest  []byte // converted and not yet returned
}

func newUTF16Reader(order binary.ByteOrder) func(*bufio.Reader) (io.Reader, error) {
	return func(src *bufio.Reader) (io.Reader, error) { return &utf16Reader{src: src, order: order}, nil }
}

// Read implements io.Reader.
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
		pair := utf8.RuneError
		if next, _ := r.src.Peek(2); len(next) == 2 {
			pair = utf16.DecodeRune(c, rune(r.order.Uint16(next)))
		}
		if pair == utf8.RuneError {
			r.rest = append(r.rest, 0xe0|byte(c>>12), 0x80|byte(c>>6)&0x3f, 0x80|byte(c)&0x3f)
			continue
		}
		r.rest = utf8.AppendRune(r.rest, pair)
		_, _ = r.src.Discard(2) // just peeked
	}
	n := copy(p, r.rest)
	r.rest = append(r.rest[:0], r.rest[n:]...)
	return n, nil
}
