package journal

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/crashfs"
)

// The model: a client, a server, shards and a sink that are as simple as can be, around a real journal on a disk that crashes. What the world
// outside has seen of a process is a list of events, each with the number of operations that the disk had done, so that it is known for any
// moment.

// name is a request's.
type name struct {
	producer        string
	epoch, sequence uint64
}

// row is what a route makes of an entry. The route of entries that match none is empty.
type row struct {
	name
	route string
	place uint32
}

// How a routing of a version, and ClickHouse, treat an entry.

func refusedAtReceipt(sequence uint64, place uint32) bool { return (sequence+uint64(place))%11 == 10 }

func routesOf(version int, sequence uint64, place uint32) []string {
	return [][]string{{"A"}, {"B"}, {"A", "B"}, {""}, {"B"}}[(uint64(version)*7+sequence*3+uint64(place))%5]
}

func refusedByRoute(route string, sequence uint64, place uint32) bool {
	return route == "A" && (sequence*5+uint64(place)*3)%13 == 12
}

func poisoned(r row) bool { return r.route == "" || (r.sequence+uint64(r.place)*5)%9 == 8 }

// summary is what a producer learns of a request.
type summary struct{ refused, unmatched, deadLettered int }

func summaryOf(o *schema.Outcome) (s summary) {
	for i := range o.DeadLettered {
		s.deadLettered += o.DeadLettered[i].Rows
	}
	s.refused, s.unmatched = len(o.Refusals), o.Unmatched
	return s
}

// sent is a request as a client has sent it last.
type sent struct{ version, entries int }

// client is what a producer's client knows. Its epochs up to dropped are the other instance's.
type client struct{ epoch, logged, dropped uint64 }

// outside is what is known outside of the process.
type outside struct {
	version int
	sent    map[name]sent
	clients map[string]*client
	told    map[name]summary
	table   map[string][]row // by batches
	letters map[string][]row // by letters
	// anonymous are the requests of anonymous producers, and whether they were told as logged.
	anonymous map[name]bool
	// elsewhere are requests that another instance has accepted too. What was not in a file then must not be stored here any more.
	elsewhere map[name]bool
	sealed    map[row]bool // rows of these that were
	faults    []string
}

func newOutside() *outside {
	return &outside{sent: map[name]sent{}, clients: map[string]*client{}, told: map[name]summary{}, table: map[string][]row{}, letters: map[string][]row{},
		anonymous: map[name]bool{}, elsewhere: map[name]bool{}, sealed: map[row]bool{}}
}

func (o *outside) client(producer string) *client {
	c := o.clients[producer]
	if c == nil {
		c = &client{}
		o.clients[producer] = c
	}
	return c
}

func (o *outside) fault(format string, arguments ...any) {
	o.faults = append(o.faults, fmt.Sprintf(format, arguments...))
}

func (o *outside) tell(n name, s summary) {
	if before, again := o.told[n]; again && before != s {
		o.fault("%+v: told %+v, and now %+v", n, before, s)
	}
	o.told[n] = s
}

// expected returns the rows of a request, and what its producer must learn.
func (o *outside) expected(n name) (rows []row, s summary) {
	request := o.sent[n]
	for place := range uint32(request.entries) {
		if refusedAtReceipt(n.sequence, place) {
			s.refused++
			continue
		}
		for _, route := range routesOf(request.version, n.sequence, place) {
			switch r := (row{n, route, place}); {
			case refusedByRoute(route, n.sequence, place):
				s.refused++
			default:
				if route == "" {
					s.unmatched++
				}
				if poisoned(r) {
					s.deadLettered++
				}
				rows = append(rows, r)
			}
		}
	}
	return rows, s
}

// world is a history.
type world struct {
	fs   *crashfs.FS
	next int // number of the next batch

	mu     sync.Mutex
	now    *outside
	events []event
	alive  int // number of the process whose callbacks count
}

type event struct {
	ops   int
	apply func(*outside)
}

// happens changes what is known outside, unless the process is dead.
func (w *world) happens(process int, apply func(*outside)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if process != w.alive {
		return
	}
	w.events = append(w.events, event{w.fs.Ops(), apply})
	apply(w.now)
}

// run is a process of the model.
type run struct {
	*Journal
	world  *world
	number int
	open   map[string][]moving // rows of open batches, by route
	flying []*flight
	begun  map[string]*begun
	// openings are those of streams.
	openings [2]*schema.LoggedOpening
}

