package batch

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/logbatcher/logbatcher/schema"
)

// RowError says why an entry could not become a row of a table.
type RowError struct {
	// Field is the path of the entry's field that is wrong, for instance `attributes["status"]`.
	Field string
	// Reason is TypeMismatch, OutOfRange or MissingValue.
	Reason schema.Reason
	// Message says what was wrong and what would be right.
	Message string
	// Action is what the column wants done with the row: Refuse or DeadLetter.
	Action schema.OnError
	// Column is the name of the column that the value was for.
	Column string
}

// Error returns the field, the column and the message.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s for column %q: %s", e.Field, e.Column, e.Message)
}

// rowError describes a value that the column can't hold. in is nil where there is none.
func (p *projection) rowError(in *schema.Attribute, reason schema.Reason) *RowError {
	e := &RowError{Field: p.source.String(), Reason: reason, Action: p.onError, Column: p.name}
	switch reason {
	case schema.MissingValue:
		e.Message = "a value is required, and there is none"
	case schema.OutOfRange:
		e.Message = fmt.Sprintf("%s is out of range of %s; it has to be %s", describe(in), p.target.name, p.target.limits)
	default:
		e.Message = fmt.Sprintf("%s can't become %s; %s", describe(in), p.target.name, p.accepted(in.Type))
	}
	return e
}

// accepted says what the column would take instead of a value of the type.
func (p *projection) accepted(t schema.AttributeType) string {
	if int(t) < valueTypes && coercions[p.target.kind][t].apply != nil {
		c := &coercions[p.target.kind][t]
		return fmt.Sprintf("a %s is taken: %s", typeName(t), c.rule)
	}
	text := "taken are"
	for t := range coercions[p.target.kind] {
		if c := &coercions[p.target.kind][t]; c.apply != nil {
			text += fmt.Sprintf(" %s (%s),", typeName(schema.AttributeType(t)), c.rule)
		}
	}
	return text[:len(text)-1]
}

// describe writes a value for a message, cut where it is long.
func describe(in *schema.Attribute) string {
	name := typeName(in.Type)
	switch in.Type {
	case ofInt, ofTime:
		return name + " " + strconv.FormatInt(in.AsInt(), 10)
	case ofDouble:
		return name + " " + strconv.FormatFloat(in.AsDouble(), 'g', -1, 64)
	case ofBool:
		return name + " " + strconv.FormatBool(in.AsBool())
	}
	const most = 64
	if len(in.Text) <= most {
		return name + " " + strconv.Quote(in.Text)
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(in.Text[end]) {
		end--
	}
	return name + " " + strconv.Quote(in.Text[:end]) + "…"
}

// limitsOf says what is in range of the type.
func limitsOf(t *schema.Type, low int64, high uint64) string {
	switch t.Kind {
	case schema.KindFixedString:
		return fmt.Sprintf("at most %d bytes", t.Length)
	case schema.KindFloat32:
		return fmt.Sprintf("at most ±%g, and exact where it is an integer", math.MaxFloat32)
	case schema.KindFloat64:
		return "finite, and exact where it is an integer"
	case schema.KindBool:
		return "0 or 1"
	case schema.KindDate:
		return "1970-01-01 to 2149-06-06"
	case schema.KindDateTime:
		return "1970-01-01 00:00:00 to 2106-02-07 06:28:15 UTC"
	case schema.KindDateTime64:
		if t.Precision == 9 {
			return "1900-01-01 00:00:00 to 2262-04-11 23:47:15 UTC"
		}
		return "1900-01-01 00:00:00 to 2299-12-31 23:59:59 UTC"
	case schema.KindEnum8, schema.KindEnum16:
		return "an element of " + t.String()
	}
	return fmt.Sprintf("%d to %d", low, high)
}
