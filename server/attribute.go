package server

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// valueFields is a set of an attribute's value fields.
type valueFields uint8

const (
	stringField valueFields = 1 << iota
	intField
	doubleField
	boolField
	bytesField
)

// valueFieldNames are the fields' names, in the order of their bits.
var valueFieldNames = [...]string{"string_value", "int_value", "double_value", "bool_value", "bytes_value"}

// fieldOfType is the field that holds the value of an attribute of that type; where none is named, it may be any of them.
var fieldOfType = [...]valueFields{
	pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED: stringField | intField | doubleField | boolField | bytesField,

	pb.AttributeType_ATTRIBUTE_TYPE_STRING: stringField,
	pb.AttributeType_ATTRIBUTE_TYPE_INT:    intField,
	pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE: doubleField,
	pb.AttributeType_ATTRIBUTE_TYPE_BOOL:   boolField,
	pb.AttributeType_ATTRIBUTE_TYPE_BYTES:  bytesField,
	pb.AttributeType_ATTRIBUTE_TYPE_JSON:   stringField,
}

// name returns the name of the first field of the set.
func (f valueFields) name() string {
	for i, name := range valueFieldNames {
		if f&(1<<i) != 0 {
			return name
		}
	}
	return "none"
}

// setFields returns the value fields that are set. A zero value can't be seen; -0.0 is not zero.
func setFields(m *pb.Attribute) (set valueFields) {
	if m.StringValue != "" {
		set |= stringField
	}
	if m.IntValue != 0 {
		set |= intField
	}
	if math.Float64bits(m.DoubleValue) != 0 {
		set |= doubleField
	}
	if m.BoolValue {
		set |= boolField
	}
	if len(m.BytesValue) > 0 {
		set |= bytesField
	}
	return set
}

// typeOf returns the type of an attribute that checkAttribute found no fault with: the named type, or else that of the
// value that is set. With neither it is STRING.
func typeOf(m *pb.Attribute) pb.AttributeType {
	if m.Type != pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED {
		return m.Type
	}
	switch {
	case m.StringValue != "":
		return pb.AttributeType_ATTRIBUTE_TYPE_STRING
	case m.IntValue != 0:
		return pb.AttributeType_ATTRIBUTE_TYPE_INT
	case math.Float64bits(m.DoubleValue) != 0:
		return pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE
	case m.BoolValue:
		return pb.AttributeType_ATTRIBUTE_TYPE_BOOL
	case len(m.BytesValue) > 0:
		return pb.AttributeType_ATTRIBUTE_TYPE_BYTES
	}
	return pb.AttributeType_ATTRIBUTE_TYPE_STRING
}

// isRight reports whether there is nothing wrong with an attribute.
func isRight(a *pb.Attribute) bool {
	if uint(a.Type) >= uint(len(fieldOfType)) || a.Key == "" || a.HasUnknownFields() {
		return false
	}
	set := setFields(a)
	return set&^fieldOfType[a.Type] == 0 && set&(set-1) == 0
}

// checkAttribute returns the path of the first field of an attribute that is wrong, and how; or two empty strings.
func checkAttribute(list string, a *pb.Attribute) (field, problem string) {
	if isRight(a) {
		return "", ""
	}
	if a.Key == "" {
		return attributePath(list, ""), "the key must not be empty"
	}
	if a.Type < 0 || int(a.Type) >= len(fieldOfType) {
		return attributePath(list, a.Key) + ".type", "it is not one of AttributeType"
	}
	set := setFields(a)
	if a.Type == pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED {
		if others := set & (set - 1); others != 0 {
			return attributePath(list, a.Key) + "." + others.name(), (set &^ others).name() + " is set too, and an attribute has one value: set one of them"
		}
	} else if other := set &^ fieldOfType[a.Type]; other != 0 {
		return attributePath(list, a.Key) + "." + other.name(),
			"the value of an attribute of type " + a.Type.String() + " is in " + fieldOfType[a.Type].name() + ": move it there, or name another type"
	}
	field, problem = unknownField(a.ProtoReflect())
	return attributePath(list, a.Key) + "." + field, problem
}

const problemUnknown = "this server's version of the protocol has no field of that number: leave it out, or use a server that knows it"

// unknownField returns the number of a field that m came with and the protocol doesn't have, and what is wrong with it; or
// two empty strings. It doesn't look into the messages of m.
func unknownField(m protoreflect.Message) (field, problem string) {
	unknown := m.GetUnknown()
	if len(unknown) == 0 {
		return "", ""
	}
	number, _, _ := protowire.ConsumeTag(unknown)
	return decimal(uint64(number)), problemUnknown
}

// findUnknownField is unknownField for m and all messages in it. It returns the field's path.
func findUnknownField(m protoreflect.Message) (field, problem string) {
	if field, problem = unknownField(m); field != "" {
		return field, problem
	}
	m.Range(func(d protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case d.Message() == nil:
		case d.IsList():
			for i := 0; i < v.List().Len() && field == ""; i++ {
				if field, problem = findUnknownField(v.List().Get(i).Message()); field != "" {
					field = string(d.Name()) + "[" + decimal(uint64(i)) + "]." + field
				}
			}
		default:
			if field, problem = findUnknownField(v.Message()); field != "" {
				field = string(d.Name()) + "." + field
			}
		}
		return field == ""
	})
	return field, problem
}