// begun is what the server knows of a producer. Known: it has begun its epoch here.
type begun struct {
	epoch, accepted uint64
	known           bool
}

type moving struct {
	row
	live *live
}

// live is a request in the shards.
type live struct {
	name
	lsn                uint64
	replayed           bool
	unplaced, unsettle int
	outcome            schema.Outcome
	after              []func()
}

// flight is a sealed batch.
type flight struct {
	file *File
	rows []moving
	// touched: it may be in the table.
	touched bool
	// recovered has the rows of a recovered one's parts.
	recovered bool
}

// modelConfig returns the configuration of a run.
func modelConfig(fs *crashfs.FS) Config {
	c := DefaultConfig()
	c.Dir, c.FS = "/log", fs
	c.MaxBytes, c.SegmentBytes, c.ReserveBytes = 1<<30, 2<<10, 0
	c.CheckpointInterval = time.Hour
	c.Log = slog.New(slog.DiscardHandler)
	return c
}

// begins starts a process, checks what it knows, and recovers as the gateway does. Another instance has taken a producer meanwhile, unless that
// is empty.
func (w *world) begins(ctx context.Context, taken string) (*run, error) {
	w.mu.Lock()
	w.alive++
	r := &run{world: w, number: w.alive, open: map[string][]moving{}, begun: map[string]*begun{}}
	r.openings = [2]*schema.LoggedOpening{{Data: []byte("one")}, {Data: []byte("two")}}
	w.mu.Unlock()
	config := modelConfig(w.fs)
	config.Settled = func(_, producer string, epoch, sequence uint64, o *schema.Outcome) {
		s := summaryOf(o)
		w.happens(r.number, func(out *outside) { out.tell(name{producer, epoch, sequence}, s) })
	}
	j, err := Open(ctx, config)
	if err != nil {
		return nil, err
	}
	r.Journal = j
	if err := j.Start(ctx); err != nil {
		return r, err
	}
	w.happens(r.number, r.compare)
	if err := r.drop(taken); err != nil {
		return r, err
	}
	if err := r.putRouting(w.now.version); err != nil {
		return r, err
	}
	for _, f := range j.Files() {
		r.recoverFile(f)
	}
	for u, err := range j.Unplaced() {
		if err != nil {
			return r, err
		}
		version := 0
		if _, err := fmt.Sscanf(u.Routing, "v%d", &version); err != nil {
			return r, fmt.Errorf("routing %q: %w", u.Routing, err)
		}
		l := &live{name: name{u.Producer, u.Epoch, u.Sequence}, lsn: u.LSN, replayed: true}
		r.route(l, version, u.Entries, u.Skip)
	}
	return r, nil
}

// drop drops what another instance has of a producer: what the client was not told to be logged before.
func (r *run) drop(producer string) error {
	b := r.begun[producer]
	if producer == "" || b == nil || !b.known {
		return nil
	}
	b.known = false
	from := b.accepted / 2
	r.world.happens(r.number, func(o *outside) {
		for n := range o.sent {
			if n.producer == producer && n.epoch == b.epoch && n.sequence > from {
				o.elsewhere[n] = true
			}
		}
		for _, all := range []map[string][]row{o.table, o.letters} {
			for _, rows := range all {
				for _, row := range rows {
					o.sealed[row] = o.elsewhere[row.name]
				}
			}
		}
		for _, f := range r.Files() {
			for _, row := range rowsOf(f) {
				o.sealed[row] = o.elsewhere[row.name]
			}
		}
	})
	if _, err := r.Drop("", producer, b.epoch, from); err != nil {
		return err
	}
	r.world.happens(r.number, func(o *outside) { // its client goes on there
		o.clients[producer] = &client{dropped: b.epoch}
	})
	return nil
}

