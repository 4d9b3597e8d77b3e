// Package crashfs is a file system in memory that can crash and fail, for tests of what is written to disks.
//
// It numbers every operation that changes something, and produces the disk as a power failure at any of them could leave it: what was
// synced is there, and of what was not, all, nothing or any part, pages and names alike. Any operation can be made to fail, and the disk
// to be full. As on Linux, pages whose Sync has failed count as clean: a later Sync succeeds and does not write them.
package crashfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/logbatcher/logbatcher/wal"
)

// Kind is a kind of operation.
type Kind string

// The kinds.
const (
	Create  Kind = "create"
	Write   Kind = "write"
	Resize  Kind = "resize"
	Sync    Kind = "sync"
	Rename  Kind = "rename"
	Remove  Kind = "remove"
	SyncDir Kind = "syncdir"
)

// Op is an operation that changes something, or makes it durable.
type Op struct {
	// N is its number, from 0.
	N    int
	Kind Kind
	// Name is the file or folder; To is where Rename moves it.
	Name, To string
	// Offset is where Write writes Data. Size is the length that Resize sets.
	Offset int64
	Data   []byte
	Size   int64

	node   int  // the file, whatever its name is
	failed bool // nothing but a part of Data was done
}

// String returns the operation as a line.
func (o Op) String() string {
	switch text := fmt.Sprintf("operation %d: %s %s", o.N, o.Kind, o.Name); o.Kind {
	case Write:
		return fmt.Sprintf("%s, %d bytes at %d", text, len(o.Data), o.Offset)
	case Resize:
		return fmt.Sprintf("%s to %d bytes", text, o.Size)
	case Rename:
		return text + " to " + o.To
	default:
		return text
	}
}

// Unsynced says what a crash does with what was not synced.
type Unsynced int

// The ways.
const (
	Kept      Unsynced = iota // it is all there
	Dropped                   // nothing is
	Reordered                 // some pages and names are, whichever the seed chooses
	Killed                    // only the process ends: it is all there for the next one, and may still be lost with the machine
)

// Crash is a moment at which the machine stops.
type Crash struct {
	// At is the number of the first operation that was not done.
	At int
	// Sectors is how much of that operation, a write, was done all the same, in sectors of 512 bytes. 0: nothing.
	Sectors int
	// Unsynced and Seed say what becomes of what was not synced.
	Unsynced Unsynced
	Seed     uint64
}

const (
	sectorBytes = 512
	pageBytes   = 4096
)

// FS is a file system in memory. It implements wal.FS, and is safe for concurrent use.
type FS struct {
	mu       sync.Mutex
	disk     *disk
	ops      []Op
	start    *disk // before the first operation
	locks    map[string]bool
	fail     func(Op) error
	capacity int64
}

// New returns an empty file system.
func New() *FS {
	return from(&disk{names: map[string]int{}, durable: map[string]int{}, dirs: map[string]bool{}, nodes: map[int]*node{}})
}

func from(d *disk) *FS { return &FS{disk: d, start: d.clone(), locks: map[string]bool{}} }

// Ops returns the number of operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.ops)
}

// Op returns an operation that was done.
func (f *FS) Op(n int) Op {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops[n]
}

// Fail makes operations fail for which the function returns an error. It may be called at any time. Nil: none fails.
func (f *FS) Fail(fail func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

// Limit bounds the bytes in all files: beyond them operations fail with ENOSPC. 0: there is no bound.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = bytes
}

// Used returns the bytes in all files.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.disk.used()
}

// Flip changes bits in a file on the disk, as a failing disk would.
func (f *FS) Flip(name string, at int64, bits byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, found := f.disk.names[filepath.Clean(name)]
	if !found {
		return fs.ErrNotExist
	}
	node := f.disk.nodes[n]
	if at >= int64(len(node.current)) {
		return io.EOF
	}
	changed := slices.Clone(node.current)
	changed[at] ^= bits
	*node = *newNode(changed)
	return nil
}

