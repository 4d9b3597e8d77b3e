package shard

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// disk is a write-ahead log in memory, with which a test decides when a process dies and what the next one finds. What is appended is
// durable at once.
type disk struct {
	t  *testing.T
	mu sync.Mutex
	// room is what requests may reserve. 0: any amount.
	room, reserved int
	changed        chan struct{} // closed and replaced when room becomes free
	lsn            uint64
	requests       map[uint64]*diskRequest
	files          map[string]*diskFile
	done           []*schema.Contents // of settled files
	routings       map[string][]byte
	put            error // of PutRouting
	append         error // of Append
	// reserving and appending are called by Reserve and Append.
	reserving, appending func()
	// sealing is called before a file is written; an error keeps it from being written until the process dies.
	sealing func(id string) error
}

// diskRequest is a request in the log.
type diskRequest struct {
	schema.LoggedRequest
	lsn            uint64
	pieces         [][]schema.Entry
	placed         bool
	placedOutcome  schema.Outcome
	settled        int
	outcome        schema.Outcome // all parts of it together
	recoveredParts int            // files that have reported
}

// diskFile is a schema.LogFile.
type diskFile struct {
	disk     *disk
	id       string
	contents *schema.Contents
	head     []byte
	body     []byte
	notes    [][]byte
	settled  bool

	committed, deadLettered int
}

func newDisk(t *testing.T) *disk {
	return &disk{
		t: t, changed: make(chan struct{}), requests: map[uint64]*diskRequest{}, files: map[string]*diskFile{}, routings: map[string][]byte{},
	}
}

// process is a router with its log, until it is killed or stopped.
type process struct {
	*running
	disk     *disk
	kill     context.CancelFunc
	dead     bool // guarded by disk.mu: nothing of it reaches the disk any more
	sequence uint64
	waiting  func(schema.WaitCause, string)
}

// PutRouting implements Log.
func (p *process) PutRouting(hash string, data []byte) error {
	p.disk.mu.Lock()
	defer p.disk.mu.Unlock()
	if p.disk.put != nil {
		return p.disk.put
	}
	p.disk.routings[hash] = bytes.Clone(data)
	return nil
}

// Seal implements Log.
func (p *process) Seal(ctx context.Context, id string, contents *schema.Contents, head []byte, body io.WriterTo) (schema.LogFile, error) {
	d := p.disk
	d.mu.Lock()
	sealing := d.sealing
	d.mu.Unlock()
	if sealing != nil {
		if err := sealing(id); err != nil {
			<-ctx.Done()
			return nil, err
		}
	}
	var written bytes.Buffer
	if _, err := body.WriteTo(&written); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.dead {
		return nil, errors.New("dead")
	}
	if len(contents.Parts) == 0 {
		d.t.Errorf("file %s has no parts", id)
	}
	f := &diskFile{disk: d, id: id, contents: contents, head: bytes.Clone(head), body: written.Bytes()}
	d.files[id] = f
	return &openFile{diskFile: f, process: p}, nil
}

// openFile is a process's view of a file.
type openFile struct {
	*diskFile
	process *process
}

func (f *diskFile) ID() string                 { return f.id }
func (f *diskFile) Contents() *schema.Contents { return f.contents }
func (f *diskFile) Head() []byte               { return f.head }
func (f *diskFile) Size() int64                { return int64(len(f.body)) }

func (f *diskFile) ReadAt(p []byte, offset int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.settled {
		return 0, errors.New("the file is settled")
	}
	return bytes.NewReader(f.body).ReadAt(p, offset)
}

func (f *diskFile) Notes() [][]byte {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return slices.Clone(f.notes)
}

func (f *openFile) Note(ctx context.Context, note []byte) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.process.dead {
		return errors.New("dead")
	}
	f.notes = append(f.notes, bytes.Clone(note))
	return ctx.Err()
}

func (f *openFile) Settled(committed, deadLettered int) {
	d := f.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if f.process.dead {
		return
	}
	if f.settled {
		d.t.Errorf("file %s is settled twice", f.id)
	}
	if deadLettered > 0 {
		for _, part := range f.contents.Parts {
			if r := d.requests[part.LSN]; len(r.outcome.DeadLettered) > 0 && r.settled == 0 {
				d.t.Errorf("file %s is gone before the log knows the dead letters of request %d", f.id, part.LSN)
			}
		}
	}
	f.settled, f.committed, f.deadLettered = true, committed, deadLettered
	delete(d.files, f.id)
	d.done = append(d.done, f.contents)
}

