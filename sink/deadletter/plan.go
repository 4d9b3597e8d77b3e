package deadletter

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// maxUnpacked bounds a payload that was compressed. One row is at most a few times as large as the largest entry.
const maxUnpacked = 16 << 20

// setKey begins the key of the attribute that holds the value of an edit. No producer sends it.
const setKey = "\x00set "

// plan is how a letter becomes rows of a table: as one block, or, if its rows have different fates, as letters of their own.
type plan struct {
	block *batch.Block
	parts []part
	// moved means that edits may have moved the block's rows to another partition than an earlier replay has stored them in.
	moved bool
}

// part is rows of a letter that share their fate.
type part struct {
	rows batch.RowSet
	// route is the one to whose table they belong; nil: that of the letter.
	route *schema.Route
	// problem is why no rows can be made of them; nil: they can.
	problem *batch.RowError
}

// unpacked returns the payload as it was before it was compressed, and its format.
func unpacked(l *sink.DeadLetter) (payload []byte, format string, err error) {
	format, compressed := strings.CutSuffix(l.Format, sink.GzipSuffix)
	if !compressed {
		return l.Payload, format, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(l.Payload))
	if err == nil {
		payload, err = io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	}
	if err == nil && len(payload) > maxUnpacked {
		err = fmt.Errorf("it has more than %d bytes", maxUnpacked)
	}
	if err != nil {
		return nil, "", fmt.Errorf("the payload can't be unpacked: %w", err)
	}
	return payload, format, nil
}

// rowsOf returns the rows of a letter of rows, or the lines of a letter of entries.
func rowsOf(l *sink.DeadLetter) (rows *batch.Rows, lines [][]byte, err error) {
	payload, format, err := unpacked(l)
	if err != nil {
		return nil, nil, err
	}
	count := 0
	switch format {
	case sink.FormatNative:
		if rows, err = batch.ReadRows(payload); err != nil {
			return nil, nil, err
		}
		count = rows.Count()
	case sink.FormatJSONEntries:
		lines = bytes.Split(bytes.TrimSuffix(payload, []byte("\n")), []byte("\n"))
		count = len(lines)
	case sink.FormatNone:
		return nil, nil, errors.New("the row was too large for the queue and is not in the letter; its producer has it")
	default:
		return nil, nil, fmt.Errorf("the format %s is unknown to this version", schema.Quoted(l.Format))
	}
	if count != l.Rows {
		return nil, nil, fmt.Errorf("the payload has %d rows, and the letter says %d", count, l.Rows)
	}
	return rows, lines, nil
}

// routing is the configuration that letters are replayed under.
type routing struct {
	routes []*schema.Route
	zone   *time.Location
}

// table returns the table as its route has it now, or, if no route has it, with its name alone.
func (r *routing) table(name string) (*schema.Table, error) {
	for _, route := range r.routes {
		if route.Table.FullName() == name {
			return route.Table, nil
		}
	}
	database, table, ok := strings.Cut(name, ".")
	if !ok {
		return nil, fmt.Errorf("the letter's table %s is not a database and a table", schema.Quoted(name))
	}
	return &schema.Table{Database: database, Name: table}, nil
}

// plan returns how the letter becomes rows. The error says why it can't.
func (r *routing) plan(l *sink.DeadLetter, edits []schema.Edit) (plan, error) {
	rows, lines, err := rowsOf(l)
	if err != nil {
		return plan{}, err
	}
	if lines != nil {
		return r.planEntries(l, lines, edits)
	}
	table, err := r.table(l.Table)
	if err != nil {
		return plan{}, err
	}
	moved, err := batch.Moves(table, edits)
	if err != nil {
		return plan{}, err
	}
	block, err := rows.Block(l.ID, table, edits, r.zone)
	return plan{block: block, moved: moved}, err
}

