//go:build linux

package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// A disk is a file system in memory that a gateway has its log on. It is mounted through FUSE, so the gateway is the ordinary program.
// It can be full, fail an fsync, and lose what was not fsynced, as a machine does that loses its power.
//
// What a power failure may do, which is what POSIX promises and no more: of the writes to a file since its last fsync any subset is
// there, and one of them may be torn at a sector; of what was created, renamed and removed in a folder since its last fsync there is
// what came before some moment. An fsync that fails loses what it was for, although it can be read until then: the next one succeeds
// without it.
type disk struct {
	fuse.RawFileSystem
	folder string
	server *fuse.Server

	mu        sync.Mutex // guards what follows and all nodes
	nodes     map[uint64]*node
	last      uint64 // id given to a node
	capacity  int64  // bytes
	used      int64
	lies      bool      // an fsync does nothing, and succeeds
	failSyncs int       // how many of the next fsyncs fail
	failed    int       // fsyncs that failed
	lately    time.Time // of the last failure
	refused   int       // requests that were refused because the disk is full
}

// A node is a file or folder.
type node struct {
	id        uint64
	lookups   uint64
	links     int
	data      []byte
	allocated int64
	durable   int64   // length at the last fsync
	writes    []write // since the last fsync, in order

	entries map[string]*node // of a folder; nil: it is a file
	changes []func()         // undo what happened in the folder since its last fsync, in order
}

// A write is a change of a file's contents or length.
type write struct {
	offset        int64
	old, new      []byte
	before, after int64 // length of the file
	lost          bool  // an fsync has failed with it
}

const (
	sector = 512
	page   = 4096
)

// newDisk mounts a disk. The error says why it can't be had here.
func newDisk(folder string, capacity int64) (*disk, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	root := &node{id: fuse.FUSE_ROOT_ID, links: 1, entries: map[string]*node{}}
	d := &disk{
		RawFileSystem: fuse.NewDefaultRawFileSystem(), folder: folder, capacity: capacity, last: root.id, nodes: map[uint64]*node{root.id: root},
	}
	var err error
	d.server, err = fuse.NewServer(d, folder, &fuse.MountOptions{
		FsName: "chaos", Name: "chaos", DirectMountStrict: true, DisableXAttrs: true, DisableReadDirPlus: true, MaxWrite: 512 << 10,
	})
	if err != nil {
		return nil, fmt.Errorf("mount a disk in memory: %w", err)
	}
	go d.server.Serve()
	return d, d.server.WaitMount()
}

// close unmounts the disk. No process may use it any more.
func (d *disk) close() error {
	err := d.server.Unmount()
	d.server.Wait()
	return err
}

// fill leaves so many bytes free. A negative number lifts that.
func (d *disk) fill(capacity, free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.capacity = capacity; free >= 0 {
		d.capacity = d.used + free
	}
}

// counts returns how often the disk failed so far.
func (d *disk) counts() (failed, refused int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed, d.refused
}

// failedLately reports whether the disk has failed within the last seconds.
func (d *disk) failedLately() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return time.Since(d.lately) < 10*time.Second
}

// failNextSyncs lets fsyncs fail.
func (d *disk) failNextSyncs(count int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failSyncs = count
}

// losePower forgets what was not fsynced, or a part of it. Nobody may use the disk at that time. It returns how many writes and changes
// of folders were there to be lost, and how many of them were.
func (d *disk) losePower(random *rand.Rand) (unsynced, lost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	keep := random.IntN(3) // 0: nothing, 1: some of it, 2: all but one torn write
	seen := map[*node]bool{}
	var visit func(*node)
	visit = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			visit(n.entries[name])
		}
		unsynced += len(n.writes) + len(n.changes)
		lost += n.loseWrites(random, keep)
		kept := 0
		if len(n.changes) > 0 && keep > 0 {
			kept = random.IntN(len(n.changes) + 1)
		}
		lost += len(n.changes) - kept
		for _, undo := range slices.Backward(n.changes[kept:]) {
			undo()
		}
		n.changes = nil
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			visit(n.entries[name]) // what was removed and came back
		}
	}
	visit(d.nodes[fuse.FUSE_ROOT_ID])
	return unsynced, lost
}

func (n *node) loseWrites(random *rand.Rand, keep int) (lost int) {
	writes := n.writes
	n.writes = nil
	for _, w := range slices.Backward(writes) {
		n.resize(max(w.before, n.durable)) // of a write that an fsync has lost, what followed may be durable
		size := int64(len(n.data))
		clear(n.data[min(w.offset, size):min(w.offset+int64(len(w.new)), size)])
		copy(n.data[min(w.offset, size):], w.old)
	}
	n.resize(n.durable)
	for i, w := range writes {
		last := i == len(writes)-1
		if w.lost || keep == 0 || keep == 1 && random.IntN(2) == 0 {
			lost++
			continue
		}
		content := w.new
		if last && len(content) > sector {
			content = content[:sector*random.IntN(len(content)/sector+1)]
			lost++
		}
		if w.new == nil {
			n.resize(w.after)
			continue
		}
		n.resize(max(int64(len(n.data)), w.offset+int64(len(content))))
		copy(n.data[w.offset:], content)
	}
	n.durable = int64(len(n.data))
	return lost
}

