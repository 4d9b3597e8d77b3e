package schema

import "time"

// EntryLedger is the account of a producer's entries in the write-ahead log, over restarts: what was received is refused, unmatched, settled,
// dropped or in flight.
type EntryLedger struct {
	// Received are the entries of all requests in the log.
	Received uint64
	// Refused were refused as a whole. Unmatched are entries that no route matched, whatever has become of them.
	Refused, Unmatched uint64
	// Settled are in tables and dead letters.
	Settled uint64
	// Dropped were left to the instance that the producer belongs to now, or the disk has lost their request.
	Dropped uint64
	// InFlight are entries of requests that have no outcome yet.
	InFlight uint64
}

// Add adds another account.
func (l *EntryLedger) Add(other *EntryLedger) {
	l.Received += other.Received
	l.Refused += other.Refused
	l.Unmatched += other.Unmatched
	l.Settled += other.Settled
	l.Dropped += other.Dropped
	l.InFlight += other.InFlight
}

// Balance returns how many entries the account lacks. Anything but 0 is an error.
func (l *EntryLedger) Balance() int64 {
	return int64(l.Received - l.Refused - l.Unmatched - l.Settled - l.Dropped - l.InFlight)
}

// RowLedger is the account of a table's rows in the write-ahead log, over restarts: what was routed is committed, dead-lettered or in flight.
type RowLedger struct {
	// Routed are the rows of all files.
	Routed uint64
	// Committed are in the table, DeadLettered in the dead-letter queue.
	Committed, DeadLettered uint64
	// InFlight are the rows of files that are not settled.
	InFlight uint64
}

// Balance returns how many rows the account lacks. Anything but 0 is an error.
func (l *RowLedger) Balance() int64 {
	return int64(l.Routed - l.Committed - l.DeadLettered - l.InFlight)
}

// Settle counts as settled whatever is nothing else: of a request that is settled without anything to tell, a log has no record.
func (l *EntryLedger) Settle() {
	l.Settled = l.Received - min(l.Received, l.Refused+l.Unmatched+l.Dropped+l.InFlight)
}

// Books are the accounts that a write-ahead log keeps over restarts.
type Books struct {
	// Log is the log's id.
	Log string
	// Tables are the accounts of tables' rows, by "database.table". Entries that match no route are under no name.
	Tables map[string]RowLedger
	// Producers are the accounts of producers' entries. Those of a tenant's anonymous and forgotten producers are together, under no id.
	Producers map[ProducerName]EntryLedger
}

// SettledBatch is a settled batch, or a dead letter of entries that no row was made of.
type SettledBatch struct {
	// ID is its id. Table is "database.table"; empty for entries that match no route.
	ID, Table string
	// Committed rows are in the table, DeadLettered ones in the dead-letter queue.
	Committed, DeadLettered int
	// At is when it was settled.
	At time.Time
}
