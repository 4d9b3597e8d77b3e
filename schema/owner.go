package schema

import "time"

// OwnedError is the answer to an opening of a producer that another instance owns: its write-ahead log has what was accepted from it.
type OwnedError struct {
	// Instance and Address are the owner's, for people; Log is its log. Instance and Address are empty if the owner is not known.
	Instance, Address, Log string
}

// Error names the owner.
func (e *OwnedError) Error() string {
	if e.Instance == "" {
		return "the producer belongs to another instance, with the log " + e.Log
	}
	return "the producer belongs to the instance " + e.Instance + " at " + e.Address
}

// ProducerState is what an instance knows of a producer, its own or another's.
type ProducerState struct {
	// Tenant and Producer name it.
	Tenant, Producer string
	// Log is the owner's log. Empty: nobody owns it. Instance and Address are the owner's, and Seen is when it was there last.
	Log, Instance, Address string
	Seen                   time.Time
	// Epoch and From are where the owner began with it, Since is when.
	Epoch, From uint64
	Since       time.Time
	// Released is the log that an operator has released it from, until another owns it.
	Released string
	// Own has what only the owner knows. Nil: another is.
	Own *OwnProducer
}

// OwnProducer is what the owner knows of a producer.
type OwnProducer struct {
	// Epoch is its newest epoch. Accepted, Logged and Committed are its watermarks in it, Unsettled is how many requests are not committed.
	Epoch, Accepted, Logged, Committed uint64
	Unsettled                          int
	// Idle is how long it has had no stream and no call. 0: it has one.
	Idle time.Duration
}

// ProducerName names a producer: its id is unique within its tenant.
type ProducerName struct{ Tenant, Producer string }
