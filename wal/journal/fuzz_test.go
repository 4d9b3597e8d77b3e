package journal

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// examples are records of each kind.
func examples() map[uint8][]byte {
	key := producerKey{"tenant", "producer"}
	outcome := &schema.Outcome{
		Refusals:  []schema.Refusal{{Index: 3, Field: "body", Reason: schema.TooLarge, Message: "too large", Route: "logs"}},
		Unmatched: 2, DeadLettered: []schema.DeadLettered{{Rows: 4, Route: "logs", Table: "db.logs", ID: "b:1", Code: -1, Message: "why"}},
	}
	whole := &contents{Contents: schema.Contents{Routing: "hash", Route: "logs", Table: "db.logs", Parts: []schema.Part{
		{LSN: 5, Tenant: "tenant", Producer: "producer", Epoch: 7, Sequence: 9, Places: []schema.PlaceRange{{From: 4, To: 6}, {From: 1, To: 2}}},
		{LSN: 6, Tenant: "tenant", Producer: "producer", Epoch: 7, Sequence: 10, Places: []schema.PlaceRange{{From: 0, To: 1}}},
	}}, entries: []int{7, 1}}
	request := &schema.LoggedRequest{
		Tenant: "tenant", Producer: "producer", Epoch: 7, Sequence: 1, Sum: 99, Received: time.Unix(1, 2), Routes: []string{"logs", "other"},
		Protocol: "otlp", Entries: 12, Refusals: outcome.Refusals,
	}
	header := putRequest(nil, request, "hash")
	setOpening(header, 4)
	return map[uint8][]byte{
		kindOpening: {version, 1, 2, 3},
		kindBegin:   (&beginRecord{key, 7, 8}).put(nil),
		kindRequest: append(header, "data"...),
		kindPlaced:  (&placedRecord{5, outcome}).put(nil),
		kindOutcome: (&outcomeRecord{5, key, 7, 9, 12, outcome}).put(nil),
		kindSettled: (&settledRecord{"batch", time.Unix(1_700_000_000, 0), 3, 1, whole}).put(nil),
		kindForget:  key.put(nil),
		kindDrop:    (&dropRecord{key, 7, 9}).put(nil),
		kindDamage:  putID(nil, "batch"),
		kindResolve: putID(nil, "batch"),
	}
}

// again reads a record and writes it again.
func again(kind uint8, payload []byte) ([]byte, error) {
	switch kind {
	case kindBegin:
		return rewrite(payload, decodeBegin, (*beginRecord).put)
	case kindRequest:
		return rewrite(payload, decodeRequest, func(r *requestRecord, b []byte) []byte {
			b = putRequest(b, &r.LoggedRequest, r.Routing)
			setOpening(b, r.opening)
			return append(b, r.Data...)
		})
	case kindPlaced:
		return rewrite(payload, decodePlaced, (*placedRecord).put)
	case kindOutcome:
		return rewrite(payload, decodeOutcome, (*outcomeRecord).put)
	case kindSettled:
		return rewrite(payload, decodeSettled, (*settledRecord).put)
	case kindForget:
		return rewrite(payload, decodeProducer, func(k producerKey, b []byte) []byte { return k.put(b) })
	case kindDrop:
		return rewrite(payload, decodeDrop, (*dropRecord).put)
	case kindDamage, kindResolve:
		return rewrite(payload, decodeID, func(id string, b []byte) []byte { return putID(b, id) })
	}
	_, err := decode(payload)
	return payload, err
}

func rewrite[R any](payload []byte, read func([]byte) (R, error), write func(R, []byte) []byte) ([]byte, error) {
	r, err := read(payload)
	if err != nil {
		return nil, err
	}
	return write(r, nil), nil
}