// diskLog is the RequestLog of one request.
type diskLog struct {
	process *process
	request *diskRequest
	bytes   int
}

// Reserve implements schema.RequestLog.
func (l *diskLog) Reserve(ctx context.Context, blocks int, waiting func()) error {
	d, told := l.process.disk, false
	if d.reserving != nil && d.room == 0 {
		d.reserving()
	}
	for {
		d.mu.Lock()
		if d.room == 0 || d.reserved+blocks <= d.room {
			d.reserved += blocks
			l.bytes = blocks
			d.mu.Unlock()
			return nil
		}
		changed := d.changed
		d.mu.Unlock()
		if !told {
			told = true
			waiting()
			if d.reserving != nil {
				d.reserving()
				continue
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Unreserve implements schema.RequestLog.
func (l *diskLog) Unreserve() {
	d := l.process.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	d.unreserveLocked(l.bytes)
	l.bytes = 0
}

func (d *disk) unreserveLocked(bytes int) {
	d.reserved -= bytes
	close(d.changed)
	d.changed = make(chan struct{})
}

// Append implements schema.RequestLog.
func (l *diskLog) Append(routing string) (uint64, error) {
	d := l.process.disk
	if d.appending != nil {
		d.appending()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.append != nil || l.process.dead {
		d.unreserveLocked(l.bytes)
		return 0, cmp.Or(d.append, errors.New("dead"))
	}
	if d.routings[routing] == nil {
		d.t.Errorf("the routing %s is used before it is in the log", routing)
	}
	d.lsn++
	l.request.lsn, l.request.Routing = d.lsn, routing
	d.requests[d.lsn] = l.request
	return d.lsn, nil
}

// start starts a process that recovers what the disk has, and routes again what is in no file.
func (d *disk) start(config Config, delivery Delivery, zone *time.Location, routes ...*schema.Route) *process {
	d.t.Helper()
	p := &process{disk: d}
	config.WAL, config.Registerer = p, prometheus.NewRegistry()
	d.mu.Lock()
	d.sequence(&config)
	d.mu.Unlock()
	budget := NewBudget(BudgetConfig{Limit: 8 << 20, Tables: 6 << 20, TableShare: 0.25, LargestRequest: 1 << 20})
	router, err := NewRouter(config, budget, delivery, routes, time.UTC)
	if err != nil {
		d.t.Fatal(err)
	}
	if err := router.Reload(routes, zone); err != nil {
		d.t.Fatal(err)
	}
	p.running = &running{Router: router, t: d.t, budget: budget, outcomes: map[uint64]*schema.Outcome{}, ended: make(chan error, 1)}
	ctx, kill := context.WithCancel(context.Background())
	p.kill = kill
	go func() { p.ended <- router.Run(ctx) }()
	d.recover(p)
	return p
}

var incarnations int

// sequence gives a process an id of its own.
func (d *disk) sequence(config *Config) {
	incarnations++
	config.Instance = string(rune('a' + incarnations%26))
}

func (d *disk) recover(p *process) {
	d.t.Helper()
	d.mu.Lock()
	routings, files := maps.Clone(d.routings), slices.Collect(maps.Values(d.files))
	d.mu.Unlock()
	for hash, data := range routings {
		routing := new(schema.Routing)
		if err := json.Unmarshal(data, routing); err != nil {
			d.t.Fatal(err)
		}
		if err := p.AddRouting(hash, routing); err != nil {
			d.t.Fatal(err)
		}
	}
	slices.SortFunc(files, func(a, b *diskFile) int { return cmp.Compare(a.id, b.id) })
	var recovered []Recovered
	for _, f := range files {
		recovered = append(recovered, Recovered{LogFile: &openFile{diskFile: f, process: p}, Settle: func(outcomes []schema.Outcome) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for i, part := range f.contents.Parts {
				r := d.requests[part.LSN]
				r.outcome.DeadLettered = append(r.outcome.DeadLettered, outcomes[i].DeadLettered...)
				r.settled++ // the journal counts what else it waits for
				r.recoveredParts++
			}
		}})
	}
	lacking := d.lacking()
	if err := p.Recover(context.Background(), recovered); err != nil {
		d.t.Fatal(err)
	}
	for _, l := range lacking {
		p.replay(l)
	}
}

// lack is a request that is not placed, and what of it is in files.
type lack struct {
	request *diskRequest
	has     map[string]map[uint32]bool // places by route
}

// lacking returns the requests that are not placed, in order.
func (d *disk) lacking() []lack {
	d.mu.Lock()
	defer d.mu.Unlock()
	contents := slices.Clone(d.done)
	for _, f := range d.files {
		contents = append(contents, f.contents)
	}
	var all []lack
	for _, lsn := range slices.Sorted(maps.Keys(d.requests)) {
		r := d.requests[lsn]
		if r.placed {
			continue
		}
		l := lack{request: r, has: map[string]map[uint32]bool{}}
		for _, c := range contents {
			for _, part := range c.Parts {
				if part.LSN != lsn {
					continue
				}
				if l.has[c.Route] == nil {
					l.has[c.Route] = map[uint32]bool{}
				}
				for _, places := range part.Places {
					for place := places.From; place < places.To; place++ {
						if l.has[c.Route][place] {
							d.t.Errorf("place %d of request %d is twice in files of route %q", place, lsn, c.Route)
						}
						l.has[c.Route][place] = true
					}
				}
			}
		}
		all = append(all, l)
	}
	return all
}

// replay routes a request from the log.
func (p *process) replay(l lack) {
	p.disk.t.Helper()
	r := l.request
	request := &schema.Request{
		Producer: r.Producer, Tenant: r.Tenant, Epoch: r.Epoch, Sequence: r.Sequence, Received: r.Received, LSN: r.lsn, Routing: r.Routing,
		Skip: func(route string, place uint32) bool { return l.has[route][place] },
	}
	if err := p.routePieces(context.Background(), request, r); err != nil {
		p.disk.t.Fatal(err)
	}
}

// send routes a new request, in pieces, and returns it as the log has it.
func (p *process) send(ctx context.Context, pieces ...[]schema.Entry) (*diskRequest, error) {
	p.mu.Lock()
	p.sequence++
	r := &diskRequest{pieces: pieces, LoggedRequest: schema.LoggedRequest{
		Tenant: "t", Producer: "p", Epoch: 1, Sequence: p.sequence, Received: time.Now(),
	}}
	p.mu.Unlock()
	request := &schema.Request{Producer: r.Producer, Tenant: r.Tenant, Epoch: r.Epoch, Sequence: r.Sequence, Received: r.Received}
	request.Log = &diskLog{process: p, request: r}
	return r, p.routePieces(ctx, request, r)
}

func (p *process) mustSend(pieces ...[]schema.Entry) *diskRequest {
	p.disk.t.Helper()
	r, err := p.send(context.Background(), pieces...)
	if err != nil {
		p.disk.t.Fatal(err)
	}
	return r
}

func (p *process) routePieces(ctx context.Context, request *schema.Request, r *diskRequest) error {
	d := p.disk
	for _, piece := range r.pieces {
		for i := range piece {
			request.Size += 100 + len(piece[i].Body)
		}
	}
	views := &pieceViews{running: p.running, request: request, pieces: r.pieces}
	request.Bytes, request.Decoder = request.Size, views
	request.Release = views.Suspend
	request.Placed = func(o *schema.Outcome) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if p.dead {
			return
		}
		if r.placed || r.settled > r.recoveredParts {
			d.t.Errorf("request %d is placed twice, or after it was settled", r.lsn)
		}
		r.placed, r.placedOutcome = true, *o
		if l, ok := request.Log.(*diskLog); ok {
			d.unreserveLocked(l.bytes)
		}
	}
	request.Settled = func(o *schema.Outcome) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if p.dead {
			return
		}
		if !r.placed {
			d.t.Errorf("request %d is settled before it is placed", r.lsn)
		}
		r.settled++
		r.outcome.DeadLettered = append(r.outcome.DeadLettered, o.DeadLettered...)
		r.outcome.Refusals, r.outcome.Unmatched = o.Refusals, o.Unmatched
	}
	if err := views.Resume(ctx); err != nil {
		return err
	}
	err := p.Route(ctx, request, func(cause schema.WaitCause, table string) {
		if p.waiting != nil {
			p.waiting(cause, table)
		}
	})
	if err != nil {
		views.Suspend()
	}
	return err
}

// die ends the process at once: nothing of it reaches the disk from now on.
func (p *process) die() {
	p.disk.t.Helper()
	p.disk.mu.Lock()
	p.dead = true
	p.disk.reserved = 0
	p.disk.mu.Unlock()
	p.kill()
	if err := <-p.ended; err != nil {
		p.disk.t.Errorf("the router of a process with a log has ended with %v", err)
	}
}

// stop ends the process in order, and checks that the log has nothing left.
func (p *process) stop() {
	p.disk.t.Helper()
	p.running.stop()
	p.kill()
	d := p.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.files) != 0 || d.reserved != 0 {
		d.t.Errorf("%d files and %d reserved bytes are left", len(d.files), d.reserved)
	}
	for lsn, r := range d.requests {
		if !r.placed || r.settled == 0 {
			d.t.Errorf("request %d: placed %v, settled %d times", lsn, r.placed, r.settled)
		}
	}
}

// numbered returns a route for the entries of one service, to a table of numbered rows. An empty service stands for all entries.
func numbered(t *testing.T, service string) *schema.Route {
	t.Helper()
	r := schema.DefaultRoute("logs")
	r.Name, r.Table = "of "+service, sinktest.Table("logs", "of_"+service)
	r.MaxAge, r.MaxAhead = 0, 365*24*time.Hour
	if service != "" {
		filter, problems := schema.ParseFilter(map[string]any{"service": map[string]any{"equals": service}}, "filter")
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r.Filter = filter
	}
	return r
}

// number returns an entry with a number.
func number(n int, service, colo string, at time.Time) schema.Entry {
	e := entry(service, colo, at)
	e.Attributes = []schema.Attribute{schema.IntAttribute("number", int64(n))}
	return e
}

// store is a ClickHouse and a queue of dead letters in memory, behind a real delivery.
type store struct {
	memory    *sinktest.Memory
	letters   *sinktest.Letters
	redisAway atomic.Bool
	redisMute atomic.Bool // letters are written, and the answer is lost

	mu   sync.Mutex
	away map[string]bool // tables; "": all
}

func newStore() *store {
	s := &store{memory: sinktest.NewMemory(), letters: sinktest.NewLetters(), away: map[string]bool{}}
	s.memory.Decide = func(b *batch.Block, _ sink.Attempt) sinktest.Step {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.away[""] || s.away[b.Layout().Table().FullName()] {
			return sinktest.Step{Err: &sink.Error{Class: sink.Transient, Err: errors.New("away")}}
		}
		return sinktest.Step{}
	}
	return s
}

// set makes a table, or all if the name is empty, unreachable or reachable again.
func (s *store) set(table string, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away[table] = away
}

// Write implements sink.DeadLetters.
func (s *store) Write(ctx context.Context, letter *sink.DeadLetter) error {
	if s.redisAway.Load() {
		return errors.New("away")
	}
	err := s.letters.Write(ctx, letter)
	if s.redisMute.Load() {
		return errors.New("the answer is lost")
	}
	return err
}

// delivery returns the delivery of a new process.
func (s *store) delivery(t *testing.T) Delivery {
	t.Helper()
	config := sink.DefaultDeliveryConfig()
	config.Sink, config.DeadLetters = s.memory, s
	delivery, err := sink.NewDelivery(config)
	if err != nil {
		t.Fatal(err)
	}
	return delivery
}

// want checks that a table has the numbers [0, n), each once.
func (s *store) want(t *testing.T, table string, n int) {
	t.Helper()
	seen := map[uint64]int{}
	for _, row := range s.memory.Rows(table) {
		seen[row.Number()]++
	}
	for i := range uint64(n) {
		if seen[i] != 1 {
			t.Errorf("row %d is %d times in %s", i, seen[i], table)
		}
		delete(seen, i)
	}
	if len(seen) > 0 {
		t.Errorf("%s has %v too", table, seen)
	}
}