// compare checks what the journal knows with what was told, and makes the clients send again what it does not have.
func (r *run) compare(out *outside) {
	for producer, c := range out.clients {
		known, ok := r.Producer("", producer)
		switch {
		case !ok && c.epoch > 0:
			out.fault("producer %s was told epoch %d, and is not known", producer, c.epoch)
		case ok && known.Epoch < c.epoch:
			out.fault("producer %s was told epoch %d, and %d is known", producer, c.epoch, known.Epoch)
		case ok && known.Epoch == c.epoch && known.Accepted < c.logged:
			out.fault("producer %s was told that %d is logged, and %d is known", producer, c.logged, known.Accepted)
		}
		r.begun[producer] = &begun{known.Epoch, known.Accepted, ok}
		if !ok {
			known.Epoch = c.dropped
			known.Accepted = math.MaxUint64
		}
		for n := range out.sent {
			if n.producer == producer && (n.epoch > known.Epoch || n.epoch == known.Epoch && n.sequence > known.Accepted) {
				delete(out.sent, n)
			}
		}
		for n, s := range out.told {
			if !ok || n.producer != producer || n.epoch != known.Epoch || s == (summary{}) {
				continue
			}
			if slices.Contains(known.Unsettled, n.sequence) {
				out.fault("%+v is not settled, and was told as %+v", n, s)
			}
			found := false
			for i := range known.Outcomes {
				found = found || known.Outcomes[i].Sequence == n.sequence && summaryOf(&known.Outcomes[i].Outcome) == s
			}
			if !found && len(known.Outcomes) < keptOutcomes {
				out.fault("%+v was told as %+v, and nothing of that is known", n, s)
			}
		}
		if c.epoch, c.logged = known.Epoch, known.Accepted; !ok {
			c.epoch, c.logged = 0, 0
		}
		for n := range out.sent { // the producer's next opening tells it what it can't know yet
			if !ok || n.producer != producer || n.epoch != known.Epoch || slices.Contains(known.Unsettled, n.sequence) {
				continue
			}
			var s summary
			for i := range known.Outcomes {
				if known.Outcomes[i].Sequence == n.sequence {
					s = summaryOf(&known.Outcomes[i].Outcome)
				}
			}
			out.tell(n, s)
		}
	}
	for n, logged := range out.anonymous {
		if _, told := out.told[n]; told || r.has(n) {
			continue
		}
		rows, _ := out.expected(n)
		stored := 0
		for _, all := range []map[string][]row{out.table, out.letters} {
			for _, batch := range all {
				for _, row := range batch {
					if row.name == n {
						stored++
					}
				}
			}
		}
		switch {
		case stored == len(rows): // settled, if it was logged
		case logged || stored > 0:
			out.fault("%+v of an anonymous producer is not in the log, and %d of %d rows are stored", n, stored, len(rows))
		default:
			delete(out.sent, n)
		}
		delete(out.anonymous, n)
	}
	for id, rows := range out.table {
		for _, row := range rows {
			if _, there := out.sent[row.name]; !there {
				out.fault("batch %s has a row of %+v, which will be sent again", id, row.name)
			}
		}
	}
}

// has reports whether a request is in the log and not settled.
func (r *run) has(n name) bool {
	r.Journal.mu.Lock()
	defer r.Journal.mu.Unlock()
	for _, q := range r.state.requests {
		if q.owner.id == n.producer && q.epoch == n.epoch && q.sequence == n.sequence && !q.done {
			return true
		}
	}
	return false
}

func (r *run) putRouting(version int) error {
	return r.PutRouting(fmt.Sprint("v", version), []byte(fmt.Sprint("routing ", version)))
}

// begin begins a new epoch of a producer.
func (r *run) begin(ctx context.Context, producer string) error {
	b := r.begun[producer]
	if b == nil {
		b = &begun{}
		r.begun[producer] = b
	}
	*b = begun{epoch: max(b.epoch, r.ForgottenEpoch()) + 1, known: true}
	r.world.happens(r.number, func(o *outside) { o.client(producer) })
	if err := r.Begin(ctx, "", producer, b.epoch, 0); err != nil {
		return err
	}
	epoch := b.epoch
	r.world.happens(r.number, func(o *outside) { c := o.client(producer); *c = client{epoch: epoch, dropped: c.dropped} })
	return nil
}

