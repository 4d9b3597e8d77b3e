package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// transport is the part of gRPC's stream that messages are read from. gRPC exports it and does not document it, so it is used
// only here, with the version pinned. Without it RecvMsg takes its place, and a test fails.
type transport interface {
	// RecvCompress returns the call's grpc-encoding.
	RecvCompress() string
	// ReadMessageHeader fills header with the next bytes, or returns io.EOF when the client has half-closed.
	ReadMessageHeader(header []byte) error
	// Read returns the next n bytes.
	Read(n int) (mem.BufferSlice, error)
}

// messages receives the messages of one call as gRPC's RecvMsg does, with three differences. RecvMsg answers bad frames, damaged
// compression and bytes that are no message with INTERNAL, before an interceptor sees them; here they are the client's errors.
// RecvMsg drops unknown fields; here they are refused. And a message that is too large is refused before it is read.
type messages struct {
	transport transport
	unpack    *decompressor
	single    bool // the call has one request
}

// receiver returns a replacement for the recvMsg of the call that ctx belongs to. It returns io.EOF when the client has
// half-closed.
func receiver(ctx context.Context, unpack *decompressor, single bool, recvMsg func(any) error) func(any) error {
	t, ok := grpc.ServerTransportStreamFromContext(ctx).(transport)
	if !ok {
		return recvMsg
	}
	return (&messages{transport: t, unpack: unpack, single: single}).receive
}

func (s *messages) receive(m any) error {
	data, err := s.next()
	switch {
	case err == io.EOF && s.single:
		return statusMalformed("the call ended without a request")
	case err != nil:
		return err
	}
	if s.single {
		if more, err := s.next(); err != io.EOF {
			data.Free()
			more.Free()
			if err == nil {
				err = statusMalformed("the call has more than one request")
			}
			return err
		}
	}
	defer data.Free()
	if err := (codec{}).Unmarshal(data, m); err != nil {
		return statusMalformed(problemNoMessage)
	}
	if m, ok := m.(proto.Message); ok && strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "logbatcher.") {
		if field, problem := findUnknownField(m.ProtoReflect()); field != "" {
			return statusUnknownField(field, problem)
		}
	}
	return nil
}

// next returns the next message, decompressed.
func (s *messages) next() (mem.BufferSlice, error) {
	var header [5]byte
	if err := s.transport.ReadMessageHeader(header[:]); err != nil {
		return nil, transportError(err)
	}
	flags, length := header[0], int64(binary.BigEndian.Uint32(header[1:]))
	if length > int64(s.unpack.limit) {
		return nil, statusTooLarge("max_request_bytes", s.unpack.limit, int(length))
	}
	data, err := s.transport.Read(int(length))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, transportError(err)
	}
	if flags == 0 {
		return data, nil
	}
	defer data.Free()
	name := s.transport.RecvCompress() // gRPC has answered calls with an unknown encoding
	if flags != 1 || s.unpack.readers[name] == nil {
		return nil, statusMalformed("the first byte of a message must be 0, or 1 if it is compressed with the call's grpc-encoding")
	}
	return s.unpack.decompress(name, data)
}

// transportError returns the status for an error of the transport: the client broke off a message, or the call has ended.
func transportError(err error) error {
	_, hasStatus := status.FromError(err)
	switch {
	case err == io.EOF || hasStatus:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return statusMalformed("the call ended in the middle of a message")
	case errors.Is(err, context.DeadlineExceeded):
		return statusOfContext(err)
	}
	return statusOfContext(context.Canceled) // reset, or the connection is gone
}

// framedStream is a stream with a replaced RecvMsg.
type framedStream struct {
	grpc.ServerStream
	receive func(any) error
}

// RecvMsg implements grpc.ServerStream.
func (s *framedStream) RecvMsg(m any) error { return s.receive(m) }

// framing is the interceptor that replaces RecvMsg for streams.
func framing(unpack *decompressor) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(srv, &framedStream{stream, receiver(stream.Context(), unpack, !info.IsClientStream, stream.RecvMsg)})
	}
}
