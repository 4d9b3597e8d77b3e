package batch

import (
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// step is how a cell is filled. The steps other than stepGeneral are shorter ways for what nearly all columns are;
// each goes on as stepGeneral where the value is not of the usual kind.
type step uint8

const (
	stepGeneral        step = iota
	stepFilled              // the map of the entry's attributes: the attributeReader has filled it
	stepStreamMap           // the resource's or the scope's map
	stepConstant            // the batch's id
	stepText                // a text of the entry, to String
	stepWord                // a text of the entry, to LowCardinality(String)
	stepAttributeText       // an attribute, to String
	stepAttributeWord       // an attribute, to LowCardinality(String)
	stepAttributeLong       // an attribute, to Int64
	stepNanoseconds         // the entry's time, to DateTime64
	stepSeconds             // the entry's time, to DateTime
	stepSeverityNumber      // to UInt8
	stepTraceFlags          // to UInt8
)

// chooseStep finds the shortest way for the column.
func (p *projection) chooseStep() step {
	field := p.source.Field
	switch {
	case field == schema.FieldAttributes:
		return stepFilled
	case isMap(field):
		return stepStreamMap
	case field == schema.FieldBatchID:
		return stepConstant
	case p.columnType.Nullable:
		return stepGeneral
	case field == schema.FieldAttribute && p.typeText == "String":
		return stepAttributeText
	case field == schema.FieldAttribute && p.typeText == "LowCardinality(String)":
		return stepAttributeWord
	case field == schema.FieldAttribute && p.columnType.Kind == schema.KindInt64:
		return stepAttributeLong
	case field == schema.FieldTime && p.columnType.Kind == schema.KindDateTime64:
		return stepNanoseconds
	case field == schema.FieldTime && p.columnType.Kind == schema.KindDateTime:
		return stepSeconds
	case field == schema.FieldSeverityNumber && p.columnType.Kind == schema.KindUInt8:
		return stepSeverityNumber
	case field == schema.FieldTraceFlags && p.columnType.Kind == schema.KindUInt8:
		return stepTraceFlags
	case field == schema.NoField || isAttribute(field) || fieldType(field) != ofString:
		return stepGeneral
	case p.typeText == "String":
		return stepText
	case p.typeText == "LowCardinality(String)":
		return stepWord
	}
	return stepGeneral
}

// cell is one column of a batch with its projection. Beside column, at most one of the typed pointers is set, to the
// same column: the steps use it, without a call through the interface.
type cell struct {
	projection *projection
	column     column
	step       step
	strings    *stringColumn
	words      *lowCardinalityColumn
	octets     *fixedColumn[uint8]
	seconds    *fixedColumn[uint32]
	longs      *fixedColumn[uint64]
	streamMap  *streamMapColumn
	constant   *constantColumn
}

// columns are the columns of one batch. They go from batch to batch through the layout's pool, with
// their memory and their dictionaries.
type columns struct {
	cells  []cell
	reader attributeReader
	// reads says whether any column needs the entry's attributes.
	reads bool
	row   row
	value value
}

func (l *Layout) newColumns() *columns {
	c := &columns{cells: make([]cell, len(l.projections))}
	c.reader.names.init(false)
	c.reader.slots = l.attributes
	c.reader.found = make([]int32, len(l.attributes))
	c.row.found = c.reader.found
	c.reads = len(l.attributes) > 0
	for i := range l.projections {
		p := &l.projections[i]
		cell := &c.cells[i]
		cell.projection, cell.step = p, p.step
		cell.column = l.newCellColumn(p, c)
		switch made := cell.column.(type) {
		case *stringColumn:
			cell.strings = made
		case *lowCardinalityColumn:
			cell.words = made
		case *fixedColumn[uint8]:
			cell.octets = made
		case *fixedColumn[uint32]:
			cell.seconds = made
		case *fixedColumn[uint64]:
			cell.longs = made
		case *streamMapColumn:
			cell.streamMap = made
		case *constantColumn:
			cell.constant = made
		}
	}
	return c
}

// texts returns where the column at i keeps texts of its own for each row, or nil. These buffers are most of a batch.
func (c *columns) texts(i int) *[]byte {
	switch column := c.cells[i].column.(type) {
	case *stringColumn:
		return &column.bytes
	case *mapColumn:
		return &column.values
	}
	return nil
}

// measure notes how long the texts are.
func (c *columns) measure(lengths []atomic.Int64) {
	for i := range c.cells {
		if texts := c.texts(i); texts != nil {
			lengths[i].Store(int64(len(*texts)))
		}
	}
}

// reserve makes room for as much as the last batch had. Buffers that grow from nothing are copied some dozen times: measured, that was half of
// the gateway's CPU in a run's first batches.
func (c *columns) reserve(lengths []atomic.Int64) {
	for i := range c.cells {
		if texts := c.texts(i); texts != nil {
			*texts = slices.Grow(*texts, int(lengths[i].Load()))
		}
	}
}

func (l *Layout) newCellColumn(p *projection, c *columns) column {
	switch {
	case p.source.Field == schema.FieldBatchID:
		return &constantColumn{lowCardinality: p.columnType.LowCardinality}
	case p.columnType.Kind != schema.KindMap:
		return newColumn(&p.columnType)
	}
	plain := !p.columnType.Key.LowCardinality
	switch p.source.Field {
	case schema.FieldResourceAttributes:
		return newStreamMapColumn(plain, false, l.resource)
	case schema.FieldScopeAttributes:
		return newStreamMapColumn(plain, true, l.scope)
	case schema.FieldAttributes:
		m := &mapColumn{names: &c.reader.names, plain: plain}
		c.reader.column = m
		c.reads = true
		return m
	}
	// A Map without a source is empty in every row.
	return newStreamMapColumn(plain, false, nil)
}

// append adds the entry as a row, or leaves all columns as they are.
func (c *columns) append(e *schema.Entry) *RowError {
	c.row.entry = e
	if c.reads {
		c.reader.read(e.Attributes)
	}
	for i := range c.cells {
		cell := &c.cells[i]
		if c.appendShort(cell, e) {
			continue
		}
		if err := cell.projection.evaluate(&c.row, &c.value); err != nil {
			c.undo(i)
			return err
		}
		cell.column.append(&c.value)
	}
	return nil
}

// appendShort adds the row to a cell by its step. It returns false where the general way has to be gone.
func (c *columns) appendShort(cell *cell, e *schema.Entry) bool {
	p := cell.projection
	switch cell.step {
	case stepFilled:
	case stepStreamMap:
		cell.streamMap.appendStream(e.Stream)
	case stepConstant:
		cell.constant.rows++
	case stepText, stepWord:
		text := textOf(&c.row, p.source.Field)
		if text == "" {
			if p.required {
				return false
			}
			text = p.fallback.text
		}
		if cell.step == stepText {
			cell.strings.appendText(text)
		} else {
			cell.words.appendText(text)
		}
	case stepAttributeText, stepAttributeWord, stepAttributeLong:
		place := c.reader.found[p.slot]
		return place > 0 && cell.appendAttribute(&e.Attributes[place-1])
	case stepNanoseconds:
		if e.Time <= 0 { // absent, or before 1970: rare enough
			return false
		}
		ticks := uint64(e.Time)
		if p.target.tick != 1 {
			ticks /= uint64(p.target.tick)
		}
		cell.longs.values = append(cell.longs.values, ticks)
	case stepSeconds:
		seconds := e.Time / int64(time.Second)
		if e.Time <= 0 || seconds > math.MaxUint32 {
			return false
		}
		cell.seconds.values = append(cell.seconds.values, uint32(seconds))
	case stepSeverityNumber:
		return cell.appendOctet(e.SeverityNumber)
	case stepTraceFlags:
		return cell.appendOctet(e.TraceFlags)
	default:
		return false
	}
	return true
}

func (c *cell) appendAttribute(a *schema.Attribute) bool {
	switch {
	case c.step == stepAttributeLong:
		if a.Type != ofInt {
			return false
		}
		c.longs.values = append(c.longs.values, a.Bits)
	case a.Type != ofString:
		return false
	case c.step == stepAttributeText:
		c.strings.appendText(a.Text)
	default:
		c.words.appendText(a.Text)
	}
	return true
}

func (c *cell) appendOctet(octet uint8) bool {
	if octet == 0 {
		return false
	}
	c.octets.values = append(c.octets.values, octet)
	return true
}

// undo takes back the row that failed at the cell with that place, which itself has not been filled.
func (c *columns) undo(failed int) {
	for i := range c.cells {
		if cell := &c.cells[i]; i < failed || cell.step == stepFilled {
			cell.column.undo()
		}
	}
}

func (c *columns) memory() int {
	size := 0
	if c.reads {
		size += c.reader.names.memory()
	}
	for i := range c.cells {
		size += c.cells[i].column.memory()
	}
	return size
}

// repeated is about what streams' maps take in the block, where they are written for each row.
func (c *columns) repeated() int {
	size := 0
	for i := range c.cells {
		if m, ok := c.cells[i].column.(*streamMapColumn); ok {
			size += m.repeated
		}
	}
	return size
}

func (c *columns) reset() {
	c.row.entry, c.row.origin, c.row.input = nil, nil, schema.Attribute{}
	c.value.clear()
	c.reader.reset()
	for i := range c.cells {
		c.cells[i].column.reset()
	}
}