// accept has a client send a request.
func (r *run) accept(ctx context.Context, producer string, opening *schema.LoggedOpening, entries int, admitted bool) error {
	anonymous := producer == "anonymous"
	if anonymous {
		producer = fmt.Sprint(producer, r.number)
		if r.begun[producer] == nil {
			r.begun[producer] = &begun{epoch: 1, known: true}
		}
	}
	b := r.begun[producer]
	if b == nil || !b.known {
		return r.begin(ctx, producer)
	}
	n := name{producer, b.epoch, b.accepted + 1}
	version := r.world.now.version
	q := &schema.LoggedRequest{
		Producer: producer, Epoch: n.epoch, Sequence: n.sequence, Sum: n.sequence, Received: time.Unix(1, 0), Protocol: "protobuf",
		Opening: opening, Entries: entries, Data: bytes.Repeat([]byte{'x'}, 40*entries),
	}
	l := &live{name: n}
	for place := range uint32(entries) {
		if refusedAtReceipt(n.sequence, place) {
			q.Refusals = append(q.Refusals, schema.Refusal{Index: place, Reason: schema.TooLarge})
		}
	}
	log := r.Request(q, func() {
		r.world.happens(r.number, func(o *outside) {
			if anonymous {
				o.anonymous[n] = true
			} else if c := o.client(producer); c.epoch == n.epoch {
				c.logged = max(c.logged, n.sequence)
			}
		})
	})
	if err := log.Reserve(ctx, 100*entries, nil); err != nil {
		return err
	}
	if !admitted {
		log.Unreserve()
		return nil
	}
	r.world.happens(r.number, func(o *outside) {
		o.sent[n] = sent{version, entries}
		if anonymous {
			o.anonymous[n] = false
		}
	})
	lsn, err := log.Append(fmt.Sprint("v", version))
	if err != nil {
		return err
	}
	b.accepted++
	l.lsn = lsn
	r.route(l, version, entries, func(string, uint32) bool { return false })
	return nil
}

// route puts the rows of a request into open batches.
func (r *run) route(l *live, version, entries int, skip func(string, uint32) bool) {
	l.unplaced, l.unsettle = 1, 1
	for place := range uint32(entries) {
		if refusedAtReceipt(l.sequence, place) {
			l.outcome.Refusals = append(l.outcome.Refusals, schema.Refusal{Index: place, Reason: schema.TooLarge})
			continue
		}
		for _, route := range routesOf(version, l.sequence, place) {
			if refusedByRoute(route, l.sequence, place) {
				l.outcome.Refusals = append(l.outcome.Refusals, schema.Refusal{Index: place, Reason: schema.OutOfRange, Route: route})
				continue
			}
			if route == "" {
				l.outcome.Unmatched++
			}
			if !skip(route, place) {
				r.open[route] = append(r.open[route], moving{row{l.name, route, place}, l})
				l.unplaced++
				l.unsettle++
			}
		}
	}
	r.place(l)
	r.settle(l)
}

func (r *run) place(l *live) {
	if l.unplaced--; l.unplaced == 0 {
		r.Placed(l.lsn, &schema.Outcome{Refusals: l.outcome.Refusals, Unmatched: l.outcome.Unmatched})
	}
}

func (r *run) settle(l *live) {
	if l.unsettle--; l.unsettle > 0 {
		return
	}
	s, n := summaryOf(&l.outcome), l.name
	recorded := func() { r.world.happens(r.number, func(o *outside) { o.tell(n, s) }) }
	if l.replayed {
		recorded = nil
	}
	r.Settled(l.lsn, &l.outcome, recorded)
	for _, after := range l.after {
		after()
	}
}

// seal seals a batch of the first rows of a route.
func (r *run) seal(ctx context.Context, route string, n int) error {
	n = min(n, len(r.open[route]))
	if n == 0 {
		return nil
	}
	rows := slices.Clone(r.open[route][:n])
	r.open[route] = r.open[route][n:]
	c := &schema.Contents{Route: route, Table: "db." + route}
	at := map[uint64]int{}
	for _, m := range rows {
		i, known := at[m.live.lsn]
		if !known {
			i = len(c.Parts)
			at[m.live.lsn] = i
			c.Parts = append(c.Parts, schema.Part{LSN: m.live.lsn, Producer: m.producer, Epoch: m.epoch, Sequence: m.sequence})
		}
		c.Parts[i].Places = append(c.Parts[i].Places, schema.PlaceRange{From: m.place, To: m.place + 1})
	}
	r.world.next++
	file, err := r.Seal(ctx, fmt.Sprint("batch-", r.world.next), c, []byte(route), body("rows"))
	if err != nil {
		return err
	}
	for _, m := range rows {
		r.place(m.live)
	}
	r.flying = append(r.flying, &flight{file: file.(*File), rows: rows})
	return nil
}

// recoverFile puts a recovered file in flight.
func (r *run) recoverFile(f *File) {
	d := &flight{file: f, touched: true, recovered: true}
	for _, row := range rowsOf(f) {
		d.rows = append(d.rows, moving{row: row})
	}
	r.flying = append(r.flying, d)
}

