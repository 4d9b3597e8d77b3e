package batch

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/tidwall/gjson"

	"github.com/logbatcher/logbatcher/schema"
)

// toText takes any value.
func toText(_ *target, in *schema.Attribute, out *value) schema.Reason {
	switch in.Type {
	case schema.String, schema.Bytes, schema.JSON:
		out.text = in.Text
	default:
		out.setText(in.AppendText(out.scratch[:0]))
	}
	return schema.NoReason
}

// toFixedString refuses texts that are longer than the column. The column pads shorter ones.
func toFixedString(t *target, in *schema.Attribute, out *value) schema.Reason {
	if len(in.Text) > t.Length {
		return schema.OutOfRange
	}
	out.text = in.Text
	return schema.NoReason
}

// textToEnum takes an element's name.
func textToEnum(t *target, in *schema.Attribute, out *value) schema.Reason {
	element, known := t.elements[in.Text]
	if !known {
		return schema.OutOfRange
	}
	out.bits = uint64(element)
	return schema.NoReason
}

// toElement makes an array of one element, in the form that a String column would have.
func toElement(t *target, in *schema.Attribute, out *value) schema.Reason {
	reason := toText(t, in, out)
	out.elements = append(out.elements, out.text)
	return reason
}

// wholePairs matches a JSON string in which every escaped surrogate is part of a pair. Half a pair is no character.
var wholePairs = regexp.MustCompile(`(?s)^(?:[^\\]|\\[^u]|\\u(?:[^dD].|[dD][0-7])..|\\u[dD][89abAB]..\\u[dD][c-fC-F]..)*$`)

// jsonToArray takes a JSON array whose elements are strings, numbers or booleans. Bytes that are not UTF-8 are kept.
func jsonToArray(_ *target, in *schema.Attribute, out *value) schema.Reason {
	array := gjson.Parse(in.Text)
	if !json.Valid([]byte(in.Text)) || !array.IsArray() { // gjson's own validation recurses without bound
		return schema.TypeMismatch
	}
	reason := schema.NoReason
	array.ForEach(func(_, element gjson.Result) bool {
		switch {
		case element.Type == gjson.Null || element.Type == gjson.JSON,
			strings.Contains(element.Raw, `\u`) && !wholePairs.MatchString(element.Raw):
			reason = schema.TypeMismatch
		case element.Type == gjson.String:
			out.elements = append(out.elements, element.Str)
		default:
			out.elements = append(out.elements, element.Raw)
		}
		return reason == schema.NoReason
	})
	return reason
}
