package clickhouse_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// sinkOf returns a sink for a fake server, and closes it when the test ends.
func sinkOf(t *testing.T, addresses []string, change ...func(*clickhouse.Config)) *clickhouse.Sink {
	t.Helper()
	config := clickhouse.DefaultConfig()
	config.Addresses = addresses
	config.DialTimeout = time.Second
	for _, c := range change {
		c(&config)
	}
	s, err := clickhouse.New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func numbered(t *testing.T, id string, rows uint64) *batch.Block {
	return sinktest.NewMaker(t, sinktest.Table("logs", "numbered")).Batch(t, id, sinktest.Numbers(0, rows)...)
}

func attempt(b *batch.Block) sink.Attempt {
	return sink.Attempt{Number: 1, Token: b.ID(), QueryID: b.ID() + "-1"}
}

// A1 is among them: an exception in an answer with status 200 acknowledges nothing.
func TestEveryFailureHasItsClass(t *testing.T) {
	for _, test := range []struct {
		name     string
		greeting []fakeAnswer // at the connection
		insert   fakeAnswer
		class    sink.Class
		code     int
		overload bool
	}{
		{"too many parts", nil, fakeAnswer{Code: 252, Text: "Too many parts (3000)"}, sink.Transient, 252, true},
		{"too many partitions", nil, fakeAnswer{Code: 252, Text: "Too many partitions for single INSERT block"}, sink.Shape, 252, false},
		{"memory", nil, fakeAnswer{Code: 241}, sink.Transient, 241, true},
		{"read-only table", nil, fakeAnswer{Code: 242}, sink.Transient, 242, false},
		{"unknown status of insert", nil, fakeAnswer{Code: 319}, sink.Ambiguous, 319, false},
		{"timeout of the server", nil, fakeAnswer{Code: 159, Status: http.StatusRequestTimeout}, sink.Ambiguous, 159, false},
		{"grant", nil, fakeAnswer{Code: 497, Status: http.StatusForbidden}, sink.Hold, 497, false},
		{"password", nil, fakeAnswer{Code: 516, Status: http.StatusForbidden}, sink.Hold, 516, false},
		{"table", nil, fakeAnswer{Code: 60, Status: http.StatusNotFound}, sink.Schema, 60, false},
		{"constraint", nil, fakeAnswer{Code: 469, Text: "Constraint `c` is violated at row 5"}, sink.Row, 469, false},
		{"code that nobody knows", nil, fakeAnswer{Code: 4711}, sink.Unclassified, 4711, false},
		{"code in the text alone", nil, fakeAnswer{Code: 241, NoHeader: true, Status: http.StatusBadGateway}, sink.Transient, 241, true},
		{"exception behind a status of 200", nil, fakeAnswer{Text: "__exception__\r\nCode: 210. DB::NetException: reset. (NETWORK_ERROR)\r\n"}, sink.Ambiguous, 210, false},
		{"exception in a 200, empty body", nil, fakeAnswer{Status: http.StatusOK, Code: 209, NoText: true}, sink.Ambiguous, 209, false},
		{"exception in a 200, with its text", nil, fakeAnswer{Status: http.StatusOK, Code: 241, Text: "memory"}, sink.Ambiguous, 241, false},
		{"exception in a 200, only in the text", nil, fakeAnswer{Status: http.StatusOK, Code: 469, Text: "is violated at row 5", NoHeader: true}, sink.Ambiguous, 469, false},
		{"another's page in a 200", nil, fakeAnswer{Text: "<html>log in</html>"}, sink.Ambiguous, 0, false},
		{"redirect", nil, fakeAnswer{Status: http.StatusFound, Location: "/"}, sink.Hold, 0, false},
		{"bad gateway", nil, fakeAnswer{Status: http.StatusBadGateway}, sink.Ambiguous, 0, false},
		{"service unavailable", nil, fakeAnswer{Status: http.StatusServiceUnavailable, Text: "<html>"}, sink.Ambiguous, 0, false},
		{"gateway timeout", nil, fakeAnswer{Status: http.StatusGatewayTimeout}, sink.Ambiguous, 0, false},
		{"request timeout", nil, fakeAnswer{Status: http.StatusRequestTimeout}, sink.Ambiguous, 0, false},
		{"too many requests", nil, fakeAnswer{Status: http.StatusTooManyRequests}, sink.Transient, 0, true},
		{"unauthorized", nil, fakeAnswer{Status: http.StatusUnauthorized}, sink.Hold, 0, false},
		{"forbidden", nil, fakeAnswer{Status: http.StatusForbidden}, sink.Hold, 0, false},
		{"not found", nil, fakeAnswer{Status: http.StatusNotFound}, sink.Hold, 0, false},
		{"too large for the proxy", nil, fakeAnswer{Status: http.StatusRequestEntityTooLarge}, sink.Hold, 0, false},
		{"hung up after the data", nil, fakeAnswer{HangsUp: true}, sink.Ambiguous, 0, false},
		{"hung up before the data", nil, fakeAnswer{HangsUpEarly: true}, sink.Ambiguous, 0, false},
		{"no answer", nil, fakeAnswer{Hangs: true}, sink.Ambiguous, 0, false},
		{"hung up at the greeting", []fakeAnswer{{HangsUp: true}}, fakeAnswer{}, sink.Transient, 0, false},
		{"bad gateway at the greeting", []fakeAnswer{{Status: http.StatusBadGateway}}, fakeAnswer{}, sink.Transient, 0, false},
		{"password at the greeting", []fakeAnswer{{Code: 516, Status: http.StatusForbidden}}, fakeAnswer{}, sink.Hold, 516, false},
		{"unauthorized at the greeting", []fakeAnswer{{Status: http.StatusUnauthorized}}, fakeAnswer{}, sink.Hold, 0, false},
		{"too many connections at the greeting", []fakeAnswer{{Code: 202}}, fakeAnswer{}, sink.Transient, 202, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeServer(t, false)
			server.Greetings(test.greeting...)
			server.Inserts(test.insert)
			s := sinkOf(t, []string{server.Address()}, func(c *clickhouse.Config) { c.AttemptTimeout = 300 * time.Millisecond })
			b := numbered(t, "batch", 100)
			err := s.Insert(t.Context(), b, attempt(b))
			checkFailure(t, err, test.class, test.code, test.overload)
		})
	}
}

