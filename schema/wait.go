package schema

// WaitCause is what a request waits for before it goes into batches. The numbers are those of the protocol's ThrottleCause.
type WaitCause uint8

// The causes.
const (
	// WaitMemory: the bytes in flight of the process have reached their bound.
	WaitMemory WaitCause = iota + 1
	// WaitTable: the bytes in flight for one table have reached their bound.
	WaitTable
	// WaitResponses: the producer does not read its responses.
	WaitResponses
	// WaitTenant: the tenant has sent as much as it may for now.
	WaitTenant
	// WaitLog: the write-ahead log is full.
	WaitLog
)

var waitCauses = [...]string{"none", "memory", "table", "responses", "tenant", "log"}

// String returns the cause as in metrics and logs.
func (c WaitCause) String() string { return waitCauses[c] }
