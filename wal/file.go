package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"
	"sync"

	"github.com/google/uuid"
)

// A batch file has its front, the body in pieces, the front again, and notes. Each begins at a multiple of 8; zeros fill the gaps.
//
//	front, 64 bytes + id + head             piece of the body
//	 0  "LBWALBAT"                           65,536 bytes, the last piece less; CRC32C of them
//	 8  version                  u32
//	12  length of the id         u32        note, 16 bytes + payload
//	16  id of the log            16 bytes    0  CRC32C of bytes 4 to the end of the payload
//	32  length of the body       u64         4  "NOTE"
//	40  length of the head       u32         8  length of the payload   u32
//	44  zero                     12 bytes   12  number of the note      u32
//	56  CRC32C of id and head
//	60  CRC32C of bytes 0 to 60
const (
	fileFront  = 64
	fileMagic  = "LBWALBAT"
	pieceBytes = 64 << 10
	pieceSize  = pieceBytes + 4
	noteHeader = 16
	noteMagic  = "NOTE"
	maxID      = 180 // bytes of its file name, for which 255 are possible
)

// ErrDamaged is the error for what the disk has damaged.
var ErrDamaged = errors.New("damaged on the disk")

// File is a file beside the log: a sealed batch, or a dead letter. It is safe for concurrent use. It has no open handle: there may be very
// many files.
type File struct {
	log  *Log
	name string
	id   string
	head []byte
	body int64 // length of the body

	damaged error // why not all of the body can be read

	noting sync.Mutex // held while a note is written; guards what follows
	noted  int64      // where the next note goes

	mu      sync.Mutex // guards what follows
	notes   [][]byte
	size    int64 // of the file
	removed bool
}

// ID returns the file's id.
func (f *File) ID() string { return f.id }

// Head returns what Create was given as the head.
func (f *File) Head() []byte { return f.head }

// Size returns the length of the body.
func (f *File) Size() int64 { return f.body }

// Damaged returns why a part of the body can't be read, as Files found it, or nil.
func (f *File) Damaged() error { return f.damaged }

// Notes returns the notes that the file had when the log was opened, and those that were added since, in order.
func (f *File) Notes() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.notes[:len(f.notes):len(f.notes)]
}

func (f *File) bodyStart() int64 { return align(int64(fileFront + len(f.id) + len(f.head))) }

// bodyEnd is where the second front begins.
func (f *File) bodyEnd() int64 {
	pieces := (f.body + pieceBytes - 1) / pieceBytes
	return align(f.bodyStart() + f.body + 4*pieces)
}

func (f *File) notesStart() int64 { return f.bodyEnd() + f.bodyStart() }

// front returns the front with its padding.
func (f *File) front() []byte {
	b := make([]byte, f.bodyStart())
	copy(b, fileMagic)
	le.PutUint32(b[8:], formatVersion)
	le.PutUint32(b[12:], uint32(len(f.id)))
	copy(b[16:], f.log.id[:])
	le.PutUint64(b[32:], uint64(f.body))
	le.PutUint32(b[40:], uint32(len(f.head)))
	n := copy(b[fileFront:], f.id)
	n += copy(b[fileFront+n:], f.head)
	le.PutUint32(b[56:], checksum(b[fileFront:fileFront+n]))
	le.PutUint32(b[60:], checksum(b[:60]))
	return b
}

// Create writes a file of that id, and returns once it and its name are durable. While the disk is full or fails it tries again, from the
// beginning of the body, until ctx ends. An error of the body itself ends it.
func (l *Log) Create(ctx context.Context, id string, head []byte, body io.WriterTo) (*File, error) {
	f := &File{log: l, name: l.path(filesDir, url.PathEscape(id)), id: id, head: bytes.Clone(head)}
	if base := filepath.Base(f.name); len(base) > maxID || id == "" || strings.Trim(id, ".") == "" || strings.HasSuffix(id, temporary) {
		return nil, fmt.Errorf("write file %q: this id can't be a file's name", id)
	}
	if len(head) > maxRecord {
		return nil, fmt.Errorf("write file %s: a head of %d bytes: %w", id, len(head), ErrTooLarge)
	}
	l.filesMu.Lock()
	taken := l.files[id] != nil
	if !taken {
		l.files[id] = f
	}
	l.filesMu.Unlock()
	if taken {
		return nil, fmt.Errorf("write file %s: it is there already", id)
	}
	var broken error // of the body
	err := l.retry(ctx, partFiles, false, func() error {
		err := f.write(body)
		if bodyErr := (*bodyError)(nil); errors.As(err, &bodyErr) {
			broken = bodyErr.error
			return nil
		}
		return err
	})
	if err = errors.Join(broken, err); err != nil {
		l.forget(f)
		return nil, fmt.Errorf("write file %s: %w", id, err)
	}
	l.room.add(&l.room.files, f.size)
	return f, nil
}

