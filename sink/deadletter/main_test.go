package deadletter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { os.Exit(embeddedtest.Main(m)) }

// both runs a test on a redis-server and on the in-process Redis of logbatcher dev.
func both(t *testing.T, test func(t *testing.T, server *embedded.Server)) {
	t.Run("server", func(t *testing.T) { test(t, embeddedtest.Redis(t)) })
	t.Run("stand-in", func(t *testing.T) { test(t, embeddedtest.InProcessRedis(t)) })
}

// connect returns a client that times out soon and does not retry, so tests see each failure.
func connect(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{
		Addr: server.Address(), MaxRetries: -1, ContextTimeoutEnabled: true,
		DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func open(t *testing.T, client redis.UniversalClient, change ...func(*Config)) *Queue {
	t.Helper()
	cfg := DefaultConfig()
	for _, c := range change {
		c(&cfg)
	}
	q, err := New(client, cfg, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func letter(id string, payload int) *sink.DeadLetter {
	l := &sink.DeadLetter{
		DeadLettered: schema.DeadLettered{
			ID: id, Table: "logs.firehose", Route: "firehose", Rows: 3, Code: 469, Message: "Constraint `severity_ok` is violated",
		},
		ShardID: "EWR-28749445", Class: sink.Row, Reason: "violated_constraint", Column: "severity",
		Attempts: 3,
		First:    time.Date(2026, 3, 4, 5, 6, 7, 890123456, time.UTC),
		Last:     time.Date(2026, 3, 4, 5, 6, 9, 1, time.UTC),
		Origins: []batch.Origin{
			{Producer: "api-1/0", Epoch: 7, Sequence: 1<<64 - 1, ShardID: "EWR-28749445", Rows: 2},
			{Producer: `"quoted" ✓`, Epoch: 1, Sequence: 2, ShardID: "EWR-28749446", Rows: 1},
		},
		SchemaHash: "9f86d081", Format: sink.FormatNative,
	}
	// Every byte, including those that end strings and lines.
	l.Payload = make([]byte, payload)
	for i := range l.Payload {
		l.Payload[i] = byte(i)
	}
	return l
}

func mustWrite(t *testing.T, q *Queue, l *sink.DeadLetter) {
	t.Helper()
	if err := q.Write(t.Context(), l); err != nil {
		t.Fatalf("write %s: %v", l.ID, err)
	}
}

// writeUntilKept writes a letter until it succeeds, like the delivery.
func writeUntilKept(ctx context.Context, q *Queue, l *sink.DeadLetter) error {
	for {
		err := q.Write(ctx, l)
		if err == nil || ctx.Err() != nil {
			return err
		}
		var e *Error
		if !errors.As(err, &e) || e.Permanent() {
			return fmt.Errorf("not an error to retry: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func listAll(t *testing.T, q *Queue) []Stored {
	t.Helper()
	var all []Stored
	after := ""
	for {
		page, err := q.List(t.Context(), after, 100)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].StreamID
	}
}

// valueOf returns the value of a counter or gauge.
func valueOf(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue() + out.GetGauge().GetValue() // one of them is absent
}

func wantKind(t *testing.T, err error, kind Kind) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want an *Error that is %v", err, kind)
	}
	if e.Kind != kind {
		t.Fatalf("error is %v (%v), want %v", e.Kind, e, kind)
	}
	return e
}
