package client

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
)

// codec encodes and decodes with the generated VT code. gRPC's own codec rejects strings that are not UTF-8, whose
// bytes entry.proto promises to keep.
type codec struct{}

var _ encoding.CodecV2 = codec{}

type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

// Name returns gRPC's default content subtype: the bytes on the wire are ordinary protobuf.
func (codec) Name() string { return "proto" }

// Marshal encodes v into a pooled buffer.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	m, ok := v.(message)
	if !ok {
		return nil, fmt.Errorf("marshal %T: not a message of logbatcher.v1", v)
	}
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(m.SizeVT())
	if _, err := m.MarshalToSizedBufferVT(*buffer); err != nil {
		pool.Put(buffer)
		return nil, err
	}
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

// Unmarshal decodes data into v, which must be empty.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(message)
	if !ok {
		return fmt.Errorf("unmarshal %T: not a message of logbatcher.v1", v)
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	return m.UnmarshalVT(buffer.ReadOnlyData())
}