// An answer with status 200 that has an exception, or is incomplete, acknowledges nothing.
func TestQuestionsWantAWholeAnswer(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer fakeAnswer
		code   int
	}{
		{"exception without text", fakeAnswer{Status: http.StatusOK, Code: 209, NoText: true}, 209},
		{"exception with its text", fakeAnswer{Status: http.StatusOK, Code: 60, Text: "no such table"}, 60},
		{"exception behind rows", fakeAnswer{Text: "0\nCode: 159. DB::Exception: Timeout exceeded (TIMEOUT_EXCEEDED)"}, 159},
		{"cut off", fakeAnswer{Text: "0\n"}, 0},
		{"cut off in a row", fakeAnswer{Text: "0"}, 0},
		{"empty", fakeAnswer{}, 0},
		{"another's page", fakeAnswer{Text: "<html>log in</html>"}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newFakeServer(t, false)
			s := sinkOf(t, []string{server.Address()})
			for _, question := range []string{"FROM `logs`.`numbered`", "system.processes"} {
				server.Statements(question, test.answer)
				found, err := s.Present(t.Context(), numbered(t, "batch", 1))
				if err == nil {
					t.Fatalf("%s: found %+v, want an error", question, found)
				}
				checkFailure(t, err, sink.Ambiguous, test.code, false)
			}
			server.Statements("SELECT 1", test.answer)
			if err := s.Conn().Ping(t.Context()); err == nil {
				t.Error("ping: no error")
			}
			server.Statements("version()", test.answer)
			if _, err := s.Check(t.Context()); err == nil {
				t.Error("check: no error")
			}
			if test.code != 0 {
				server.Statements("ALTER TABLE", test.answer)
				if err := s.Conn().Exec(t.Context(), "ALTER TABLE x DROP COLUMN y"); err == nil {
					t.Error("exec: no error")
				}
			}
		})
	}
}

func TestAnswerIsBounded(t *testing.T) {
	server := newFakeServer(t, false)
	server.Query("SELECT much", strings.Repeat("x", clickhouse.MaxAnswerBytes+1))
	s := sinkOf(t, []string{server.Address()})
	if rows, err := s.Conn().Query(t.Context(), "SELECT much"); err == nil || !strings.Contains(err.Error(), "more than 67108864 bytes") {
		t.Errorf("got %d rows, %v", len(rows), err)
	}
}

func checkFailure(t *testing.T, err error, class sink.Class, code int, overload bool) {
	t.Helper()
	var failure *sink.Error
	if !errors.As(err, &failure) {
		t.Fatalf("error %v (%T), want *sink.Error", err, err)
	}
	if failure.Class != class || failure.Code != code || failure.Overload != overload {
		t.Errorf("error %v: class %s, code %d, overload %v; want %s, %d, %v",
			err, failure.Class, failure.Code, failure.Overload, class, code, overload)
	}
	if strings.Contains(failure.Error(), "wait_end_of_query") || strings.Contains(failure.Error(), "http://") {
		t.Errorf("error %v shows the request's URL", failure)
	}
	if failure.Op == "" || failure.Table != "logs.numbered" || failure.Err == nil {
		t.Errorf("error %+v lacks operation, table or cause", failure)
	}
}

