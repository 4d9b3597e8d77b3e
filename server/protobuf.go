package server

import (
	"errors"
	"fmt"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// The tags of IngestStreamRequest and IngestRequest, which have the same fields, and the one of Entry that is counted before decoding.
const (
	requestSequence = 1<<3 | varintTag
	requestEntry    = 2<<3 | bytesTag
	requestOpen     = 3<<3 | bytesTag
	entryAttribute  = 8<<3 | bytesTag
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
	var unknown uint64
	fields := wire{data: data}
	for fields.next() {
		switch fields.tag {
		case requestSequence:
			l.sequence = fields.bits
		case requestEntry:
			if l.entries == 0 {
				l.first = fields.at - len(fields.value)
			}
			l.entries++
			l.end = fields.at
		case requestOpen:
			l.hasOpen = true
			l.openBytes += len(fields.value)
		default:
			if unknown = fields.tag >> 3; unknown <= requestOpen>>3 { // a known one with another wire type
				return l, statusMalformed(problemNoMessage)
			}
		}
	}
	switch {
	case fields.bad:
		return l, statusMalformed(problemNoMessage)
	case unknown != 0:
		return l, statusUnknownField(decimal(unknown), problemUnknown)
	}
	return l, nil
}

func (d *protobufDecoder) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	defer d.reset()
	next := from
	fields := wire{data: data, at: from.at}
	for fields.next() {
		if fields.tag == requestEntry {
			err := d.entry(fields.value, values, into)
			if err == errArenaFull {
				return next, nil
			}
			if err != nil {
				return next, statusMalformed(problemNoMessage)
			}
			next.place++
		}
		next.at = fields.at
	}
	if fields.bad {
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
	fields := wire{data: entry}
	for fields.next() {
		if fields.tag == entryAttribute {
			count++
		}
	}
	return count, fields.err()
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
