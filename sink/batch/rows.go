package batch

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Rows are rows read back from a Native block that a Batch has written, such as that of a dead letter. They are immutable and alias
// the bytes of the block.
type Rows struct {
	columns []storedColumn
	count   int
}

// storedColumn is a column of Rows.
type storedColumn struct {
	name string
	kind schema.Type
	data []byte
}

// ReadRows reads a Native block of at least one row.
func ReadRows(native []byte) (*Rows, error) {
	source := bytes.NewReader(native)
	c := &cutter{in: bufio.NewReader(source), w: newBlockWriter(Uncompressed), most: len(native)}
	defer func() {
		c.w.finish() // empties its buffer
		c.w.release(Uncompressed)
	}()
	columns := c.length()
	c.total = c.length()
	r := &Rows{count: c.total}
	at := func() int { return len(native) - source.Len() - c.in.Buffered() }
	for c.err == nil && len(r.columns) < columns {
		name, typeText := c.text(), c.text()
		if c.err != nil {
			break
		}
		kind, err := schema.ParseType(typeText)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", name, err)
		}
		begin := at()
		c.whole(&kind)
		r.columns = append(r.columns, storedColumn{name: name, kind: kind, data: native[begin:at():at()]})
	}
	switch {
	case c.err != nil:
		return nil, fmt.Errorf("the block is damaged: %w", c.err)
	case at() != len(native):
		return nil, fmt.Errorf("the block is damaged: %d bytes follow it", len(native)-at())
	case r.count == 0 || columns == 0:
		return nil, errors.New("the block has no rows")
	}
	return r, nil
}

// whole copies a column of any type.
func (c *cutter) whole(t *schema.Type) {
	if t.Kind == schema.KindMap {
		c.maps(!t.Key.LowCardinality)
		return
	}
	c.column(t)
}

// Count returns the number of rows.
func (r *Rows) Count() int { return r.count }

// Columns returns the columns' names and types, in the order of the block.
func (r *Rows) Columns() []schema.Column {
	columns := make([]schema.Column, len(r.columns))
	for i, c := range r.columns {
		columns[i] = schema.Column{Name: c.name, Type: c.kind}
	}
	return columns
}

// Block returns the rows as a block of the table. The batch id column gets the id, edits are made, and a column whose type is
// another one in t is converted, as docs/coercions.md describes for texts. Columns that t does not have keep the type that they have;
// so does one that the server widens itself. zone is the server's time zone. The error says which value of which row does not fit.
//
// The block's partition is that of the first row. It is unknown if t has no columns or lacks one that the partition depends on.
func (r *Rows) Block(id string, t *schema.Table, edits []schema.Edit, zone *time.Location) (*Block, error) {
	if err := r.checkEdits(t, edits); err != nil {
		return nil, err
	}
	stored := &schema.Table{Database: t.Database, Name: t.Name}
	layout := &Layout{table: stored}
	var bodies []func(w *blockWriter)
	add := func(column schema.Column, body func(w *blockWriter)) {
		stored.Columns = append(stored.Columns, column)
		layout.projections = append(layout.projections, projection{Column: column, typeText: column.Type.String()})
		bodies = append(bodies, body)
	}
	for i := range r.columns {
		c := &r.columns[i]
		column := schema.Column{Name: c.name, Type: c.kind}
		edit := findEdit(edits, c.name)
		wanted := c.kind
		if now := t.Column(c.name); now != nil && (edit != nil || !schema.Widens(c.kind, now.Type)) {
			wanted = now.Type
		}
		switch {
		case c.name == schema.BatchIDColumn:
			column.Source.Field = schema.FieldBatchID
			ids := &idColumn{id: id, rows: r.count, lowCardinality: c.kind.LowCardinality}
			add(column, ids.write)
		case edit != nil && edit.Omit:
		case edit != nil:
			column.Type = wanted
			body, err := repeatedColumn(column, edit.Value, r.count, zone)
			if err != nil {
				return nil, err
			}
			add(column, body)
		case wanted.String() != c.kind.String():
			values, err := r.Values(i)
			if err != nil {
				return nil, err
			}
			column.Type = wanted
			body, err := valuesColumn(column, &c.kind, values, zone)
			if err != nil {
				return nil, err
			}
			add(column, body)
		default:
			add(column, func(w *blockWriter) { w.write(c.data) })
		}
	}
	for _, edit := range edits {
		if r.index(edit.Column) >= 0 || edit.Omit {
			continue
		}
		column := schema.Column{Name: edit.Column, Type: t.Column(edit.Column).Type}
		body, err := repeatedColumn(column, edit.Value, r.count, zone)
		if err != nil {
			return nil, err
		}
		add(column, body)
	}
	partition, err := r.partition(stored, t, edits, zone)
	if err != nil {
		return nil, err
	}
	layout.hash = stored.Hash()
	w := newBlockWriter(Uncompressed)
	layout.writeHeader(w, r.count)
	for i, body := range bodies {
		layout.projections[i].writeColumnHeader(w)
		body(w)
		w.flush()
	}
	return newBlock(id, layout, partition, r.count, nil, Uncompressed, w), nil
}

