package schema

import (
	"slices"
	"strings"
	"time"
)

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
	// Log is the owner's log. Empty: nobody owns it. Instance and Address are the owner's, or the last one's; empty if nothing is known of it.
	// Away is how long ago it was there last, give or take a few seconds.
	Log, Instance, Address string
	Away                   time.Duration
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
	// Epoch is its newest epoch. Accepted, Logged and Committed are its watermarks in it.
	Epoch, Accepted, Logged, Committed uint64
	// Idle is how long it has had no stream and no call. 0: it has one.
	Idle time.Duration
}

// ProducerName names a producer: its id is unique within its tenant.
type ProducerName struct{ Tenant, Producer string }

// ProducerSelection selects producers: those for which all that is set holds.
type ProducerSelection struct {
	// Producers are ids. Empty: all.
	Producers []string
	// Tenant is the producers' tenant. Empty: all.
	Tenant string
	// Log is the beginning of the id of the log that owns them. Empty: all.
	Log string
}

// Selects reports whether a producer is selected.
func (s *ProducerSelection) Selects(p *ProducerState) bool {
	return (len(s.Producers) == 0 || slices.Contains(s.Producers, p.Producer)) && (s.Tenant == "" || s.Tenant == p.Tenant) && strings.HasPrefix(p.Log, s.Log)
}

// ProducerWork is producers to release.
type ProducerWork struct {
	ProducerSelection
	// Execute does it; without it nothing changes.
	Execute bool
	// Operator is who asks for it.
	Operator string
}
