package server

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/logbatcher/logbatcher/schema"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

const exportMethod = "/" + otlpLogsService + "/Export"

// export calls Export with metadata in pairs.
func (f *fixture) export(data []byte, header []string, options ...grpc.CallOption) (partialSuccess, error) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(grpcmetadata.AppendToOutgoingContext(context.Background(), header...), time.Minute)
	defer cancel()
	var response []byte
	err := f.conn.Invoke(ctx, exportMethod, data, &response, append(options, grpc.ForceCodecV2(rawCodec{}))...)
	return decodePartialSuccess(f.t, response), err
}

// decodePartialSuccess reads an ExportLogsServiceResponse.
func decodePartialSuccess(t *testing.T, response []byte) (p partialSuccess) {
	t.Helper()
	fields := wire{data: response}
	for fields.next() {
		partial := wire{data: fields.value}
		for fields.tag == 1<<3|bytesTag && partial.next() {
			switch partial.tag {
			case 1<<3 | varintTag:
				p.rejected = int64(partial.bits)
			case 2<<3 | bytesTag:
				p.message = string(partial.value)
			}
		}
	}
	if fields.bad {
		t.Fatalf("response %q", response)
	}
	return p
}

// logsOf returns a request with a record for each body.
func logsOf(records ...*logspb.LogRecord) []byte {
	data, err := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: records}}}}})
	if err != nil {
		panic(err)
	}
	return data
}

