package server

import (
	"encoding/binary"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// wire reads the fields of an encoded message in order. It accepts what protobuf's own decoder accepts.
type wire struct {
	// data ends where the message ends; at is the offset of the next field.
	data []byte
	at   int
	// tag is the field's number and wire type, as encoded.
	tag uint64
	// bits is the value of a varint, fixed64 or fixed32 field, value that of a field with a length.
	bits  uint64
	value []byte
	// bad is set if the message ended because its encoding is invalid.
	bad bool
}

// What the wire types add to the tags of fields.
const (
	varintTag  = 0
	fixed64Tag = 1
	bytesTag   = 2
	fixed32Tag = 5
)

// next reads the next field. It reports false at the end of the message.
func (w *wire) next() bool {
	if w.at >= len(w.data) {
		return false
	}
	if w.tag = uint64(w.data[w.at]); w.tag < 0x80 {
		w.at++
	} else if w.tag = w.varint(); w.bad {
		return false
	}
	switch number, kind := w.tag>>3, w.tag&7; {
	case number == 0 || number > uint64(protowire.MaxValidNumber):
		w.bad = true
	case kind == bytesTag:
		length := uint64(0)
		if w.at < len(w.data) && w.data[w.at] < 0x80 {
			length = uint64(w.data[w.at])
			w.at++
		} else {
			length = w.varint()
		}
		if w.bad || length > uint64(len(w.data)-w.at) {
			w.bad = true
			break
		}
		w.value = w.data[w.at : w.at+int(length) : w.at+int(length)]
		w.at += int(length)
	case kind == varintTag:
		w.bits = w.varint()
	case kind == fixed64Tag && len(w.data)-w.at >= 8:
		w.bits = binary.LittleEndian.Uint64(w.data[w.at:])
		w.at += 8
	case kind == fixed32Tag && len(w.data)-w.at >= 4:
		w.bits = uint64(binary.LittleEndian.Uint32(w.data[w.at:]))
		w.at += 4
	default: // a group, or not valid
		n := protowire.ConsumeFieldValue(protowire.Number(number), protowire.Type(kind), w.data[w.at:])
		w.bad = n < 0
		w.at += max(n, 0)
	}
	return !w.bad
}

func (w *wire) varint() uint64 {
	v, n := protowire.ConsumeVarint(w.data[w.at:])
	if n < 0 {
		w.bad = true
		return 0
	}
	w.at += n
	return v
}

// err returns errNotProtobuf if the message ended because its encoding is invalid.
func (w *wire) err() error {
	if w.bad {
		return errNotProtobuf
	}
	return nil
}

// joined returns what a message field that occurs twice contains: protobuf merges the occurrences, and two encodings one after the
// other are the encoding of both merged. A value that wire has read is not changed.
func joined(value, next []byte) []byte {
	if value == nil {
		return next
	}
	return append(value, next...) // wire's values have no room to append to
}

// textOf returns bytes as a string without copying them.
func textOf(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
