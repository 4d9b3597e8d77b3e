package server

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
)

// The fields of IngestStreamRequest and IngestRequest, which have the same numbers, and the one of Entry
// that is counted before decoding.
const (
	fieldSequence   protowire.Number = 1
	fieldEntries    protowire.Number = 2
	fieldOpen       protowire.Number = 3
	fieldAttributes protowire.Number = 8
)

var errNotProtobuf = errors.New("the request is not valid protobuf")

// outline is what a request is seen to hold before any entry is decoded.
type outline struct {
	sequence uint64
	entries  int
	// first and end bound the bytes that the entries lie in. Nothing else of a request is compared
	// when a sequence comes again: a unary call repeats its opening, which may have changed.
	first, end int
	openBytes  int
	hasOpen    bool
}

// readOutline reads the outline of an encoded request. Its error is the status for the client.
func readOutline(data []byte) (outline, error) {
	var o outline
	var unknown protowire.Number
	err := eachField(data, func(number protowire.Number, at int, value []byte, varint uint64) error {
		switch number {
		case fieldSequence:
			o.sequence = varint
		case fieldEntries:
			if o.entries == 0 {
				o.first = at
			}
			o.entries++
			o.end = at + len(value)
		case fieldOpen:
			o.hasOpen = true
			o.openBytes += len(value)
		default:
			unknown = number
		}
		return nil
	})
	switch {
	case err != nil:
		return o, statusMalformed(problemNoMessage)
	case unknown != 0:
		return o, statusUnknownField(decimal(uint64(unknown)), problemUnknown)
	}
	return o, nil
}

// entryBytes returns the bytes that the entries lie in.
func (o *outline) entryBytes(data []byte) []byte { return data[o.first:o.end] }

// eachField calls field for each field of a request, in their order, with where its value begins. Of an unknown field it has only the number.
func eachField(data []byte, field func(number protowire.Number, at int, value []byte, varint uint64) error) error {
	for at := 0; at < len(data); {
		number, kind, n := protowire.ConsumeTag(data[at:])
		if n < 0 {
			return errNotProtobuf
		}
		at += n
		var value []byte
		var varint uint64
		switch {
		case number == fieldSequence:
			if kind != protowire.VarintType {
				return errNotProtobuf
			}
			varint, n = protowire.ConsumeVarint(data[at:])
		case number == fieldEntries || number == fieldOpen:
			if kind != protowire.BytesType {
				return errNotProtobuf
			}
			value, n = protowire.ConsumeBytes(data[at:])
		default:
			n = protowire.ConsumeFieldValue(number, kind, data[at:])
		}
		if n < 0 {
			return errNotProtobuf
		}
		at += n
		if err := field(number, at-len(value), value, varint); err != nil {
			return err
		}
	}
	return nil
}

// countAttributes counts the attributes of an encoded entry.
func countAttributes(entry []byte) (int, error) {
	count := 0
	for at := 0; at < len(entry); {
		number, kind, n := protowire.ConsumeTag(entry[at:])
		if n < 0 {
			return 0, errNotProtobuf
		}
		at += n
		if n = protowire.ConsumeFieldValue(number, kind, entry[at:]); n < 0 {
			return 0, errNotProtobuf
		}
		at += n
		if number == fieldAttributes && kind == protowire.BytesType {
			count++
		}
	}
	return count, nil
}
