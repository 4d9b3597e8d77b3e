package deadletter

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

var (
	//go:embed usage.lua
	usageSource string
	//go:embed write.lua
	writeSource string
	//go:embed measure.lua
	measureSource string

	writeScript   = redis.NewScript(usageSource + writeSource)
	measureScript = redis.NewScript(usageSource + measureSource)
)

// The first and the longest pause between two checks of a full queue.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 2 * time.Second
)

// The fullness at which a warning is logged, and the one below which it may be logged again.
const (
	fillingRatio = 0.8
	relaxedRatio = 0.7
)

// Queue is the queue of dead letters, and a sink.DeadLetters. It is safe for concurrent use.
type Queue struct {
	client  redis.UniversalClient
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	filling atomic.Bool
	seen    atomic.Pointer[usage] // the last count; nil before the first
	// Letters and rows deleted to make room since it was last logged.
	trimmedLetters, trimmedRows atomic.Int64
}

var _ sink.DeadLetters = (*Queue)(nil)

// usage is the stream's length and the memory that it takes.
type usage struct{ letters, bytes int64 }

// New returns a queue kept by the Redis of the client: a single server, one behind Sentinels, or a Cluster. The caller keeps
// the client, which should have ContextTimeoutEnabled set: without it calls outlast their context by the client's own
// time-outs when Redis does not answer. New sends nothing; see Check and Run.
func New(client redis.UniversalClient, cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	q := &Queue{client: client, cfg: cfg, log: log, metrics: newMetrics(reg)}
	q.metrics.bound.Set(float64(cfg.MaxBytes))
	return q, nil
}

// Run measures the queue, and again once a minute, until ctx ends. Without Run the queue works, but its gauges move only with
// writes.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	defer q.logTrimmed()
	for {
		if _, _, err := q.measure(ctx, true, 0); err != nil && ctx.Err() == nil {
			q.log.Warn("dead letters: queue not measured", "error", err)
		}
		q.logTrimmed()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// logTrimmed logs what was deleted to make room.
func (q *Queue) logTrimmed() {
	if letters := q.trimmedLetters.Swap(0); letters > 0 {
		q.log.Warn("dead letters: oldest deleted to make room", "letters", letters, "rows", q.trimmedRows.Swap(0), "stream", q.cfg.Stream)
	}
}

// Write puts the letter into the queue, unless it is or was there. With policy Wait it blocks while the queue is full, and
// returns an Error of kind Full if ctx ends first. All errors are *Error. After one that is not Permanent the same letter may
// be written again.
func (q *Queue) Write(ctx context.Context, letter *sink.DeadLetter) error {
	if err := q.write(ctx, letter); err != nil {
		q.metrics.errors.WithLabelValues(string(err.Kind)).Inc()
		return err
	}
	return nil
}

func (q *Queue) write(ctx context.Context, letter *sink.DeadLetter) *Error {
	if letter.ID == "" {
		return &Error{Kind: Malformed, Op: "write", Stream: q.cfg.Stream, Err: errors.New("letter has no id")}
	}
	fields, size := encode(letter)
	if size > sink.MaxLetterBytes {
		return &Error{
			Kind: TooLarge, Op: "write", Stream: q.cfg.Stream,
			Err: fmt.Errorf("letter %s of %d rows takes %d bytes, more than %d", letter.ID, letter.Rows, size, sink.MaxLetterBytes),
		}
	}
	for {
		full, err := q.tryWrite(ctx, letter, fields)
		if err != nil || !full {
			return err
		}
		if err := q.waitForRoom(ctx, size); err != nil {
			return err
		}
	}
}

// tryWrite runs the script once, and reports whether the queue was full.
func (q *Queue) tryWrite(ctx context.Context, letter *sink.DeadLetter, fields []any) (full bool, _ *Error) {
	keys := []string{q.cfg.Stream, q.cfg.usageKey(), q.cfg.idKey(letter.ID)}
	arguments := append([]any{int64(q.cfg.MaxBytes), q.cfg.WhenFull == Trim, int64(rememberIDs / time.Second)}, fields...)
	answer, err := writeScript.Run(ctx, q.client, keys, arguments...).Int64Slice()
	if err == nil && len(answer) != 5 {
		err = fmt.Errorf("script answered %v", answer)
	}
	if err != nil {
		return false, q.failed("write", err)
	}
	const written, repeat = 0, 1
	outcome, letters, rows := answer[0], answer[3], answer[4]
	if outcome == repeat {
		q.metrics.repeats.Inc()
		return false, nil
	}
	q.observe(answer[1], answer[2])
	if outcome != written {
		return true, nil
	}
	q.metrics.letters.WithLabelValues(letter.Table, letter.Class.String()).Inc()
	q.metrics.rows.WithLabelValues(letter.Table, letter.Class.String()).Add(float64(letter.Rows))
	q.metrics.trimmed.Add(float64(letters))
	q.metrics.trimmedRows.Add(float64(rows))
	q.trimmedRows.Add(rows)
	q.trimmedLetters.Add(letters)
	return false, nil
}

// waitForRoom blocks until there is room for an entry of that size, which another writer may then take. It only reads the
// counts: the letter is not sent again and again to a Redis that has no room for it.
func (q *Queue) waitForRoom(ctx context.Context, size int) *Error {
	q.metrics.waiting.Inc()
	defer q.metrics.waiting.Dec()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		select {
		case <-ctx.Done():
			return q.stillFull(ctx)
		case <-time.After(pause/2 + rand.N(pause)): // spreads out the writers
		}
		_, room, err := q.measure(ctx, false, size)
		switch {
		case err != nil && ended(ctx):
			return q.stillFull(ctx)
		case err != nil || room:
			return err
		}
	}
}

