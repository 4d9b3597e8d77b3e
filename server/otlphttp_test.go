package server

import (
	"bytes"
	"net/http"
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/logbatcher/logbatcher/schema"
)

func newOTLPFixture(t *testing.T, adjust func(*Config)) *httpFixture {
	return newHTTPFixture(t, adjust, (*ingest).httpProtocols)
}

// logs posts a request to OTLP/HTTP.
func (f *httpFixture) logs(contentType string, body []byte, headers ...string) (*http.Response, string) {
	f.t.Helper()
	return f.post("/v1/logs", bytes.NewReader(body), append([]string{"Content-Type", contentType}, headers...)...)
}

func TestOTLPOverHTTP(t *testing.T) {
	f := newOTLPFixture(t, nil)
	logs := richLogs()
	data, _ := proto.Marshal(logs)
	inJSON := otlpJSONOf(logs, protojson.MarshalOptions{})
	for _, c := range []struct {
		contentType string
		body        []byte
		headers     []string
		response    string
	}{
		{contentProtobuf, data, nil, ""},
		{contentProtobuf, zipped(data), []string{"Content-Encoding", "gzip"}, ""},
		{contentJSON, inJSON, nil, "{}"},
		{contentJSON + "; charset=utf-8", zstdOf(inJSON), []string{"Content-Encoding", "zstd"}, "{}"},
	} {
		r, body := f.logs(c.contentType, c.body, c.headers...)
		if want, _, _ := bytes.Cut([]byte(c.contentType), []byte(";")); r.StatusCode != 200 || body != c.response || r.Header.Get("Content-Type") != string(want) {
			t.Errorf("%s: %s, %q, %v", c.contentType, r.Status, body, r.Header)
		}
	}
	routed := f.router.routed()
	if len(routed) != 4 {
		t.Fatalf("%d requests", len(routed))
	}
	for i, r := range routed {
		var got []*plainEntry
		for _, e := range r.Entries {
			p := &plainEntry{Entry: e, Resource: e.Stream.ResourceAttributes, Scope: e.Stream.ScopeAttributes, Attributes: e.Attributes}
			p.Entry.Stream, p.Entry.Attributes = nil, nil
			got = append(got, p)
		}
		if err := sameEntries(got, wantEntries(logs, &defaults{received: r.Received.UnixNano(), colo: "TST"})); err != nil {
			t.Errorf("request %d: %v", i, err)
		}
		// Also across encodings, so that columns know them.
		if r.Entries[0].Stream != routed[0].Entries[0].Stream {
			t.Errorf("request %d has a stream of its own", i)
		}
	}
}

func TestOTLPOverHTTPAnswers(t *testing.T) {
	f := newOTLPFixture(t, func(c *Config) { c.MaxRequestEntries, c.MaxRequestBytes, c.MaxEntryBytes = 10, 64<<10, 64<<10 })
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{DeadLettered: []schema.DeadLettered{{Rows: len(r.Entries), Table: "d.t", ID: "b", Message: "why"}}}
	}
	logs := &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{SpanId: []byte("xy")}, {}}}}}}}
	data, _ := proto.Marshal(logs)
	want := partialSuccess{
		rejected: 1, message: "1 of 2 records are refused: record 0, span_id: it must be 8 bytes (16 hexadecimal digits), or empty. 1 rows for d.t are kept in the dead-letter queue: why",
	}
	if r, body := f.logs(contentProtobuf, data); r.StatusCode != 200 || decodePartialSuccess(t, []byte(body)) != want {
		t.Errorf("%s, %q", r.Status, body)
	}
	if r, body := f.logs(contentJSON, otlpJSONOf(logs, protojson.MarshalOptions{})); r.StatusCode != 200 || body != `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"`+want.message+`"}}` {
		t.Errorf("%s, %s", r.Status, body)
	}
	many, _ := proto.Marshal(&logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: make([]*logspb.LogRecord, 11)}}}}})
	for name, c := range map[string]struct {
		contentType string
		body        []byte
		headers     []string
		http        int
		code        codes.Code
		reason      string
		in          string // the response's content type
	}{
		"no protobuf":       {contentProtobuf, []byte("nonsense"), nil, 400, codes.InvalidArgument, "MALFORMED", contentProtobuf},
		"no JSON":           {contentJSON, []byte("{"), nil, 400, codes.InvalidArgument, "MALFORMED", contentJSON},
		"JSON of another":   {contentJSON, []byte(`{"resourceLogs":7}`), nil, 400, codes.InvalidArgument, "MALFORMED", contentJSON},
		"too many records":  {contentProtobuf, many, nil, 413, codes.ResourceExhausted, "TOO_LARGE", contentProtobuf},
		"too large in JSON": {contentJSON, bytes.Repeat([]byte(" "), 65<<10), nil, 413, codes.ResourceExhausted, "TOO_LARGE", contentJSON},
		"of a form":         {"application/x-www-form-urlencoded", []byte("a=b"), nil, 415, codes.Unimplemented, "UNKNOWN_MEDIA_TYPE", contentJSON},
		"of no kind":        {"", []byte("x"), nil, 415, codes.Unimplemented, "UNKNOWN_MEDIA_TYPE", contentJSON},
		"wrong headers":     {contentProtobuf, data, []string{"logbatcher-sequence", "1"}, 400, codes.InvalidArgument, "INVALID_OPENING", contentProtobuf},
	} {
		r, body := f.logs(c.contentType, c.body, c.headers...)
		if r.StatusCode != c.http || r.Header.Get("Content-Type") != c.in {
			t.Errorf("%s: %s, %v, %q", name, r.Status, r.Header, body)
			continue
		}
		wantStatus(t, statusIn(t, r, body), c.code, c.reason)
	}
}