func rowsOf(f *File) (rows []row) {
	c := f.Contents()
	for i := range c.Parts {
		p := &c.Parts[i]
		for _, places := range p.Places {
			for place := places.From; place < places.To; place++ {
				rows = append(rows, row{name{p.Producer, p.Epoch, p.Sequence}, c.Route, place})
			}
		}
	}
	return rows
}

// deliver delivers a batch; of a lost acknowledgement nobody here learns.
func (r *run) deliver(ctx context.Context, i int, lost bool) error {
	d := r.flying[i]
	id := d.file.ID()
	var good, bad []row
	for _, m := range d.rows {
		if poisoned(m.row) {
			bad = append(bad, m.row)
		} else {
			good = append(good, m.row)
		}
	}
	if len(bad) > 0 && len(d.file.Notes()) == 0 {
		if err := d.file.Note(ctx, []byte("refused")); err != nil {
			return err
		}
	}
	r.world.happens(r.number, func(o *outside) {
		if len(bad) > 0 && o.letters[id] == nil {
			o.letters[id] = bad // SET NX
		}
		if len(good) > 0 {
			if before := o.table[id]; before != nil && !slices.Equal(before, good) {
				o.fault("batch %s has other rows than before", id)
			}
			o.table[id] = good // it is asked for before, or has its token
		}
	})
	if d.touched = true; lost {
		return nil
	}
	r.flying = slices.Delete(r.flying, i, i+1)
	r.delivered(d, len(good), bad)
	return nil
}

func (r *run) delivered(d *flight, committed int, bad []row) {
	c := d.file.Contents()
	outcomes := make([]schema.Outcome, len(c.Parts))
	for i := range c.Parts {
		p, rows := &c.Parts[i], 0
		for _, b := range bad {
			if b.name == (name{p.Producer, p.Epoch, p.Sequence}) {
				rows++
			}
		}
		if rows > 0 {
			outcomes[i].DeadLettered = []schema.DeadLettered{{Rows: rows, ID: d.file.ID()}}
		}
	}
	if d.recovered {
		d.file.Settle(outcomes)
		d.file.Settled(committed, len(bad))
		return
	}
	left := 1
	settled := func() {
		if left--; left == 0 {
			d.file.Settled(committed, len(bad))
		}
	}
	for i := range c.Parts {
		l := d.rows[slices.IndexFunc(d.rows, func(m moving) bool { return m.live.lsn == c.Parts[i].LSN })].live
		if len(outcomes[i].DeadLettered) > 0 {
			l.outcome.DeadLettered = append(l.outcome.DeadLettered, outcomes[i].DeadLettered...)
			left++
			l.after = append(l.after, settled)
		}
	}
	for _, m := range d.rows {
		r.settle(m.live)
	}
	settled()
}

// drain brings everything to its end.
func (r *run) drain(ctx context.Context) error {
	for _, route := range []string{"A", "B", ""} {
		if err := r.seal(ctx, route, len(r.open[route])); err != nil {
			return err
		}
	}
	for len(r.flying) > 0 {
		if err := r.deliver(ctx, 0, false); err != nil {
			return err
		}
	}
	return nil
}