// Crash returns the disk as it may be after a crash.
func (f *FS) Crash(c Crash) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.start.clone()
	for _, op := range f.ops[:c.At] {
		d.do(op)
	}
	if c.Sectors > 0 {
		op := f.ops[c.At]
		end := (op.Offset/sectorBytes + int64(c.Sectors)) * sectorBytes
		op.Data = op.Data[:max(0, min(int64(len(op.Data)), end-op.Offset))]
		d.do(op)
	}
	if c.Unsynced == Killed {
		return from(d)
	}
	return from(d.crash(c.Unsynced, rand.New(rand.NewPCG(c.Seed, uint64(c.At)))))
}

// disk is the state of a disk and of what waits to be written to it.
type disk struct {
	nodes   map[int]*node
	names   map[string]int // as processes see them
	durable map[string]int
	pending []Op // on names, not yet durable
	dirs    map[string]bool
	next    int
}

// node is a file.
type node struct {
	current []byte // as processes see it
	base    []byte // durable
	changes []change
}

// change is a write or a new length that base does not have yet.
type change struct {
	offset int64
	data   []byte // nil: the length becomes offset
	state  changeState
}

type changeState int

const (
	dirty   changeState = iota // the next Sync writes it
	durable                    // a Sync has written it
	limbo                      // a Sync of it failed: it may be on the disk, and no Sync writes it any more
)

func newNode(contents []byte) *node { return &node{current: contents, base: slices.Clone(contents)} }

func (d *disk) clone() *disk {
	c := &disk{nodes: map[int]*node{}, names: map[string]int{}, durable: map[string]int{}, dirs: map[string]bool{}, next: d.next, pending: slices.Clone(d.pending)}
	for id, n := range d.nodes {
		c.nodes[id] = &node{current: slices.Clone(n.current), base: slices.Clone(n.base), changes: slices.Clone(n.changes)}
	}
	for name, id := range d.names {
		c.names[name] = id
	}
	for name, id := range d.durable {
		c.durable[name] = id
	}
	for dir := range d.dirs {
		c.dirs[dir] = true
	}
	return c
}

func (d *disk) used() (bytes int64) {
	for _, id := range d.names {
		bytes += int64(len(d.nodes[id].current))
	}
	return bytes
}

// apply applies a change to contents.
func (c change) apply(b []byte) []byte {
	end := c.offset + int64(len(c.data))
	if c.data == nil && int64(len(b)) > end {
		return b[:end:end]
	}
	if grow := end - int64(len(b)); grow > 0 {
		b = append(b, make([]byte, grow)...)
	}
	copy(b[c.offset:], c.data)
	return b
}

// do does an operation.
func (d *disk) do(op Op) {
	n := d.nodes[op.node]
	switch op.Kind {
	case Create:
		if op.failed {
			return
		}
		if n == nil {
			d.nodes[op.node] = newNode(nil)
			d.next = max(d.next, op.node+1)
			d.names[op.Name] = op.node
			d.pending = append(d.pending, op)
		} else {
			n.add(change{})
		}
	case Write:
		if len(op.Data) > 0 {
			n.add(change{offset: op.Offset, data: op.Data})
		}
	case Resize:
		if !op.failed {
			n.add(change{offset: op.Size})
		}
	case Sync:
		n.sync(op.failed)
	case Rename, Remove:
		if !op.failed {
			apply(op, d.names)
			d.pending = append(d.pending, op)
		}
	case SyncDir:
		if op.failed {
			return
		}
		d.pending = slices.DeleteFunc(d.pending, func(p Op) bool {
			here := filepath.Dir(p.Name) == op.Name || p.Kind == Rename && filepath.Dir(p.To) == op.Name
			if here {
				apply(p, d.durable)
			}
			return here
		})
	}
}

