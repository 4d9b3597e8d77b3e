package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// posting posts JSON lines, one request at a time.
type posting struct {
	url      string
	client   http.Client
	sequence int
}

// post posts the numbers [from, to) with the sequence, and returns the response and its body.
func (p *posting) post(t *testing.T, from, to int) (*http.Response, string) {
	t.Helper()
	var lines strings.Builder
	for n := from; n < to; n++ {
		fmt.Fprintf(&lines, `{"msg":"posted","n":%d}`+"\n", n)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url, strings.NewReader(lines.String()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("logbatcher-producer", "poster")
	r.Header.Set("logbatcher-sequence", itoa(p.sequence))
	response, err := p.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

// TestJSONLinesThroughAnOutage posts JSON lines before, while and after ClickHouse is away, each request until it is committed and
// once more, and the last one while the gateway ends. Each line is a row once.
func TestJSONLinesThroughAnOutage(t *testing.T) {
	b := numbered(t, embeddedtest.OwnClickHouse(t), embeddedtest.Redis(t))
	b.change = func(c *config.Config) {
		c.Listen.HTTP, c.Server.UnaryTimeout, c.Shards.Linger = "127.0.0.1:0", 4*time.Second, 300*time.Millisecond
	}
	i := b.start(t)
	p := &posting{url: "http://" + i.httpListener.Addr().String() + "/v1/ingest", sequence: 1}
	t.Cleanup(p.client.CloseIdleConnections)
	// committed posts until it is answered with success.
	committed := func(from, to int, part string) {
		t.Helper()
		eventually(t, "the request is committed", func() bool {
			r, body := p.post(t, from, to)
			if r.StatusCode == http.StatusServiceUnavailable && r.Header.Get("Retry-After") != "" {
				return false
			}
			if r.StatusCode != http.StatusOK || !strings.Contains(body, fmt.Sprintf(`{"accepted":%d,`, to-from)) || !strings.Contains(body, part) {
				t.Fatalf("%s %s", r.Status, body)
			}
			return true
		})
	}
	committed(0, 100, `"producer":"poster","sequence":1,"loggedSequence":1,"committedSequence":1,"acknowledgement":"committed"`)
	committed(0, 100, `"repeat":true`)

	p.sequence++
	if err := b.clickhouse.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r, body := p.post(t, 100, 200)
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") == "" || !strings.Contains(body, `"NOT_COMMITTED_YET"`) || !strings.Contains(body, `"state":"accepted"`) {
		t.Errorf("while ClickHouse is away: %s %v %s", r.Status, r.Header, body)
	}
	if err := b.clickhouse.Process.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	committed(100, 200, `"repeat":true`)

	p.sequence++
	answered := make(chan string, 1)
	go func() {
		r, body := p.post(t, 200, 300)
		answered <- r.Status + " " + body
	}()
	eventually(t, "the last call", func() bool { return i.metric(t, "logbatcher_open_streams") == 1 || len(answered) == 1 })
	i.stop(t)
	if answer := <-answered; !strings.HasPrefix(answer, `200 OK {"accepted":100,`) {
		t.Errorf("while the gateway ended: %s", answer)
	}
	want := map[int]int{}
	for n := range 300 {
		want[n] = 1
	}
	if got := b.numbers(t, "numbered"); !maps.Equal(got, want) {
		t.Errorf("%d numbers are in the table: %v", len(got), got)
	}
}