// planEntries makes rows of entries: each goes to the table of the letter's route or, if no route matched it, to those of the routes
// that match it now. A block is one partition of one table.
func (r *routing) planEntries(l *sink.DeadLetter, lines [][]byte, edits []schema.Edit) (plan, error) {
	g := &gathering{letter: l, edits: edits, zone: r.zone, projectors: map[*schema.Route]*projector{}, known: map[groupKey]*group{}}
	defer g.release()
	var own *schema.Route
	if l.Table != "" {
		i := slices.IndexFunc(r.routes, func(route *schema.Route) bool { return route.Table.FullName() == l.Table })
		if i < 0 {
			return plan{}, fmt.Errorf("no route has the table %s now, and only a route says how an entry becomes its row", l.Table)
		}
		own = r.routes[i]
	}
	for i, line := range lines {
		entry, err := schema.ParseEntryJSON(line)
		if err != nil {
			return plan{}, fmt.Errorf("line %d can't be read: %w", i+1, err)
		}
		matched := false
		for _, route := range r.routes {
			if route == own || own == nil && (route.Filter == nil || route.Filter.Match(&entry)) {
				matched = true
				if err := g.add(i, route, &entry); err != nil {
					return plan{}, err
				}
			}
		}
		if !matched {
			problem := &batch.RowError{Reason: schema.Unmatched, Message: "no route matches the entry"}
			g.of(groupKey{problem: problem.Message}, nil, problem).add(i)
		}
	}
	if only := g.order[0]; len(g.order) == 1 && only.problem != nil {
		return plan{}, errors.New(explain(only.problem))
	} else if len(g.order) == 1 && own != nil {
		moved, err := batch.Moves(own.Table, edits)
		return plan{block: only.batch.Seal(batch.Uncompressed), moved: moved}, err
	}
	var p plan
	for _, group := range g.order {
		if group.route == own {
			group.route = nil
		}
		p.parts = append(p.parts, group.part)
	}
	return p, nil
}

// gathering gathers a letter's entries by their fate.
type gathering struct {
	letter     *sink.DeadLetter
	edits      []schema.Edit
	zone       *time.Location
	projectors map[*schema.Route]*projector
	known      map[groupKey]*group
	order      []*group
}

// projector makes rows of a route.
type projector struct {
	layout      *batch.Layout
	partitioner *batch.Partitioner
	set         []schema.Attribute
}

type groupKey struct {
	route     *schema.Route
	partition *batch.Partition
	problem   string
}

type group struct {
	part
	batch *batch.Batch
}

func (g *group) add(row int) { g.rows = g.rows.Add(batch.RowRange{From: row, To: row + 1}) }

func (g *gathering) of(key groupKey, route *schema.Route, problem *batch.RowError) *group {
	at := g.known[key]
	if at == nil {
		at = &group{part: part{route: route, problem: problem}}
		g.known[key] = at
		g.order = append(g.order, at)
	}
	return at
}

func (g *gathering) release() {
	for _, group := range g.order {
		if group.batch != nil {
			group.batch.Release()
		}
	}
}

// add adds the entry's row to the batch of its partition, or to the entries with the same problem.
func (g *gathering) add(i int, route *schema.Route, entry *schema.Entry) error {
	p, err := g.projector(route)
	if err != nil {
		return err
	}
	var origin batch.Origin
	if len(g.letter.Origins) > 0 {
		origin = g.letter.Origins[0]
		origin.Rows = 0
	}
	entry.Attributes = append(entry.Attributes[:len(entry.Attributes):len(entry.Attributes)], p.set...)
	partition, problem := p.partitioner.Of(entry, &origin)
	if problem == nil {
		at := g.of(groupKey{route: route, partition: partition}, route, nil)
		if at.batch == nil {
			at.batch = p.layout.NewBatch(g.letter.ID, partition)
			at.batch.Begin(origin, g.letter.First)
		}
		if problem = at.batch.Append(entry); problem == nil {
			at.add(i)
			return nil
		}
		if at.batch.Rows() == 0 { // it was begun for nothing
			at.batch.Release()
			delete(g.known, groupKey{route: route, partition: partition})
			g.order = slices.DeleteFunc(g.order, func(other *group) bool { return other == at })
		}
	}
	g.of(groupKey{route: route, problem: explain(problem)}, route, problem).add(i)
	return nil
}

// explain returns what is wrong with an entry, without the field: an edit has none.
func explain(problem *batch.RowError) string {
	if problem.Column == "" {
		return problem.Message
	}
	return fmt.Sprintf("column %q: %s", problem.Column, problem.Message)
}

func (g *gathering) projector(route *schema.Route) (*projector, error) {
	if known := g.projectors[route]; known != nil {
		return known, nil
	}
	table, set, err := edited(route.Table, g.edits)
	if err != nil {
		return nil, err
	}
	layout, err := batch.NewLayout(table, route.Name, g.zone)
	if err != nil {
		return nil, fmt.Errorf("table %s: %w", table.FullName(), err)
	}
	p := &projector{layout: layout, partitioner: layout.NewPartitioner(), set: set}
	g.projectors[route] = p
	return p, nil
}

