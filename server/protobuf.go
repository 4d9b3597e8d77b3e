package server

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// The fields of IngestStreamRequest and IngestRequest, which have the same numbers, and the one of Entry that is counted before
// decoding.
const (
	fieldSequence   protowire.Number = 1
	fieldEntries    protowire.Number = 2
	fieldOpen       protowire.Number = 3
	fieldAttributes protowire.Number = 8
)

// maxPooledAttributes bounds what a decoder keeps of one entry for the next request.
const maxPooledAttributes = 128

var (
	errNotProtobuf = errors.New("the request is not valid protobuf")
	errArenaFull   = errors.New("the arena is full")
)

// protobufDecoder decodes logbatcher.v1 requests, entry by entry through one message. Decoding a whole request into messages
// first would turn a few bytes of empty entries and attributes into hundreds of megabytes, and would leave the cache.
type protobufDecoder struct {
	config  *Config
	message pb.Entry
}

func newProtobufDecoder(config *Config) func() decoder {
	return func() decoder { return &protobufDecoder{config: config} }
}

func (d *protobufDecoder) outline(data []byte) (outline, error) { return readOutline(data) }

// readOutline reads the outline of an encoded request. The error is the status for the client.
func readOutline(data []byte) (outline, error) {
	var l outline
	var unknown protowire.Number
	err := eachField(data, func(f field) error {
		kind := protowire.BytesType
		switch f.number {
		case fieldSequence:
			kind, l.sequence = protowire.VarintType, f.varint
		case fieldEntries:
			if l.entries == 0 {
				l.first = f.end - len(f.value)
			}
			l.entries++
			l.end = f.end
		case fieldOpen:
			l.hasOpen = true
			l.openBytes += len(f.value)
		default:
			kind, unknown = f.kind, f.number
		}
		if f.kind != kind {
			return errNotProtobuf
		}
		return nil
	})
	switch {
	case err != nil:
		return l, statusMalformed(problemNoMessage)
	case unknown != 0:
		return l, statusUnknownField(decimal(uint64(unknown)), problemUnknown)
	}
	return l, nil
}

func (d *protobufDecoder) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	defer d.reset()
	next := from
	err := eachField(data[from.at:], func(f field) error {
		if f.number == fieldEntries {
			if err := d.entry(f.value, values, into); err != nil {
				return err
			}
			next.place++
		}
		next.at = from.at + f.end
		return nil
	})
	if err == errNotProtobuf {
		return next, statusMalformed(problemNoMessage)
	}
	return next, nil
}

// entry adds one encoded entry to the arena, or refuses it.
func (d *protobufDecoder) entry(data []byte, values *defaults, into *arena) error {
	if into.full() {
		return errArenaFull
	}
	// An attribute has at least two bytes, so only a long entry can have too many. They are counted before decoding, because a
	// decoded one occupies fifty times what it may have on the wire.
	attributeCount := 0
	if len(data) >= 2*d.config.MaxEntryAttributes && len(data) <= int(d.config.MaxEntryBytes) {
		var err error
		if attributeCount, err = countAttributes(data); err != nil {
			return err
		}
	}
	if refusal := d.config.refuse(len(data), attributeCount); refusal != nil {
		into.refuse(refusal)
		return nil
	}
	d.clear()
	if err := d.message.UnmarshalVTUnsafe(data); err != nil {
		return errNotProtobuf
	}
	if !into.addMessage(&d.message, values, 0) {
		return errArenaFull
	}
	return nil
}

// addMessage adds an entry or, if something is wrong with it, refuses it. own is the memory of the message's strings, apart from those
// that alias the request. It reports false if the arena is full.
func (a *arena) addMessage(m *pb.Entry, values *defaults, own int) bool {
	if refusal := check(m); refusal != nil {
		a.refuse(refusal)
		return true
	}
	attributes, ok := a.attributes(len(m.Attributes))
	if !ok || own > 0 && !a.hold(own) {
		return false
	}
	for i, from := range m.Attributes {
		viewAttribute(from, &attributes[i])
	}
	e := a.add()
	view(m, values, e)
	e.Attributes = attributes
	return true
}

// clear empties the message like ResetVT, but without registering each message with protobuf's reflection, which took a quarter
// of the time of decoding.
func (d *protobufDecoder) clear() {
	attributes := d.message.Attributes
	for _, a := range attributes {
		*a = pb.Attribute{}
	}
	d.message = pb.Entry{Attributes: attributes[:0]}
}

// reset clears the decoder for the pool.
func (d *protobufDecoder) reset() {
	d.clear()
	if cap(d.message.Attributes) > maxPooledAttributes {
		d.message.Attributes = nil
	}
}

// countAttributes counts the attributes of an encoded entry.
func countAttributes(entry []byte) (count int, err error) {
	err = eachField(entry, func(f field) error {
		if f.number == fieldAttributes && f.kind == protowire.BytesType {
			count++
		}
		return nil
	})
	return count, err
}

// field is one field of an encoded message.
type field struct {
	number protowire.Number
	kind   protowire.Type
	value  []byte // if kind is BytesType
	varint uint64 // if kind is VarintType
	end    int    // offset of the next field
}

// eachField calls do for each field of an encoded message, in order. It fails with do's error or with errNotProtobuf.
func eachField(data []byte, do func(field) error) error {
	for at := 0; at < len(data); {
		number, kind, n := protowire.ConsumeTag(data[at:])
		if n < 0 {
			return errNotProtobuf
		}
		at += n
		f := field{number: number, kind: kind}
		switch kind {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(data[at:])
		case protowire.BytesType:
			f.value, n = protowire.ConsumeBytes(data[at:])
		default:
			n = protowire.ConsumeFieldValue(number, kind, data[at:])
		}
		if n < 0 {
			return errNotProtobuf
		}
		at += n
		f.end = at
		if err := do(f); err != nil {
			return err
		}
	}
	return nil
}

// refuse returns the refusal of an entry that is too large, or nil.
func (l *Limits) refuse(bytes, attributes int) *schema.Refusal {
	switch {
	case bytes > int(l.MaxEntryBytes):
		return &schema.Refusal{
			Reason: schema.TooLarge, Message: fmt.Sprintf("the entry has %d bytes, max_entry_bytes is %d", bytes, l.MaxEntryBytes),
		}
	case attributes > l.MaxEntryAttributes:
		return &schema.Refusal{
			Field: "attributes", Reason: schema.TooLarge,
			Message: fmt.Sprintf("the entry has %d attributes, max_entry_attributes is %d", attributes, l.MaxEntryAttributes),
		}
	}
	return nil
}
