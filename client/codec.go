package client

import (
	"fmt"
	"os"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// sequenceBytes is the most that a request's sequence occupies on the wire.
const sequenceBytes = 11

// codec is gRPC's "proto" with two differences: requests are encoded already, and strings need not be UTF-8, because entry.proto
// promises to keep their bytes.
type codec struct{}

var _ encoding.CodecV2 = codec{}

// encoded is a request whose entries are encoded.
type encoded struct {
	sequence uint64
	entries  []byte
}

// Name returns the content subtype, gRPC's default.
func (codec) Name() string { return proto.Name }

// Marshal encodes a message. The entries of a request are not copied.
func (codec) Marshal(v any) (mem.BufferSlice, error) {
	switch v := v.(type) {
	case *encoded:
		head := protowire.AppendTag(make([]byte, 0, sequenceBytes), 1, protowire.VarintType)
		head = protowire.AppendVarint(head, v.sequence)
		return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(v.entries)}, nil
	case interface{ MarshalVT() ([]byte, error) }:
		data, err := v.MarshalVT()
		return mem.BufferSlice{mem.SliceBuffer(data)}, err
	}
	return nil, fmt.Errorf("encode a %T", v)
}

// Unmarshal decodes a message.
func (codec) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(interface{ UnmarshalVT([]byte) error })
	if !ok {
		return fmt.Errorf("decode a %T", v)
	}
	return message.UnmarshalVT(data.Materialize())
}

// stderr is what os.Stderr is at the time of writing.
type stderr struct{}

// Write implements io.Writer.
func (stderr) Write(p []byte) (int, error) { return os.Stderr.Write(p) }
