package server

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// codec is gRPC's "proto" with two differences. Ingest requests are not decoded but kept as frames, so that memory can be
// reserved first and entries can alias the bytes. Messages with generated code are decoded by that, which allows strings that are
// not UTF-8.
type codec struct{}

var (
	_         encoding.CodecV2 = codec{}
	grpcCodec                  = encoding.GetCodecV2(proto.Name)
)

// frame replaces a request message in RecvMsg: the bytes as gRPC received them.
type frame struct{ mem.BufferSlice }

// join copies the frame into one buffer of the pool, and frees it.
func (f *frame) join(pool mem.BufferPool) *[]byte {
	buffer := pool.Get(f.Len())
	f.CopyTo(*buffer)
	f.free()
	return buffer
}

// free returns gRPC's buffers.
func (f *frame) free() {
	f.Free()
	f.BufferSlice = nil
}

// Name returns the content subtype, gRPC's default.
func (codec) Name() string { return proto.Name }

// encoded is a response that is already encoded.
type encoded []byte

// Marshal encodes a message.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	if e, ok := v.(encoded); ok {
		return mem.BufferSlice{mem.SliceBuffer(e)}, nil
	}
	return grpcCodec.Marshal(v)
}

// Unmarshal decodes a message, or makes a frame keep the data.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *frame:
		data.Ref() // the caller frees its own reference
		v.BufferSlice = data
		return nil
	case interface {
		Reset()
		UnmarshalVT([]byte) error
	}:
		buffer := data.MaterializeToBuffer(mem.DefaultBufferPool())
		defer buffer.Free()
		v.Reset()
		return v.UnmarshalVT(buffer.ReadOnlyData())
	}
	return grpcCodec.Unmarshal(data, v)
}
