package client

import (
	"fmt"
	"math"
	"slices"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
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

// keepNegativeZeros returns attributes that keep the sign of a double -0, which the generated code takes for an absent value
// and leaves out: it copies unknown fields as they are, so such a value travels as one. What has to change is copied, because
// callers may share attributes between entries.
func keepNegativeZeros(attributes []*logbatcherv1.Attribute) []*logbatcherv1.Attribute {
	copied := false
	for i, a := range attributes {
		if v := a.GetDoubleValue(); v != 0 || !math.Signbit(v) {
			continue
		}
		if !copied {
			attributes, copied = slices.Clone(attributes), true
		}
		field := a.ProtoReflect().Descriptor().Fields().ByName("double_value").Number()
		changed := proto.CloneOf(a)
		raw := protowire.AppendTag(nil, field, protowire.Fixed64Type)
		changed.ProtoReflect().SetUnknown(protowire.AppendFixed64(raw, math.Float64bits(a.GetDoubleValue())))
		attributes[i] = changed
	}
	return attributes
}
