package wal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// OS is the operating system's file system.
type OS struct{}

// MkdirAll implements FS.
func (fs OS) MkdirAll(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("%s is not a folder", dir)
		}
		return nil
	}
	parent := filepath.Dir(filepath.Clean(dir))
	if parent != dir {
		if err := fs.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return fs.SyncDir(parent)
}

// Lock implements FS. The file is never removed: a process that waits to open it could lock one that nobody else sees.
func (OS) Lock(name string) (io.Closer, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(file); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Local implements FS.
func (OS) Local(dir string) error { return local(dir) }

// List implements FS.
func (OS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

// Create implements FS.
func (OS) Create(name string) (Handle, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// Open implements FS.
func (OS) Open(name string) (Handle, error) { return open(name, os.O_RDWR) }

func open(name string, flags int) (Handle, error) {
	file, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err // not a Handle that holds a nil
	}
	return osHandle{file}, nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// osHandle is an open file of the operating system.
type osHandle struct{ *os.File }

// Size implements Handle.
func (h osHandle) Size() (int64, error) {
	info, err := h.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync implements Handle.
func (h osHandle) Sync() error { return datasync(h.File) }

// Resize implements Handle.
func (h osHandle) Resize(size int64) error {
	if err := allocate(h.File, size); err != nil {
		return err
	}
	return h.Truncate(size)
}
