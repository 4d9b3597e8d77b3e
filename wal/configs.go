package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
)

// maxConfig bounds a configuration.
const maxConfig = 256 << 20

// PutConfig keeps data under a hash, and returns once it is durable. It tries again while the disk is full or fails, until the log closes.
func (l *Log) PutConfig(hash string, data []byte) error {
	if _, err := l.Config(hash); err == nil {
		return nil
	}
	b := make([]byte, 4)
	le.PutUint32(b, checksum(data))
	err := l.retry(context.Background(), partConfig, true, func() error { return l.replace(l.configPath(hash), b, data) })
	if err != nil {
		return fmt.Errorf("keep configuration %s: %w", hash, err)
	}
	return nil
}

func (l *Log) configPath(hash string) string { return l.path(configDir, url.PathEscape(hash)) }

// Config returns what PutConfig was given under the hash.
func (l *Log) Config(hash string) ([]byte, error) {
	b, err := l.readFile(l.configPath(hash), maxConfig)
	if err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", hash, err)
	}
	if len(b) < 4 || le.Uint32(b) != checksum(b[4:]) {
		return nil, fmt.Errorf("read configuration %s: it is damaged", hash)
	}
	return b[4:], nil
}

// Configs returns the hashes of the configurations that are there.
func (l *Log) Configs() ([]string, error) {
	names, err := l.fs.List(l.path(configDir))
	if err != nil {
		return nil, fmt.Errorf("list the configurations: %w", err)
	}
	var hashes []string
	for _, name := range names {
		if hash, err := url.PathUnescape(name); err == nil && !strings.HasSuffix(name, temporary) {
			hashes = append(hashes, hash)
		}
	}
	return hashes, nil
}

// KeepConfigs removes the configurations that are not needed any longer.
func (l *Log) KeepConfigs(needed func(hash string) bool) error {
	names, err := l.fs.List(l.path(configDir))
	if err != nil {
		return err
	}
	var problem error
	for _, name := range names {
		hash, err := url.PathUnescape(name)
		if err == nil && !strings.HasSuffix(name, temporary) && needed(hash) {
			continue
		}
		if err := l.fs.Remove(l.path(configDir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			problem = errors.Join(problem, err)
		}
	}
	return problem
}