// apply applies an operation to names.
func apply(op Op, names map[string]int) {
	if op.Kind == Create {
		names[op.Name] = op.node
		return
	}
	if id, found := names[op.Name]; found && id == op.node {
		delete(names, op.Name)
	}
	if op.Kind == Rename {
		names[op.To] = op.node
	}
}

func (n *node) add(c change) {
	n.current = c.apply(n.current)
	n.changes = append(n.changes, c)
}

func (n *node) sync(failed bool) {
	for i, c := range n.changes {
		if c.state == dirty {
			n.changes[i].state = durable
			if failed {
				n.changes[i].state = limbo
			}
		}
	}
	for len(n.changes) > 0 && n.changes[0].state == durable {
		n.base = n.changes[0].apply(n.base)
		n.changes = n.changes[1:]
	}
}

// crash returns what is on the disk after a crash.
func (d *disk) crash(unsynced Unsynced, random *rand.Rand) *disk {
	after := &disk{nodes: map[int]*node{}, names: map[string]int{}, durable: map[string]int{}, dirs: d.dirs, next: d.next}
	names := map[string]int{}
	for name, id := range d.durable {
		names[name] = id
	}
	keep := func() bool { return unsynced == Kept || unsynced == Reordered && random.IntN(2) == 0 }
	for _, op := range d.pending {
		if keep() {
			apply(op, names)
		}
	}
	ids := map[int]bool{}
	for name, id := range names {
		after.names[name], after.durable[name] = id, id
		ids[id] = true
	}
	for _, id := range slices.Sorted(func(yield func(int) bool) {
		for id := range ids {
			if !yield(id) {
				return
			}
		}
	}) {
		n := d.nodes[id]
		b := slices.Clone(n.base)
		for _, c := range n.changes {
			switch {
			case c.state == durable:
				b = c.apply(b)
			case c.data == nil:
				if keep() {
					b = c.apply(b)
				}
			default:
				b = c.pages(b, keep, random)
			}
		}
		after.nodes[id] = newNode(b)
	}
	return after
}

// pages applies the pages of a write that reach the disk. Of one that does not, the length may, with zeros.
func (c change) pages(b []byte, keep func() bool, random *rand.Rand) []byte {
	for offset, data := c.offset, c.data; len(data) > 0; {
		n := min(int64(len(data)), pageBytes-offset%pageBytes)
		switch part := (change{offset: offset, data: data[:n]}); {
		case keep():
			b = part.apply(b)
		case random.IntN(4) == 0 && offset+n > int64(len(b)) && keep():
			b = append(b, make([]byte, offset+n-int64(len(b)))...)
		}
		offset, data = offset+n, data[n:]
	}
	return b
}

// run numbers an operation, asks whether it fails, and does it. Of a write that fails, half is done.
func (f *FS) run(op Op) error {
	op.N = len(f.ops)
	var err error
	if f.fail != nil {
		err = f.fail(op)
	}
	if grows := op.grows(f.disk); err == nil && f.capacity > 0 && grows > 0 && f.disk.used()+grows > f.capacity {
		err = syscall.ENOSPC
	}
	if err != nil {
		op.failed = true
		op.Data = op.Data[:len(op.Data)/2]
		err = &fs.PathError{Op: string(op.Kind), Path: op.Name, Err: err}
	}
	f.ops = append(f.ops, op)
	f.disk.do(op)
	return err
}

// grows returns by how many bytes the operation makes its file longer.
func (o Op) grows(d *disk) int64 {
	if o.Kind != Write && o.Kind != Resize {
		return 0
	}
	return max(o.Size, o.Offset+int64(len(o.Data))) - int64(len(d.nodes[o.node].current))
}

// MkdirAll implements wal.FS. It is no operation: folders do not crash.
func (f *FS) MkdirAll(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.disk.dirs[filepath.Clean(dir)] = true
	f.start.dirs[filepath.Clean(dir)] = true
	return nil
}