func (n *node) resize(size int64) {
	if size <= int64(len(n.data)) {
		clear(n.data[size:])
		n.data = n.data[:size]
		return
	}
	n.data = append(n.data, make([]byte, size-int64(len(n.data)))...)
}

// allocate takes blocks for a length, if the disk has them.
func (d *disk) allocate(n *node, size int64) fuse.Status {
	size = (size + page - 1) / page * page
	if size <= n.allocated {
		return fuse.OK
	}
	if more := size - n.allocated; d.used+more > d.capacity {
		d.refused, d.lately = d.refused+1, time.Now()
		return fuse.Status(syscall.ENOSPC)
	}
	d.used += size - n.allocated
	n.allocated = size
	return fuse.OK
}

// change changes the contents or length of a file, so that it can be undone.
func (n *node) change(w write) {
	end := w.offset + int64(len(w.new))
	for i := range n.writes {
		// What is written again is dirty again.
		if other := &n.writes[i]; other.lost && other.offset < end && w.offset < other.offset+int64(len(other.new)) {
			other.lost = false
		}
	}
	n.writes = append(n.writes, w)
}

// sync makes durable what an fsync is for, or fails.
func (d *disk) sync(n *node) fuse.Status {
	if d.failSyncs > 0 {
		d.failSyncs--
		d.failed, d.lately = d.failed+1, time.Now()
		for i := range n.writes {
			n.writes[i].lost = true
		}
		return fuse.EIO
	}
	if d.lies {
		return fuse.OK
	}
	n.changes, n.durable = nil, int64(len(n.data))
	n.writes = slices.DeleteFunc(n.writes, func(w write) bool { return !w.lost })
	return fuse.OK
}

// child makes a node.
func (d *disk) child(entries map[string]*node) *node {
	d.last++
	return &node{id: d.last, entries: entries}
}

// link puts a node into a folder, and unlink takes it out.
func (d *disk) link(parent *node, name string, n *node) {
	parent.entries[name] = n
	if n.links++; n.links == 1 {
		d.used += n.allocated
	}
}

func (d *disk) unlink(parent *node, name string) {
	n := parent.entries[name]
	delete(parent.entries, name)
	if n.links--; n.links == 0 {
		d.used -= n.allocated
	}
}

// entry describes a node that the kernel learns of.
func (d *disk) entry(n *node, out *fuse.EntryOut) fuse.Status {
	n.lookups++
	d.nodes[n.id] = n
	out.NodeId, out.Generation = n.id, 1
	n.attributes(&out.Attr)
	return fuse.OK
}

func (n *node) attributes(a *fuse.Attr) {
	a.Ino, a.Size, a.Blocks, a.Nlink, a.Blksize = n.id, uint64(len(n.data)), uint64(n.allocated/sector), 1, page
	a.Mode = fuse.S_IFREG | 0o600
	if n.entries != nil {
		a.Mode = fuse.S_IFDIR | 0o700
	}
}

// String implements fuse.RawFileSystem, as do the methods below.
func (d *disk) String() string { return "chaos" }

func (d *disk) Lookup(_ <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[header.NodeId].entries[name]
	if n == nil {
		return fuse.ENOENT
	}
	return d.entry(n, out)
}

func (d *disk) Forget(id, lookups uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[id]
	if n == nil || id == fuse.FUSE_ROOT_ID {
		return
	}
	if n.lookups -= min(lookups, n.lookups); n.lookups == 0 {
		delete(d.nodes, id)
	}
}

func (d *disk) GetAttr(_ <-chan struct{}, input *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.nodes[input.NodeId].attributes(&out.Attr)
	return fuse.OK
}

func (d *disk) SetAttr(_ <-chan struct{}, input *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.nodes[input.NodeId]
	if size, set := input.GetSize(); set {
		before := int64(len(n.data))
		if status := d.allocate(n, int64(size)); status != fuse.OK {
			return status
		}
		w := write{offset: int64(size), before: before, after: int64(size)}
		if w.after < before {
			w.old = slices.Clone(n.data[size:])
		}
		n.change(w)
		n.resize(w.after)
		if shrunk := (w.after + page - 1) / page * page; shrunk < n.allocated {
			d.used -= n.allocated - shrunk
			n.allocated = shrunk
		}
	}
	n.attributes(&out.Attr)
	return fuse.OK
}

func (d *disk) Mkdir(_ <-chan struct{}, input *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.child(map[string]*node{})
	d.create(d.nodes[input.NodeId], name, n)
	return d.entry(n, out)
}

