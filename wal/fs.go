package wal

import "io"

// FS is what the log needs of a file system. The operating system's is OS; crashfs has one in memory that can crash.
type FS interface {
	// MkdirAll makes a folder and those above it, and makes them durable.
	MkdirAll(dir string) error
	// Lock locks a file, which it makes if it is missing, until the process ends or the result is closed. It does not wait.
	Lock(name string) (io.Closer, error)
	// Local returns an error if the folder is on a file system that other machines may write to at the same time.
	Local(dir string) error
	// List returns the names in a folder, in order.
	List(dir string) ([]string, error)
	// Create opens an empty file for reading and writing. A file that was there is truncated.
	Create(name string) (Handle, error)
	// Open opens a file that is there, for reading and writing.
	Open(name string) (Handle, error)
	// Rename renames a file, and replaces one that has the name already.
	Rename(from, to string) error
	// Remove removes a file. Its error is fs.ErrNotExist if there is none.
	Remove(name string) error
	// SyncDir makes durable what was created, renamed and removed in a folder.
	SyncDir(dir string) error
}

// Handle is an open file.
type Handle interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the file's length.
	Size() (int64, error)
	// Sync makes the contents and the length durable. After an error nothing is known of what was written since the last Sync.
	Sync() error
	// Resize sets the file's length, and takes the blocks on the disk for all of it.
	Resize(size int64) error
}