// Local implements wal.FS.
func (f *FS) Local(string) error { return nil }

type lock struct {
	f    *FS
	name string
}

// Close unlocks.
func (l lock) Close() error {
	l.f.mu.Lock()
	defer l.f.mu.Unlock()
	delete(l.f.locks, l.name)
	return nil
}

// Lock implements wal.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.locks[name] {
		return nil, errors.New("another process uses this log")
	}
	f.locks[name] = true
	return lock{f, name}, nil
}

// List implements wal.FS.
func (f *FS) List(dir string) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir = filepath.Clean(dir)
	if !f.disk.dirs[dir] {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	var names []string
	for name := range f.disk.names {
		if rest, inside := strings.CutPrefix(name, dir+string(filepath.Separator)); inside && !strings.ContainsRune(rest, filepath.Separator) {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Create implements wal.FS.
func (f *FS) Create(name string) (wal.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	if !f.disk.dirs[filepath.Dir(name)] {
		return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrNotExist}
	}
	id, found := f.disk.names[name]
	if !found {
		id = f.disk.next
	}
	if err := f.run(Op{Kind: Create, Name: name, node: id}); err != nil {
		return nil, err
	}
	return &handle{f: f, name: name, node: id}, nil
}

// Open implements wal.FS.
func (f *FS) Open(name string) (wal.Handle, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	id, found := f.disk.names[name]
	if !found {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &handle{f: f, name: name, node: id}, nil
}

// Rename implements wal.FS.
func (f *FS) Rename(from, to string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	from, to = filepath.Clean(from), filepath.Clean(to)
	id, found := f.disk.names[from]
	if !found {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	return f.run(Op{Kind: Rename, Name: from, To: to, node: id})
}

// Remove implements wal.FS.
func (f *FS) Remove(name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = filepath.Clean(name)
	id, found := f.disk.names[name]
	if !found {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	return f.run(Op{Kind: Remove, Name: name, node: id})
}

// SyncDir implements wal.FS.
func (f *FS) SyncDir(dir string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.run(Op{Kind: SyncDir, Name: filepath.Clean(dir), node: -1})
}

// handle is an open file.
type handle struct {
	f      *FS
	name   string
	node   int
	closed bool
}

func (h *handle) check() error {
	if h.closed {
		return &fs.PathError{Op: "use", Path: h.name, Err: fs.ErrClosed}
	}
	return nil
}

// ReadAt implements wal.Handle.
func (h *handle) ReadAt(b []byte, offset int64) (int, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.check(); err != nil {
		return 0, err
	}
	contents := h.f.disk.nodes[h.node].current
	if offset >= int64(len(contents)) {
		return 0, io.EOF
	}
	n := copy(b, contents[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements wal.Handle.
func (h *handle) WriteAt(b []byte, offset int64) (int, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.check(); err != nil {
		return 0, err
	}
	if err := h.f.run(Op{Kind: Write, Name: h.name, Offset: offset, Data: slices.Clone(b), node: h.node}); err != nil {
		return len(b) / 2, err
	}
	return len(b), nil
}

// Size implements wal.Handle.
func (h *handle) Size() (int64, error) {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	return int64(len(h.f.disk.nodes[h.node].current)), h.check()
}

// Sync implements wal.Handle.
func (h *handle) Sync() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.check(); err != nil {
		return err
	}
	return h.f.run(Op{Kind: Sync, Name: h.name, node: h.node})
}

// Resize implements wal.Handle.
func (h *handle) Resize(size int64) error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.check(); err != nil {
		return err
	}
	return h.f.run(Op{Kind: Resize, Name: h.name, Size: size, node: h.node})
}

// Close implements io.Closer.
func (h *handle) Close() error {
	h.f.mu.Lock()
	defer h.f.mu.Unlock()
	if err := h.check(); err != nil {
		return err
	}
	h.closed = true
	return nil
}
