package accesslog_test

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/accesslog"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/logfile"
)

var start = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func generate(t *testing.T, lines int, seed uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := accesslog.Generate(&b, lines, start, seed); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGenerateIsDeterministic(t *testing.T) {
	one := generate(t, 2000, 7)
	if !bytes.Equal(one, generate(t, 2000, 7)) {
		t.Error("the same seed gave other bytes")
	}
	if bytes.Equal(one, generate(t, 2000, 8)) {
		t.Error("another seed gave the same bytes")
	}
	if !bytes.HasPrefix(one, generate(t, 100, 7)) {
		t.Error("fewer lines are not the beginning of more")
	}
	if len(generate(t, 0, 7)) != 0 {
		t.Error("no lines are some")
	}
}

// Every line reads back as an access log's, in order, and the mix is that of a shop.
func TestGenerateReadsBack(t *testing.T) {
	const lines = 50_000
	reader := logfile.NewReader(bytes.NewReader(generate(t, lines, 1)), logfile.Options{})
	documentation := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"),
		netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32"),
	}
	statuses := map[int64]int{}
	last := start
	count := 0
	for ; ; count++ {
		record, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if record.Time.Before(last.Truncate(time.Second)) {
			t.Fatalf("time goes back: %s", record.Body)
		}
		last = record.Time
		fields := map[string]logfile.Attribute{}
		for _, a := range record.Attributes {
			fields[a.Key] = a
		}
		for _, key := range []string{"http.request.method", "url.path", "http.response.status_code", "http.response.body.size", "client.address"} {
			if _, ok := fields[key]; !ok {
				t.Fatalf("no %s: %s", key, record.Body)
			}
		}
		address := netip.MustParseAddr(fields["client.address"].Str)
		known := false
		for _, prefix := range documentation {
			known = known || prefix.Contains(address)
		}
		if !known {
			t.Fatalf("%s may belong to somebody", address)
		}
		statuses[fields["http.response.status_code"].Int/100]++
	}
	if count != lines {
		t.Errorf("%d records, want %d", count, lines)
	}
	took := last.Sub(start).Seconds()
	if rate := lines / took; rate < 0.9*accesslog.RequestsPerSecond || rate > 1.1*accesslog.RequestsPerSecond {
		t.Errorf("%.1f lines a second", rate)
	}
	if ok := statuses[2]; ok < lines/2 || ok > lines*95/100 {
		t.Errorf("%d of %d are 2xx", ok, lines)
	}
	for class := int64(3); class <= 5; class++ {
		if statuses[class] == 0 {
			t.Errorf("no %dxx", class)
		}
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestGenerateReportsWriteErrors(t *testing.T) {
	for _, lines := range []int{1, 10_000} {
		if err := accesslog.Generate(brokenWriter{}, lines, start, 1); !errors.Is(err, errBroken) {
			t.Errorf("%d lines: %v", lines, err)
		}
	}
}

func TestGenerateKeepsTheZoneOfStart(t *testing.T) {
	var b strings.Builder
	if err := accesslog.Generate(&b, 1, start.In(time.FixedZone("", 5*3600+1800)), 1); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.String(), "[01/Mar/2026:13:30:00 +0530]") {
		t.Error(b.String())
	}
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	if err := accesslog.Generate(io.Discard, b.N, start, 1); err != nil {
		b.Fatal(err)
	}
}