func (q *Queue) stillFull(ctx context.Context) *Error {
	<-ctx.Done() // at most a moment: see ended
	return &Error{
		Kind: Full, Op: "write", Stream: q.cfg.Stream,
		Advice: "replay or delete letters, or raise max_bytes",
		Err:    fmt.Errorf("queue has reached max_bytes, %d: %w", q.cfg.MaxBytes, context.Cause(ctx)),
	}
}

// ended reports whether ctx has ended or its deadline has passed: a read from Redis with the same deadline may fail just
// before ctx does.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// Degraded returns a sentence for an operator if the queue was nearly full when last seen.
func (q *Queue) Degraded() []string {
	u := q.seen.Load()
	if u == nil || float64(u.bytes) < fillingRatio*float64(q.cfg.MaxBytes) {
		return nil
	}
	consequence := "when it is full, tables with dead letters wait"
	if q.cfg.WhenFull == Trim {
		consequence = "when it is full, the oldest letters are deleted"
	}
	return []string{fmt.Sprintf("the dead-letter queue %s holds %d letters, %d of at most %d bytes; %s: replay or delete letters, or raise dead_letters.max_bytes",
		q.cfg.Stream, u.letters, u.bytes, q.cfg.MaxBytes, consequence)}
}

// measure returns how full the queue is, measured anew or as last counted if nothing else has changed it since, and whether
// there is room for an entry with so many bytes of fields.
func (q *Queue) measure(ctx context.Context, anew bool, size int) (usage, bool, *Error) {
	keys := []string{q.cfg.Stream, q.cfg.usageKey()}
	answer, err := measureScript.Run(ctx, q.client, keys, anew, int64(q.cfg.MaxBytes), size).Int64Slice()
	if err == nil && len(answer) != 3 {
		err = fmt.Errorf("script answered %v", answer)
	}
	if err != nil {
		return usage{}, false, q.failed("measure", err)
	}
	return q.observe(answer[0], answer[1]), answer[2] == 1, nil
}

// observe updates the gauges, and logs once that the queue fills.
func (q *Queue) observe(letters, bytes int64) usage {
	u := usage{letters, bytes}
	q.seen.Store(&u)
	ratio := float64(bytes) / float64(q.cfg.MaxBytes)
	q.metrics.queued.Set(float64(letters))
	q.metrics.bytes.Set(float64(bytes))
	q.metrics.fullness.Set(min(ratio, 1))
	if ratio >= fillingRatio && q.filling.CompareAndSwap(false, true) {
		q.log.Warn("dead letters: queue fills", "stream", q.cfg.Stream, "letters", letters, "bytes", bytes,
			"max_bytes", int64(q.cfg.MaxBytes), "when_full", string(q.cfg.WhenFull))
	}
	if ratio < relaxedRatio {
		q.filling.Store(false)
	}
	return u
}
