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

// field is a field of a stream entry: its name, and a pointer to the part of the letter that it holds.
type field struct {
	name  string
	value any
	// added means that letters of older versions lack the field.
	added bool
}

// fieldsOf returns the fields of a letter's entry. They are a contract with everything that reads the stream: fields may be
// added, none changes its meaning.
func fieldsOf(l *sink.DeadLetter) []field {
	return []field{
		{name: "id", value: &l.ID},
		{name: "table", value: &l.Table},
		{name: "route", value: &l.Route},
		{name: "shard_id", value: &l.ShardID},
		{name: "class", value: &l.Class},
		{name: "code", value: &l.Code},
		{name: "reason", value: &l.Reason},
		{name: "column", value: &l.Column},
		{name: "message", value: &l.Message},
		{name: "attempts", value: &l.Attempts},
		{name: "first", value: &l.First},
		{name: "last", value: &l.Last},
		{name: "origins", value: &l.Origins},
		{name: "schema_hash", value: &l.SchemaHash},
		{name: "rows", value: &l.Rows},
		{name: "format", value: &l.Format},
		{name: "payload", value: &l.Payload},
		{name: "tried", value: &l.Tried, added: true},
		{name: "history", value: &l.History, added: true},
	}
}

// encode returns the names and values of the entry, as XADD takes them, and their bytes.
func encode(l *sink.DeadLetter) (arguments []any, bytes int) {
	for _, f := range fieldsOf(l) {
		text := f.text()
		arguments = append(arguments, f.name, text)
		bytes += len(f.name) + len(text)
	}
	return arguments, bytes
}

// decode returns the letter of an entry. Fields that are missing or malformed stay zero and are named in the error, so that
// a reader can show the rest. Unknown fields are ignored.
func decode(values map[string]any) (l sink.DeadLetter, err error) {
	var problems []error
	for _, f := range fieldsOf(&l) {
		text, ok := values[f.name].(string)
		if !ok && f.added {
			continue
		}
		err := errors.New("missing")
		if ok {
			err = f.parse(text)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("field %s: %w", f.name, err))
		}
	}
	return l, errors.Join(problems...)
}

func (f field) text() string {
	switch v := f.value.(type) {
	case *string:
		return *v
	case *[]byte:
		return string(*v)
	case *int:
		return strconv.Itoa(*v)
	case *time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case *sink.Class:
		return v.String()
	case *[]batch.Origin:
		text, _ := json.Marshal(append([]batch.Origin{}, *v...)) // cannot fail; [] for none
		return string(text)
	case *[]schema.LetterFailure:
		text, _ := json.Marshal(append([]schema.LetterFailure{}, *v...)) // cannot fail; [] for none
		return string(text)
	case *[]string:
		text, _ := json.Marshal(append([]string{}, *v...)) // cannot fail; [] for none
		return string(text)
	}
	panic("deadletter: field " + f.name)
}

func (f field) parse(text string) (err error) {
	switch v := f.value.(type) {
	case *string:
		*v = text
	case *[]byte:
		*v = []byte(text)
	case *int:
		if *v, err = strconv.Atoi(text); err != nil {
			*v = 0
		}
	case *time.Time:
		*v, err = time.Parse(time.RFC3339Nano, text)
	case *sink.Class:
		if text != sink.Unclassified.String() {
			*v, err = sink.ParseClass(text)
		}
	case *[]batch.Origin:
		if err = json.Unmarshal([]byte(text), v); err != nil {
			*v = nil
		}
	case *[]schema.LetterFailure:
		if err = json.Unmarshal([]byte(text), v); err != nil || len(*v) == 0 {
			*v = nil
		}
	case *[]string:
		if err = json.Unmarshal([]byte(text), v); err != nil || len(*v) == 0 {
			*v = nil
		}
	}
	return err
}
