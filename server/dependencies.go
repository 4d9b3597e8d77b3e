package server

import (
	"context"
	"iter"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Router routes requests. Package shard implements it.
type Router interface {
	// Route matches the request's entries and hands them to shards. It blocks while memory, or a table that the request has
	// entries for, is at its bound, and calls waiting with the cause and the table each time it begins to wait.
	//
	// If ctx ends, or the Router accepts nothing any more, it returns an error, and has neither released nor settled the request
	// nor kept anything of it. After it has returned nil it calls Release once and then Settled once, possibly before it returns.
	Route(ctx context.Context, r *schema.Request, waiting func(cause schema.WaitCause, table string)) error
}

// Budget bounds the bytes in flight of the process.
type Budget interface {
	// Acquire blocks until the bytes are free and takes them. It grants more than the whole budget when nothing else is in
	// flight. If ctx ends first it takes nothing and returns an error.
	Acquire(ctx context.Context, bytes int) error
	// Release gives bytes back.
	Release(bytes int)
}

// Log is the write-ahead log, as far as it is about producers and their requests. Package wal/journal implements it. None of its methods
// but Begin and a request's Reserve waits for the disk. It calls the callbacks that it is given without holding a lock of its own.
//
// A producer that has begun no epoch in the log is anonymous: it never comes back, so nothing but its requests is kept of it.
type Log interface {
	// Producers returns the tenants and ids of all producers that the log knows. Their idle time starts anew with the process.
	Producers() iter.Seq2[string, string]
	// Producer returns what the log knows of a producer, and false if that is nothing.
	Producer(tenant, id string) (schema.LoggedProducer, bool)
	// ForgottenEpoch returns the highest epoch of all producers that the log has forgotten: a new epoch of an unknown one must be higher.
	ForgottenEpoch() uint64
	// Begin records that a producer begins or adopts an epoch, and that everything up to start counts as settled in it. It returns once
	// that is durable. It may be called again for an epoch, with a higher start or after an error.
	Begin(ctx context.Context, tenant, id string, epoch, start uint64) error
	// Request returns the log of one request. logged is called once the request is durable. The requests of a producer are appended in the
	// order of their sequences, and logged is called in the order of appending. It does not block.
	Request(r *schema.LoggedRequest, logged func()) schema.RequestLog
	// Placed records that all rows of a request are in durable files or refused; the outcome has what was refused, at receipt too.
	Placed(lsn uint64, o *schema.Outcome)
	// Settled records the whole outcome of a request, with what was refused at receipt. recorded is called once that is durable, or at once
	// if there is nothing to record. For a request that Replay has routed again it is nil: that outcome is a part, and the whole of it is
	// reported to Server.Settle once it is durable.
	Settled(lsn uint64, o *schema.Outcome, recorded func())
	// Forget makes the log forget a producer, of which nothing is unsettled.
	Forget(tenant, id string) error
}

// Owners decide which producers belong to this instance's log, where several instances share them. Package cmd/logbatcher/internal/owner
// implements it. An error is a *schema.OwnedError if another log owns the producer; else the owner is not known for now.
type Owners interface {
	// Own reports whether the producer is this log's. If it belongs to nobody it returns what its last owner has left, zeros if nothing, and
	// nothing may be accepted from the producer before Claim. epoch is its opening's, 0: it names none.
	Own(ctx context.Context, tenant, id string, epoch uint64) (left schema.LoggedProducer, mine bool, err error)
	// Claim makes the producer this log's, from where it begins with it: everything up to start counts as settled in the epoch. It comes
	// before Log.Begin.
	Claim(ctx context.Context, tenant, id string, epoch, start uint64) error
	// Forget is told of a producer that the server has forgotten, and has the log forget it. It does not block.
	Forget(tenant, id string)
}

// Admin answers operators. A schema.ErrUnknownTable is reported as such.
type Admin interface {
	// ListShards returns the state of all shards, ordered by number.
	ListShards(ctx context.Context) ([]schema.ShardState, error)
	// ListRoutes returns the state of all routes, in the order of the configuration, and the number of entries that matched none.
	ListRoutes(ctx context.Context) (routes []schema.RouteState, unmatched int, err error)
	// Flush seals the open batches of the table, or of all tables if it is empty, and blocks until they are settled.
	Flush(ctx context.Context, table string) (batches, rows int, err error)
	// Explain returns what would happen to the entry. It keeps nothing of it.
	Explain(ctx context.Context, e *schema.Entry) (*schema.Explanation, error)
	DeadLetters
	Producers
	Books
}

// Books are the accounts of the write-ahead log.
type Books interface {
	// Books returns the accounts of tables and producers.
	Books() (*schema.Books, error)
	// SettledBatches gives the function the batches that were settled since then, as far as the log lists them, the oldest first. A batch
	// may come twice. It ends with the first error of the function.
	SettledBatches(since time.Time, each func(*schema.SettledBatch) error) error
}

// Producers are the producers of all instances that share their owners.
type Producers interface {
	// ListProducers returns those of the selection, in the order of their names.
	ListProducers(ctx context.Context, selection *schema.ProducerSelection) ([]schema.ProducerState, error)
	// ReleaseProducers takes producers from their owners, and reports each: whether it was, and why not or what is to be known about it. It ends
	// with the first error of report.
	ReleaseProducers(ctx context.Context, work *schema.ProducerWork, report func(p *schema.ProducerState, released bool, message string) error) error
}

// DeadLetters is the dead-letter queue. A schema.ErrUnknownLetter is reported as such.
type DeadLetters interface {
	// ListDeadLetters returns at most count letters of the selection, without their rows, and the token of the next page; empty at the end.
	ListDeadLetters(ctx context.Context, selection *schema.LetterSelection, token string, count int) (page []schema.Letter, next string, err error)
	// ShowDeadLetter returns a letter with its rows.
	ShowDeadLetter(ctx context.Context, id string) (*schema.Letter, error)
	// ReplayDeadLetters stores the rows of letters, and reports each letter. It ends with the first error of report.
	ReplayDeadLetters(ctx context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error
	// DropDeadLetters deletes letters, and reports each. It ends with the first error of report.
	DropDeadLetters(ctx context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error
	// ExportDeadLetters writes letters as lines of JSON. It ends with the first error of write.
	ExportDeadLetters(ctx context.Context, selection *schema.LetterSelection, write func(line []byte) error) error
}

// Readiness is the state of the instance. It is asked every second and must not block.
type Readiness interface {
	// Ready reports whether the instance can accept, and if not, why.
	Ready() (ok bool, reasons []string)
	// Degraded returns what does not work although the instance can accept.
	Degraded() []string
	// Away returns why what is accepted now will not be committed before something comes back, or an empty text.
	Away() string
}
