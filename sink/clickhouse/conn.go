package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

// Conn runs SQL for migration and retention. It is usable until its sink is closed.
type Conn struct{ sink *Sink }

var _ schema.Conn = (*Conn)(nil)

// Conn returns the connection that runs SQL on the first address that answers.
func (s *Sink) Conn() *Conn { return &Conn{s} }

// Exec runs a statement that returns no rows. The error is an *sink.Error without a table.
func (c *Conn) Exec(ctx context.Context, statement string) error {
	return c.sink.first(ctx, func(a *address) error { return a.exec(ctx, statement) })
}

// Query runs a statement and returns all its rows as text. NULL is the empty string. The error is
// an *sink.Error without a table.
func (c *Conn) Query(ctx context.Context, statement string) (rows [][]string, err error) {
	err = c.sink.first(ctx, func(a *address) error {
		rows, err = a.query(ctx, statement)
		return err
	})
	return rows, err
}

// Copy runs a statement and copies its answer to out in one of ClickHouse's output formats. The error is an *sink.Error without a
// table.
func (c *Conn) Copy(ctx context.Context, statement, format string, out io.Writer) error {
	return c.sink.first(ctx, func(a *address) error {
		return a.ask(ctx, querySettingsFor(nil), format, statement, func(answer io.Reader) error {
			_, err := io.Copy(out, answer)
			return err
		})
	})
}

// Ping returns nil when an address answers. The error is an *sink.Error without a table.
func (c *Conn) Ping(ctx context.Context) error {
	_, err := c.Query(ctx, "SELECT 1")
	return err
}

// first runs something on the first address that can be reached. It moves on to the next one only if nothing was sent,
// so that no statement runs twice.
func (s *Sink) first(ctx context.Context, run func(*address) error) error {
	var failure *sink.Error
	for _, a := range s.inOrder(0) {
		err := run(a)
		if err == nil {
			a.setAway(false)
			return nil
		}
		failure = s.classify("run on", a.name, err, !neverSent(err))
		if !unreachable(failure) || !neverSent(err) {
			return failure
		}
		a.setAway(true)
		if ctx.Err() != nil {
			return failure
		}
	}
	return failure
}

// answerFormat is one JSON document with all values as text, so that an answer that was cut off, or ends in an exception, does
// not parse.
const answerFormat = "JSONCompactStrings"

// null is how answerFormat writes NULL.
const null = "ᴺᵁᴸᴸ"

// maxAnswerBytes bounds an answer. The largest are lists of partitions and parts.
const maxAnswerBytes = 64 << 20

// exec runs a statement that returns no rows, or those of ON CLUSTER.
func (a *address) exec(ctx context.Context, statement string) error {
	text, err := a.run(ctx, querySettingsFor(nil), statement)
	if err == nil && exceptionCodeIn(string(text)) != 0 {
		err = fmt.Errorf("%s: %w", a.name, &answerError{exceptionCodeIn(string(text)), string(text)})
	}
	return err
}

// query runs a statement and returns its rows as text.
func (a *address) query(ctx context.Context, statement string) ([][]string, error) {
	known, err := a.known(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := a.rows(ctx, querySettingsFor(known), statement)
	if code, _ := exceptionCode(err); code == codeUnknownSetting {
		a.forgetSettings() // the server was replaced since it was asked
	}
	return rows, err
}

// rows runs a statement with these settings and returns its rows as text. NULL is the empty string.
func (a *address) rows(ctx context.Context, settings clickhouse.Settings, statement string) ([][]string, error) {
	text, err := a.run(ctx, settings, statement)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data      [][]string `json:"data"`
		Exception string     `json:"exception"`
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Data == nil || answer.Exception != "" {
		end := string(text[max(0, len(text)-1000):])
		return nil, fmt.Errorf("%s: incomplete answer: %w", a.name, &answerError{exceptionCodeIn(string(text)), end})
	}
	for _, row := range answer.Data {
		for i := range row {
			if row[i] == null {
				row[i] = ""
			}
		}
	}
	return answer.Data, nil
}

// run runs a statement and returns its answer.
func (a *address) run(ctx context.Context, settings clickhouse.Settings, statement string) (text []byte, err error) {
	err = a.ask(ctx, settings, answerFormat, statement, func(answer io.Reader) error {
		text, err = io.ReadAll(io.LimitReader(answer, maxAnswerBytes+1))
		if err == nil && len(text) > maxAnswerBytes {
			err = fmt.Errorf("it has more than %d bytes", maxAnswerBytes)
		}
		return err
	})
	return text, err
}

// ask runs a statement and passes its answer to read.
func (a *address) ask(ctx context.Context, settings clickhouse.Settings, format, statement string, read func(io.Reader) error) error {
	select {
	case a.statements <- struct{}{}:
		defer func() { <-a.statements }()
	case <-ctx.Done():
		return fmt.Errorf("%s: wait for a connection: %w", a.name, context.Cause(ctx))
	}
	answer, err := a.conn.QueryFormat(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), format, statement)
	if err != nil {
		return fmt.Errorf("%s: %w", a.name, brief(err))
	}
	if err := errors.Join(read(answer), answer.Close()); err != nil {
		return fmt.Errorf("%s: read answer: %w", a.name, err)
	}
	return nil
}

func tableName(t *schema.Table) string {
	return schema.QuoteIdentifier(t.Database) + "." + schema.QuoteIdentifier(t.Name)
}

// isTable returns the condition that selects the table in a system table that has its name in that column.
func isTable(t *schema.Table, column string) string {
	return "database = " + schema.QuoteString(t.Database) + " AND " + column + " = " + schema.QuoteString(t.Name)
}