func (l *Log) forget(f *File) {
	l.filesMu.Lock()
	delete(l.files, f.id)
	l.filesMu.Unlock()
}

// bodyError is an error of a body, as opposed to one of the disk.
type bodyError struct{ error }

// write writes the file once.
func (f *File) write(body io.WriterTo) error {
	l := f.log
	handle, err := l.fs.Create(f.name + temporary)
	if err != nil {
		return err
	}
	err = f.fill(handle, body)
	if closeErr := handle.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = l.fs.Rename(f.name+temporary, f.name)
	}
	if err == nil {
		err = l.fs.SyncDir(l.path(filesDir))
	}
	if err != nil {
		l.fs.Remove(f.name + temporary) // it takes room that others need meanwhile
	}
	return err
}

func (f *File) fill(handle Handle, body io.WriterTo) error {
	w := pieceWriter{handle: handle, at: f.bodyStart(), piece: pieces.Get().(*[pieceSize]byte)}
	defer pieces.Put(w.piece)
	_, err := body.WriteTo(&w)
	if w.err == nil && err == nil {
		w.flush()
	}
	switch {
	case w.err != nil:
		return w.err
	case err != nil:
		return &bodyError{err}
	}
	f.body = w.length
	front := f.front()
	for _, at := range []int64{0, f.bodyEnd()} {
		if _, err := handle.WriteAt(front, at); err != nil {
			return err
		}
	}
	f.noted = f.notesStart()
	f.size = f.noted
	return handle.Sync()
}

var pieces = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// pieceWriter writes a body in pieces with checksums.
type pieceWriter struct {
	handle Handle
	at     int64
	piece  *[pieceSize]byte
	n      int   // bytes in piece
	length int64 // of the body so far
	err    error // of the handle
}

// Write implements io.Writer.
func (w *pieceWriter) Write(b []byte) (int, error) {
	written := 0
	for len(b) > 0 && w.err == nil {
		n := copy(w.piece[w.n:pieceBytes], b)
		w.n, b, written = w.n+n, b[n:], written+n
		if w.n == pieceBytes {
			w.flush()
		}
	}
	return written, w.err
}

func (w *pieceWriter) flush() {
	if w.n == 0 || w.err != nil {
		return
	}
	le.PutUint32(w.piece[w.n:], checksum(w.piece[:w.n]))
	_, w.err = w.handle.WriteAt(w.piece[:w.n+4], w.at)
	w.at += int64(w.n) + 4
	w.length += int64(w.n)
	w.n = 0
}

// ReadAt reads from the body. It is cheapest for many bytes at once: it reads and checks pieces of 64 KiB.
func (f *File) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 || offset >= f.body {
		if offset < 0 {
			return 0, fmt.Errorf("read file %s: offset %d", f.id, offset)
		}
		return 0, io.EOF
	}
	if f.isRemoved() {
		return 0, fmt.Errorf("read file %s: %w", f.id, fs.ErrNotExist)
	}
	handle, err := f.log.fs.Open(f.name)
	if err != nil {
		return 0, fmt.Errorf("read file %s: %w", f.id, err)
	}
	defer handle.Close()
	n, err := f.readPieces(handle, b, offset)
	if err != nil {
		return n, fmt.Errorf("read file %s: %w", f.id, err)
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *File) readPieces(handle io.ReaderAt, b []byte, offset int64) (int, error) {
	piece := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(piece)
	read := 0
	for read < len(b) && offset < f.body {
		number := offset / pieceBytes
		length := min(pieceBytes, f.body-number*pieceBytes)
		if n, err := handle.ReadAt(piece[:length+4], f.bodyStart()+number*pieceSize); n < int(length)+4 {
			return read, fmt.Errorf("piece %d: %w", number, err)
		}
		if le.Uint32(piece[length:]) != checksum(piece[:length]) {
			return read, fmt.Errorf("piece %d: %w", number, ErrDamaged)
		}
		n := copy(b[read:], piece[offset%pieceBytes:length])
		read, offset = read+n, offset+int64(n)
	}
	return read, nil
}

