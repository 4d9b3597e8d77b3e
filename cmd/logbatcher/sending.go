package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
)

const (
	// sendRequestBytes is the size at which a request is sent before it has all its entries; far below the server's 4 MiB.
	sendRequestBytes = 1 << 20
	// sendWait is how long an entry waits for company when its input pauses.
	sendWait = 200 * time.Millisecond
	// sendEntryBytes bounds a body: the attributes of a long line may be as large again, and the server takes 256 KiB an entry.
	sendEntryBytes = 120 << 10
)

// sending reads the inputs of `logbatcher send`. Two contexts govern it: reading ends with a signal, or when nothing more can
// be sent; what was read is sent under settling, which lasts longer.
type sending struct {
	*ledger
	options  *sendOptions
	location *time.Location
	producer *client.Producer
	bar      *progressbar.ProgressBar // nil: none is shown
	progress io.Writer

	reading     context.Context
	stopReading context.CancelCauseFunc
	settling    context.Context

	batch      []*logbatcherv1.Entry
	batchBytes int
	notes      []string
	sendErr    error // why nothing more can be sent
}

// readAll sends all entries of the inputs, in order. An input that fails does not keep the others from being sent.
func (s *sending) readAll(paths []string, in io.Reader) error {
	sizes := make([]int64, len(paths))
	var total, before int64
	for i, path := range paths {
		if info, err := os.Stat(path); path != "-" && err == nil && info.Mode().IsRegular() {
			sizes[i] = info.Size()
			total += sizes[i]
		}
	}
	s.showBar(total)
	var problems []error
	for i, path := range paths {
		switch {
		case s.sendErr != nil:
		case s.reading.Err() != nil:
			problems = append(problems, fmt.Errorf("%s was not read", inputName(path)))
		default:
			if err := s.readInput(path, in, before); err != nil {
				problems = append(problems, err)
			}
		}
		before += sizes[i]
	}
	s.flush()
	return errors.Join(problems...)
}

// inputName returns what messages call an input.
func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// readInput sends the entries of one input, also what it held before an error.
func (s *sending) readInput(path string, in io.Reader, before int64) error {
	if path == "-" {
		if closed(in) {
			return errors.New("read standard input: it is closed; give send a file or a pipe to read")
		}
		return s.read(path, in, logfile.Clock(in), func() {})
	}
	file, err := logfile.Open(path)
	if err != nil {
		return fmt.Errorf("open log file: %w", err)
	}
	defer file.Close()
	if err := s.read(path, file, file.Now, func() { s.moveBar(before + file.Position()) }); err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		s.notes = append(s.notes, fmt.Sprintf("pipe       the last writer of %q has closed it; what comes later is not read", path))
	}
	return nil
}

// read sends the entries of source. They do not wait for company while it is quiet.
func (s *sending) read(path string, source io.Reader, now func() time.Time, progress func()) error {
	name, service := s.names(path)
	input := &stoppable{ctx: s.reading, source: source}
	reader := logfile.NewReader(input, logfile.Options{Now: now, Location: s.location, FoldWait: sendWait, MaxEntryBytes: sendEntryBytes})
	defer reader.Close()
	defer func() { s.counts.Add(reader.Stats()) }()
	due := time.Now().Add(sendWait)
	for {
		record, err := reader.Next()
		switch {
		case err == nil:
			s.add(s.options.entry(&record, name, service))
		case errors.Is(err, logfile.ErrQuiet) && s.reading.Err() != nil:
			reader.Close() // what it has of a line that has not ended comes next, and then os.ErrClosed
			continue
		case input.stopped.Load() || s.reading.Err() != nil && errors.Is(err, os.ErrClosed):
			return fmt.Errorf("%s was not read to its end", inputName(path))
		case errors.Is(err, io.EOF):
			progress()
			return nil
		case !errors.Is(err, logfile.ErrQuiet):
			return fmt.Errorf("read %s: %w", inputName(path), err)
		}
		if err != nil || !time.Now().Before(due) {
			progress()
			s.flush()
			due = time.Now().Add(sendWait)
		}
	}
}

// names returns what entries of an input have as log.file.path, and as service when they name none.
func (s *sending) names(path string) (name, service string) {
	service = "stdin"
	if path != "-" {
		name = strings.ToValidUTF8(path, "\uFFFD")
		service = strings.TrimSuffix(filepath.Base(name), filepath.Ext(name))
		if name != path {
			s.notes = append(s.notes, fmt.Sprintf("renamed    the file name %+q is not UTF-8; entries have it as %q", path, name))
		}
	}
	if s.options.service != "" {
		service = s.options.service
	}
	return name, service
}

// stoppable ends source when ctx ends, between two reads, so that what was read is not lost.
type stoppable struct {
	ctx     context.Context
	source  io.Reader
	ended   bool
	stopped atomic.Bool
}

// Read reads from source, or returns io.EOF after ctx has ended.
func (r *stoppable) Read(p []byte) (int, error) {
	if r.ctx.Err() != nil && !r.ended {
		r.stopped.Store(true)
		return 0, io.EOF
	}
	n, err := r.source.Read(p)
	r.ended = err == io.EOF
	return n, err
}

// closed reports whether in is a standard input that was closed when the program began: Go then puts the null device in its place,
// which can be written to as well, unlike one that a shell's < or a service manager opens.
func closed(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Is(err, os.ErrClosed)
	}
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	_, err = file.Write(nil)
	return err == nil
}

func (s *sending) add(e *logbatcherv1.Entry) {
	s.entries++
	s.batch = append(s.batch, e)
	s.batchBytes += e.SizeVT()
	if len(s.batch) >= s.options.entries || s.batchBytes >= sendRequestBytes {
		s.flush()
	}
}

// flush sends what was read. It blocks while too much is uncommitted.
func (s *sending) flush() {
	if len(s.batch) == 0 || s.sendErr != nil {
		return
	}
	if s.sendErr = s.producer.Send(s.settling, s.batch); s.sendErr != nil {
		s.stopReading(s.sendErr)
		return
	}
	s.sent += len(s.batch)
	s.batch, s.batchBytes = nil, 0
}

func (s *sending) showBar(total int64) {
	if s.options.quiet {
		return
	}
	if total == 0 {
		total = -1 // a spinner
	}
	s.bar = progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(s.progress), progressbar.OptionShowBytes(true), progressbar.OptionSetDescription("sending"),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
}

func (s *sending) moveBar(position int64) {
	if s.bar != nil {
		_ = s.bar.Set64(position) // a bar that can't be drawn is no reason to stop
	}
}

func (s *sending) finishBar() {
	if s.bar != nil {
		_ = s.bar.Finish()
	}
}
