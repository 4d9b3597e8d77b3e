package batch

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// fill adds an entry's value to one column. On an error it adds nothing.
type fill func(e *schema.Entry) *RowError

// textColumn is a column of texts.
type textColumn interface{ appendText(text string) }

// compile returns the fill function of a column. Most columns of a log table get a fast path, which falls back to general for
// absent and unusual values. Without fast paths a row costs a third more.
func (c *columns) compile(p *projection, to column) fill {
	field, kind := p.Source.Field, p.Type.Kind
	general := func(*schema.Entry) *RowError {
		if err := p.evaluate(&c.row, &c.value); err != nil {
			return err
		}
		to.append(&c.value)
		return nil
	}
	switch {
	case field == schema.FieldAttributes:
		return nil
	case field.IsMap():
		return to.(*streamMapColumn).fill
	case field == schema.FieldBatchID:
		return to.(*idColumn).fill
	case p.Type.Nullable || field == schema.NoField:
		return general
	case kind == schema.KindString && field == schema.FieldAttribute:
		return c.fillAttributeText(p, to.(textColumn), general)
	case kind == schema.KindString && field <= schema.FieldColo && field.Type() == schema.String:
		return fillText(p, to.(textColumn), general)
	case kind == schema.KindInt64 && field == schema.FieldAttribute:
		return c.fillAttributeInteger(p, to.(*fixedColumn), general)
	case kind == schema.KindDateTime64 && field == schema.FieldTime:
		return fillTime64(to.(*fixedColumn), uint64(p.target.tick), general)
	case kind == schema.KindDateTime && field == schema.FieldTime:
		return fillTime(to.(*fixedColumn), general)
	case kind == schema.KindUInt8 && (field == schema.FieldSeverityNumber || field == schema.FieldTraceFlags):
		return fillOctet(to.(*fixedColumn), field, general)
	}
	return general
}

func fillText(p *projection, to textColumn, general fill) fill {
	field, required, fallback := p.Source.Field, p.Required, p.fallback.text
	return func(e *schema.Entry) *RowError {
		text := e.Text(field)
		if text == "" {
			if required {
				return general(e)
			}
			text = fallback
		}
		to.appendText(text)
		return nil
	}
}

func (c *columns) fillAttributeText(p *projection, to textColumn, general fill) fill {
	return func(e *schema.Entry) *RowError {
		place := c.reader.found[p.slot]
		if place == 0 || e.Attributes[place-1].Type != schema.String {
			return general(e)
		}
		to.appendText(e.Attributes[place-1].Text)
		return nil
	}
}

func (c *columns) fillAttributeInteger(p *projection, to *fixedColumn, general fill) fill {
	return func(e *schema.Entry) *RowError {
		place := c.reader.found[p.slot]
		if place == 0 || e.Attributes[place-1].Type != schema.Int {
			return general(e)
		}
		to.bytes = binary.LittleEndian.AppendUint64(to.bytes, e.Attributes[place-1].Bits)
		return nil
	}
}

func fillTime64(to *fixedColumn, tick uint64, general fill) fill {
	return func(e *schema.Entry) *RowError {
		if e.Time <= 0 { // absent, or before 1970
			return general(e)
		}
		ticks := uint64(e.Time)
		if tick != 1 {
			ticks /= tick
		}
		to.bytes = binary.LittleEndian.AppendUint64(to.bytes, ticks)
		return nil
	}
}

func fillTime(to *fixedColumn, general fill) fill {
	return func(e *schema.Entry) *RowError {
		seconds := e.Time / int64(time.Second)
		if e.Time <= 0 || seconds > math.MaxUint32 {
			return general(e)
		}
		to.bytes = binary.LittleEndian.AppendUint32(to.bytes, uint32(seconds))
		return nil
	}
}

func fillOctet(to *fixedColumn, field schema.Field, general fill) fill {
	return func(e *schema.Entry) *RowError {
		octet := uint8(e.Integer(field))
		if octet == 0 {
			return general(e)
		}
		to.bytes = append(to.bytes, octet)
		return nil
	}
}
