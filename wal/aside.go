package wal

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
)

// setAside moves a damaged file into the folder for these, and returns its name there. The service starts without it.
func (l *Log) setAside(name string) string {
	if l.config.ReadOnly {
		return ""
	}
	to, err := l.freeName(filepath.Base(name))
	if err == nil {
		err = l.fs.Rename(name, l.path(to))
	}
	if err == nil {
		err = errors.Join(l.fs.SyncDir(l.path(damagedDir)), l.fs.SyncDir(filepath.Dir(name)))
	}
	if err != nil {
		l.log.Error("a damaged file of the write-ahead log can't be set aside", "file", name, "error", err)
		return ""
	}
	return to
}

// freeName returns a name in the folder for damaged files that none has yet.
func (l *Log) freeName(base string) (string, error) {
	names, err := l.fs.List(l.path(damagedDir))
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, name := range names {
		taken[name] = true
	}
	name := base
	for n := 2; taken[name]; n++ {
		name = fmt.Sprintf("%s.%d", base, n)
	}
	return filepath.Join(damagedDir, name), nil
}

// copyAside copies a segment into the folder for damaged files, unless an earlier start has.
func (l *Log) copyAside(name string) (string, error) {
	if l.config.ReadOnly {
		return "", nil
	}
	to := filepath.Join(damagedDir, filepath.Base(name))
	source, err := l.fs.Open(name)
	if err != nil {
		return "", err
	}
	defer source.Close()
	size, err := source.Size()
	if err != nil {
		return "", err
	}
	if there, err := l.fs.Open(l.path(to)); err == nil {
		defer there.Close()
		if n, err := there.Size(); err == nil && n == size {
			return to, nil
		}
	}
	if err := l.copyFile(source, size, l.path(to)); err != nil {
		l.fs.Remove(l.path(to))
		return "", err
	}
	return to, l.fs.SyncDir(l.path(damagedDir))
}

func (l *Log) copyFile(source io.ReaderAt, size int64, name string) error {
	handle, err := l.fs.Create(name)
	if err != nil {
		return err
	}
	defer handle.Close()
	for at, b := int64(0), make([]byte, min(size, windowBytes)); at < size; at += int64(len(b)) {
		b = b[:min(int64(len(b)), size-at)]
		readAll(source, b, at)
		if _, err := handle.WriteAt(b, at); err != nil {
			return err
		}
	}
	return handle.Sync()
}
