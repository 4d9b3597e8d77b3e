package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func otlpString(s string) *commonpb.AnyValue {
	return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: s}}
}

// otlpLogs returns a request. ExportLogsServiceRequest has the encoding of LogsData, and a package that needs an HTTP gateway.
func otlpLogs(records ...*logspb.LogRecord) *logspb.LogsData {
	return &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{
		SchemaUrl: "https://opentelemetry.io/schemas/1.30.0",
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{
			{Key: "service.name", Value: otlpString("checkout")}, {Key: "host.name", Value: otlpString("node-17")},
		}},
		ScopeLogs: []*logspb.ScopeLogs{{
			SchemaUrl: "https://scope/1",
			Scope: &commonpb.InstrumentationScope{
				Name: "net/http", Version: "1.2.3", Attributes: []*commonpb.KeyValue{{Key: "library", Value: otlpString("std")}},
			},
			LogRecords: records,
		}},
	}}}
}

// export sends a request with metadata in pairs, and returns what is rejected and why.
func export(t *testing.T, conn *grpc.ClientConn, logs *logspb.LogsData, timeout time.Duration, header ...string) (rejected uint64, message string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), header...), timeout)
	defer cancel()
	response := &emptypb.Empty{}
	if err := conn.Invoke(ctx, "/opentelemetry.proto.collector.logs.v1.LogsService/Export", logs, response); err != nil {
		return 0, "", err
	}
	partial, n := []byte(nil), 0
	if unknown := response.ProtoReflect().GetUnknown(); len(unknown) > 0 {
		_, _, n = protowire.ConsumeTag(unknown)
		partial, _ = protowire.ConsumeBytes(unknown[n:])
	}
	for len(partial) > 0 {
		number, _, n := protowire.ConsumeTag(partial)
		partial = partial[n:]
		if number == 1 {
			rejected, n = protowire.ConsumeVarint(partial)
		} else {
			var text []byte
			text, n = protowire.ConsumeBytes(partial)
			message = string(text)
		}
		partial = partial[n:]
	}
	return rejected, message, nil
}

// TestOTLPInTheFirehose compares all columns of a record in the default table with what the Collector's exporter writes.
func TestOTLPInTheFirehose(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "colo: TST\n")
	b.start(t)
	conn := b.traffic(t).connect(t)
	now := time.Now().UTC()
	kvlist := &commonpb.AnyValue{Value: &commonpb.AnyValue_KvlistValue{KvlistValue: &commonpb.KeyValueList{Values: []*commonpb.KeyValue{
		{Key: "b", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_ArrayValue{ArrayValue: &commonpb.ArrayValue{Values: []*commonpb.AnyValue{otlpString("<x>"), {}}}}}},
		{Key: "a", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte{0xff, 0}}}},
	}}}}
	record := &logspb.LogRecord{
		TimeUnixNano: uint64(now.UnixNano()), SeverityNumber: 17, SeverityText: "ERROR", Body: otlpString("it\nfailed"),
		TraceId: []byte("0123456789abcdef"), SpanId: []byte("\x00\x01\x02\x03\x04\x05\x06\xff"), Flags: 0x101, EventName: "checkout.failed", DroppedAttributesCount: 4,
		Attributes: []*commonpb.KeyValue{
			{Key: "string", Value: otlpString("text")}, {Key: "", Value: otlpString("no key")}, {Key: "none"}, {Key: "nested", Value: kvlist},
			{Key: "int", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: -5}}},
			{Key: "bool", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BoolValue{BoolValue: true}}},
			{Key: "double", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: 1e6}}},
			{Key: "infinite", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: math.Inf(1)}}},
			{Key: "bytes", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_BytesValue{BytesValue: []byte("\x00\x01")}}},
		},
	}
	second := &logspb.LogRecord{ObservedTimeUnixNano: uint64(now.Add(-time.Hour).UnixNano()), Body: kvlist, TraceId: make([]byte, 16)}
	if rejected, message, err := export(t, conn, otlpLogs(record, second), patience); rejected != 0 || message != "" || err != nil {
		t.Fatalf("rejected %d, %q, %v", rejected, message, err)
	}
	rows := strings.Split(b.clickhouse.Query(t, "SELECT * EXCEPT (_batch_id, LogAttributes), mapSort(LogAttributes) FROM otel_logs ORDER BY Timestamp DESC"), "\n")
	const nested = `{"a":"/wA=","b":["<x>",null]}`
	columns := func(at time.Time, rest ...string) string {
		return strings.Join(append([]string{at.Format("2006-01-02 15:04:05.000000000"), at.Format(time.DateTime)}, rest...), "\t")
	}
	shared := "https://opentelemetry.io/schemas/1.30.0\t{'host.name':'node-17','service.name':'checkout'}\thttps://scope/1\tnet/http\t1.2.3\t{'library':'std'}"
	want := []string{
		columns(now, "30313233343536373839616263646566", "00010203040506ff", "1", "ERROR", "17", "checkout", `it\nfailed`, shared, "checkout.failed",
			`{'':'no key','bool':'true','bytes':'AAE=','double':'1000000','infinite':'Infinity','int':'-5','nested':'`+nested+`','none':'','string':'text'}`),
		columns(now.Add(-time.Hour), "", "", "0", "", "0", "checkout", nested, shared, "", "{}"),
	}
	if !slices.Equal(rows, want) {
		t.Errorf("got\n%s, want\n%s", strings.Join(rows, "\n"), strings.Join(want, "\n"))
	}
}