// crash ends the process at once, and gives the world a disk as it may be then.
func (w *world) crash(r *run, unsynced crashfs.Unsynced, seed uint64) error {
	w.mu.Lock()
	w.alive++
	crashed := w.fs.Crash(crashfs.Crash{At: w.fs.Ops(), Unsynced: unsynced, Seed: seed})
	w.mu.Unlock()
	if err := r.Close(); err != nil { // on the disk that is no more
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fs, w.events = crashed, nil
	return nil
}

// check checks that what is in tables and letters is what was accepted, and what was told is true.
func (o *outside) check() {
	seen := map[row]int{}
	for _, all := range []map[string][]row{o.table, o.letters} {
		for _, rows := range all {
			for _, r := range rows {
				seen[r]++
			}
		}
	}
	for n := range o.sent {
		rows, s := o.expected(n)
		for _, r := range rows {
			if o.elsewhere[n] && !o.sealed[r] {
				if seen[r] > 0 {
					o.fault("%+v is stored, and another instance has it", r)
				}
			} else if seen[r] != 1 {
				o.fault("%+v is stored %d times", r, seen[r])
			}
			delete(seen, r)
		}
		if told, ok := o.told[n]; ok && told != s && !o.elsewhere[n] {
			o.fault("%+v was told %+v, and is %+v", n, told, s)
		}
	}
	for r, n := range seen {
		o.fault("%+v is stored %d times, and was never accepted", r, n)
	}
}

// ends drains the world, and checks it.
func (w *world) ends(ctx context.Context, r *run) error {
	if err := r.drain(ctx); err != nil {
		return err
	}
	if err := r.Close(); err != nil {
		return err
	}
	w.mu.Lock()
	out := w.now
	out.check()
	for n := range out.sent {
		if _, told := out.told[n]; !told && !out.elsewhere[n] && out.clients[n.producer] != nil {
			if rows, _ := out.expected(n); len(rows) > 0 && n.epoch == out.clients[n.producer].epoch {
				out.fault("%+v was never told", n)
			}
		}
	}
	committed := map[string]uint64{}
	for _, rows := range out.table {
		for _, r := range rows {
			committed["db."+r.route]++
		}
	}
	w.mu.Unlock()

	j, err := Open(ctx, modelConfig(w.fs))
	if err != nil {
		return err
	}
	defer j.log.Close()
	if n := len(j.Files()); n > 0 {
		out.fault("%d files are left", n)
	}
	for _, q := range j.state.requests {
		out.fault("request %+v is left", *q)
	}
	for producer := range out.clients {
		if known, ok := j.Producer("", producer); ok && len(known.Unsettled) > 0 {
			out.fault("of producer %s %v are unsettled", producer, known.Unsettled)
		}
	}
	for table, ledger := range j.Rows() {
		if ledger.Balance() != 0 || ledger.Committed != committed[table] || ledger.InFlight != 0 {
			out.fault("the books of %s say %+v, and it has %d rows", table, ledger, committed[table])
		}
	}
	for n, ledger := range j.Entries() {
		if ledger.Balance() != 0 || ledger.InFlight != 0 {
			out.fault("the books of %+v say %+v", n, ledger)
		}
	}
	return nil
}

// choices are the decisions of a history.
type choices []byte

func (c *choices) next(n int) int {
	if len(*c) == 0 {
		return 0
	}
	b := (*c)[0]
	*c = (*c)[1:]
	return int(b) % n
}

// history runs a history, and returns what is wrong.
func history(ctx context.Context, steps []byte) (faults []string, err error) {
	w := &world{fs: crashfs.New(), now: newOutside()}
	r, err := w.begins(ctx, "")
	defer func() {
		if r != nil && r.Journal != nil {
			r.Close()
		}
	}()
	for c := choices(steps); len(c) > 0 && err == nil; {
		switch c.next(16) {
		case 0:
			producer := string(rune('p' + c.next(2)))
			if b := r.begun[producer]; b != nil && b.known {
				err = r.log.Sync(ctx, lastLSN(r)) // an opening waits until what was accepted is logged
			}
			if err == nil && c.next(4) == 0 || r.begun[producer] == nil {
				err = r.begin(ctx, producer)
			}
		case 1, 2, 3:
			err = r.accept(ctx, string(rune('p'+c.next(2))), r.openings[c.next(2)], c.next(7), true)
		case 4:
			err = r.accept(ctx, "anonymous", r.openings[0], c.next(7), true)
		case 5:
			err = r.accept(ctx, string(rune('p'+c.next(2))), r.openings[0], 3, false)
		case 6:
			version := w.now.version + 1
			if err = r.putRouting(version); err == nil {
				w.happens(r.number, func(o *outside) { o.version = version })
			}
		case 7, 8, 9:
			err = r.seal(ctx, []string{"A", "B", ""}[c.next(3)], 1+c.next(8))
		case 10, 11, 12:
			if len(r.flying) > 0 {
				err = r.deliver(ctx, c.next(len(r.flying)), c.next(3) == 0)
			}
		case 13:
			err = r.checkpoint()
		case 14:
			err = r.log.Sync(ctx, lastLSN(r))
		case 15:
			switch c.next(3) {
			case 0: // an orderly end, with open batches lost
				if err = r.Close(); err == nil {
					r, err = w.begins(ctx, "")
				}
			default:
				if err = w.crash(r, crashfs.Unsynced(c.next(3)), uint64(c.next(256))); err == nil {
					if c.next(4) == 0 { // the disk damages the newest checkpoint, if there is one before
						if _, missing := w.fs.Open("/log/checkpoint.previous"); missing == nil {
							_ = w.fs.Flip("/log/checkpoint", int64(c.next(64)), 1)
						}
					}
				}
				if err == nil {
					r, err = w.begins(ctx, []string{"", "", "p", "q"}[c.next(4)])
				}
			}
		}
	}
	if err == nil {
		err = w.ends(ctx, r)
	}
	return w.now.faults, err
}

func lastLSN(r *run) wal.LSN { return wal.LSN(r.position() - 1) }

// TestHistories runs random histories.
func TestHistories(t *testing.T) {
	n := 20_000
	if testing.Short() {
		n = 400
	}
	for seed := range n {
		steps := randomSteps(uint64(seed))
		if faults, err := history(t.Context(), steps); err != nil || len(faults) > 0 {
			t.Fatalf("seed %d: %v\n%q", seed, err, faults)
		}
	}
}

func randomSteps(seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	steps := make([]byte, 20+random.IntN(200))
	for i := range steps {
		steps[i] = byte(random.UintN(256))
	}
	return steps
}

// FuzzHistories runs histories that the bytes choose.
func FuzzHistories(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomSteps(seed))
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		if faults, err := history(context.Background(), steps[:min(len(steps), 400)]); err != nil || len(faults) > 0 {
			t.Fatalf("%v\n%q", err, faults)
		}
	})
}