func TestRecordsComeBack(t *testing.T) {
	for kind, payload := range examples() {
		b, err := again(kind, payload)
		if err != nil || !bytes.Equal(b, payload) {
			t.Errorf("%s: %v, %x, want %x", KindName(kind), err, b, payload)
		}
		text := Describe(kind, payload)
		t.Logf("%s: %s", KindName(kind), text)
		if text == "" || strings.Contains(text, "can't be read") || strings.Contains(text, "%!") {
			t.Errorf("%s is described as %q", KindName(kind), text)
		}
		// A record that was cut off, or goes on, is none. Data has no end of its own.
		for n := range payload {
			if _, err := again(kind, payload[:n]); err == nil && kind != kindOpening && !(kind == kindRequest && n >= len(payload)-4) {
				t.Errorf("%s: the first %d bytes of %d are read", KindName(kind), n, len(payload))
			}
		}
		later := bytes.Clone(payload)
		later[0] = version + 1
		if _, err := again(kind, later); err == nil || !strings.Contains(err.Error(), "later version") {
			t.Errorf("%s of a later version: %v", KindName(kind), err)
		}
		if err := newState().fold(9, kind, payload); err != nil {
			t.Error(err)
		}
	}
	if err := newState().fold(9, 200, []byte{version}); err == nil {
		t.Error("a kind that is not known is read")
	}
}

// FuzzRecord reads bytes as a record of each kind, alone and after others.
func FuzzRecord(f *testing.F) {
	for kind, payload := range examples() {
		f.Add(kind, payload)
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte) {
		b, err := again(kind, payload)
		if err == nil {
			if second, err := again(kind, b); err != nil || !bytes.Equal(second, b) {
				t.Errorf("%x is read as %x, and that as %x, %v", payload, b, second, err)
			}
		}
		Describe(kind, payload)
		s := newState()
		for lsn, known := range []uint8{kindBegin, kindRequest, kindOutcome, kindSettled} {
			if err := s.fold(uint64(lsn+4), known, examples()[known]); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.fold(9, kind, payload)
		s.marshal(nil)
	})
}

// FuzzCheckpoint reads bytes as a checkpoint. One that can be read comes out the same.
func FuzzCheckpoint(f *testing.F) {
	s := newState()
	f.Add(s.marshal(nil))
	for lsn, kind := range []uint8{kindOpening, kindBegin, kindRequest, kindRequest, kindPlaced, kindOutcome, kindSettled, kindDrop, kindDamage, kindRequest, kindForget, kindRequest} {
		if err := s.fold(uint64(lsn+1), kind, examples()[kind]); err != nil {
			f.Fatal(err)
		}
		f.Add(s.marshal(nil))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		s, err := unmarshalState(payload)
		if err != nil {
			return
		}
		b := s.marshal(nil)
		second, err := unmarshalState(b)
		if err != nil {
			t.Fatalf("%x is read as %x, which is not read: %v", payload, b, err)
		}
		if c := second.marshal(nil); !bytes.Equal(b, c) {
			t.Errorf("%x is read as %x", b, c)
		}
		DescribeCheckpoint(payload)
	})
}

// FuzzHead reads bytes as the head of a file.
func FuzzHead(f *testing.F) {
	settled, err := decodeSettled(examples()[kindSettled])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append(settled.contents.put([]byte{version}), "head"...))
	f.Fuzz(func(t *testing.T, head []byte) {
		c, rest, err := decodeHead(head)
		if err != nil {
			return
		}
		again, tail, err := decodeHead(append(c.put([]byte{version}), rest...))
		if err != nil || !bytes.Equal(tail, rest) || show(*again) != show(*c) {
			t.Errorf("%x is read as %+v", head, c)
		}
		DescribeFile(head)
	})
}

// FuzzLine reads bytes as a line of the list of settled batches.
func FuzzLine(f *testing.F) {
	settled, err := decodeSettled(examples()[kindSettled])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(putLine(nil, settled)))
	f.Fuzz(func(t *testing.T, line string) {
		b, err := parseLine(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return
		}
		r := &settledRecord{b.ID, b.At, b.Committed, b.DeadLettered, &contents{Contents: schema.Contents{Table: b.Table}}}
		if second, err := parseLine(strings.TrimSuffix(string(putLine(nil, r)), "\n")); err != nil || second.ID != b.ID || second.Committed != b.Committed {
			t.Errorf("%q is read as %+v, and that as %+v, %v", line, b, second, err)
		}
	})
}