func (d *disk) create(parent *node, name string, n *node) {
	d.link(parent, name, n)
	parent.changes = append(parent.changes, func() { d.unlink(parent, name) })
}

func (d *disk) Unlink(_ <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	parent := d.nodes[header.NodeId]
	n := parent.entries[name]
	if n == nil {
		return fuse.ENOENT
	}
	d.unlink(parent, name)
	parent.changes = append(parent.changes, func() { d.link(parent, name, n) })
	return fuse.OK
}

func (d *disk) Rmdir(cancel <-chan struct{}, header *fuse.InHeader, name string) fuse.Status {
	d.mu.Lock()
	n := d.nodes[header.NodeId].entries[name]
	d.mu.Unlock()
	if n != nil && len(n.entries) > 0 {
		return fuse.Status(syscall.ENOTEMPTY)
	}
	return d.Unlink(cancel, header, name)
}

func (d *disk) Rename(_ <-chan struct{}, input *fuse.RenameIn, from, to string) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	parent, target := d.nodes[input.NodeId], d.nodes[input.Newdir]
	n, replaced := parent.entries[from], target.entries[to]
	if n == nil {
		return fuse.ENOENT
	}
	if replaced != nil {
		d.unlink(target, to)
	}
	d.link(target, to, n)
	d.unlink(parent, from)
	target.changes = append(target.changes, func() {
		d.link(parent, from, n)
		d.unlink(target, to)
		if replaced != nil {
			d.link(target, to, replaced)
		}
	})
	return fuse.OK
}

func (d *disk) Create(_ <-chan struct{}, input *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.used >= d.capacity {
		d.refused, d.lately = d.refused+1, time.Now()
		return fuse.Status(syscall.ENOSPC)
	}
	n := d.child(nil)
	d.create(d.nodes[input.NodeId], name, n)
	out.OpenFlags = fuse.FOPEN_DIRECT_IO
	return d.entry(n, &out.EntryOut)
}

func (d *disk) Open(_ <-chan struct{}, _ *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_DIRECT_IO // the kernel's cache would outlive losePower
	return fuse.OK
}

func (d *disk) OpenDir(_ <-chan struct{}, _ *fuse.OpenIn, _ *fuse.OpenOut) fuse.Status {
	return fuse.OK
}

func (d *disk) ReadDir(_ <-chan struct{}, input *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	entries := d.nodes[input.NodeId].entries
	for i, name := range slices.Sorted(maps.Keys(entries)) {
		if uint64(i) < input.Offset {
			continue
		}
		var a fuse.Attr
		entries[name].attributes(&a)
		if !out.AddDirEntry(fuse.DirEntry{Mode: a.Mode, Name: name, Ino: a.Ino, Off: uint64(i) + 1}) {
			break
		}
	}
	return fuse.OK
}

func (d *disk) Read(_ <-chan struct{}, input *fuse.ReadIn, buffer []byte) (fuse.ReadResult, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	data := d.nodes[input.NodeId].data
	n := copy(buffer, data[min(input.Offset, uint64(len(data))):])
	return fuse.ReadResultData(buffer[:n]), fuse.OK
}

func (d *disk) Write(_ <-chan struct{}, input *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, offset, before := d.nodes[input.NodeId], int64(input.Offset), int64(len(d.nodes[input.NodeId].data))
	end := offset + int64(len(data))
	if status := d.allocate(n, end); status != fuse.OK {
		return 0, status
	}
	w := write{offset: offset, before: before, after: max(before, end), new: slices.Clone(data)}
	if offset < before {
		w.old = slices.Clone(n.data[offset:min(end, before)])
	}
	n.change(w)
	n.resize(w.after)
	copy(n.data[offset:], data)
	return uint32(len(data)), fuse.OK
}

func (d *disk) Writev(cancel <-chan struct{}, input *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	return d.Write(cancel, input, slices.Concat(data...))
}

func (d *disk) Fallocate(_ <-chan struct{}, input *fuse.FallocateIn) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if input.Mode != 0 {
		return fuse.ENOTSUP
	}
	n, before := d.nodes[input.NodeId], int64(len(d.nodes[input.NodeId].data))
	end := int64(input.Offset + input.Length)
	if status := d.allocate(n, end); status != fuse.OK {
		return status
	}
	if end > before {
		n.change(write{offset: before, before: before, after: end})
		n.resize(end)
	}
	return fuse.OK
}

func (d *disk) Fsync(_ <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sync(d.nodes[input.NodeId])
}

func (d *disk) FsyncDir(cancel <-chan struct{}, input *fuse.FsyncIn) fuse.Status {
	return d.Fsync(cancel, input)
}

func (d *disk) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (d *disk) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	out.Bsize, out.NameLen = page, 255
	out.Blocks, out.Bfree = uint64(d.capacity/page), uint64(max(0, d.capacity-d.used)/page)
	out.Bavail = out.Bfree
	return fuse.OK
}
