package journal

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testConfig returns the configuration of a log in a folder.
func testConfig(dir string) Config {
	c := DefaultConfig()
	c.Dir = dir
	c.MaxBytes, c.SegmentBytes, c.ReserveBytes = 256*settings.MiB, settings.MiB, 0
	c.CheckpointInterval = time.Hour
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

// process is a journal from its start to a crash, or its end.
type process struct {
	*Journal
	t *testing.T
}

func open(t *testing.T, config Config) *process {
	t.Helper()
	j, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{j, t}
	t.Cleanup(func() { p.Close() })
	return p
}

func start(t *testing.T, config Config) *process {
	t.Helper()
	p := open(t, config)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return p
}

// restart ends the process without a checkpoint, as a kill does once everything is written, and begins the next one.
func (p *process) restart() *process {
	p.t.Helper()
	p.kill()
	return start(p.t, p.config)
}

// kill closes the log under the journal.
func (p *process) kill() {
	p.t.Helper()
	p.mu.Lock()
	started := p.started
	p.started = false
	p.mu.Unlock()
	if started {
		p.closing()
		p.goroutines.Wait()
	}
	if err := p.log.Close(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) begin(id string, epoch, start uint64) {
	p.t.Helper()
	if err := p.Begin(p.t.Context(), "", id, epoch, start); err != nil {
		p.t.Fatal(err)
	}
}

// request is a request of a producer with so many entries.
func (p *process) request(id string, epoch, sequence uint64, entries int) *schema.LoggedRequest {
	return &schema.LoggedRequest{
		Producer: id, Epoch: epoch, Sequence: sequence, Sum: sequence * 1000, Received: time.Unix(1_700_000_000, 5).Add(time.Duration(sequence)),
		Protocol: "protobuf", Opening: &schema.LoggedOpening{Data: []byte("opening of " + id)}, Entries: entries,
		Data: bytes.Repeat([]byte{byte(sequence)}, 10*entries),
	}
}

// accept logs a request, and returns its LSN once it is durable.
func (p *process) accept(r *schema.LoggedRequest) uint64 {
	p.t.Helper()
	logged := make(chan struct{})
	q := p.Request(r, func() { close(logged) })
	if err := q.Reserve(p.t.Context(), 1000, nil); err != nil {
		p.t.Fatal(err)
	}
	lsn, err := q.Append("routing")
	if err != nil {
		p.t.Fatal(err)
	}
	<-logged
	return lsn
}

type body string

func (b body) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(b))
	return int64(n), err
}

// part is the part of a request with the places.
func part(r *schema.LoggedRequest, lsn uint64, places ...schema.PlaceRange) schema.Part {
	return schema.Part{LSN: lsn, Tenant: r.Tenant, Producer: r.Producer, Epoch: r.Epoch, Sequence: r.Sequence, Places: places}
}

func (p *process) seal(id, route string, parts ...schema.Part) *File {
	p.t.Helper()
	f, err := p.Seal(p.t.Context(), id, &schema.Contents{Routing: "routing", Route: route, Table: "db." + route, Parts: parts}, []byte("head of "+id), body("body of "+id))
	if err != nil {
		p.t.Fatal(err)
	}
	return f.(*File)
}

// unplaced returns what is to be replayed: the places of each request by its LSN that a route with the name lacks.
func (p *process) unplaced(routes ...string) map[uint64][]string {
	p.t.Helper()
	all := map[uint64][]string{}
	for u, err := range p.Unplaced() {
		if err != nil {
			p.t.Fatal(err)
		}
		var lacks []string
		for _, route := range routes {
			for place := range u.Entries {
				if !u.Skip(route, uint32(place)) {
					lacks = append(lacks, fmt.Sprint(route, ":", place))
				}
			}
		}
		all[u.LSN] = lacks
	}
	return all
}

func (p *process) unsettled(id string) []uint64 {
	p.t.Helper()
	known, ok := p.Producer("", id)
	if !ok {
		p.t.Fatalf("producer %q is not known", id)
	}
	return known.Unsettled
}

// sync waits until everything that was appended is durable, and that is known.
func (p *process) sync() {
	p.t.Helper()
	p.begin("sync", 1, 0)
}

func TestRequestComesBack(t *testing.T) {
	p := start(t, testConfig(t.TempDir()))
	p.begin("a", 7, 0)
	r := p.request("a", 7, 1, 3)
	r.Routes, r.Refusals = []string{"x", "y"}, []schema.Refusal{{Index: 2, Field: "body", Reason: schema.TooLarge, Message: "too large"}}
	lsn := p.accept(r)
	if err := p.PutRouting("routing", []byte("the routing")); err != nil {
		t.Fatal(err)
	}
	p = p.restart()

	known, ok := p.Producer("", "a")
	if !ok || known.Epoch != 7 || known.Accepted != 1 || !slices.Equal(known.Unsettled, []uint64{1}) || !slices.Equal(known.Sums, []uint64{1000}) {
		t.Errorf("the producer is %+v, %v", known, ok)
	}
	if routings := p.Routings(); string(routings["routing"]) != "the routing" {
		t.Errorf("routings %q", routings)
	}
	n := 0
	for u, err := range p.Unplaced() {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if u.LSN != lsn || u.Producer != "a" || u.Epoch != 7 || u.Sequence != 1 || u.Sum != 1000 || !u.Received.Equal(r.Received) || !slices.Equal(u.Routes, r.Routes) ||
			u.Routing != "routing" || u.Protocol != "protobuf" || string(u.Opening.Data) != "opening of a" || u.Entries != 3 ||
			!slices.Equal(u.Refusals, r.Refusals) || !bytes.Equal(u.Data, r.Data) || u.Skip("x", 0) {
			t.Errorf("the request came back as %+v", u)
		}
	}
	if n != 1 {
		t.Errorf("%d requests came back", n)
	}
}

// show returns a value as text. Empty and nil lists are the same.
func show(v any) string { return fmt.Sprintf("%+v", v) }
