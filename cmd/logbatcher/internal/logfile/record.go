package logfile

import "time"

// Record is one log entry of a file. Its strings own their memory.
type Record struct {
	// Time is when the entry was logged, in UTC; zero when the file does not say.
	Time time.Time
	// SeverityNumber is OpenTelemetry's, 1 to 24; 0 is unknown.
	SeverityNumber int32
	// SeverityText is the severity as the line spells it, or the usual name where
	// the line has a number.
	SeverityText string
	// Body is the text of the entry: its lines, joined by line feeds; for a JSON
	// line its message, or the whole line when it has none. Its bytes are those of
	// the input, including escape sequences and what is not UTF-8.
	Body string
	// Service is what logged the entry: a JSON line's service or logger, a journal
	// entry's identifier.
	Service string
	// TraceID is 32 lower-case hexadecimal digits, or empty.
	TraceID string
	// SpanID is 16 lower-case hexadecimal digits, or empty.
	SpanID string
	// Attributes are in the order of the line. A key that a JSON line repeats is
	// repeated here.
	Attributes []Attribute
}

// Kind says which field of an [Attribute] holds its value.
type Kind uint8

// The kinds of attributes. A value of kind JSON is JSON text in Str.
const (
	String Kind = iota
	Int
	Double
	Bool
	JSON
)

// Attribute is a key and a typed value.
type Attribute struct {
	Key    string
	Kind   Kind
	Str    string
	Int    int64
	Double float64
	Bool   bool
}

// TruncatedBytesKey is the attribute, an Int, of a record that was cut: the
// number of bytes of its line that are not in its Body.
const TruncatedBytesKey = "logbatcher.truncated_bytes"

func text(key, value string) Attribute {
	return Attribute{Key: key, Kind: String, Str: value}
}

func integer(key string, value int64) Attribute {
	return Attribute{Key: key, Kind: Int, Int: value}
}
