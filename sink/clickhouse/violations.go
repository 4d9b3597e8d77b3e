package clickhouse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

var _ sink.Judge = (*Sink)(nil)

// externalTable is the name under which a statement reads the rows that are sent with it.
const externalTable = "logbatcher_rows"

// Violations has the server evaluate the table's constraints on the rows of the batch, which are sent with the statement as an
// external table: nothing is stored, and only SELECT is needed. The error is an *sink.Error.
func (s *Sink) Violations(ctx context.Context, b *batch.Block) ([]sink.Violation, error) {
	ctx, cancel := context.WithTimeout(ctx, s.config.AttemptTimeout)
	defer cancel()
	found, err := s.violations(ctx, s.choose(b.ID()), b)
	if err != nil {
		return nil, s.classify("ask for violations in", b.Layout().Table().FullName(), err, false)
	}
	return found, nil
}

func (s *Sink) violations(ctx context.Context, to *address, b *batch.Block) ([]sink.Violation, error) {
	table := b.Layout().Table()
	created, err := to.query(ctx, "SELECT create_table_query FROM system.tables WHERE "+isTable(table, "name"))
	if err != nil || len(created) != 1 {
		return nil, err
	}
	constraints := schema.Constraints(created[0][0])
	if len(constraints) == 0 {
		return nil, nil
	}
	defaults, err := to.defaultsFor(ctx, table, constraints)
	if err != nil {
		return nil, err
	}
	firsts, err := to.firstViolated(ctx, b, defaults+firstFalse(constraints))
	if err != nil {
		return nil, err
	}
	var found []sink.Violation
	for i, c := range constraints {
		v := sink.Violation{
			Rows: rowsWith(firsts, i+1), Message: fmt.Sprintf("Constraint %s is violated. Expression: (%s)", schema.QuoteIdentifier(c.Name), c.Check),
		}
		if at := slices.IndexFunc(table.Columns, func(column schema.Column) bool { return schema.Names(c.Check, column.Name) }); at >= 0 {
			v.Column = table.Columns[at].Name
		}
		if len(v.Rows) > 0 {
			found = append(found, v)
		}
	}
	return found, nil
}

// rowsWith returns the indexes of the value.
func rowsWith(values []int, wanted int) (rows batch.RowSet) {
	for i, value := range values {
		if value == wanted {
			rows = rows.Add(batch.RowRange{From: i, To: i + 1})
		}
	}
	return rows
}

// defaultsFor returns a WITH clause, or "", for the columns that constraints read and the batch lacks: at an insert the server
// computes them from their defaults.
func (a *address) defaultsFor(ctx context.Context, t *schema.Table, constraints []schema.Constraint) (string, error) {
	columns, err := a.query(ctx, "SELECT name, type, default_expression FROM system.columns WHERE "+isTable(t, "table"))
	if err != nil {
		return "", err
	}
	columns = slices.DeleteFunc(columns, func(c []string) bool {
		return slices.ContainsFunc(t.Columns, func(column schema.Column) bool { return column.Name == c[0] })
	})
	var aliases []string
	read := make([]string, len(constraints)) // expressions whose columns are needed
	for i, c := range constraints {
		read[i] = c.Check
	}
	for len(read) > 0 {
		expression := read[0]
		read = read[1:]
		columns = slices.DeleteFunc(columns, func(c []string) bool {
			name, kind, value := c[0], c[1], c[2]
			if !schema.Names(expression, name) {
				return false
			}
			if value == "" {
				value = "defaultValueOfTypeName(" + schema.QuoteString(kind) + ")"
			}
			aliases = append(aliases, fmt.Sprintf("CAST((%s), %s) AS %s", value, schema.QuoteString(kind), schema.QuoteIdentifier(name)))
			read = append(read, value)
			return true
		})
	}
	if len(aliases) == 0 {
		return "", nil
	}
	return "WITH " + strings.Join(aliases, ", ") + " ", nil
}

// firstViolated evaluates the query, which ends in the select list of firstFalse, for each row.
func (a *address) firstViolated(ctx context.Context, b *batch.Block, query string) ([]int, error) {
	// One thread reads the rows in order.
	answer, err := a.queryRows(ctx, query+" FROM "+externalTable+" SETTINGS max_threads = 1", b)
	if err != nil {
		return nil, err
	}
	if len(answer) != b.Rows() {
		return nil, fmt.Errorf("%s: %d answers for %d rows", a.name, len(answer), b.Rows())
	}
	firsts := make([]int, len(answer))
	for i, row := range answer {
		if firsts[i], err = strconv.Atoi(row[0]); err != nil {
			return nil, fmt.Errorf("%s: row %d: %w", a.name, i, err)
		}
	}
	return firsts, nil
}

// firstFalse selects the number, from 1, of the first constraint that does not hold, or 0. For ClickHouse only 1 holds, not NULL
// or another number.
func firstFalse(constraints []schema.Constraint) string {
	var cases strings.Builder
	for i, c := range constraints {
		fmt.Fprintf(&cases, "ifNull((%s) = 1, false) = false, %d, ", c.Check, i+1)
	}
	return "SELECT toUInt32(multiIf(" + cases.String() + "0))"
}

// externalKey is the key of a context's external.
type externalKey struct{}

// external is a block sent with one statement, in a form between head and tail.
type external struct {
	statement, contentType string
	head, tail             string
	block                  *batch.Block
}

// queryRows runs a statement that reads the rows of the batch as externalTable, and returns its rows as text.
func (a *address) queryRows(ctx context.Context, statement string, b *batch.Block) ([][]string, error) {
	var head bytes.Buffer
	form := multipart.NewWriter(&head)
	if err := form.WriteField("query", statement); err != nil {
		return nil, err
	}
	if _, err := form.CreateFormFile(externalTable, externalTable); err != nil {
		return nil, err
	}
	e := &external{
		statement: statement, contentType: form.FormDataContentType(),
		head: head.String(), block: b, tail: "\r\n--" + form.Boundary() + "--\r\n",
	}
	return a.query(context.WithValue(ctx, externalKey{}, e), statement)
}

// structure describes the table's columns to the server.
func structure(t *schema.Table) string {
	columns := make([]string, len(t.Columns))
	for i := range t.Columns {
		columns[i] = schema.QuoteIdentifier(t.Columns[i].Name) + " " + t.Columns[i].Type.String()
	}
	return strings.Join(columns, ", ")
}

// addTo returns the request with the rows in a form beside its statement. The driver's own first request on a new connection is
// left as it is.
func (e *external) addTo(r *http.Request) (*http.Request, error) {
	if r.GetBody == nil {
		return r, nil
	}
	again, err := r.GetBody()
	if err != nil {
		return nil, err
	}
	if statement, err := io.ReadAll(again); err != nil || string(statement) != e.statement {
		return r, err
	}
	values := r.URL.Query()
	values.Set(externalTable+"_structure", structure(e.block.Layout().Table()))
	values.Set(externalTable+"_format", "Native")
	changed := r.Clone(r.Context())
	changed.URL.RawQuery = values.Encode()
	changed.Header.Set("Content-Type", e.contentType)
	form := io.MultiReader(strings.NewReader(e.head), e.block.Native(), strings.NewReader(e.tail))
	changed.Body, changed.GetBody, changed.ContentLength = io.NopCloser(form), nil, -1
	return changed, r.Body.Close()
}
