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
)

const (
	// refusalsShown and messagesShown bound what is printed of refusals and of dead letters.
	refusalsShown, messagesShown = 10, 10
	// bodyShown is how much of a refused entry is printed.
	bodyShown = 60
)

// errNotAllStored makes the exit status 3: all is safe or known to be refused, and some was refused.
var errNotAllStored = errors.New("some entries were refused or dead-lettered")

// ledger accounts for every entry that send read: it is committed, refused, dead-lettered, sent without an answer, or not sent.
type ledger struct {
	started time.Time

	// For the reading goroutine.
	counts  logfile.Stats
	entries int // read
	sent    int // of these, handed to the producer

	mu           sync.Mutex
	settled      int // entries, refused ones included
	settledBytes int
	refused      int // entries that were refused by at least one route
	deadLettered int // rows
	refusals     []string
	messages     map[string]int // rows by what the dead letter says
}

func newLedger() *ledger { return &ledger{started: time.Now(), messages: map[string]int{}} }

func (l *ledger) onRefusal(e *logbatcherv1.Entry, r *logbatcherv1.Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
	l.refusals = append(l.refusals, fmt.Sprintf("%q: %s", shortened(e.GetBody(), bodyShown), printable(text)))
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

func (l *ledger) onCommitted(c client.Committed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settled += c.Entries
	l.settledBytes += c.Bytes
	l.refused += c.Refused
}

// printable returns what a terminal can be given of a text that may repeat what was sent.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// deadLocked returns how many entries were dead-lettered. An entry that several routes dead-letter counts for each of
// them, as far as there are entries.
func (l *ledger) deadLocked() int { return min(l.deadLettered, l.settled-l.refused) }

// print reports what was done. The last line balances the entries wherever some are not simply committed.
func (l *ledger) print(out io.Writer, statistics client.Statistics, notes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := func(n int) string { return humanize.Comma(int64(n)) }
	seconds := time.Since(l.started).Seconds()
	committed := l.settled - l.refused - l.deadLocked()
	fmt.Fprintf(out, "read       %s lines (%s folded into the entry before, %s blank)\n",
		humanize.Comma(l.counts.Lines), humanize.Comma(l.counts.FoldedLines), humanize.Comma(l.counts.BlankLines))
	fmt.Fprintf(out, "committed  %s of %s entries, %s, in %.2f s: %s entries/s\n",
		count(committed), count(l.entries), humanize.IBytes(uint64(l.settledBytes)), seconds, count(int(float64(l.settled)/seconds)))
	for _, note := range slices.Concat(l.counts.Notes(), notes) {
		fmt.Fprintln(out, note)
	}
	if statistics.Streams > 1 {
		fmt.Fprintf(out, "streams    %d\n", statistics.Streams)
	}
	if statistics.Doubtful > 0 {
		fmt.Fprintf(out, "doubtful   %d requests were sent again to an instance that did not know them: their entries may be there twice\n", statistics.Doubtful)
	}
	if len(l.refusals) > 0 {
		fmt.Fprintf(out, "refused    %s entries, the first of them:\n", count(l.refused))
		for _, refusal := range l.refusals {
			fmt.Fprintf(out, "           %s\n", refusal)
		}
	}
	for _, message := range slices.Sorted(maps.Keys(l.messages)) {
		fmt.Fprintf(out, "dead       %s rows: %s\n", count(l.messages[message]), printable(message))
	}
	if committed != l.entries {
		fmt.Fprintf(out, "total      %s entries read = %s committed + %s refused + %s dead-lettered + %s not sent",
			count(l.entries), count(committed), count(l.refused), count(l.deadLocked()), count(l.entries-l.sent+statistics.Unsent))
		if unanswered := l.sent - l.settled - statistics.Unsent; unanswered > 0 {
			fmt.Fprintf(out, " + %s sent without an answer", count(unanswered))
		}
		fmt.Fprintln(out)
	}
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
