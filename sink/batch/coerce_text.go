package batch

import (
	"strconv"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

func toText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	out.text = in.Text
	return schema.NoReason
}

func intToText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	out.setText(strconv.AppendInt(out.scratch[:0], in.AsInt(), 10))
	return schema.NoReason
}

func doubleToText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	out.setText(strconv.AppendFloat(out.scratch[:0], in.AsDouble(), 'g', -1, 64))
	return schema.NoReason
}

func boolToText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	out.text = strconv.FormatBool(in.AsBool())
	return schema.NoReason
}

func timeToText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	out.setText(time.Unix(0, in.AsInt()).UTC().AppendFormat(out.scratch[:0], time.RFC3339Nano))
	return schema.NoReason
}

// toFixedString takes at most the column's length. The column pads what is shorter.
func toFixedString(t *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) > t.length {
		return schema.OutOfRange
	}
	out.text = in.Text
	return schema.NoReason
}

// textToEnum takes the name of an element.
func textToEnum(t *target, in *schema.Attribute, out *value) schema.Reason {
	element, known := t.elements[in.Text]
	if !known {
		return schema.OutOfRange
	}
	out.bits = uint64(element)
	return schema.NoReason
}

// jsonToArray takes a JSON array whose elements are strings, numbers or booleans.
func jsonToArray(_ *target, in *schema.Attribute, out *value) schema.Reason {
	elements := jsonArray{text: in.Text}
	for {
		if _, more := elements.next(); !more {
			break
		}
	}
	if elements.malformed {
		return schema.TypeMismatch
	}
	out.text, out.list = in.Text, true
	return schema.NoReason
}
