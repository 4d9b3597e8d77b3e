package schema

// WaitCause is what a request waits for before it goes into batches.
type WaitCause uint8

// The causes.
const (
	// WaitMemory: the bytes in flight have reached the bound of the process.
	WaitMemory WaitCause = iota + 1
	// WaitTable: the bytes in flight for one table have reached their bound.
	WaitTable
)

// String returns the cause as metrics and logs write it.
func (c WaitCause) String() string {
	switch c {
	case WaitMemory:
		return "memory"
	case WaitTable:
		return "table"
	}
	return "unknown"
}
