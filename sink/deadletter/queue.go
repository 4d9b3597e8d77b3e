package deadletter

import (
	"context"
	_ "embed" // the scripts
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
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

// The first and the longest pause between two looks at a full queue.
const (
	firstLook   = 50 * time.Millisecond
	longestLook = 2 * time.Second
)

// The fullness at which the log says that the queue fills, and the one below which it may say so again.
const (
	fillingRatio = 0.8
	relaxedRatio = 0.7
)

// Queue is the queue of dead letters. Its methods may be called by several goroutines at once.
// It implements sink.DeadLetters.
type Queue struct {
	client  redis.UniversalClient
	cfg     Config
	log     *slog.Logger
	metrics *metrics
	filling atomic.Bool
	trimmed trimmed
	seen    atomic.Pointer[usage] // the last count; nil: none yet
}

var _ sink.DeadLetters = (*Queue)(nil)

// usage is the stream's length, and the memory that it takes.
type usage struct{ letters, bytes int64 }

// New returns the queue that is kept by the Redis that client speaks to: a single one, one behind
// Sentinels or a Cluster. The client stays the caller's. It should have ContextTimeoutEnabled set; without
// that, calls outlast their context by the client's own time-outs when Redis does not answer.
// New speaks to nobody; see Check and Run.
func New(client redis.UniversalClient, cfg Config, reg prometheus.Registerer, log *slog.Logger) (*Queue, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("dead letters: %w", err)
	}
	m := newMetrics(reg)
	m.bound.Set(float64(cfg.MaxBytes))
	return &Queue{client: client, cfg: cfg, log: log, metrics: m}, nil
}