// clone returns what was known outside when the disk had done so many operations, from what was known at its start.
func (w *world) at(begin *outside, ops int) *outside {
	out := begin.clone()
	for _, e := range w.events {
		if e.ops <= ops {
			e.apply(out)
		}
	}
	return out
}

func (o *outside) clone() *outside {
	c := *o
	c.sent, c.told, c.table, c.letters = maps.Clone(o.sent), maps.Clone(o.told), maps.Clone(o.table), maps.Clone(o.letters)
	c.anonymous, c.elsewhere, c.sealed = maps.Clone(o.anonymous), maps.Clone(o.elsewhere), maps.Clone(o.sealed)
	c.clients = map[string]*client{}
	for producer, known := range o.clients {
		copied := *known
		c.clients[producer] = &copied
	}
	return &c
}

// TestCrashPoints stops histories at each operation of the disk, in each way in which a crash may leave it.
func TestCrashPoints(t *testing.T) {
	seeds, stride := uint64(12), 1
	if testing.Short() {
		seeds, stride = 2, 3
	}
	points := 0
	for seed := range seeds {
		w := &world{fs: crashfs.New(), now: newOutside()}
		r, err := w.begins(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(seed, 2))
		for range 60 {
			switch random.IntN(10) {
			case 0, 1, 2:
				err = r.accept(t.Context(), string(rune('p'+random.IntN(2))), r.openings[0], random.IntN(7), true)
			case 3, 4, 5:
				err = r.seal(t.Context(), []string{"A", "B", ""}[random.IntN(3)], 1+random.IntN(8))
			case 6, 7, 8:
				if len(r.flying) > 0 {
					err = r.deliver(t.Context(), random.IntN(len(r.flying)), random.IntN(4) == 0)
				}
			case 9:
				err = r.checkpoint()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		for at := int(seed) % stride; at <= w.fs.Ops(); at += stride {
			for _, c := range crashesAt(w.fs, at) {
				points++
				after := &world{fs: w.fs.Crash(c), now: w.at(newOutside(), at), next: w.next}
				next, err := after.begins(t.Context(), "")
				if err == nil {
					err = after.ends(t.Context(), next)
				} else if next != nil {
					next.Close()
				}
				if err != nil || len(after.now.faults) > 0 {
					t.Fatalf("seed %d, crash %+v: %v\n%q", seed, c, err, after.now.faults)
				}
			}
		}
	}
	t.Logf("%d crashes", points)
}

// crashesAt returns the crashes at an operation.
func crashesAt(fs *crashfs.FS, at int) []crashfs.Crash {
	all := []crashfs.Crash{{At: at, Unsynced: crashfs.Kept}, {At: at, Unsynced: crashfs.Dropped}, {At: at, Unsynced: crashfs.Reordered, Seed: uint64(at)}}
	if at < fs.Ops() {
		if op := fs.Op(at); op.Kind == crashfs.Write {
			for sectors := 1; sectors <= len(op.Data)/512; sectors++ {
				all = append(all, crashfs.Crash{At: at, Sectors: sectors, Unsynced: crashfs.Reordered, Seed: uint64(at + sectors)})
			}
		}
	}
	return all
}
