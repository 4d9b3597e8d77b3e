package journal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/wal"
)

// Config is how the log is kept. Start from DefaultConfig.
type Config struct {
	wal.Config `yaml:",inline"`
	// Settled is told the outcome of a request that an earlier process has received, once it is durable. It is called from Start on, and must not
	// block.
	Settled func(tenant, producer string, epoch, sequence uint64, o *schema.Outcome)
	// CheckpointInterval is the longest time between two checkpoints while records are written. A start reads what was written since the last.
	CheckpointInterval time.Duration `yaml:"checkpoint_interval" min:"1s" max:"1h"`
	// AuditFor is how long the list of settled batches goes back, which the books are checked against. 0: there is none.
	AuditFor time.Duration `yaml:"audit_for" min:"0"`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Config: wal.DefaultConfig(), CheckpointInterval: 10 * time.Second, AuditFor: 48 * time.Hour}
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error {
	if err := c.Config.Validate(); err != nil {
		return err
	}
	if c.CheckpointInterval <= 0 {
		return settings.Error([]schema.Problem{{Path: "checkpoint_interval", Message: "must be above 0"}})
	}
	return nil
}

// Journal is the log of one instance. It is safe for concurrent use once it is started.
type Journal struct {
	config  Config
	log     *wal.Log
	metrics *metrics // nil: there are none

	// appending is held while a record is appended and applied to the state, so that the state is always that of some LSN. It is taken
	// before mu, and may be held while the disk is slow.
	appending sync.Mutex
	next      uint64 // LSN after the last record
	segment   uint64 // number of the segment in which that is
	fresh     uint64 // openings that were written before this LSN are in older segments, or a checkpoint does not keep them
	header    []byte // of the last request, kept for its memory

	mu       sync.Mutex // guards what follows
	state    *state
	files    map[string]*File    // that are there
	unlinked []string            // files that were removed, but may come back after a crash
	routings map[string]struct{} // that were put by this process
	report   Recovered
	damaged  []string        // files that recovery has found damaged, for the first time
	resolved []string        // damaged files that are there no more
	lacking  map[string]lack // routings that are needed and can't be read, by their hashes
	started  bool

	queue queue

	closing     context.CancelFunc
	housekeeper housekeeper
	goroutines  sync.WaitGroup
}

// Open opens the log in a folder and reads what is there, which Producers, Files, Unplaced and Routings return then. Start makes it writable.
// With ReadOnly, another process may use the log meanwhile: Entries and Rows are its books then.
func Open(ctx context.Context, config Config) (*Journal, error) {
	j := &Journal{config: config, state: newState(), files: make(map[string]*File), routings: make(map[string]struct{})}
	j.queue.wake = make(chan struct{}, 1)
	j.housekeeper.wake = make(chan struct{}, 1)
	config.Durable = func(wal.LSN) { j.queue.ring() }
	if err := config.Validate(); err != nil {
		return nil, err
	}
	log, err := wal.Open(config.Config)
	if err != nil {
		return nil, err
	}
	j.log = log
	err = j.recover(ctx)
	if err == nil && config.Registerer != nil {
		j.metrics = newMetrics(j)
		err = config.Registerer.Register(j.metrics)
	}
	if err != nil {
		return nil, fmt.Errorf("read the write-ahead log in %s: %w", config.Dir, errors.Join(err, log.Close()))
	}
	return j, nil
}

// Log returns the log itself, for its id, its usage and its health.
func (j *Journal) Log() *wal.Log { return j.log }

// Start makes the log writable. It returns when what recovery has to say is durable.
func (j *Journal) Start(ctx context.Context) error {
	if err := j.log.Start(ctx); err != nil {
		return err
	}
	j.segment, j.fresh = j.log.Segment(), j.next
	running, cancel := context.WithCancel(context.Background())
	j.closing = cancel
	j.goroutines.Go(func() { j.notify(running) })
	j.goroutines.Go(func() { j.keepHouse(running) })
	j.mu.Lock()
	j.started = true
	j.mu.Unlock()
	if err := j.recordRecovery(ctx); err != nil {
		return fmt.Errorf("record what was recovered: %w", err)
	}
	return nil
}

// closePatience is how long Close tries to write a checkpoint.
const closePatience = 10 * time.Second

// Close writes a checkpoint, and everything that was appended, and closes the log.
func (j *Journal) Close() error {
	j.mu.Lock()
	started := j.started
	j.started = false
	j.mu.Unlock()
	var err error
	if started {
		// A disk that does not take the checkpoint must not keep the process from ending: it is for a quicker start only.
		patience := time.AfterFunc(closePatience, func() { j.log.Close() })
		defer patience.Stop()
		j.closing()
		j.goroutines.Wait()
		err = j.checkpoint()
		j.callDurable()
		j.removeFiles()
	}
	if j.metrics != nil {
		j.config.Registerer.Unregister(j.metrics) // a log that is opened later has the same
	}
	return errors.Join(err, j.log.Close())
}

// append appends a record and applies it to the state. apply is called with mu held. durable, unless nil, is called once the record is durable.
func (j *Journal) append(kind uint8, payload []byte, apply func(), durable func()) (uint64, error) {
	j.appending.Lock()
	defer j.appending.Unlock()
	lsn, err := j.appendLocked(kind, durable, payload)
	if err != nil {
		return 0, err
	}
	j.mu.Lock()
	apply()
	j.mu.Unlock()
	return lsn, nil
}