// Run measures the queue at once and then every Config.Measure, until ctx ends. Without it the queue
// works, but its gauges move with writes only.
func (q *Queue) Run(ctx context.Context) error {
	tick := time.NewTicker(q.cfg.Measure)
	defer tick.Stop()
	for {
		if _, _, err := q.measure(ctx, true, 0); err != nil && ctx.Err() == nil {
			q.log.Warn("dead letters: queue not measured", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Write puts the letter into the queue, unless it is or was there. It blocks while the queue is
// full, where the policy is Wait, and then tells of ctx's end with an Error that is Full. All errors are
// *Error. After any of them that is not Permanent, the same letter may be written again.
func (q *Queue) Write(ctx context.Context, letter *sink.DeadLetter) error {
	if err := q.write(ctx, letter); err != nil {
		q.metrics.errors.WithLabelValues(err.Kind.String()).Inc()
		return err
	}
	return nil
}

func (q *Queue) write(ctx context.Context, letter *sink.DeadLetter) *Error {
	if letter.ID == "" {
		return &Error{Kind: Malformed, Op: "write", Stream: q.cfg.Stream, Err: errors.New("letter has no id")}
	}
	fields := fieldsOf(letter)
	size := bytesOf(fields)
	if size > sink.MaxLetterBytes {
		return &Error{
			Kind: TooLarge, Op: "write", Stream: q.cfg.Stream,
			Err: fmt.Errorf("letter %s of %d rows takes %d bytes, an entry at most %d", letter.ID, letter.Rows, size, sink.MaxLetterBytes),
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

// tryWrite runs the script once, and tells whether the queue was full.
func (q *Queue) tryWrite(ctx context.Context, letter *sink.DeadLetter, fields []string) (full bool, _ *Error) {
	trim := 0
	if q.cfg.WhenFull == Trim {
		trim = 1
	}
	args := make([]any, 0, 3+len(fields))
	args = append(args, q.cfg.MaxBytes, trim, int64(q.cfg.RememberIDs/time.Second))
	for _, f := range fields {
		args = append(args, f)
	}
	keys := []string{q.cfg.Stream, q.cfg.usageKey(), q.cfg.idKey(letter.ID)}
	answer, err := writeScript.Run(ctx, q.client, keys, args...).Int64Slice()
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
	if letters > 0 {
		q.metrics.trimmed.Add(float64(letters))
		q.metrics.trimmedRows.Add(float64(rows))
		q.sayTrimmed(letters, rows)
	}
	return false, nil
}

// trimmed is what was taken out of the queue since the log last said so.
type trimmed struct {
	mu            sync.Mutex
	said          time.Time
	letters, rows int64
}

// sayTrimmed logs what was taken out to make room: at once, and then once a minute while it goes on.
func (q *Queue) sayTrimmed(letters, rows int64) {
	t := &q.trimmed
	t.mu.Lock()
	defer t.mu.Unlock()
	t.letters, t.rows = t.letters+letters, t.rows+rows
	if now := time.Now(); t.said.IsZero() || now.Sub(t.said) >= time.Minute {
		q.log.Warn("dead letters: oldest taken out to make room", "letters", t.letters, "rows", t.rows, "stream", q.cfg.Stream)
		t.said, t.letters, t.rows = now, 0, 0
	}
}

// waitForRoom returns once there is room for an entry of that size, which another writer may then take.
// It looks at the counts alone: a letter is not sent again and again to a Redis that has no room for it.
func (q *Queue) waitForRoom(ctx context.Context, size int) *Error {
	q.metrics.waiting.Inc()
	defer q.metrics.waiting.Dec()
	pause := firstLook
	for {
		timer := time.NewTimer(pause/2 + rand.N(pause)) // writers should not look all at once
		select {
		case <-ctx.Done():
			timer.Stop()
			return q.stillFull(ctx)
		case <-timer.C:
		}
		_, room, err := q.measure(ctx, false, size)
		if err != nil {
			if ended(ctx) {
				return q.stillFull(ctx)
			}
			return err
		}
		if room {
			return nil
		}
		pause = min(2*pause, longestLook)
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

// ended tells whether ctx has ended or its deadline has passed: a read from Redis, which has the same
// deadline, may fail just before ctx says so.
func ended(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}

// Degraded returns a sentence for an operator when the queue was nearly full as last seen.
func (q *Queue) Degraded() []string {
	u := q.seen.Load()
	if u == nil || float64(u.bytes) < fillingRatio*float64(q.cfg.MaxBytes) {
		return nil
	}
	consequence := "at the bound the tables that have dead letters wait"
	if q.cfg.WhenFull == Trim {
		consequence = "at the bound the oldest are lost"
	}
	return []string{fmt.Sprintf("the dead-letter queue %s holds %d letters, %d of at most %d bytes; %s: replay or delete letters, or raise dead_letters.max_bytes",
		q.cfg.Stream, u.letters, u.bytes, q.cfg.MaxBytes, consequence)}
}

// measure returns how full the queue is, measured anew, or as last counted if nobody has changed it
// since; and whether there is room for an entry with so many bytes of fields.
func (q *Queue) measure(ctx context.Context, anew bool, size int) (usage, bool, *Error) {
	flag := 0
	if anew {
		flag = 1
	}
	keys := []string{q.cfg.Stream, q.cfg.usageKey()}
	answer, err := measureScript.Run(ctx, q.client, keys, flag, q.cfg.MaxBytes, size).Int64Slice()
	if err == nil && len(answer) != 3 {
		err = fmt.Errorf("script answered %v", answer)
	}
	if err != nil {
		return usage{}, false, q.failed("measure", err)
	}
	q.observe(answer[0], answer[1])
	return usage{answer[0], answer[1]}, answer[2] == 1, nil
}

// observe brings the gauges up to date, and says once that the queue fills.
func (q *Queue) observe(letters, bytes int64) {
	q.seen.Store(&usage{letters, bytes})
	ratio := float64(bytes) / float64(q.cfg.MaxBytes)
	q.metrics.queued.Set(float64(letters))
	q.metrics.bytes.Set(float64(bytes))
	q.metrics.fullness.Set(min(ratio, 1))
	if ratio >= fillingRatio && q.filling.CompareAndSwap(false, true) {
		q.log.Warn("dead letters: queue fills", "stream", q.cfg.Stream, "letters", letters, "bytes", bytes,
			"max_bytes", q.cfg.MaxBytes, "when_full", string(q.cfg.WhenFull))
	}
	if ratio < relaxedRatio {
		q.filling.Store(false)
	}
}
