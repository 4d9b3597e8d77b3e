package batch

import (
	"fmt"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// RowError is why an entry can't become a row of a table.
type RowError struct {
	// Field is the path of the wrong field, such as `attributes["status"]`.
	Field string
	// Reason is TypeMismatch, OutOfRange or MissingValue.
	Reason schema.Reason
	// Message describes what is wrong and what would be right.
	Message string
	// Action is the column's OnError: Refuse or DeadLetter.
	Action schema.OnError
	// Column is the name of the value's column.
	Column string
}

// Error returns the field, the column and the message.
func (e *RowError) Error() string {
	return fmt.Sprintf("%s for column %q: %s", e.Field, e.Column, e.Message)
}

// rowError describes a value that the column can't hold. in is nil if there is none.
func (p *projection) rowError(in *schema.Attribute, reason schema.Reason) *RowError {
	e := &RowError{Field: p.Source.String(), Reason: reason, Action: p.OnError, Column: p.Name}
	switch reason {
	case schema.MissingValue:
		e.Message = "a value is required, and there is none"
	case schema.OutOfRange:
		e.Message = fmt.Sprintf("%s is out of range of %s; it has to be %s", in, p.target.Type, p.target.Limits())
	default:
		e.Message = fmt.Sprintf("%s can't become %s; %s", in, p.target.Type, p.accepted(in.Type))
	}
	return e
}

// accepted describes what the column accepts instead: other values of the type, or else values of other types.
func (p *projection) accepted(t schema.AttributeType) string {
	row := &coercions[p.target.Kind]
	refused := int(t) >= len(row) || row[t].apply == nil
	var types []string
	for i := range row {
		if row[i].apply != nil && (refused || i == int(t)) {
			types = append(types, fmt.Sprintf("%s (%s)", schema.AttributeType(i), row[i].rule))
		}
	}
	return "expected " + strings.Join(types, ", ")
}