// Note adds a note, and returns once it is durable. While the disk is full or fails it tries again, until ctx ends.
func (f *File) Note(ctx context.Context, note []byte) error {
	f.noting.Lock()
	defer f.noting.Unlock()
	b := make([]byte, align(noteHeader+len(note)))
	copy(b[4:], noteMagic)
	le.PutUint32(b[8:], uint32(len(note)))
	le.PutUint32(b[12:], uint32(len(f.Notes())))
	copy(b[noteHeader:], note)
	le.PutUint32(b, checksum(b[4:noteHeader+len(note)]))
	err := f.log.retry(ctx, partFiles, true, func() error {
		if f.isRemoved() {
			return nil
		}
		err := f.writeNote(b)
		if err != nil && !isFull(err) {
			f.noted += int64(len(b)) // the place may be bad, and what stands there now is not known
		}
		return err
	})
	if err == nil && f.isRemoved() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return fmt.Errorf("note in file %s: %w", f.id, err)
	}
	f.noted += int64(len(b))
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notes = append(f.notes, bytes.Clone(note))
	f.log.room.add(&f.log.room.files, f.noted-f.size)
	f.size = f.noted
	return nil
}

func (f *File) isRemoved() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.removed
}

func (f *File) writeNote(b []byte) error {
	handle, err := f.log.fs.Open(f.name)
	if err != nil {
		return err
	}
	defer handle.Close()
	if _, err := handle.WriteAt(b, f.noted); err != nil {
		return err
	}
	return handle.Sync()
}

// Remove removes the file. A crash may bring it back.
func (f *File) Remove() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removed {
		return nil
	}
	if err := f.log.fs.Remove(f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file %s: %w", f.id, err)
	}
	f.gone()
	return nil
}

// SetAside moves the file into the folder for damaged files, and returns its name there.
func (f *File) SetAside() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name := f.log.setAside(f.name)
	if name == "" {
		return "", fmt.Errorf("file %s can't be set aside", f.id)
	}
	f.gone()
	return name, nil
}

func (f *File) gone() {
	f.removed = true
	f.log.room.add(&f.log.room.files, -f.size)
	f.log.forget(f)
}