// appendLocked appends a record. The caller holds appending, and applies the record to the state before it lets go of that.
func (j *Journal) appendLocked(kind uint8, durable func(), payload ...[]byte) (uint64, error) {
	add := j.log.Append
	if kind == kindRequest || kind == kindOpening {
		add = j.log.Offer // the lock must not be held while the disk is full: records that make room need it
	}
	at, err := add(kind, payload...)
	if err != nil {
		return 0, err
	}
	lsn := uint64(at)
	j.next = lsn + 1
	if durable != nil {
		j.queue.add(lsn, durable)
		if uint64(j.log.Durable()) >= lsn {
			j.queue.ring()
		}
	}
	return lsn, nil
}

// notify calls whoever waits for a record to be durable.
func (j *Journal) notify(ctx context.Context) {
	for {
		select {
		case <-j.queue.wake:
			j.callDurable()
		case <-ctx.Done():
			return
		}
	}
}

func (j *Journal) callDurable() {
	for _, w := range j.queue.take(uint64(j.log.Durable())) {
		w.call()
	}
}

// queue has who waits for a record to be durable, in the order of the records.
type queue struct {
	mu      sync.Mutex
	waiting []waiting
	taken   []waiting // kept for its memory
	wake    chan struct{}
}

type waiting struct {
	lsn  uint64
	call func()
}

func (q *queue) add(lsn uint64, call func()) {
	q.mu.Lock()
	q.waiting = append(q.waiting, waiting{lsn, call})
	q.mu.Unlock()
}

func (q *queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take returns those up to an LSN. They are valid until the next call.
func (q *queue) take(durable uint64) []waiting {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, _ := slices.BinarySearchFunc(q.waiting, durable+1, func(w waiting, lsn uint64) int {
		if w.lsn < lsn {
			return -1
		}
		return 1
	})
	clear(q.taken)
	q.taken = append(q.taken[:0], q.waiting[:n]...)
	q.waiting = slices.Delete(q.waiting, 0, n)
	return q.taken
}

// Producers returns the tenants and ids of all producers that the log knows. Their idle time starts anew with the process.
func (j *Journal) Producers() iter.Seq2[string, string] {
	j.mu.Lock()
	var keys []producerKey
	for key, p := range j.state.producers {
		if p.known {
			keys = append(keys, key)
		}
	}
	j.mu.Unlock()
	slices.SortFunc(keys, compareKeys)
	return func(yield func(string, string) bool) {
		for _, key := range keys {
			if !yield(key.tenant, key.id) {
				return
			}
		}
	}
}

// Producer returns what the log knows of a producer, and false if that is nothing.
func (j *Journal) Producer(tenant, id string) (schema.LoggedProducer, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.state.producers[producerKey{tenant, id}]
	if p == nil || !p.known {
		return schema.LoggedProducer{}, false
	}
	return p.logged(), true
}

// ForgottenEpoch returns the highest epoch of all producers that the log has forgotten: a new epoch of a producer that it does not know must be
// higher.
func (j *Journal) ForgottenEpoch() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.state.forgotten
}

// Begin records that a producer begins or adopts an epoch, and that everything up to start counts as settled in it. It returns once that is
// durable.
func (j *Journal) Begin(ctx context.Context, tenant, id string, epoch, start uint64) error {
	r := &beginRecord{producerKey{tenant, id}, epoch, start}
	lsn, err := j.append(kindBegin, r.put(nil), func() { j.state.begin(r) }, nil)
	if err == nil {
		err = j.log.Sync(ctx, wal.LSN(lsn))
	}
	if err != nil {
		return fmt.Errorf("log epoch %d of producer %q: %w", epoch, id, err)
	}
	return nil
}

// Forget makes the log forget a producer, of which nothing is unsettled.
func (j *Journal) Forget(tenant, id string) error {
	key := producerKey{tenant, id}
	j.mu.Lock()
	p := j.state.producers[key]
	known := p != nil && p.known
	j.mu.Unlock()
	if !known {
		return nil
	}
	if _, err := j.append(kindForget, key.put(nil), func() { j.state.forget(key) }, nil); err != nil {
		return fmt.Errorf("log that producer %q is forgotten: %w", id, err)
	}
	return nil
}

// Drop makes the log forget a producer that another instance has, and drops, before anything is replayed, what is in the log and in no file of
// its requests above a sequence of the epoch: the other has accepted them, too. It returns the number of their entries once that is durable.
func (j *Journal) Drop(tenant, id string, epoch, above uint64) (entries int, err error) {
	r := &dropRecord{producerKey{tenant, id}, epoch, above}
	lsn, err := j.append(kindDrop, r.put(nil), func() { entries = j.state.drop(r) }, nil)
	if err == nil {
		err = j.log.Sync(context.Background(), wal.LSN(lsn))
	}
	if err != nil {
		return 0, fmt.Errorf("log that requests of producer %q are dropped: %w", id, err)
	}
	return entries, nil
}

// PutRouting keeps a routing under its hash. It returns once that is durable.
func (j *Journal) PutRouting(hash string, data []byte) error {
	j.mu.Lock()
	j.routings[hash] = struct{}{} // before a checkpoint can find it and no reason to keep it
	j.mu.Unlock()
	return j.log.PutConfig(hash, data)
}

func compareKeys(a, b producerKey) int {
	switch {
	case a.tenant < b.tenant || a.tenant == b.tenant && a.id < b.id:
		return -1
	case a == b:
		return 0
	}
	return 1
}
