package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/logbatcher/logbatcher/schema"
)

// Conn runs SQL for migration and retention. It is good for as long as its sink.
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

// Ping returns nil when an address answers. The error is an *sink.Error without a table.
func (c *Conn) Ping(ctx context.Context) error {
	return c.sink.first(ctx, func(a *address) error {
		_, err := a.query(ctx, "SELECT 1")
		return err
	})
}

// first runs something at the first address that can be reached. It goes on to the next one only where nothing
// has been sent, so that a statement does not run twice.
func (s *Sink) first(ctx context.Context, run func(*address) error) error {
	var last error
	for _, pass := range []bool{false, true} {
		for _, a := range s.addresses {
			if a.isAway() != pass {
				continue
			}
			err := run(a)
			if err == nil {
				a.back()
				return nil
			}
			failure := s.classify("run on", a.name, err, !neverSent(err))
			last = failure
			if !unreachable(failure) || !neverSent(err) {
				return last
			}
			a.away()
			if ctx.Err() != nil {
				return last
			}
		}
	}
	return last
}

// The form of answers: TabSeparated with a last line that no row can be, since a backslash in a value is written as two.
// An answer without it was cut off or ends in an exception, whatever its status.
const (
	answerFormat = "CustomSeparated"
	answerEnd    = `\.` + "\n"
)

// answerSettings make the server answer when it knows the outcome, so that no error comes behind a status of 200, and
// give answers their form.
var answerSettings = clickhouse.Settings{
	waitEndOfQuery:                          1,
	"format_custom_escaping_rule":           "Escaped",
	"format_custom_field_delimiter":         "\t",
	"format_custom_row_before_delimiter":    "",
	"format_custom_row_after_delimiter":     "\n",
	"format_custom_row_between_delimiter":   "",
	"format_custom_result_before_delimiter": "",
	"format_custom_result_after_delimiter":  answerEnd,
}

// maxAnswerBytes bounds an answer. The largest are lists of partitions and parts.
const maxAnswerBytes = 64 << 20

// exec runs a statement that returns no rows, or those of ON CLUSTER.
func (a *address) exec(ctx context.Context, statement string) error {
	text, err := a.run(ctx, answerSettings, statement)
	if err == nil && exceptionCodeIn(text) != 0 {
		err = fmt.Errorf("%s: %w", a.name, &answerError{exceptionCodeIn(text), text})
	}
	return err
}

// query runs a statement and returns its rows as text.
func (a *address) query(ctx context.Context, statement string) ([][]string, error) {
	known, err := a.known(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := a.rows(ctx, answering(known), statement)
	if code, _ := exceptionCode(err); code == codeUnknownSetting {
		a.forgetSettings() // the server is another than when it was asked
	}
	return rows, err
}

// rows runs a statement with these settings and returns its rows as text.
func (a *address) rows(ctx context.Context, settings clickhouse.Settings, statement string) ([][]string, error) {
	text, err := a.run(ctx, settings, statement)
	if err != nil {
		return nil, err
	}
	rows, whole := strings.CutSuffix(text, answerEnd)
	if !whole || rows != "" && !strings.HasSuffix(rows, "\n") {
		return nil, fmt.Errorf("%s: answer is not whole: %w", a.name, &answerError{exceptionCodeIn(text), text[max(0, len(text)-1000):]})
	}
	return readTabSeparated(rows), nil
}

// run runs a statement and returns its answer.
func (a *address) run(ctx context.Context, settings clickhouse.Settings, statement string) (string, error) {
	select {
	case a.statements <- struct{}{}:
		defer func() { <-a.statements }()
	case <-ctx.Done():
		return "", fmt.Errorf("%s: wait for a connection: %w", a.name, context.Cause(ctx))
	}
	answer, err := a.conn.QueryFormat(clickhouse.Context(ctx, clickhouse.WithSettings(maps.Clone(settings))), answerFormat, statement)
	if err != nil {
		return "", fmt.Errorf("%s: %w", a.name, brief(err))
	}
	text, err := io.ReadAll(io.LimitReader(answer, maxAnswerBytes+1))
	if err = errors.Join(err, answer.Close()); err != nil {
		return "", fmt.Errorf("%s: read answer: %w", a.name, err)
	}
	if len(text) > maxAnswerBytes {
		return "", fmt.Errorf("%s: the answer has more than %d bytes", a.name, maxAnswerBytes)
	}
	return string(text), nil
}

// readTabSeparated reads ClickHouse's TabSeparated. NULL is the empty string.
func readTabSeparated(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		for i, cell := range cells {
			if cells[i] = tabSeparatedEscapes.Replace(cell); cell == `\N` {
				cells[i] = ""
			}
		}
		rows = append(rows, cells)
	}
	return rows
}

var tabSeparatedEscapes = strings.NewReplacer(`\\`, `\`, `\t`, "\t", `\n`, "\n", `\r`, "\r", `\0`, "\x00", `\b`, "\b", `\f`, "\f", `\'`, "'")

func tableName(t *schema.Table) string {
	return schema.QuoteIdentifier(t.Database) + "." + schema.QuoteIdentifier(t.Name)
}
