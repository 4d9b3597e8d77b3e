package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// transport is the part of gRPC's stream that a call's messages are read from. It is not part of gRPC's documented interface, so it is asked
// for here alone, with the version pinned; a test fails where it is not there, and RecvMsg takes its place.
type transport interface {
	// RecvCompress returns the call's grpc-encoding.
	RecvCompress() string
	// ReadMessageHeader fills header with the next bytes, or returns io.EOF when the client has half-closed.
	ReadMessageHeader(header []byte) error
	// Read returns the next n bytes.
	Read(n int) (mem.BufferSlice, error)
}

// messages receives the messages of one call. It does what gRPC's RecvMsg does, which answers whatever a client does wrong (bad frames,
// damaged compression, bytes that are no message) with INTERNAL, before an interceptor hears of it, and lets protobuf drop fields
// that it doesn't know. Here they are the client's errors. And a message that is too large is refused before it is read.
type messages struct {
	transport transport
	limit     int
	// single is set where the call has one request.
	single bool
	// otherwise is RecvMsg, for where transport is nil.
	otherwise func(any) error
}

// messagesOf returns the messages of the call that ctx belongs to.
func messagesOf(ctx context.Context, limit int, single bool, recvMsg func(any) error) *messages {
	t, _ := grpc.ServerTransportStreamFromContext(ctx).(transport)
	return &messages{transport: t, limit: limit, single: single, otherwise: recvMsg}
}

// receive receives the next message, or where m is a frame its bytes. It returns io.EOF when the client has half-closed.
func (s *messages) receive(m any) error {
	f, raw := m.(*frame)
	if !raw {
		f = &frame{}
	}
	if err := s.receiveFrame(f); err != nil || raw {
		return err
	}
	defer f.free()
	if err := (codec{}).Unmarshal(f.data, m); err != nil {
		return statusMalformed(problemNoMessage)
	}
	if m, ok := m.(proto.Message); ok && strings.HasPrefix(string(m.ProtoReflect().Descriptor().FullName()), "logbatcher.") {
		if field, problem := findUnknownField(m.ProtoReflect()); field != "" {
			return statusUnknownField(field, problem)
		}
	}
	return nil
}

func (s *messages) receiveFrame(f *frame) error {
	if s.transport == nil {
		return s.otherwise(f)
	}
	data, err := s.next()
	switch {
	case err == io.EOF && s.single:
		return statusMalformed("the call has ended without a request")
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
	f.data = data
	return nil
}

// next returns the next message, decompressed.
func (s *messages) next() (mem.BufferSlice, error) {
	var header [5]byte
	if err := s.transport.ReadMessageHeader(header[:]); err != nil {
		return nil, transportError(err)
	}
	flags, length := header[0], int64(binary.BigEndian.Uint32(header[1:]))
	if length > int64(s.limit) {
		return nil, statusTooLarge("max_request_bytes", s.limit, int(length))
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
	name := s.transport.RecvCompress()
	compressor := encoding.GetCompressor(name)
	switch {
	case flags != 1:
		return nil, statusMalformed("the first byte of a message is 0, or 1 where it is compressed")
	case compressor == nil: // an encoding that is not known has been answered by gRPC
		return nil, statusMalformed("a message is marked as compressed, and the call's grpc-encoding names no compression")
	}
	return s.decompress(compressor, data)
}

func (s *messages) decompress(compressor encoding.Compressor, data mem.BufferSlice) (mem.BufferSlice, error) {
	from := data.Reader()
	defer func() { _ = from.Close() }() // frees what has not been read
	reader, err := compressor.Decompress(from)
	if err != nil {
		return nil, statusMalformed("a message can't be decompressed with " + compressor.Name())
	}
	if closer, ok := reader.(io.Closer); ok {
		defer func() { _ = closer.Close() }()
	}
	whole, err := mem.ReadAll(io.LimitReader(reader, int64(s.limit)+1), mem.DefaultBufferPool())
	switch {
	case err != nil:
		whole.Free()
		return nil, statusMalformed("a message can't be decompressed with " + compressor.Name())
	case whole.Len() > s.limit:
		whole.Free()
		return nil, statusTooLarge("max_request_bytes", s.limit, s.limit+1)
	}
	return whole, nil
}

// transportError returns what an error of the transport is to the client: its own doing, or the end of its call.
func transportError(err error) error {
	if err == io.EOF {
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return statusMalformed("the call has ended in the middle of a message")
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return statusOfContext(err)
	}
	return statusOfContext(context.Canceled) // reset, or the connection is gone
}

// framedStream receives its messages as messages does.
type framedStream struct {
	grpc.ServerStream
	messages *messages
}

// RecvMsg implements grpc.ServerStream.
func (s *framedStream) RecvMsg(m any) error { return s.messages.receive(m) }

// framing is the stream interceptor that has calls receive their messages as messages does.
func framing(limit int) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return handler(srv, &framedStream{stream, messagesOf(stream.Context(), limit, !info.IsClientStream, stream.RecvMsg)})
	}
}
