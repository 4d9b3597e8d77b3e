package server

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/logbatcher/logbatcher/schema"
)

// lineDecoder is a protocol of its own: an entry per line, of which the line is the body. Empty lines are refused.
type lineDecoder struct{}

func (lineDecoder) outline(data []byte) (outline, error) {
	return outline{entries: bytes.Count(data, []byte("\n")), end: len(data)}, nil
}

func (lineDecoder) decode(data []byte, from cut, values *defaults, into *arena) (cut, error) {
	next := from
	for line := range bytes.Lines(data[from.at:]) {
		if into.full() {
			break
		}
		if len(line) == 1 {
			into.refuse(&schema.Refusal{Reason: schema.MissingValue})
		} else {
			e := into.add()
			e.Body, e.Time, e.Colo = string(line[:len(line)-1]), values.received, values.colo
		}
		next = cut{next.at + len(line), next.place + 1}
	}
	return next, nil
}

// Another protocol needs a decoder and nothing else, in one piece or many.
func TestAnotherProtocol(t *testing.T) {
	c := testConfig()
	budget := &fakeBudget{}
	in := newIntake("lines", &c, budget, newMetrics(prometheus.NewRegistry()), func() decoder { return lineDecoder{} })
	for pieces, data := range map[int][]byte{1: []byte("first\n\nthird\n"), 3: bytes.Repeat([]byte("x\n"), 9000)} {
		lines := bytes.Split(data[:len(data)-1], []byte("\n"))
		r, err := in.admit(t.Context(), frameOf(data), testReceived, nil)
		if err == nil {
			err = r.decode(t.Context(), &defaults{colo: "EWR"})
		}
		if err != nil {
			t.Fatal(err)
		}
		got, entries := 1, 0
		for more := true; more; got++ {
			for i, e := range r.Entries {
				if want := string(lines[r.Place(i)]); e.Body != want || e.Colo != "EWR" || e.Time != testReceived.UnixNano() {
					t.Errorf("line %d is %+v, want %q", r.Place(i), e, want)
				}
			}
			entries += len(r.Entries)
			if more = r.Next(); !more {
				break
			}
		}
		if got != pieces || entries+len(r.refusals) != len(lines) {
			t.Errorf("%d entries in %d pieces and %d refusals, want %d in %d", entries, got, len(r.refusals), len(lines), pieces)
		}
		for _, refusal := range r.refusals {
			if len(lines[refusal.Index]) != 0 {
				t.Errorf("line %d is refused", refusal.Index)
			}
		}
		r.free()
		if used, _ := budget.now(); used != 0 {
			t.Errorf("%d bytes are still charged", used)
		}
	}
}
