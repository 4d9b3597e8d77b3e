package server

import (
	"math"
	"math/bits"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// valueFields is a set of value fields of an attribute.
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

// fieldOfType is the field that holds the value of an attribute of each type. Without a type it may be any.
var fieldOfType = [...]valueFields{
	pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED: stringField | intField | doubleField | boolField | bytesField,

	pb.AttributeType_ATTRIBUTE_TYPE_STRING: stringField,
	pb.AttributeType_ATTRIBUTE_TYPE_INT:    intField,
	pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE: doubleField,
	pb.AttributeType_ATTRIBUTE_TYPE_BOOL:   boolField,
	pb.AttributeType_ATTRIBUTE_TYPE_BYTES:  bytesField,
	pb.AttributeType_ATTRIBUTE_TYPE_JSON:   stringField,
}

// name returns the name of the first field of the set, which is not empty.
func (f valueFields) name() string { return valueFieldNames[bits.TrailingZeros8(uint8(f))] }

// setFields returns the value fields that are set: those that are not zero. -0.0 is not zero.
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

// typesOfFields are the types of attributes that name none, in the order of the bits of the field that is set.
var typesOfFields = [...]pb.AttributeType{
	pb.AttributeType_ATTRIBUTE_TYPE_STRING, pb.AttributeType_ATTRIBUTE_TYPE_INT, pb.AttributeType_ATTRIBUTE_TYPE_DOUBLE,
	pb.AttributeType_ATTRIBUTE_TYPE_BOOL, pb.AttributeType_ATTRIBUTE_TYPE_BYTES,
}

// typeOf returns the type of a valid attribute: the one it names, or else that of the value that is set, or else STRING.
func typeOf(m *pb.Attribute) pb.AttributeType {
	if m.Type != pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED {
		return m.Type
	}
	if set := setFields(m); set != 0 {
		return typesOfFields[bits.TrailingZeros8(uint8(set))]
	}
	return pb.AttributeType_ATTRIBUTE_TYPE_STRING
}

// isValid reports whether checkAttribute finds nothing.
func isValid(a *pb.Attribute) bool {
	if uint(a.Type) >= uint(len(fieldOfType)) || a.Key == "" || a.HasUnknownFields() {
		return false
	}
	set := setFields(a)
	return set&^fieldOfType[a.Type] == 0 && set&(set-1) == 0
}

// checkAttribute returns the path of the first invalid field of an attribute and its problem, or two empty strings.
func checkAttribute(list string, a *pb.Attribute) (field, problem string) {
	if isValid(a) {
		return "", ""
	}
	path := attributePath(list, a.Key)
	if a.Key == "" {
		return path, problemNoKey
	}
	if a.Type < 0 || int(a.Type) >= len(fieldOfType) {
		return path + ".type", "it is not one of AttributeType"
	}
	set := setFields(a)
	if a.Type == pb.AttributeType_ATTRIBUTE_TYPE_UNSPECIFIED {
		if others := set & (set - 1); others != 0 {
			return path + "." + others.name(), (set &^ others).name() + " is set too, and an attribute has one value: set one of them"
		}
	} else if other := set &^ fieldOfType[a.Type]; other != 0 {
		return path + "." + other.name(),
			"the value of an attribute of type " + a.Type.String() + " is in " + fieldOfType[a.Type].name() + ": move it there, or name another type"
	}
	field, problem = unknownField(a.ProtoReflect())
	return path + "." + field, problem
}

const problemNoKey = "the key must not be empty"

const problemUnknown = "this server's version of the protocol has no field of that number: leave it out, or use a server that knows it"

// checkAttributes is checkAttribute for the first invalid attribute of a list.
func checkAttributes(list string, attributes []*pb.Attribute) (field, problem string) {
	for _, a := range attributes {
		if field, problem = checkAttribute(list, a); problem != "" {
			return field, problem
		}
	}
	return "", ""
}

// unknownField returns the number of a field that m came with and the protocol does not have, and its problem; or two empty
// strings. It does not look into the messages of m.
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
	_ = protorange.Range(m, func(v protopath.Values) error {
		inner, ok := v.Index(-1).Value.Interface().(protoreflect.Message)
		if !ok {
			return nil
		}
		if field, problem = unknownField(inner); field == "" {
			return nil
		}
		field = strings.TrimPrefix(v.Path[1:].String()+"."+field, ".")
		return protorange.Terminate
	})
	return field, problem
}