// edited returns the table with columns that take the edits' values from attributes, which are returned too, and not what they usually
// take.
func edited(t *schema.Table, edits []schema.Edit) (*schema.Table, []schema.Attribute, error) {
	changed := *t
	changed.Columns = slices.Clone(t.Columns)
	var set []schema.Attribute
	for _, edit := range edits {
		c := changed.Column(edit.Column)
		switch {
		case edit.Column == schema.BatchIDColumn:
			return nil, nil, fmt.Errorf("column %s can't be changed: it identifies the rows", schema.BatchIDColumn)
		case c == nil:
			var names []string
			for _, c := range t.Columns {
				names = append(names, c.Name)
			}
			return nil, nil, errors.New(schema.UnknownName("column", edit.Column, names))
		case edit.Omit:
			changed.Columns = slices.DeleteFunc(changed.Columns, func(c schema.Column) bool { return c.Name == edit.Column })
			continue
		case edit.Value.Null && !c.Type.Nullable:
			return nil, nil, fmt.Errorf("column %q: it can't be NULL, it is a %s", c.Name, c.Type)
		}
		c.Source, c.Required, c.HasDefault, c.Default, c.OnError = schema.Source{}, false, false, "", schema.Refuse
		if !edit.Value.Null {
			a := schema.StringAttribute(setKey+c.Name, edit.Value.Text)
			if c.Type.Kind == schema.KindArray {
				a.Type = schema.JSON
			}
			set = append(set, a)
			c.Source = schema.Source{Field: schema.FieldAttribute, Key: a.Key}
		}
	}
	return &changed, set, nil
}

// letterOf returns the letter of some of the letter's rows, as they are.
func letterOf(l *sink.DeadLetter, p part) (*sink.DeadLetter, error) {
	letter := *l
	letter.ID = p.rows.ID(l.ID)
	letter.Rows, letter.Origins = p.rows.Size(), batch.OriginsOf(l.Origins, p.rows)
	if len(letter.Origins) > 0 {
		letter.ShardID = letter.Origins[0].ShardID
	}
	if p.route != nil {
		letter.ID += "@" + p.route.Name
		letter.Route, letter.Table, letter.SchemaHash = p.route.Name, p.route.Table.FullName(), p.route.Table.Hash()
	}
	if letter.Rows == l.Rows {
		return &letter, nil
	}
	rows, lines, err := rowsOf(l)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		letter.Payload, letter.Format = nil, sink.FormatJSONEntries
		for i, line := range lines {
			if p.rows.Has(i) {
				letter.Payload = append(append(letter.Payload, line...), '\n')
			}
		}
		return &letter, nil
	}
	// With a table that has no columns the rows stay as they are.
	whole, err := rows.Block(l.ID, &schema.Table{}, nil, time.UTC)
	if err != nil {
		return nil, err
	}
	defer whole.Release()
	some, err := whole.Cut(letter.ID, p.rows)
	if err != nil {
		return nil, err
	}
	defer some.Release()
	letter.Format = sink.FormatNative
	letter.Payload, err = io.ReadAll(some.Native())
	return &letter, err
}

// The most failures that a letter's history has, and the longest message in it.
const (
	maxHistory        = 10
	maxHistoryMessage = 500
)

// failedAgain returns the letter with another failure, and the one before in its history.
func failedAgain(l *sink.DeadLetter, failure *sink.DeadLetter) *sink.DeadLetter {
	letter := *l
	letter.History = append(slices.Clone(l.History), schema.LetterFailure{
		Time: l.Last, Class: l.Class.String(), Code: l.Code, Reason: l.Reason, Column: l.Column,
		Message: schema.Short(l.Message, maxHistoryMessage), Attempts: l.Attempts,
	})
	if more := len(letter.History) - maxHistory; more > 0 {
		letter.History = letter.History[more:]
	}
	letter.Class, letter.Code, letter.Reason, letter.Column = failure.Class, failure.Code, failure.Reason, failure.Column
	letter.Message, letter.Last = failure.Message, failure.Last
	letter.Attempts += failure.Attempts
	letter.Tried = slices.Clone(l.Tried)
	for _, id := range failure.Tried {
		if !slices.Contains(letter.Tried, id) {
			letter.Tried = append(letter.Tried, id)
		}
	}
	return &letter
}
