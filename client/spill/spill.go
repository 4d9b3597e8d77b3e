// Package spill keeps the requests of a client.Producer on disk, in a folder of the producer's own, until they have reached its level.
// It is a write-ahead log of package wal: a file for each request, and the state of the producer as its checkpoint.
//
// What must always hold: a request is durable before it is sent, and the state before a request is removed. The folder belongs to one
// process at a time.
package spill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/wal"
)

const (
	// putTimeout is how long the disk may refuse before its error is returned, also when a spill is opened.
	putTimeout = time.Second
	// segmentBytes and reserveBytes are small: there are no records, and a checkpoint is small.
	segmentBytes, reserveBytes = 1 << 20, 1 << 20
	// fileBytes is counted for each file beside its bytes: what a file takes at least, and its names.
	fileBytes = 4096
)

// Config is where a spill is, and how much room it takes. Start from DefaultConfig.
type Config struct {
	// Dir is its folder. It is made if it is missing.
	Dir string
	// MaxBytes bounds it: above, client.ErrSpillFull is the answer.
	MaxBytes int64
	// Log receives what is wrong with the disk. Nil: nobody does.
	Log *slog.Logger
	// FS is the file system. Nil: the operating system's.
	FS wal.FS
}

// DefaultConfig returns the defaults for a folder.
func DefaultConfig(dir string) Config { return Config{Dir: dir, MaxBytes: 1 << 30} }

// Spill implements client.Spill.
type Spill struct {
	log      *wal.Log
	max      int64
	state    []byte
	requests []client.SpilledRequest
	damaged  int
	close    func() error
	files    atomic.Int64
}

// request is a file of the log.
type request struct {
	*wal.File
	of   *Spill
	once sync.Once
}

// Remove implements client.SpilledRequest.
func (r *request) Remove() error {
	err := r.File.Remove()
	if err == nil {
		r.once.Do(func() { r.of.files.Add(-1) })
	}
	return err
}

func (s *Spill) add(file *wal.File) *request {
	s.files.Add(1)
	return &request{File: file, of: s}
}

var _ client.Spill = (*Spill)(nil)

// Open opens the spill in a folder, and locks it. Pass it to a producer, which closes it.
func Open(config Config) (*Spill, error) {
	if config.MaxBytes <= 0 {
		return nil, errors.New("open a spill: MaxBytes must be above 0")
	}
	settings := wal.DefaultConfig()
	settings.Dir, settings.Log, settings.FS = config.Dir, config.Log, config.FS
	setSize(&settings.MaxBytes, max(1<<30, 2*config.MaxBytes)) // our own bound comes first
	setSize(&settings.SegmentBytes, segmentBytes)
	setSize(&settings.ReserveBytes, reserveBytes)
	log, err := wal.Open(settings)
	if err != nil {
		return nil, fmt.Errorf("open a spill: %w", err)
	}
	s := &Spill{log: log, max: config.MaxBytes, close: sync.OnceValue(log.Close)}
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the spill in %s: %w", config.Dir, err), s.Close())
	}
	return s, nil
}

// setSize sets one of the log's sizes.
func setSize[T ~int64](size *T, bytes int64) { *size = T(bytes) }

func (s *Spill) recover() error {
	s.state, _ = s.log.Checkpoint()
	files, err := s.log.Files()
	if err != nil {
		return err
	}
	for _, file := range files {
		if file.Damaged() != nil {
			if _, err := file.SetAside(); err != nil {
				return err
			}
			s.damaged++
			continue
		}
		s.requests = append(s.requests, s.add(file))
	}
	s.damaged = max(s.damaged, len(s.log.Damage()))
	if _, err := s.log.Scan(func(wal.Record) error { return nil }); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), putTimeout)
	defer cancel()
	return s.log.Start(ctx)
}

// State implements client.Spill.
func (s *Spill) State() []byte { return s.state }

// Requests implements client.Spill.
func (s *Spill) Requests() (requests []client.SpilledRequest, damaged int, err error) {
	return s.requests, s.damaged, nil
}

// body is the body of a request.
type body []byte

// WriteTo implements io.WriterTo.
func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// Put implements client.Spill.
func (s *Spill) Put(ctx context.Context, number uint64, head, data []byte) (client.SpilledRequest, error) {
	files := s.files.Load()
	used := s.log.Usage().Files + files*fileBytes
	if files > 0 && used+int64(len(head)+len(data)+fileBytes) > s.max {
		return nil, fmt.Errorf("%w: %d requests take %d bytes in it, the bound is %d", client.ErrSpillFull, files, used, s.max)
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	file, err := s.log.Create(ctx, fmt.Sprintf("%016x", number), head, body(data))
	if err != nil {
		return nil, err
	}
	return s.add(file), nil
}

// Save implements client.Spill.
func (s *Spill) Save(state []byte) error { return s.log.SaveCheckpoint(state, 1, 1) }

// Close implements client.Spill. It ends what waits for the disk.
func (s *Spill) Close() error { return s.close() }
