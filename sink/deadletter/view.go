package deadletter

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// scanBytes bounds the payloads that are read for one page of a list.
const scanBytes = 64 << 20

// List returns a page of the selection's letters without their rows, in the order in which they were written: those after the stream id,
// or from the oldest if it is empty. It returns at most count, and where the next page begins; empty at the end.
func (m *Mender) List(ctx context.Context, sel *schema.LetterSelection, after string, count int) (page []schema.Letter, next string, err error) {
	if after != "" && !streamID.MatchString(after) {
		return nil, "", schema.ErrBadToken
	}
	if len(sel.IDs) > 0 {
		err := m.queue.each(ctx, sel, pageEntries, func(s *Stored) error {
			page = append(page, viewOf(s))
			return nil
		})
		return page, "", err
	}
	if first := firstID(sel); newer(first, after) {
		after = first
	}
	for read := 0; read < scanBytes; {
		letters, err := m.queue.List(ctx, after, pageEntries)
		if err != nil || len(letters) == 0 {
			return page, "", err
		}
		for i := range letters {
			s := &letters[i]
			after = s.StreamID
			read += len(s.Letter.Payload)
			if !selects(sel, &s.Letter) {
				continue
			}
			if page = append(page, viewOf(s)); len(page) == count {
				return page, after, nil
			}
		}
	}
	return page, after, nil
}

// Show returns a letter with its rows. The error is schema.ErrUnknownLetter if it is not in the queue.
func (m *Mender) Show(ctx context.Context, id string) (*schema.Letter, error) {
	s, err := m.queue.find(ctx, id)
	if err != nil {
		return nil, err
	}
	view := viewOf(s)
	decodeRows(&view, &s.Letter)
	return &view, nil
}

// Export writes the selection's letters as JSON, one on each line, with their rows decoded and their payloads as they are.
func (m *Mender) Export(ctx context.Context, sel *schema.LetterSelection, write func(line []byte) error) error {
	return m.queue.each(ctx, sel, workPage, func(s *Stored) error {
		view := viewOf(s)
		decodeRows(&view, &s.Letter)
		line, err := json.Marshal(exported(&view, &s.Letter))
		if err != nil {
			return err
		}
		return write(append(line, '\n'))
	})
}

// viewOf returns the letter as operators see it, without its rows.
func viewOf(s *Stored) schema.Letter {
	l := &s.Letter
	view := schema.Letter{
		DeadLettered: l.DeadLettered, StreamID: s.StreamID, ShardID: l.ShardID, Class: l.Class.String(), Reason: l.Reason, Column: l.Column,
		Attempts: l.Attempts, First: l.First, Last: l.Last, SchemaHash: l.SchemaHash, Format: l.Format, PayloadBytes: len(l.Payload), History: l.History,
	}
	if s.Problem != nil {
		view.Problem = s.Problem.Error()
	}
	for _, o := range l.Origins {
		view.Origins = append(view.Origins, schema.LetterOrigin{Tenant: o.Tenant, Producer: o.Producer, Epoch: o.Epoch, Sequence: o.Sequence, Rows: o.Rows})
	}
	return view
}

// decodeRows adds the rows to a view of the letter, or why they can't be read.
func decodeRows(view *schema.Letter, l *sink.DeadLetter) {
	rows, lines, err := rowsOf(l)
	if err != nil {
		view.Unreadable = err.Error()
		return
	}
	for _, line := range lines {
		view.Entries = append(view.Entries, string(line))
	}
	if rows == nil {
		return
	}
	view.Columns = rows.Columns()
	view.Values = make([][]schema.Value, rows.Count())
	for i := range view.Columns {
		values, err := rows.Values(i)
		if err != nil {
			view.Columns, view.Values, view.Unreadable = nil, nil, err.Error()
			return
		}
		for row, value := range values {
			view.Values[row] = append(view.Values[row], value)
		}
	}
}

// exportedLetter is a line of an export. The names are those of the stream's fields.
type exportedLetter struct {
	ID         string                 `json:"id"`
	StreamID   string                 `json:"stream_id"`
	Table      string                 `json:"table"`
	Route      string                 `json:"route"`
	ShardID    string                 `json:"shard_id"`
	Class      string                 `json:"class"`
	Code       int                    `json:"code"`
	Reason     string                 `json:"reason"`
	Column     string                 `json:"column"`
	Message    string                 `json:"message"`
	Attempts   int                    `json:"attempts"`
	First      time.Time              `json:"first"`
	Last       time.Time              `json:"last"`
	Origins    []batch.Origin         `json:"origins"`
	SchemaHash string                 `json:"schema_hash"`
	Tried      []string               `json:"tried,omitempty"`
	History    []schema.LetterFailure `json:"history,omitempty"`
	Rows       int                    `json:"rows"`
	Format     string                 `json:"format"`
	Payload    []byte                 `json:"payload"`
	// Values has an object for each row, with its columns' values as text; Entries has the entries.
	Values     []map[string]*string `json:"values,omitempty"`
	Entries    []json.RawMessage    `json:"entries,omitempty"`
	Problem    string               `json:"problem,omitempty"`
	Unreadable string               `json:"unreadable,omitempty"`
}

func exported(view *schema.Letter, l *sink.DeadLetter) *exportedLetter {
	e := &exportedLetter{
		ID: l.ID, StreamID: view.StreamID, Table: l.Table, Route: l.Route, ShardID: l.ShardID, Class: view.Class, Code: l.Code, Reason: l.Reason,
		Column: l.Column, Message: l.Message, Attempts: l.Attempts, First: l.First, Last: l.Last, Origins: l.Origins, SchemaHash: l.SchemaHash,
		Tried: l.Tried, History: l.History, Rows: l.Rows, Format: l.Format, Payload: l.Payload, Problem: view.Problem, Unreadable: view.Unreadable,
	}
	for _, row := range view.Values {
		values := make(map[string]*string, len(row))
		for i := range row {
			values[view.Columns[i].Name] = nil
			if !row[i].Null {
				values[view.Columns[i].Name] = &row[i].Text
			}
		}
		e.Values = append(e.Values, values)
	}
	for i, line := range view.Entries {
		if !json.Valid([]byte(line)) {
			e.Entries, e.Unreadable = nil, fmt.Sprintf("line %d is not JSON", i+1)
			break
		}
		e.Entries = append(e.Entries, json.RawMessage(line))
	}
	return e
}
