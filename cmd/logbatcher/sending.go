package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
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
	// refusalsShown is how many refusals are printed in full.
	refusalsShown = 10
)

// errNotAllStored makes the exit status 3: all is safe or known to be refused, and some was refused.
var errNotAllStored = errors.New("some entries were refused or dead-lettered")

// sending is one run of `logbatcher send`.
type sending struct {
	options  *sendOptions
	location *time.Location
	producer *client.Producer
	bar      *progressbar.ProgressBar // nil: none is shown
	progress io.Writer
	started  time.Time

	batch      []*logbatcherv1.Entry
	batchBytes int
	read       logfile.Stats
	sent       int // entries

	mu                 sync.Mutex
	committed          int // entries
	committedBytes     int
	refused            int // entries, or one route's copies of them
	deadLettered       int // rows
	refusals           []string
	deadLetterMessages map[string]int
}

func newSending(o *sendOptions, location *time.Location, progress io.Writer) *sending {
	return &sending{
		options: o, location: location, progress: progress, started: time.Now(), deadLetterMessages: map[string]int{},
	}
}

// readAll sends all entries of the files, in order.
func (s *sending) readAll(ctx context.Context, paths []string, in io.Reader) error {
	files := make([]*logfile.File, len(paths))
	var total int64
	for i, path := range paths { // a file that is not there is found before anything is sent
		if path == "-" {
			continue
		}
		file, err := logfile.Open(path)
		if err != nil {
			return fmt.Errorf("open log file: %w", err)
		}
		defer file.Close()
		files[i] = file
		total += file.Size()
	}
	s.showBar(total)
	var before int64
	for i, path := range paths {
		var source io.Reader = in
		position, now := func() int64 { return 0 }, time.Now
		if files[i] != nil {
			source, position, now = files[i], files[i].Position, files[i].Now
		}
		if err := s.readFile(ctx, path, source, now, func() { s.moveBar(before + position()) }); err != nil {
			return fmt.Errorf("send %s: %w", path, err)
		}
		if files[i] != nil {
			before += files[i].Size()
		}
	}
	return s.flush(ctx)
}

// readFile sends the entries of one input. Entries do not wait for company while the input is quiet.
func (s *sending) readFile(ctx context.Context, path string, source io.Reader, now func() time.Time, progress func()) error {
	name, service := path, strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	if path == "-" {
		name, service = "", "stdin"
	}
	if s.options.service != "" {
		service = s.options.service
	}
	reader := logfile.NewReader(source, logfile.Options{Now: now, Location: s.location, FoldWait: sendWait, MaxEntryBytes: sendEntryBytes})
	defer reader.Close()
	defer context.AfterFunc(ctx, reader.Close)()
	defer func() { s.read.Add(reader.Stats()) }()
	due := time.Now().Add(sendWait)
	for {
		record, err := reader.Next()
		switch {
		case err == nil:
			if err := s.add(ctx, s.options.entry(&record, name, service)); err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			progress()
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, logfile.ErrQuiet):
			return err
		}
		if err != nil || !time.Now().Before(due) {
			progress()
			if err := s.flush(ctx); err != nil {
				return err
			}
			due = time.Now().Add(sendWait)
		}
	}
}

func (s *sending) add(ctx context.Context, e *logbatcherv1.Entry) error {
	s.batch = append(s.batch, e)
	s.batchBytes += e.SizeVT()
	if len(s.batch) < s.options.entries && s.batchBytes < sendRequestBytes {
		return nil
	}
	return s.flush(ctx)
}

func (s *sending) flush(ctx context.Context) error {
	if len(s.batch) == 0 {
		return nil
	}
	if err := s.producer.Send(ctx, s.batch); err != nil {
		return err
	}
	s.sent += len(s.batch)
	s.batch, s.batchBytes = nil, 0
	return nil
}

func (s *sending) onRefusal(_ *logbatcherv1.Entry, r *logbatcherv1.Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if len(s.refusals) < refusalsShown {
		s.refusals = append(s.refusals, fmt.Sprintf("request %d, entry %d: %s", r.GetSequence(), r.GetIndex(), r.GetMessage()))
	}
}

func (s *sending) onDeadLettered(d *logbatcherv1.DeadLettered) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadLettered += int(d.GetRows())
	s.deadLetterMessages[d.GetTable()+": "+d.GetMessage()] += int(d.GetRows())
}

func (s *sending) onCommitted(c client.Committed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed += c.Entries
	s.committedBytes += c.Bytes
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

// finish prints what was done.
func (s *sending) finish(out io.Writer) {
	if s.bar != nil {
		_ = s.bar.Finish()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	seconds := time.Since(s.started).Seconds()
	statistics := s.producer.Statistics()
	fmt.Fprintf(out, "read       %s lines (%s folded into the entry before, %s blank)\n",
		humanize.Comma(s.read.Lines), humanize.Comma(s.read.FoldedLines), humanize.Comma(s.read.BlankLines))
	label := "committed "
	if s.refused > 0 {
		label = "settled   " // the refused ones are known to be refused, and not stored
	}
	fmt.Fprintf(out, label+" %s of %s entries, %s, in %.2f s: %s entries/s\n",
		humanize.Comma(int64(s.committed)), humanize.Comma(int64(s.sent)), humanize.IBytes(uint64(s.committedBytes)), seconds,
		humanize.Comma(int64(float64(s.committed)/seconds)))
	for _, note := range s.read.Notes() {
		fmt.Fprintln(out, note)
	}
	if statistics.Streams > 1 {
		fmt.Fprintf(out, "streams    %d\n", statistics.Streams)
	}
	if statistics.Doubtful > 0 {
		fmt.Fprintf(out, "doubtful   %d requests were sent again to an instance that did not know them: their entries may be there twice\n", statistics.Doubtful)
	}
	if s.refused > 0 {
		fmt.Fprintf(out, "refused    %d entries, the first of them:\n", s.refused)
		for _, refusal := range s.refusals {
			fmt.Fprintf(out, "           %s\n", refusal)
		}
	}
	for message, rows := range s.deadLetterMessages {
		fmt.Fprintf(out, "dead       %d rows: %s\n", rows, message)
	}
}

// verdict is the run's result, for the exit status.
func (s *sending) verdict() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.committed != s.sent {
		return fmt.Errorf("%d of %d entries are not known to be safe", s.sent-s.committed, s.sent)
	}
	if s.refused > 0 || s.deadLettered > 0 {
		return errNotAllStored
	}
	return nil
}
