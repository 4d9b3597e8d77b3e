package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	vtcodec "github.com/planetscale/vtprotobuf/codec/grpc"
	"google.golang.org/protobuf/encoding/protowire"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// kept serves everything that it stores as entries.
func kept(t *testing.T) (*Producer, func() []*logbatcherv1.Entry) {
	t.Helper()
	var mu sync.Mutex
	var entries []*logbatcherv1.Entry
	conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
		if err := welcome(s, &logbatcherv1.Welcome{Epoch: 1}); err != nil {
			return err
		}
		return store(s, func(r *logbatcherv1.IngestStreamRequest) error {
			mu.Lock()
			defer mu.Unlock()
			entries = append(entries, r.GetEntries()...)
			return nil
		})
	})
	var l ledger
	p := open(t, l.config("slog", conn))
	return p, func() []*logbatcherv1.Entry {
		if err := p.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		return entries
	}
}

// nested puts an attribute into maps, one for each part of its key.
func nested(into map[string]any, key string, value any) {
	first, rest, deeper := strings.Cut(key, ".")
	if !deeper {
		into[key] = value
		return
	}
	inner, ok := into[first].(map[string]any)
	if !ok {
		inner = map[string]any{}
		into[first] = inner
	}
	nested(inner, rest, value)
}

// TestSlogtest runs the conformance test of log/slog.
func TestSlogtest(t *testing.T) {
	p, entries := kept(t)
	if err := slogtest.TestHandler(NewHandler(p, nil), func() (results []map[string]any) {
		for _, e := range entries() {
			result := map[string]any{slog.LevelKey: e.GetSeverityText(), slog.MessageKey: e.GetBody()}
			if e.GetTimeUnixNano() != 0 {
				result[slog.TimeKey] = time.Unix(0, int64(e.GetTimeUnixNano()))
			}
			for _, a := range e.GetAttributes() {
				nested(result, a.GetKey(), a.GetStringValue())
			}
			results = append(results, result)
		}
		return results
	}); err != nil {
		t.Error(err)
	}
}

type valuer struct{ n int }

func (v valuer) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("n", v.n), slog.Any("", slog.GroupValue(slog.Bool("inline", true))))
}

type broken struct{}

func (*broken) Error() string { panic("no message") }

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// TestAttributesOfRecords logs one value of each kind.
func TestAttributesOfRecords(t *testing.T) {
	p, entries := kept(t)
	log := slog.New(NewHandler(p, &HandlerOptions{Level: slog.LevelDebug, AddSource: true, Trace: func(context.Context) (string, string, byte) {
		return "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", 1
	}}))
	at := time.Date(2026, 11, 25, 12, 0, 0, 5, time.FixedZone("", 3600))
	log.With("w", 1).WithGroup("g").With("x", "y").WithGroup("h").Log(t.Context(), slog.LevelError+2, "bad",
		"s", "text", "i", -7, "zero", 0, "u", uint64(math.MaxUint64), "f", 2.5, "nan", math.NaN(), "b", false, "d", 3*time.Second, "t", at,
		"bytes", []byte{0, 255}, "err", fmt.Errorf("read: %w", io.EOF), "nil", nil, "addr", netip.MustParseAddr("10.0.0.1"),
		"json", map[string]any{"a": []int{1, 2}, "h": "<b>"}, "raw", json.RawMessage(`{"k":1}`), "v", valuer{3}, "", "no key",
		"panics", &broken{}, "nilerr", (*nilError)(nil), "chan", make(chan int), slog.Group("empty"), slog.Group("", slog.Int("inline", 4)))
	e := entries()[0]
	if e.GetBody() != "bad" || e.GetSeverityNumber() != 19 || e.GetSeverityText() != "ERROR+2" || e.GetTimeUnixNano() == 0 {
		t.Errorf("%v", e)
	}
	if e.GetTraceId() != "0af7651916cd43dd8448eb211c80319c" || e.GetSpanId() != "b7ad6b7169203331" || e.GetTraceFlags() != 1 {
		t.Errorf("trace %q, span %q, flags %d", e.GetTraceId(), e.GetSpanId(), e.GetTraceFlags())
	}
	got := map[string]string{}
	for _, a := range e.GetAttributes() {
		text := strings.TrimPrefix(a.GetType().String(), "ATTRIBUTE_TYPE_") + " "
		switch a.GetType() {
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_INT:
			text += fmt.Sprint(a.GetIntValue())
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_DOUBLE:
			text += fmt.Sprint(a.GetDoubleValue())
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BOOL:
			text += fmt.Sprint(a.GetBoolValue())
		case logbatcherv1.AttributeType_ATTRIBUTE_TYPE_BYTES:
			text += fmt.Sprint(a.GetBytesValue())
		default:
			text = strings.TrimPrefix(text, "UNSPECIFIED ") + a.GetStringValue()
		}
		if _, again := got[a.GetKey()]; again {
			t.Errorf("%q is there twice", a.GetKey())
		}
		got[a.GetKey()] = text
	}
	for key, want := range map[string]string{
		"w": "INT 1", "g.x": "y", "g.h.s": "text", "g.h.i": "INT -7", "g.h.zero": "INT 0", "g.h.u": "18446744073709551615", "g.h.f": "DOUBLE 2.5",
		"g.h.nan": "DOUBLE NaN", "g.h.b": "BOOL false", "g.h.d": "INT 3000000000", "g.h.t": "2026-11-25T12:00:00.000000005+01:00",
		"g.h.bytes": "BYTES [0 255]", "g.h.err": "read: EOF", "g.h.nil": "JSON null", "g.h.addr": "10.0.0.1",
		"g.h.json": `JSON {"a":[1,2],"h":"<b>"}`, "g.h.raw": `JSON {"k":1}`, "g.h.v.n": "INT 3", "g.h.v.inline": "BOOL true", "g.h.!EMPTYKEY": "no key",
		"g.h.panics": "!PANIC: no message", "g.h.nilerr": "<nil>", "g.h.chan": "!ERROR:json: unsupported type: chan int", "g.h.inline": "INT 4",
	} {
		if got[key] != want {
			t.Errorf("%s is %q, want %q", key, got[key], want)
		}
		delete(got, key)
	}
	if !strings.Contains(got["code.function.name"], "TestAttributesOfRecords") || !strings.HasSuffix(got["code.file.path"], "handler_test.go") || !strings.HasPrefix(got["code.line.number"], "INT ") || len(got) != 3 {
		t.Errorf("and %q", got)
	}
}

