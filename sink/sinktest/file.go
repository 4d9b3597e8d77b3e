package sinktest

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// File is a file of the log in memory, with a sealed batch. It is safe for concurrent use.
type File struct {
	layout   *batch.Layout
	contents schema.Contents
	id       string
	head     []byte
	body     []byte

	mu    sync.Mutex // guards what follows
	notes [][]byte
	reads int
}

var _ schema.LogFile = (*File)(nil)

// NewFile puts a block into a file, and lets the block leave memory. It calls freed when that happens, if it is not nil.
func NewFile(t testing.TB, b *batch.Block, freed func()) *File {
	t.Helper()
	f := &File{layout: b.Layout(), id: b.ID(), head: b.Head(), contents: schema.Contents{Route: b.Layout().Route(), Table: b.Layout().Table().FullName()}}
	var body bytes.Buffer
	if _, err := b.WriteTo(&body); err != nil {
		t.Fatalf("write a block: %v", err)
	}
	f.body = body.Bytes()
	b.Keep(f, freed)
	return f
}

// Open returns the block as another process finds it.
func (f *File) Open(t testing.TB) *batch.Block {
	t.Helper()
	b, err := batch.OpenBlock(f.layout, f.head, f)
	if err != nil {
		t.Fatalf("open batch %s: %v", f.id, err)
	}
	return b
}

// ID implements schema.LogFile.
func (f *File) ID() string { return f.id }

// Contents implements schema.LogFile.
func (f *File) Contents() *schema.Contents { return &f.contents }

// Head implements schema.LogFile.
func (f *File) Head() []byte { return f.head }

// ReadAt implements schema.LogFile.
func (f *File) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	f.reads++
	f.mu.Unlock()
	return bytes.NewReader(f.body).ReadAt(p, offset)
}

// Reads returns the number of calls of ReadAt.
func (f *File) Reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// Size implements schema.LogFile.
func (f *File) Size() int64 { return int64(len(f.body)) }

// Notes implements schema.LogFile.
func (f *File) Notes() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([][]byte(nil), f.notes...)
}

// Note implements schema.LogFile.
func (f *File) Note(ctx context.Context, note []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	f.notes = append(f.notes, bytes.Clone(note))
	return nil
}

// Settled implements schema.LogFile.
func (f *File) Settled(int, int) {}
