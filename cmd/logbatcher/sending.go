package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
)

const (
	// sendRequestBytes is the size at which a request is sent before it has all its entries; far below the server's 4 MiB.
	sendRequestBytes = 1 << 20
	// sendWait is how long an entry waits for more when its input pauses.
	sendWait = 200 * time.Millisecond
	// sendEntryBytes bounds a body: the attributes of a long line may be as large again, and the server accepts 256 KiB an entry.
	sendEntryBytes = 120 << 10
)

// sending reads the inputs of `logbatcher send` and passes their entries to the producer. It has two contexts: reading ends with a
// signal, or when nothing more can be sent; settling, under which entries are sent, lasts longer.
type sending struct {
	*ledger
	options   *sendOptions
	location  *time.Location
	producer  *client.Producer
	reachable atomic.Bool // a server has answered, if only that it takes nothing now
	places    *places     // how far files were sent; nil: without a spill

	reading     context.Context
	stopReading context.CancelCauseFunc
	settling    context.Context

	sendErr error // why nothing more can be sent
}

// readAll sends the entries of all inputs, in order. An input that fails does not keep the others from being sent.
func (s *sending) readAll(paths []string, in io.Reader) error {
	var problems []error
	for _, path := range paths {
		switch {
		case s.sendErr != nil:
		case s.reading.Err() != nil:
			problems = append(problems, fmt.Errorf("%s was not read", inputName(path)))
		default:
			problems = append(problems, s.read(path, in))
		}
	}
	return errors.Join(problems...)
}

// inputName returns the name of an input in messages.
func inputName(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// read sends the entries of one input, including those that precede an error.
func (s *sending) read(path string, in io.Reader) error {
	input, info, err := openInput(path, in)
	if err != nil {
		return fmt.Errorf("open %s: %w", inputName(path), err)
	}
	options := logfile.Options{Location: s.location, Wait: sendWait, MaxEntryBytes: sendEntryBytes, Stats: &s.counts}
	if info != nil {
		options.Now = logfile.Clock(info)
	}
	file, service := s.names(path)
	reader := logfile.NewReader(s.reading, input, options)
	var at *place
	if s.places != nil && info != nil && info.Mode().IsRegular() {
		if at, err = s.places.begin(path); err != nil {
			return fmt.Errorf("read %s: %w", inputName(path), err)
		}
		defer s.places.end(at)
	}
	for {
		e, err := reader.Next()
		switch {
		case err == nil:
			var mark func() []byte
			if at != nil {
				var before bool
				if mark, before = at.next(e.GetBody()); before {
					s.skipped++
					continue
				}
			}
			s.add(e, mark, file, service)
		case errors.Is(err, logfile.ErrStopped):
			return fmt.Errorf("%s was not read to its end", inputName(path))
		case errors.Is(err, io.EOF):
			if file != "" && info.Mode()&os.ModeNamedPipe != 0 {
				s.notes = append(s.notes, fmt.Sprintf("pipe       the last writer of %q has closed it; what comes later is not read", path))
			}
			return at.ended()
		case !errors.Is(err, logfile.ErrQuiet):
			return fmt.Errorf("read %s: %w", inputName(path), err)
		}
	}
}

// openInput returns an input, and its file's information if it is a file.
func openInput(path string, in io.Reader) (io.Reader, os.FileInfo, error) {
	if path != "-" {
		info, err := os.Stat(path)
		return &lazyFile{path: path}, info, err
	}
	file, ok := in.(*os.File)
	if !ok {
		return in, nil, nil
	}
	info, err := file.Stat()
	if errors.Is(err, os.ErrClosed) || err == nil && wasClosed(file, info) {
		return nil, nil, errors.New("it is closed; pass a file or a pipe")
	}
	return file, info, err
}

// lazyFile opens its file at the first Read, which blocks while a named pipe has no writer, and closes it after the last.
type lazyFile struct {
	path  string
	file  *os.File
	ended error // of the last Read
}

// Read implements io.Reader.
func (f *lazyFile) Read(p []byte) (n int, err error) {
	if f.ended != nil {
		return 0, f.ended
	}
	if f.file == nil {
		if f.file, err = os.Open(f.path); err != nil {
			return 0, err
		}
	}
	if n, err = f.file.Read(p); err != nil {
		_ = f.file.Close() // it was only read
		f.ended = err
	}
	return n, err
}

// wasClosed reports whether a standard input was closed when the program began: Go then replaces it with the null device, open for
// writing too, unlike one that a shell's < or a service manager opens.
func wasClosed(file *os.File, info os.FileInfo) bool {
	null, err := os.Stat(os.DevNull)
	if err != nil || !os.SameFile(info, null) {
		return false
	}
	_, err = file.Write(nil)
	return err == nil
}

// names returns the log.file.path of an input's entries, and their service unless they name one.
func (s *sending) names(path string) (file, service string) {
	service = "stdin"
	if path != "-" {
		file = strings.ToValidUTF8(path, "\uFFFD")
		service = strings.TrimSuffix(filepath.Base(file), filepath.Ext(file))
		if file != path {
			s.notes = append(s.notes, fmt.Sprintf("renamed    the file name %+q is not UTF-8; entries have it as %q", path, file))
		}
	}
	return file, cmp.Or(s.options.service, service)
}

// add completes an entry and gives it to the producer. It blocks while too much is uncommitted.
func (s *sending) add(e *logbatcherv1.Entry, mark func() []byte, file, service string) {
	e.Service = cmp.Or(e.Service, service)
	attribute := func(key, value string) {
		e.Attributes = append(e.Attributes, &logbatcherv1.Attribute{Key: key, StringValue: value})
	}
	if file != "" {
		attribute("log.file.path", file)
	}
	if s.options.restamp && e.TimeUnixNano != 0 {
		attribute("log.time", time.Unix(0, int64(e.TimeUnixNano)).UTC().Format(time.RFC3339Nano))
		e.TimeUnixNano = 0
	}
	s.entries++
	if s.sendErr != nil {
		return
	}
	err := s.producer.SendMark(s.settling, mark, e)
	if large, ok := errors.AsType[*client.TooLargeError](err); ok {
		s.onTooLarge(e, large)
		err = nil
	}
	if err != nil {
		s.sendErr = err
		s.stopReading(err)
		return
	}
	s.sent++
}
