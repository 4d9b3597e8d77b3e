package deadletter

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// maxMessageBytes bounds the error's text: ClickHouse quotes rows in it, and it must not crowd out the payload.
const maxMessageBytes = 8 << 10

// The names of an entry's fields. They are a contract with everything that reads the stream: one
// may be added, none changes its meaning.
const (
	fieldID       = "id"
	fieldTable    = "table"
	fieldRoute    = "route"
	fieldShardID  = "shard_id"
	fieldClass    = "class"
	fieldCode     = "code"
	fieldReason   = "reason"
	fieldColumn   = "column"
	fieldMessage  = "message"
	fieldAttempts = "attempts"
	fieldFirst    = "first"
	fieldLast     = "last"
	fieldOrigins  = "origins"
	fieldSchema   = "schema_hash"
	fieldRows     = "rows"
	fieldFormat   = "format"
	fieldPayload  = "payload"
)

// origin is a batch.Origin as the field origins has it.
type origin struct {
	Producer string `json:"producer"`
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
	ShardID  string `json:"shard_id"`
	Rows     int    `json:"rows"`
}

// fieldsOf returns names and values in turn, as XADD takes them.
func fieldsOf(l *sink.DeadLetter) []string {
	origins := make([]origin, len(l.Origins))
	for i, o := range l.Origins {
		origins[i] = origin(o)
	}
	text, err := json.Marshal(origins)
	if err != nil {
		panic("deadletter: " + err.Error()) // strings and integers always have a JSON text
	}
	return []string{
		fieldID, l.ID,
		fieldTable, l.Table,
		fieldRoute, l.Route,
		fieldShardID, l.ShardID,
		fieldClass, l.Class.String(),
		fieldCode, strconv.Itoa(l.Code),
		fieldReason, l.Reason,
		fieldColumn, l.Column,
		fieldMessage, schema.Short(l.Message, maxMessageBytes),
		fieldAttempts, strconv.Itoa(l.Attempts),
		fieldFirst, l.First.UTC().Format(time.RFC3339Nano),
		fieldLast, l.Last.UTC().Format(time.RFC3339Nano),
		fieldOrigins, string(text),
		fieldSchema, l.SchemaHash,
		fieldRows, strconv.Itoa(l.Rows),
		fieldFormat, l.Format,
		fieldPayload, string(l.Payload),
	}
}

func bytesOf(fields []string) int {
	n := 0
	for _, f := range fields {
		n += len(f)
	}
	return n
}

// decode turns an entry's fields into a letter. What is missing or cannot be read stays zero and
// is named in the error; the rest is there, so that a reader can show it. Unknown fields are passed over.
func decode(values map[string]any) (sink.DeadLetter, error) {
	d := decoder{values: values}
	l := sink.DeadLetter{
		ID:         d.text(fieldID),
		Table:      d.text(fieldTable),
		Route:      d.text(fieldRoute),
		ShardID:    d.text(fieldShardID),
		Class:      d.class(fieldClass),
		Code:       d.number(fieldCode),
		Reason:     d.text(fieldReason),
		Column:     d.text(fieldColumn),
		Message:    d.text(fieldMessage),
		Attempts:   d.number(fieldAttempts),
		First:      d.time(fieldFirst),
		Last:       d.time(fieldLast),
		Origins:    d.origins(fieldOrigins),
		SchemaHash: d.text(fieldSchema),
		Rows:       d.number(fieldRows),
		Format:     d.text(fieldFormat),
		Payload:    []byte(d.text(fieldPayload)),
	}
	return l, errors.Join(d.problems...)
}

type decoder struct {
	values   map[string]any
	problems []error
}

func (d *decoder) report(field string, err error) {
	d.problems = append(d.problems, fmt.Errorf("field %s: %w", field, err))
}

func (d *decoder) text(field string) string {
	s, ok := d.values[field].(string)
	if !ok {
		d.report(field, errors.New("is missing"))
	}
	return s
}

func (d *decoder) class(field string) sink.Class {
	name := d.text(field)
	for c := sink.Unclassified; c <= sink.Row; c++ {
		if c.String() == name {
			return c
		}
	}
	d.report(field, fmt.Errorf("no class %q", name))
	return sink.Unclassified
}

func (d *decoder) number(field string) int {
	n, err := strconv.Atoi(d.text(field))
	if err != nil {
		d.report(field, err)
		return 0
	}
	return n
}

func (d *decoder) time(field string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, d.text(field))
	if err != nil {
		d.report(field, err)
		return time.Time{}
	}
	return t
}

func (d *decoder) origins(field string) []batch.Origin {
	var list []origin
	if err := json.Unmarshal([]byte(d.text(field)), &list); err != nil {
		d.report(field, err)
		return nil
	}
	origins := make([]batch.Origin, len(list))
	for i, o := range list {
		origins[i] = batch.Origin(o)
	}
	return origins
}
