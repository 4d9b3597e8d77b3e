package client

import (
	"slices"
	"testing"
)

// FuzzSpillDecoders decodes bytes as a spill's heads, notes and state. What is accepted must be in bounds, and come out the same again.
func FuzzSpillDecoders(f *testing.F) {
	f.Add([]byte(`{"Put":1,"Stream":"id","Number":1,"Size":50,"Entries":10,"Largest":3}`))
	f.Add([]byte(`{"Epoch":3,"Pieces":[{"From":0,"To":25,"First":0,"Entries":5},{"From":30,"To":50,"First":6,"Entries":4}]}`))
	f.Add([]byte(`{"Producer":"id","Put":7,"Streams":[{"ID":"id/0","Epoch":2,"Committed":3,"Kept":3,"Number":4,"From":5,"First":1}]}`))
	f.Add([]byte("\x12\x03\x22\x01x\x12\x03\x22\x01y"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if h, err := decodeHead(data); err == nil {
			if again, err := decodeHead(encodeJSON(h)); err != nil || again.Size != h.Size || again.Stream != h.Stream {
				t.Errorf("%+v became %+v, %v", h, again, err)
			}
		}
		r := &request{size: 50, entries: 10}
		if _, pieces, err := decodeCut(data, r); err == nil {
			for i, p := range pieces {
				if p.from < 0 || p.to > r.size || p.from >= p.to || p.first+p.entries > r.entries || p.last != (i == len(pieces)-1) {
					t.Errorf("piece %+v", p)
				}
			}
			if _, again, err := decodeCut(cutNote(1, pieces), r); err != nil || len(again) != len(pieces) {
				t.Errorf("%d pieces became %d, %v", len(pieces), len(again), err)
			}
		}
		if s, err := decodeState(data); err == nil {
			if again, err := decodeState(encodeJSON(s)); err != nil || !slices.Equal(again.Streams, s.Streams) {
				t.Errorf("%+v became %+v, %v", s, again, err)
			}
		}
		body := &request{body: data, size: len(data), entries: 3, largest: 100}
		for _, l := range []limits{{}, {requestEntries: 1}, {requestBytes: 20}, {entryBytes: 2, requestBytes: 30}} {
			pieces, _, err := body.cut(l, func() ([]byte, error) { return data, nil })
			for _, p := range pieces {
				if err == nil && (p.from < 0 || p.to > len(data) || p.from > p.to) {
					t.Errorf("piece %+v", p)
				}
			}
		}
		entryAt(data, 1)
	})
}
