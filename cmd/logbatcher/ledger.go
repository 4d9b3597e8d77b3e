package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
	"github.com/logbatcher/logbatcher/schema"
)

const (
	// refusalsShown and messagesShown bound the refusals and the kinds of dead letters that are printed.
	refusalsShown, messagesShown = 10, 10
	// progressEvery is the time between two lines of progress.
	progressEvery = 5 * time.Second
)

// errNotAllStored makes the exit status 3: every entry is safe or known to be refused, and some were refused.
var errNotAllStored = errors.New("some entries were refused or dead-lettered")

// ledger accounts for every entry that send read: it is committed, refused, dead-lettered, sent without an answer, or not sent.
type ledger struct {
	started  time.Time
	progress io.Writer // receives lines of progress; nil: none are written

	// For the reading goroutine.
	counts  logfile.Stats
	entries int // read
	sent    int // of these, handed to the producer
	skipped int // not read as entries: an earlier run has sent them
	notes   []string
	level   string // what makes an entry safe

	mu           sync.Mutex
	shown        time.Time // when progress was
	settled      int       // entries, refused ones included
	settledBytes int
	refused      int // entries that were refused by at least one route
	deadLettered int // rows
	refusals     []string
	messages     map[string]int // rows by the dead letter's message
}

func newLedger(progress io.Writer) *ledger {
	now := time.Now()
	return &ledger{started: now, level: levelCommitted, shown: now, progress: progress, messages: map[string]int{}}
}

func (l *ledger) onRefusal(r client.Refused) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keepRefusalLocked(r.Entry, r.Refusal)
}

// onTooLarge counts an entry that the producer did not take.
func (l *ledger) onTooLarge(e *logbatcherv1.Entry, err *client.TooLargeError) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled++
	l.refused++
	l.settledBytes += err.Bytes
	l.keepRefusalLocked(e, &logbatcherv1.Refusal{
		Message: fmt.Sprintf("the entry has %d bytes, the server accepts at most %d (max_entry_bytes)", err.Bytes, err.Limit),
	})
}

func (l *ledger) keepRefusalLocked(e *logbatcherv1.Entry, r *logbatcherv1.Refusal) {
	if len(l.refusals) == refusalsShown {
		return
	}
	text := r.GetMessage()
	if field := r.GetField(); field != "" {
		text = field + ": " + text
	}
	if route := r.GetRoute(); route != "" {
		text = "route " + route + ": " + text
	}
	l.refusals = append(l.refusals, schema.Quoted(e.GetBody())+": "+printable(text))
}

func (l *ledger) onDeadLettered(d *logbatcherv1.DeadLettered) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deadLettered += int(d.GetRows())
	message := d.GetTable() + ": " + d.GetMessage()
	if _, known := l.messages[message]; !known && len(l.messages) >= messagesShown {
		message = "others"
	}
	l.messages[message] += int(d.GetRows())
}

func (l *ledger) onProgress(c client.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled += c.Entries
	l.settledBytes += c.Bytes
	l.refused += c.Refused
	if l.progress != nil && time.Since(l.shown) >= progressEvery {
		fmt.Fprintf(l.progress, "logbatcher: %s entries settled\n", comma(l.settled))
		l.shown = time.Now()
	}
}

func comma(n int) string { return humanize.Comma(int64(n)) }

// printable replaces what a terminal must not receive, in a text that may repeat what was sent.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// print reports what was done. Unless every entry is committed, the last line balances them. An entry that several routes
// dead-letter counts for each of them, as far as there are entries.
func (l *ledger) print(out io.Writer, statistics client.Statistics) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seconds := time.Since(l.started).Seconds()
	dead := min(l.deadLettered, l.settled-l.refused)
	committed := l.settled - l.refused - dead
	fmt.Fprintf(out, "read       %s lines (%s folded into the entry before, %s blank)\n",
		humanize.Comma(l.counts.Lines), humanize.Comma(l.counts.FoldedLines), humanize.Comma(l.counts.BlankLines))
	fmt.Fprintf(out, "%-10s %s of %s entries, %s, in %.2f s: %s entries/s\n",
		l.level, comma(committed), comma(l.entries), humanize.IBytes(uint64(l.settledBytes)), seconds, comma(int(float64(l.settled)/seconds)))
	if l.skipped > 0 {
		fmt.Fprintf(out, "skipped    %s entries: they were sent before\n", comma(l.skipped))
	}
	for _, note := range slices.Concat(l.counts.Notes(), l.notes) {
		fmt.Fprintln(out, note)
	}
	if statistics.Streams > 1 {
		fmt.Fprintf(out, "streams    %d\n", statistics.Streams)
	}
	if statistics.Doubtful > 0 {
		fmt.Fprintf(out, "doubtful   %d requests were sent again to an instance that did not know them: their entries may be stored twice\n", statistics.Doubtful)
	}
	if statistics.Lost > 0 {
		fmt.Fprintf(out, "lost       %d requests: the server had acknowledged them, and does not have them any more\n", statistics.Lost)
	}
	if len(l.refusals) > 0 {
		fmt.Fprintf(out, "refused    %s entries, the first of them:\n           %s\n", comma(l.refused), strings.Join(l.refusals, "\n           "))
	}
	for _, message := range slices.Sorted(maps.Keys(l.messages)) {
		fmt.Fprintf(out, "dead       %s rows: %s\n", comma(l.messages[message]), printable(message))
	}
	if committed == l.entries {
		return
	}
	fmt.Fprintf(out, "total      %s entries read = %s %s + %s refused + %s dead-lettered + %s not sent",
		comma(l.entries), comma(committed), l.level, comma(l.refused), comma(dead), comma(l.entries-l.sent+statistics.Unsent))
	if unanswered := l.sent - l.settled - statistics.Unsent; unanswered > 0 {
		fmt.Fprintf(out, " + %s sent without an answer", comma(unanswered))
	}
	fmt.Fprintln(out)
}

// verdict returns nil if every entry that was read is in its table, and errNotAllStored if the others are known to be
// refused or dead-lettered.
func (l *ledger) verdict() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.settled != l.entries:
		return fmt.Errorf("%d of %d entries are not known to be safe", l.entries-l.settled, l.entries)
	case l.refused > 0 || l.deadLettered > 0:
		return errNotAllStored
	}
	return nil
}
