package server

import (
	"fmt"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// codec is gRPC's "proto" with two differences: an ingest request is not decoded but kept (frame), so that its memory can be
// asked for first and its entries alias its bytes; and messages that have generated code for it are encoded by that.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// frame takes the place of a request message in RecvMsg: it holds the bytes as gRPC received them.
type frame struct {
	data mem.BufferSlice
}

// free gives gRPC's buffers back.
func (f *frame) free() {
	f.data.Free()
	f.data = nil
}

// join copies the frame into one buffer of the pool, and frees it.
func (f *frame) join(pool mem.BufferPool) *[]byte {
	buffer := pool.Get(f.data.Len())
	f.data.CopyTo(*buffer)
	f.free()
	return buffer
}

type vtMessage interface {
	Reset()
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
	UnmarshalVT([]byte) error
}

// Name returns the content subtype, gRPC's default.
func (codec) Name() string { return "proto" }

// Marshal encodes a message.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if m, ok := v.(vtMessage); ok {
		size := m.SizeVT()
		buffer := mem.DefaultBufferPool().Get(size)
		if _, err := m.MarshalToSizedBufferVT((*buffer)[:size]); err != nil {
			mem.DefaultBufferPool().Put(buffer)
			return nil, err
		}
		return mem.BufferSlice{mem.NewBuffer(buffer, mem.DefaultBufferPool())}, nil
	}
	m, err := messageOf(v)
	if err != nil {
		return nil, err
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

// Unmarshal decodes a message, or lets a frame keep the data.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	if f, ok := v.(*frame); ok {
		data.Ref() // gRPC frees its own reference when Unmarshal returns
		f.data = data
		return nil
	}
	buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buffer.Free()
	if m, ok := v.(vtMessage); ok {
		m.Reset()
		return m.UnmarshalVT(buffer.ReadOnlyData())
	}
	m, err := messageOf(v)
	if err != nil {
		return err
	}
	return proto.Unmarshal(buffer.ReadOnlyData(), m)
}

func messageOf(v any) (proto.Message, error) {
	switch m := v.(type) {
	case proto.Message:
		return m, nil
	case protoadapt.MessageV1:
		return protoadapt.MessageV2Of(m), nil
	}
	return nil, fmt.Errorf("%T is not a protobuf message", v)
}