func TestSeverity(t *testing.T) {
	for level, want := range map[slog.Level]uint64{
		slog.LevelDebug: 5, slog.LevelInfo: 9, slog.LevelWarn: 13, slog.LevelError: 17, slog.LevelInfo + 1: 10, -100: 1, 100: 24, math.MinInt: 1, math.MaxInt: 24,
	} {
		if got := severity(level); got != want {
			t.Errorf("%v is %d, want %d", level, got, want)
		}
	}
}

// TestHandlerBlocksOnce logs while the server is away and the memory is full: one call waits, the others do not, and all are counted.
func TestHandlerBlocksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := make(chan struct{})
		conn := serve(t, func(_ int, _ *logbatcherv1.Open, s serverStream) error {
			<-back
			return accept(0, nil, s)
		})
		var l ledger
		c := l.config("block", conn)
		c.MaxBytes, c.WelcomeTimeout = 1000, 24*time.Hour
		p := open(t, c)
		h := NewHandler(p, &HandlerOptions{MaxBlock: time.Second})
		log := slog.New(h)
		began := time.Now()
		for range 100 {
			log.Info(strings.Repeat("x", 100))
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("100 calls took %v", took)
		}
		if err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, strings.Repeat("x", 2000), 0)); !errors.Is(err, ErrFull) {
			t.Errorf("Handle: %v", err)
		}
		given := p.Statistics().Given
		if h.Dropped()+given != 101 || given < 5 {
			t.Errorf("%d dropped, %d given", h.Dropped(), given)
		}
		close(back)
		if err := p.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		log.With("a", 1).Info("again")
		if err := p.Close(t.Context()); err != nil || p.Statistics().Reached != given+1 || h.shared.full.Load() {
			t.Errorf("%v, %+v", err, p.Statistics())
		}
	})
}

// skimming is a codec for a server that does not decode entries, so that benchmarks measure the client.
type skimming struct{ vtcodec.Codec }

// Unmarshal reads a request's sequence only.
func (s skimming) Unmarshal(data []byte, v any) error {
	if r, ok := v.(*logbatcherv1.IngestStreamRequest); ok {
		if field, _, n := protowire.ConsumeTag(data); field == 1 {
			r.Sequence, _ = protowire.ConsumeVarint(data[n:])
			return nil
		}
	}
	return s.Codec.Unmarshal(data, v)
}

// discarding returns a producer for benchmarks.
func discarding(b *testing.B) *Producer {
	c := DefaultConfig("bench")
	c.Conns = append(c.Conns, serveWith(b, skimming{}, accept))
	c.Log = nil
	p, err := Open(c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return p
}

// BenchmarkHandlers compares the handler, up to the batch and its sending over gRPC, with slog's own JSON handler that writes nowhere.
func BenchmarkHandlers(b *testing.B) {
	at := time.Now()
	for name, handler := range map[string]func(b *testing.B) slog.Handler{
		"logbatcher": func(b *testing.B) slog.Handler {
			return NewHandler(discarding(b), &HandlerOptions{MaxBlock: time.Minute})
		},
		"slog JSON": func(*testing.B) slog.Handler { return slog.NewJSONHandler(io.Discard, nil) },
	} {
		b.Run(name, func(b *testing.B) {
			log := slog.New(handler(b)).With("service", "shop", "version", 17).WithGroup("request")
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(context.Background(), slog.LevelInfo, "order paid", slog.String("method", "POST"), slog.Int("status", 200),
					slog.Duration("took", 1234567), slog.Time("at", at), slog.Bool("gift", true))
			}
		})
	}
}