// partition returns the partition of the first row in t, from the columns of the block, or nil if they don't tell.
func (r *Rows) partition(block, t *schema.Table, edits []schema.Edit, zone *time.Location) (*Partition, error) {
	by, err := schema.ParsePartitionBy(t.PartitionBy, t.Columns)
	if err != nil || len(t.Columns) == 0 {
		return nil, err
	}
	keys := make([]partitionKey, len(by))
	for i, key := range by {
		column := block.Column(t.Columns[key.Column].Name)
		if column == nil {
			return nil, nil
		}
		var first schema.Value
		if edit := findEdit(edits, column.Name); edit != nil {
			first = edit.Value
		} else {
			values, err := r.Values(r.index(column.Name))
			if err != nil {
				return nil, err
			}
			first = values[0]
		}
		p := &projection{Column: *column, typeText: column.Type.String(), target: newTarget(column.Type, zone)}
		in := schema.Attribute{Text: first.Text, Type: attributeType(column.Type.Kind)}
		var v value
		coerce := coercions[column.Type.Kind][in.Type].apply
		if first.Null || coerce == nil || coerce(&p.target, &in, &v) != schema.NoReason {
			return nil, nil
		}
		keys[i] = partitionKey{PartitionKey: key, projection: p, kind: key.Function.Result(p.target.Kind)}
		if _, problem := keys[i].update(&row{entry: &schema.Entry{}}, &v); problem != nil {
			return nil, nil
		}
	}
	return newPartition(keys), nil
}

// Moves reports whether an edit changes a column that the partition of the table's rows depends on.
func Moves(t *schema.Table, edits []schema.Edit) (bool, error) {
	by, err := schema.ParsePartitionBy(t.PartitionBy, t.Columns)
	for _, key := range by {
		if findEdit(edits, t.Columns[key.Column].Name) != nil {
			return true, nil
		}
	}
	return false, err
}

func (r *Rows) index(column string) int {
	for i := range r.columns {
		if r.columns[i].name == column {
			return i
		}
	}
	return -1
}

// checkEdits returns an error for an edit of a column that does not exist, or that is not to be changed.
func (r *Rows) checkEdits(t *schema.Table, edits []schema.Edit) error {
	var names []string
	for _, c := range append(r.Columns(), t.Columns...) {
		names = append(names, c.Name)
	}
	for _, edit := range edits {
		switch known := r.index(edit.Column) >= 0; {
		case edit.Column == schema.BatchIDColumn:
			return fmt.Errorf("column %s can't be changed: it identifies the rows", schema.BatchIDColumn)
		case !known && (edit.Omit || t.Column(edit.Column) == nil):
			return errors.New(schema.UnknownName("column", edit.Column, names))
		}
	}
	return nil
}

func findEdit(edits []schema.Edit, column string) *schema.Edit {
	for i := range edits {
		if edits[i].Column == column {
			return &edits[i]
		}
	}
	return nil
}

// repeatedColumn returns what writes a column that has the value in every row.
func repeatedColumn(c schema.Column, v schema.Value, rows int, zone *time.Location) (func(w *blockWriter), error) {
	values := make([]schema.Value, rows)
	for i := range values {
		values[i] = v
	}
	return valuesColumn(c, nil, values, zone)
}

// valuesColumn returns what writes a column of these values. from is the type that they had; nil: they are an edit.
func valuesColumn(c schema.Column, from *schema.Type, values []schema.Value, zone *time.Location) (func(w *blockWriter), error) {
	where := func(row int) string {
		if from == nil {
			return fmt.Sprintf("column %q", c.Name)
		}
		return fmt.Sprintf("row %d, column %q, formerly %s", row, c.Name, from)
	}
	kind := attributeType(c.Type.Kind)
	coerce := coercions[c.Type.Kind][kind].apply
	if coerce == nil {
		return nil, fmt.Errorf("%s: a %s can't be made of a text", where(0), c.Type)
	}
	p := projection{Column: c, typeText: c.Type.String(), target: newTarget(c.Type, zone)}
	to := newColumn(&c.Type)
	var v value
	for row := range values {
		in := schema.Attribute{Text: values[row].Text, Type: kind}
		v.clear()
		switch {
		case !values[row].Null:
			if reason := coerce(&p.target, &in, &v); reason != schema.NoReason {
				return nil, fmt.Errorf("%s: %s", where(row), p.rowError(&in, reason).Message)
			}
		case !c.Type.Nullable:
			return nil, fmt.Errorf("%s: it can't be NULL, it is a %s", where(row), c.Type)
		default:
			v.null = true
		}
		to.append(&v)
	}
	return to.write, nil
}

// attributeType returns the type of the attribute that a value's text is, for a column of the kind.
func attributeType(k schema.Kind) schema.AttributeType {
	if k == schema.KindArray {
		return schema.JSON
	}
	return schema.String
}