func TestExport(t *testing.T) {
	f := newFixture(t, nil)
	data, _ := proto.Marshal(richLogs())
	for _, encoding := range []string{"", "gzip", "zstd"} {
		var options []grpc.CallOption
		if encoding != "" {
			options = append(options, grpc.UseCompressor(encoding))
		}
		if p, err := f.export(data, nil, options...); err != nil || p != (partialSuccess{}) {
			t.Fatalf("%s: %+v, %v", encoding, p, err)
		}
	}
	if p, err := f.export(nil, nil); err != nil || p != (partialSuccess{}) {
		t.Fatalf("empty: %+v, %v", p, err)
	}
	for _, r := range f.router.routed() {
		var got []*plainEntry
		for _, e := range r.Entries {
			p := &plainEntry{Entry: e, Resource: e.Stream.ResourceAttributes, Scope: e.Stream.ScopeAttributes, Attributes: e.Attributes}
			p.Entry.Stream, p.Entry.Attributes = nil, nil
			got = append(got, p)
		}
		if err := sameEntries(got, wantEntries(richLogs(), &defaults{received: r.Received.UnixNano(), colo: "TST"})); err != nil {
			t.Error(err)
		}
	}
	if n := len(f.router.routed()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

func TestExportPartialSuccess(t *testing.T) {
	f := newFixture(t, nil)
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{
			Refusals: []schema.Refusal{
				{Index: r.Place(0), Route: "a", Field: "time_unix_nano", Reason: schema.TimeTooOld, Message: "too old"},
				{Index: r.Place(0), Route: "b", Reason: schema.OutOfRange, Message: "out of range"},
			},
			DeadLettered: []schema.DeadLettered{{Rows: 3, Table: "logs.a", ID: "b", Message: "no such column"}},
		}
	}
	good, bad := &logspb.LogRecord{Body: str("good")}, &logspb.LogRecord{SpanId: []byte("short")}
	p, err := f.export(logsOf(bad, good, good, good), nil)
	const want = "2 of 4 records are refused: record 0, span_id: it must be 8 bytes (16 hexadecimal digits), or empty; record 1, time_unix_nano, route a: too old; " +
		"record 1, route b: out of range. 3 rows for logs.a are kept in the dead-letter queue: no such column"
	if err != nil || p.rejected != 2 || p.message != want {
		t.Errorf("%+v, %v", p, err)
	}
	f.router.set(func(r *fakeRouter) { r.outcome = nil })
	var many []*logspb.LogRecord
	for range 5000 {
		many = append(many, bad)
	}
	if p, err := f.export(logsOf(many...), nil); err != nil || p.rejected != 5000 || !strings.HasSuffix(p.message, "; and 4995 more") || len(p.message) > 1000 {
		t.Errorf("%+v, %v", p, err)
	}
}

// Metadata make a request one that is stored once.
func TestExportWithAProducer(t *testing.T) {
	f := newFixture(t, nil)
	send := func(sequence int, body string) error {
		p, err := f.export(logsOf(&logspb.LogRecord{Body: str(body)}), []string{"logbatcher-producer", "p", "logbatcher-sequence", strconv.Itoa(sequence)})
		if p != (partialSuccess{}) {
			t.Errorf("%+v", p)
		}
		return err
	}
	for _, sequence := range []int{1, 2, 2, 1, 3} {
		if err := send(sequence, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.router.sequences(); len(got) != 3 {
		t.Errorf("stored %v", got)
	}
	wantStatus(t, send(3, "b"), codes.FailedPrecondition, "SEQUENCE_ALTERED")
	if err := send(7, "a"); err != nil { // the others went to another instance
		t.Error(err)
	}
	wantStatus(t, send(5, "a"), codes.FailedPrecondition, "SEQUENCE_FORGOTTEN")
	_, err := f.export(nil, []string{"logbatcher-acknowledgement", "someday"})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_OPENING")
}

// While nothing is committed, calls that could be stored more than once are not accepted.
func TestExportWhileAway(t *testing.T) {
	f := newFixture(t, nil)
	data := logsOf(&logspb.LogRecord{Body: str("x")})
	f.readiness.setAway("ClickHouse is away")
	_, err := f.export(data, nil)
	wantStatus(t, err, codes.Unavailable, "NOT_COMMITTING")
	for _, header := range [][]string{{"logbatcher-producer", "p", "logbatcher-sequence", "1"}, {"logbatcher-acknowledgement", "received"}} {
		if _, err := f.export(data, header); err != nil {
			t.Errorf("%q: %v", header, err)
		}
	}
	_, err = f.ingest(&pb.IngestRequest{Entries: []*pb.Entry{{Body: "x"}}})
	wantStatus(t, err, codes.Unavailable, "NOT_COMMITTING")
	f.readiness.setAway("")
	if _, err := f.export(data, nil); err != nil {
		t.Error(err)
	}
	if n := len(f.router.routed()); n != 3 {
		t.Errorf("%d requests are stored", n)
	}
}

// OTLP's senders drop what RESOURCE_EXHAUSTED without RetryInfo refuses, and repeat what is UNAVAILABLE. wantStatus looks for RetryInfo.
func TestExportStatuses(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.MaxRequestBytes, c.MaxRequestEntries, c.MaxStreams = 256<<10, 10, 1 })
	_, err := f.export([]byte("nonsense"), nil)
	wantStatus(t, err, codes.InvalidArgument, "MALFORMED")
	_, err = f.export(logsOf(&logspb.LogRecord{Body: str(strings.Repeat("x", 300<<10))}), nil)
	wantStatus(t, err, codes.ResourceExhausted, "TOO_LARGE")
	_, err = f.export(logsOf(make([]*logspb.LogRecord, 11)...), nil)
	wantStatus(t, err, codes.ResourceExhausted, "TOO_LARGE")
	f.router.set(func(r *fakeRouter) { r.hold = true })
	first := make(chan error, 1)
	go func() {
		_, err := f.export(logsOf(&logspb.LogRecord{}), nil)
		first <- err
	}()
	eventually(t, "the first call", func() bool { return len(f.router.routed()) == 1 })
	_, err = f.export(logsOf(&logspb.LogRecord{}), nil)
	wantStatus(t, err, codes.Unavailable, "TOO_MANY_STREAMS")
	f.router.settleHeld(false)
	if err := <-first; err != nil {
		t.Error(err)
	}
	// The sender may ask not to wait.
	eventually(t, "the first call's end", func() bool { return f.server.ingest.calls.Load() == 0 })
	if _, err := f.export(logsOf(&logspb.LogRecord{}), []string{"logbatcher-acknowledgement", "received"}); err != nil {
		t.Error(err)
	}
	eventually(t, "its end", func() bool { return f.server.ingest.calls.Load() == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = f.conn.Invoke(ctx, exportMethod, logsOf(&logspb.LogRecord{}), new([]byte), grpc.ForceCodecV2(rawCodec{}))
	if status.Code(err) != codes.DeadlineExceeded {
		t.Error(err)
	}
}