// TestOTLPOutcomes has records refused by the server and by a route, requests repeated, and ClickHouse away.
func TestOTLPOutcomes(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	b := newBench(t, server, embeddedtest.Redis(t), "colo: TST\n")
	i := b.start(t)
	conn := b.traffic(t).connect(t)
	named := func(body string) *logspb.LogRecord { return &logspb.LogRecord{Body: otlpString(body)} }
	old := named("old")
	old.TimeUnixNano = uint64(time.Now().Add(-1000 * time.Hour).UnixNano())
	bad := named("bad")
	bad.SpanId = []byte("short")
	rejected, message, err := export(t, conn, otlpLogs(named("good"), old, bad), patience)
	if err != nil || rejected != 2 || !strings.Contains(message, "2 of 3 records") || !strings.Contains(message, "span_id") || !strings.Contains(message, "route firehose") {
		t.Errorf("rejected %d, %q, %v", rejected, message, err)
	}
	once := func(sequence int, timeout time.Duration) error {
		rejected, message, err := export(t, conn, otlpLogs(named(fmt.Sprint("once ", sequence))), timeout,
			"logbatcher-producer", "otlp", "logbatcher-sequence", fmt.Sprint(sequence))
		if rejected != 0 || message != "" {
			t.Errorf("rejected %d, %q", rejected, message)
		}
		return err
	}
	for range 3 {
		if err := once(1, patience); err != nil {
			t.Fatal(err)
		}
	}
	// While ClickHouse is away the call is answered in time, and its repeat learns that it was stored.
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := once(2, 2*time.Second); grpcstatus.Code(err) != codes.DeadlineExceeded {
		t.Errorf("without ClickHouse: %v", err)
	}
	// And what could be stored more than once is not accepted.
	anonymous := func() error {
		_, _, err := export(t, conn, otlpLogs(named("anonymous")), patience)
		return err
	}
	eventually(t, "ClickHouse is known to be away", func() bool { return i.delivery.Away() != "" })
	if err := anonymous(); grpcstatus.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "ClickHouse is away since") {
		t.Errorf("without ClickHouse: %v", err)
	}
	if err := server.Process.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := once(2, patience); err != nil {
		t.Error(err)
	}
	if err := anonymous(); err != nil {
		t.Error(err)
	}
	i.stop(t)
	if got := b.clickhouse.Query(t, "SELECT Body FROM otel_logs ORDER BY Body"); got != "anonymous\ngood\nonce 1\nonce 2" {
		t.Errorf("stored %q", got)
	}
}

// TestOTLPPorts sends to all ports that take OTLP, over HTTP in JSON.
func TestOTLPPorts(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "colo: TST\n")
	b.change = func(c *config.Config) {
		c.Listen = config.Listen{GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", OTLPGRPC: "127.0.0.1:0", OTLPHTTP: "127.0.0.1:0"}
	}
	i := b.start(t)
	var sent []string
	for _, l := range i.httpListener.(*listeners).all() {
		body := "to " + l.Addr().String()
		request := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"` + body + `"},"traceId":"5B8EFFF798038103D269B633813FC60C"}]}]}]}`
		response, err := http.Post("http://"+l.Addr().String()+"/v1/logs", "application/json", strings.NewReader(request))
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(response.Body); response.StatusCode != 200 || string(text) != "{}" || err != nil {
			t.Errorf("%s, %q, %v", response.Status, text, err)
		}
		_ = response.Body.Close()
		sent = append(sent, body+"\t5b8efff798038103d269b633813fc60c")
	}
	for _, l := range i.grpcListener.(*listeners).all() {
		conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		body := "to " + l.Addr().String()
		if _, _, err := export(t, conn, otlpLogs(&logspb.LogRecord{Body: otlpString(body)}), patience); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
		sent = append(sent, body+"\t")
	}
	slices.Sort(sent)
	if got := b.clickhouse.Query(t, "SELECT Body, TraceId FROM otel_logs ORDER BY Body"); len(sent) != 4 || got != strings.Join(sent, "\n") {
		t.Errorf("stored %q, sent %q", got, sent)
	}
}