// Files returns the files that an earlier process has left, in the order of their names. All of them are read and checked. One of which not
// even the head can be read is set aside; what is damaged is reported by Damage. It is called once, before Start.
func (l *Log) Files() ([]*File, error) {
	names, err := l.fs.List(l.path(filesDir))
	if err != nil {
		return nil, fmt.Errorf("list the files of the write-ahead log: %w", err)
	}
	var files []*File
	var damage []Damage
	for _, name := range names {
		if strings.HasSuffix(name, temporary) {
			if l.config.ReadOnly {
				continue
			}
			if err := l.fs.Remove(l.path(filesDir, name)); err != nil { // it was never finished
				l.log.Warn("an unfinished file of the write-ahead log can't be removed; the next start does it", "file", name, "error", err)
			}
			continue
		}
		f, problems, err := l.openFile(name)
		if errors.Is(err, errVersion) {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if l.config.ReadOnly && errors.Is(err, fs.ErrNotExist) {
			continue // it was removed meanwhile
		}
		for _, problem := range problems {
			damage = append(damage, Damage{File: filepath.Join(filesDir, name), What: problem})
		}
		if err != nil {
			damage = append(damage, Damage{File: filepath.Join(filesDir, name), What: err.Error(), Copy: l.setAside(l.path(filesDir, name))})
			continue
		}
		l.filesMu.Lock()
		l.files[f.id] = f
		l.filesMu.Unlock()
		l.room.add(&l.room.files, f.size)
		files = append(files, f)
	}
	for _, d := range damage {
		l.log.Error("the disk has damaged a file of the write-ahead log", "damage", d.String())
	}
	l.metrics.found(len(damage), 0)
	l.found = append(l.found, damage...)
	return files, nil
}

// openFile reads a file, and returns what is wrong with it as far as it is usable all the same.
func (l *Log) openFile(name string) (*File, []string, error) {
	f := &File{log: l, name: l.path(filesDir, name)}
	handle, err := l.fs.Open(f.name)
	if err != nil {
		return nil, nil, err
	}
	defer handle.Close()
	if f.size, err = handle.Size(); err != nil {
		return nil, nil, err
	}
	var problems []string
	if err := f.readFront(handle, 0); errors.Is(err, errVersion) {
		return nil, nil, err
	} else if err != nil {
		problems = append(problems, "the first copy of the head is damaged")
		if err := f.findFront(handle); err != nil {
			return nil, nil, err
		}
	} else if err := (&File{log: l, size: f.size}).readFront(handle, f.bodyEnd()); err != nil {
		problems = append(problems, "the second copy of the head is damaged")
	}
	if url.PathEscape(f.id) != name {
		return nil, nil, fmt.Errorf("it is file %q", f.id)
	}
	if err := f.checkBody(handle); err != nil {
		f.damaged = fmt.Errorf("file %s: %w", f.id, err)
		problems = append(problems, "the body is damaged: "+err.Error())
	}
	if lost := f.readNotes(handle); lost > 0 {
		problems = append(problems, fmt.Sprintf("%d notes are damaged", lost))
	}
	return f, problems, nil
}

// readFront reads a copy of the head.
func (f *File) readFront(handle io.ReaderAt, at int64) error {
	var b [fileFront]byte
	readAll(handle, b[:], at)
	if string(b[:8]) != fileMagic || le.Uint32(b[60:]) != checksum(b[:60]) {
		return ErrDamaged
	}
	if le.Uint32(b[8:]) != formatVersion {
		return fmt.Errorf("%w of the format: %d, this program knows %d", errVersion, le.Uint32(b[8:]), formatVersion)
	}
	if id := uuid.UUID(b[16:32]); id != f.log.id {
		return fmt.Errorf("it is of log %s", id)
	}
	idLength, headLength, body := int64(le.Uint32(b[12:])), int64(le.Uint32(b[40:])), int64(le.Uint64(b[32:]))
	if body < 0 || body > f.size || at+fileFront+idLength+headLength > f.size {
		return ErrDamaged
	}
	text := make([]byte, idLength+headLength)
	readAll(handle, text, at+fileFront)
	if checksum(text) != le.Uint32(b[56:]) {
		return ErrDamaged
	}
	f.id, f.head, f.body = string(text[:idLength]), text[idLength:], body
	return nil
}

// findFront looks for the second copy of the head, whose place stands only in the first.
func (f *File) findFront(handle io.ReaderAt) error {
	window := make([]byte, min(windowBytes, f.size))
	for start := int64(0); start < f.size; start += windowBytes {
		window = window[:min(int64(cap(window)), f.size-start)]
		readAll(handle, window, start)
		for at := int64(0); at+8 <= int64(len(window)); at += 8 {
			if string(window[at:at+8]) == fileMagic && f.readFront(handle, start+at) == nil && f.bodyEnd() == start+at {
				return nil
			}
		}
	}
	return fmt.Errorf("both copies of the head are %w", ErrDamaged)
}

// checkBody reads all of the body.
func (f *File) checkBody(handle io.ReaderAt) error {
	b := make([]byte, min(f.body, windowBytes))
	for at := int64(0); at < f.body; {
		n, err := f.readPieces(handle, b, at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// readNotes reads the notes, and returns how many are lost. A note that was being written when the machine stopped is none.
func (f *File) readNotes(handle io.ReaderAt) (lost int) {
	f.noted = align(max(f.size, f.notesStart())) // never behind a tear: what follows is found by its number
	var header [noteHeader]byte
	for at := f.notesStart(); at+noteHeader <= f.size; {
		readAll(handle, header[:], at)
		length, number := int64(le.Uint32(header[8:])), int(le.Uint32(header[12:]))
		if string(header[4:8]) != noteMagic || at+noteHeader+length > f.size {
			at += 8
			continue
		}
		note := make([]byte, noteHeader+length)
		readAll(handle, note, at)
		if checksum(note[4:]) != le.Uint32(note) {
			at += 8
			continue
		}
		if number >= len(f.notes)+lost { // not one that was tried again
			lost = number - len(f.notes)
			f.notes = append(f.notes, note[noteHeader:])
		}
		at += align(noteHeader + length)
	}
	return lost
}
