package server

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// rawCodec sends and receives bytes as they are.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// laxCodec sends strings that are not UTF-8, as clients in other languages do and protobuf-go does not.
type laxCodec struct{ codec }

func (laxCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := v.(*pb.IngestStreamRequest).MarshalVT()
	return mem.BufferSlice{mem.SliceBuffer(data)}, err
}

func TestCodecSpeaksProtobuf(t *testing.T) {
	long := strings.Repeat("x", 5000) // beyond what gRPC pools
	for _, m := range []proto.Message{
		&pb.IngestStreamRequest{Sequence: 7, Entries: []*pb.Entry{designEntry(1)}},
		&pb.IngestStreamResponse{CommittedSequence: 8, Refusals: []*pb.Refusal{{Field: long}}},
		&pb.IngestResponse{}, &pb.FlushRequest{Table: "t"},
		&grpc_health_v1.HealthCheckRequest{Service: long}, // without code by vtprotobuf
	} {
		data, err := codec{}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back := m.ProtoReflect().New().Interface()
		if err := proto.Unmarshal(data.Materialize(), back); err != nil || !proto.Equal(m, back) {
			t.Errorf("Marshal %T: %v, %v", m, back, err)
		}
		if err := (codec{}).Unmarshal(data, back); err != nil || !proto.Equal(m, back) {
			t.Errorf("Unmarshal %T: %v, %v", m, back, err)
		}
		data.Free()
	}
	if _, err := (codec{}).Marshal(3); err == nil {
		t.Error("3 is a message")
	}
	if err := (codec{}).Unmarshal(nil, new(int)); err == nil {
		t.Error("an int is a message")
	}
}

func TestFrameKeepsTheData(t *testing.T) {
	pool := &scribbler{}
	whole := bytes.Repeat([]byte("abc"), 1000)
	var data mem.BufferSlice
	for _, part := range [][]byte{whole[:1100], whole[1100:1100], whole[1100:]} {
		b := pool.Get(len(part))
		copy(*b, part)
		data = append(data, mem.NewBuffer(b, pool))
	}
	var f frame
	if err := (codec{}).Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	data.Free() // as gRPC does
	joined := f.join(pool)
	if !bytes.Equal(*joined, whole) {
		t.Error("the frame has lost its data")
	}
	pool.Put(joined)
	f.free()
	if f.BufferSlice != nil {
		t.Error("the frame is not empty")
	}
}

// Nothing may read a request's buffer after its release: the fixture's pool overwrites it then, and this router reads until the
// last moment, from another goroutine. It must read what was sent.
func TestBuffersAreNotReadAfterRelease(t *testing.T) {
	f := newFixture(t, nil)
	var checked sync.WaitGroup
	var mu sync.Mutex
	read := map[string]string{}
	f.router.set(func(r *fakeRouter) {
		r.script = func(_ context.Context, q *schema.Request, _ func(schema.WaitCause, string)) error {
			checked.Go(func() {
				for range rand.IntN(300) {
					runtime.Gosched()
				}
				mu.Lock()
				for i, e := range cloneEntries(q.Entries) {
					read[fmt.Sprintf("%d/%d", q.Sequence, q.Place(i))] = e.Body + e.Attributes[0].Text + e.Service
				}
				mu.Unlock()
				q.Release()
				q.Settled(&schema.Outcome{})
			})
			return nil
		}
	})
	s := f.open(&pb.Open{Producer: "p", ResourceAttributes: []*pb.Attribute{{Key: "service.name", StringValue: "svc"}}})
	want := map[string]string{}
	const requests, entries = 200, 20
	for i := range uint64(requests) {
		m := &pb.IngestStreamRequest{Sequence: i + 1}
		for j := range entries {
			body := strings.Repeat(fmt.Sprint(i), j)
			e := &pb.Entry{Body: body, Attributes: []*pb.Attribute{{Key: "k", Type: pb.AttributeType_ATTRIBUTE_TYPE_BYTES, BytesValue: []byte(body)}}}
			if j == 3 {
				e.Attributes = append(e.Attributes, &pb.Attribute{Key: "bad" + body, Type: 99})
			} else {
				want[fmt.Sprintf("%d/%d", i+1, j)] = body + body + "svc"
			}
			m.Entries = append(m.Entries, e)
		}
		s.send(m)
	}
	s.until(func() bool { return s.committed == requests })
	checked.Wait()
	for place, got := range want {
		if read[place] != got {
			t.Fatalf("entry %s was read as %q, sent as %q", place, read[place], got)
		}
	}
	for _, r := range s.refusals {
		if want := `attributes["bad` + strings.Repeat(fmt.Sprint(r.Sequence-1), 3) + `"].type`; r.Field != want {
			t.Fatalf("refused %q, want %q", r.Field, want)
		}
	}
	if len(s.refusals) != requests || len(read) != len(want) {
		t.Fatalf("%d refusals, %d entries read", len(s.refusals), len(read))
	}
	eventually(t, "all buffers", func() bool {
		f.buffers.mu.Lock()
		defer f.buffers.mu.Unlock()
		return f.buffers.out == 0
	})
}

// FuzzCodec feeds arbitrary bytes to the codec and everything that reads an undecoded request.
func FuzzCodec(f *testing.F) {
	f.Add(designRequest(2))
	open, _ := (&pb.IngestStreamRequest{Open: &pb.Open{Producer: "p", Epoch: 3, ScopeAttributes: []*pb.Attribute{{Key: "k"}}}}).MarshalVT()
	f.Add(open)
	f.Add([]byte{0x1a, 0x00, 0x1a, 0x02, 0x10, 0x05})
	f.Add([]byte("\x1a\n\xf0\x00p\x10\x03u\x03\n\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var fr frame
		if err := (codec{}).Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, &fr); err != nil {
			t.Fatal(err)
		}
		o, err := readOutline(data)
		var m pb.IngestStreamRequest
		theirs := proto.Unmarshal(data, &m)
		if err != nil || theirs != nil {
			return // stricter in known fields of another wire type, laxer in what is not UTF-8
		}
		if o.sequence != m.Sequence || o.entries != len(m.Entries) || o.hasOpen != (m.Open != nil) {
			t.Fatalf("outline %+v of %v", o, &m)
		}
		c := testConfig()
		got, err := c.unmarshalOpen(data, &o)
		if err != nil || m.Open == nil {
			return
		}
		// Of unknown fields it matters that there are some. Their tags may be encoded in more than one way.
		if field, _ := unknownField(got.ProtoReflect()); (field == "") != (len(m.Open.ProtoReflect().GetUnknown()) == 0) {
			t.Fatalf("unknown field %q of %v", field, m.Open)
		}
		for _, open := range []*pb.Open{got, m.Open} {
			open.ProtoReflect().SetUnknown(nil)
			for _, a := range append(open.ResourceAttributes, open.ScopeAttributes...) {
				a.ProtoReflect().SetUnknown(nil)
			}
		}
		if !proto.Equal(got, m.Open) {
			t.Fatalf("opening %v, want %v", got, m.Open)
		}
	})
}
