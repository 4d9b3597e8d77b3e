package sink

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// lettersWatch is the state of the dead-letter queue.
type lettersWatch struct {
	waiting int
	since   time.Time // when the last letter was written, or the first began to wait
	err     error
}

// seenCode is the last error with an unknown code.
type seenCode struct {
	at      time.Time
	message string
}

func (d *Delivery) lettersWait(change int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.letters.waiting == 0 {
		d.letters.since, d.letters.err = time.Now(), nil
	}
	d.letters.waiting += change
	d.metrics.lettersWaiting.Set(float64(d.letters.waiting))
}

func (d *Delivery) letterFailed(letter *DeadLetter, err error) {
	d.seldom(slog.LevelError, "dead letters are not written", letter.Table, letter.Rows, "dead_letter", letter.ID, "error", err)
	d.metrics.letterFailures.Inc()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters.err = err
}

// letterLost gives up a letter that the queue refuses permanently although nothing is left to take out of it.
func (d *Delivery) letterLost(letter *DeadLetter, err error) {
	d.log.Error("dead letter lost", "dead_letter", letter.ID, "table", letter.Table, "rows", letter.Rows,
		"reason", letter.Reason, "origins", letter.Origins, "error", err)
	d.metrics.lettersLost.Inc()
}

func (d *Delivery) letterWritten(letter *DeadLetter) {
	if letter.Format == FormatNone {
		d.seldom(slog.LevelWarn, "dead letter written without its row", letter.Table, letter.Rows, "dead_letter", letter.ID, "message", schema.Short(letter.Message, maxSampleBytes))
		d.metrics.rowsLeftOut.WithLabelValues(letter.Table).Inc()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.letters.since, d.letters.err = time.Now(), nil
}

// reasons returns what is wrong with the dead-letter queue.
func (l *lettersWatch) reasons(now time.Time) []string {
	if l.waiting == 0 || now.Sub(l.since) < troubleAfter {
		return nil
	}
	text := fmt.Sprintf("the dead-letter queue takes nothing since %s; %d dead letters wait", clock(l.since), l.waiting)
	if l.err != nil {
		text += fmt.Sprintf(": %v", l.err)
	}
	return []string{text}
}

func codeReasons(codes map[int]seenCode, now time.Time) []string {
	var reasons []string
	for code, seen := range codes {
		if now.Sub(seen.at) < recentCode {
			reasons = append(reasons, fmt.Sprintf("error code %d is in no table; give it a class in the configuration: %s", code, seen.message))
		}
	}
	return reasons
}
