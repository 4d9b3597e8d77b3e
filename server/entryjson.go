package server

import (
	"strconv"

	"github.com/tidwall/gjson"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema/logline"
)

// entryReader reads the JSON form of Entry, as protobuf defines it: names in either spelling, 64-bit integers as numbers or strings,
// bytes in base64. It fills one message, so what a field means and what is refused is the same as in protobuf.
type entryReader struct {
	message pb.Entry
	// own is how many bytes of the message's strings are not the line's.
	own int
}

// read fills the message. It returns the first field that is wrong and its problem, or two empty strings.
func (r *entryReader) read(object *logline.Object) (field, problem string) {
	r.clear()
	r.own = object.Own
	var seen uint64
	for i := range object.Members {
		m := &object.Members[i]
		if field, problem = r.set(r.message.ProtoReflect(), &seen, m.Key, m.Value); problem != "" {
			return field, problem
		}
	}
	return "", ""
}

// set sets one field of an entry or an attribute.
func (r *entryReader) set(m protoreflect.Message, seen *uint64, name string, value gjson.Result) (field, problem string) {
	fields := m.Descriptor().Fields()
	f := fields.ByJSONName(name)
	if f == nil {
		f = fields.ByTextName(name)
	}
	if f == nil {
		return name, "there is no such field in " + string(m.Descriptor().Name()) + "; without format=entry it would be an attribute"
	}
	bit := uint64(1) << f.Number()
	switch {
	case *seen&bit != 0:
		return f.TextName(), "it is there twice"
	case value.Type == gjson.Null:
	case f.IsList():
		field, problem = r.attributes(f.TextName(), value)
	default:
		var v protoreflect.Value
		if v, problem = r.value(f, value); problem == "" {
			m.Set(f, v)
		}
		field = f.TextName()
	}
	*seen |= bit
	return field, problem
}

func (r *entryReader) attributes(list string, value gjson.Result) (field, problem string) {
	if !value.IsArray() {
		return list, "it must be an array"
	}
	value.ForEach(func(_, element gjson.Result) bool {
		if !element.IsObject() {
			field, problem = list, "its elements must be objects with a key and a value"
			return false
		}
		m, seen := r.attribute().ProtoReflect(), uint64(0)
		element.ForEach(func(key, value gjson.Result) bool {
			r.own += ownBytes(key) + ownBytes(value)
			field, problem = r.set(m, &seen, key.Str, value)
			return problem == ""
		})
		if problem != "" {
			field = attributePath(list, element.Get("key").Str) + "." + field
		}
		return problem == ""
	})
	return field, problem
}

// ownBytes returns how many bytes of a string are not those of the JSON.
func ownBytes(s gjson.Result) int {
	if s.Type != gjson.String || len(s.Str)+len(`""`) == len(s.Raw) {
		return 0
	}
	return len(s.Str)
}

// attribute appends an attribute to the message, if possible one that it had before.
func (r *entryReader) attribute() *pb.Attribute {
	list := &r.message.Attributes
	if n := len(*list); n < cap(*list) {
		if *list = (*list)[:n+1]; (*list)[n] != nil {
			return (*list)[n]
		}
		(*list)[n] = &pb.Attribute{}
	} else {
		*list = append(*list, &pb.Attribute{})
	}
	return (*list)[len(*list)-1]
}

// value returns the value of a field, or the problem of it.
func (r *entryReader) value(f protoreflect.FieldDescriptor, value gjson.Result) (v protoreflect.Value, problem string) {
	switch f.Kind() {
	case protoreflect.StringKind:
		if value.Type == gjson.String {
			return protoreflect.ValueOfString(value.Str), ""
		}
		return v, "it must be a string"
	case protoreflect.Fixed64Kind:
		if n, err := strconv.ParseUint(digits(value), 10, 64); err == nil {
			return protoreflect.ValueOfUint64(n), ""
		}
		return v, "it must be an integer from 0 to 2^64-1"
	case protoreflect.Uint32Kind:
		if n, err := strconv.ParseUint(digits(value), 10, 32); err == nil {
			return protoreflect.ValueOfUint32(uint32(n)), ""
		}
		return v, "it must be an integer from 0 to 2^32-1"
	case protoreflect.Int64Kind:
		if n, err := strconv.ParseInt(digits(value), 10, 64); err == nil {
			return protoreflect.ValueOfInt64(n), ""
		}
		return v, "it must be an integer from -2^63 to 2^63-1"
	case protoreflect.DoubleKind:
		if x, ok := parseJSONDouble(digits(value), value.Type == gjson.String); ok {
			return protoreflect.ValueOfFloat64(x), ""
		}
		return v, `it must be a number, "NaN", "Infinity" or "-Infinity"`
	case protoreflect.BoolKind:
		if value.IsBool() {
			return protoreflect.ValueOfBool(value.Bool()), ""
		}
		return v, "it must be true or false"
	case protoreflect.BytesKind:
		if data, err := decodeBase64(value.Str); err == nil && value.Type == gjson.String {
			r.own += len(data)
			return protoreflect.ValueOfBytes(data), ""
		}
		return v, "it must be a string in base64"
	}
	if named := f.Enum().Values().ByName(protoreflect.Name(value.Str)); value.Type == gjson.String && named != nil {
		return protoreflect.ValueOfEnum(named.Number()), ""
	}
	if n, err := strconv.ParseInt(value.Raw, 10, 32); err == nil {
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(n)), ""
	}
	return v, "it must be the name or the number of a value of " + string(f.Enum().Name())
}

// digits returns the digits of an integer, which may be in a string.
func digits(value gjson.Result) string {
	if value.Type == gjson.String {
		return value.Str
	}
	return value.Raw
}

// clear empties the message, and keeps its attributes for the next one.
func (r *entryReader) clear() {
	attributes := r.message.Attributes
	for _, a := range attributes {
		*a = pb.Attribute{}
	}
	r.message = pb.Entry{Attributes: attributes[:0]}
}

// reset clears it for the pool.
func (r *entryReader) reset() {
	r.clear()
	if cap(r.message.Attributes) > maxPooledAttributes {
		r.message.Attributes = nil
	}
}
