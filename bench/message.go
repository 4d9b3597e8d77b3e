//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

// varintWidth is the width of the varints that are overwritten.
const varintWidth = 5

// A message is a request that was encoded beforehand. What differs each time it is sent, its sequence and the numbers of its
// rows, has a fixed width and is overwritten in a copy.
type message struct {
	encoded  []byte
	sequence int   // where the sequence is
	numbers  []int // where the rows' numbers are
}

// numbered is a message to send: the codec makes its bytes.
type numbered struct {
	*message
	sequence uint64
	first    uint64 // number of its first row
}

// encodeMessages encodes requests of the given size, of all rows that a batch holds. Service and colo of an entry come
// from its place if there are several routes or colos.
func encodeMessages(run *gatewayRun) ([]*message, error) {
	const placeholder = 0x123456789
	pattern := binary.AppendUvarint(nil, placeholder)
	start := noon()
	var messages []*message
	for first := 0; first+run.entries <= max(run.batch, run.entries); first += run.entries {
		// The sequence comes first, in the widest form that is legal for it.
		m := &message{encoded: append([]byte{1 << 3}, make([]byte, varintWidth)...), sequence: 1}
		putVarint(m.encoded[m.sequence:], 1)
		for i := range run.entries {
			r := makeRow(start, first+i)
			if run.routes > 1 {
				r.service = serviceOf(i % run.routes)
			}
			encoded, err := r.entry(coloOf(i%run.colos), placeholder).MarshalVT()
			if err != nil {
				return nil, err
			}
			at := bytes.LastIndex(encoded, pattern)
			if at < 0 {
				return nil, fmt.Errorf("encode row %d: its number is not there", i)
			}
			m.encoded = append(m.encoded, 2<<3|2)
			m.encoded = binary.AppendUvarint(m.encoded, uint64(len(encoded)))
			m.numbers = append(m.numbers, len(m.encoded)+at)
			m.encoded = append(m.encoded, encoded...)
		}
		messages = append(messages, m)
	}
	return messages, nil
}

func serviceOf(route int) string { return fmt.Sprintf("service-%02d", route) }

func coloOf(n int) string {
	if n == 0 {
		return "EWR"
	}
	return fmt.Sprintf("C%02d", n)
}

// putVarint writes a varint of fixed width.
func putVarint(to []byte, value uint64) {
	for i := range varintWidth - 1 {
		to[i] = byte(value) | 0x80
		value >>= 7
	}
	to[varintWidth-1] = byte(value) & 0x7f
}

// codec sends numbered messages as they are, everything else by its generated code.
type codec struct{}

var _ encoding.CodecV2 = codec{}

type vtMessage interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT([]byte) error
}

// Name returns the content subtype, gRPC's default.
func (codec) Name() string { return "proto" }

// Marshal encodes a message.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *numbered:
		pool := mem.DefaultBufferPool()
		buffer := pool.Get(len(v.encoded))
		data := *buffer
		copy(data, v.encoded)
		putVarint(data[v.message.sequence:], v.sequence)
		for i, at := range v.numbers {
			putVarint(data[at:], v.first+uint64(i))
		}
		return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
	case vtMessage:
		data, err := v.MarshalVT()
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	return nil, fmt.Errorf("bench: no code to encode %T", v)
}

// Unmarshal decodes a message.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(vtMessage)
	if !ok {
		return fmt.Errorf("bench: no code to decode %T", v)
	}
	if response, ok := v.(*logbatcherv1.IngestStreamResponse); ok {
		response.Reset()
	}
	return m.UnmarshalVT(data.Materialize())
}