func TestUnreachableServerIsTransient(t *testing.T) {
	server := newFakeServer(t, false)
	server.Close()
	blackHole, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer blackHole.Close()
	for name, address := range map[string]string{
		"refused": server.Address(), "no such host": "host.invalid:8123", "connected, and then nothing": blackHole.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			s := sinkOf(t, []string{address}, func(c *clickhouse.Config) { c.DialTimeout = 200 * time.Millisecond })
			b := numbered(t, "batch", 1)
			checkFailure(t, s.Insert(t.Context(), b, attempt(b)), sink.Transient, 0, false)
		})
	}
}

func TestEndedContextIsAmbiguousOnceDataWasSent(t *testing.T) {
	server := newFakeServer(t, false)
	server.Inserts(fakeAnswer{Hangs: true})
	s := sinkOf(t, []string{server.Address()})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	b := numbered(t, "batch", 1)
	checkFailure(t, s.Insert(ctx, b, attempt(b)), sink.Ambiguous, 0, false)
}

// A2.
func TestDeduplicatedIsNoProof(t *testing.T) {
	server := newFakeServer(t, false)
	server.Inserts(fakeAnswer{Code: 389, Text: "insert was deduplicated"})
	s := sinkOf(t, []string{server.Address()})
	b := numbered(t, "batch", 1)
	var failure *sink.Error
	if err := s.Insert(t.Context(), b, attempt(b)); !errors.As(err, &failure) || !failure.Deduplicated {
		t.Errorf("error %v, want one that says deduplicated", err)
	}
}

func TestTLS(t *testing.T) {
	server := newFakeServer(t, true)
	b := numbered(t, "batch", 20_000)
	t.Run("trusted", func(t *testing.T) {
		pool := server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs
		s := sinkOf(t, []string{server.Address()}, func(c *clickhouse.Config) {
			c.TLS = &tls.Config{RootCAs: pool}
			c.User, c.Password = "user", "secret"
		})
		if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
			t.Fatalf("insert: %v", err)
		}
		requests := server.Requests()
		last := requests[len(requests)-1]
		if rows, err := sinktest.Decode(last.Body); err != nil || len(rows) != 20_000 {
			t.Errorf("%d rows came, %v", len(rows), err)
		}
		if last.Header.Get("X-ClickHouse-User") != "user" || last.Header.Get("X-ClickHouse-Key") != "secret" {
			t.Errorf("header %v lacks user and password", last.Header)
		}
	})
	t.Run("not trusted", func(t *testing.T) {
		s := sinkOf(t, []string{server.Address()}, func(c *clickhouse.Config) { c.TLS = &tls.Config{} })
		checkFailure(t, s.Insert(t.Context(), b, attempt(b)), sink.Hold, 0, false)
	})
}

func TestInsertCarriesItsSettingsAndNothingElseDoes(t *testing.T) {
	server := newFakeServer(t, false)
	s := sinkOf(t, []string{server.Address()})
	maker := sinktest.NewMaker(t, sinktest.Table("logs", "numbered"))
	maker.Compression = batch.LZ4
	b := maker.Batch(t, "batch", sinktest.Numbers(0, 10)...)
	if err := s.Insert(t.Context(), b, sink.Attempt{Number: 3, Token: "batch/1", QueryID: "batch-3"}); err != nil {
		t.Fatal(err)
	}
	for _, r := range server.Requests() {
		insert := r.Parameters.Has("query")
		for name, want := range map[string]string{
			"insert_deduplication_token": "batch/1", "query_id": "batch-3", "decompress": "1", "async_insert": "0", "wait_end_of_query": "1",
			"max_partitions_per_insert_block": "1", "throw_on_max_partitions_per_insert_block": "1", "deduplicate_insert": "enable", "insert_deduplicate": "1",
		} {
			if got := r.Parameters.Get(name); insert && got != want {
				t.Errorf("insert has %s=%q, want %q", name, got, want)
			} else if !insert && got != "" && name != "wait_end_of_query" {
				t.Errorf("%s has %s=%q", r.Statement, name, got)
			}
		}
	}
}

func TestUnknownSettingsAreLeftOut(t *testing.T) {
	server := newFakeServer(t, false)
	server.Query("system.settings", "async_insert\ninsert_deduplication_token\n")
	s := sinkOf(t, []string{server.Address()})
	b := numbered(t, "batch", 10)
	if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
		t.Fatal(err)
	}
	requests := server.Requests()
	if p := requests[len(requests)-1].Parameters; p.Has("deduplicate_insert") || !p.Has("async_insert") {
		t.Errorf("parameters %v", p)
	}
	if _, err := s.Check(t.Context()); err == nil {
		t.Error("a server that does not know max_partitions_per_insert_block was taken")
	}
}
