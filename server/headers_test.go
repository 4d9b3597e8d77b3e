package server

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
)

func TestHeaderOpening(t *testing.T) {
	c := testConfig()
	received := testConfig()
	received.Acknowledgement = "received"
	for _, test := range []struct {
		header  string // name=value, …
		config  *Config
		want    opening
		problem string
	}{
		{want: opening{level: pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED}},
		{config: &received, want: opening{level: pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED}},
		{header: "acknowledgement=committed", config: &received, want: opening{level: pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED}},
		{header: "acknowledgement=received", want: opening{level: pb.Acknowledgement_ACKNOWLEDGEMENT_RECEIVED}},
		{header: "acknowledgement=logged", problem: "keeps no write-ahead log"},
		{header: "acknowledgement=COMMITTED", problem: "logbatcher-acknowledgement: it must be committed, logged or received"},
		{header: "producer=p sequence=7", want: opening{producer: "p", sequence: 7, current: true, level: pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED}},
		{header: "producer=p", problem: "logbatcher-sequence: a call with logbatcher-producer needs it"},
		{header: "sequence=1", problem: "logbatcher-producer: a call with logbatcher-sequence needs it"},
		{header: "producer=p sequence=0", problem: "logbatcher-sequence: it must be a number from 1 to 2^63-1"},
		{header: "producer=p sequence=9223372036854775808", problem: "logbatcher-sequence: it must be a number"},
		{header: "producer=p sequence=-1", problem: "logbatcher-sequence: it must be a number"},
		{header: "producer=p producer=q sequence=1", problem: "logbatcher-producer: it must be sent once"},
		{header: "producer=ä sequence=1", problem: "logbatcher-producer: it must be at most 128 bytes of printable ASCII"},
	} {
		config := &c
		if test.config != nil {
			config = test.config
		}
		header := http.Header{}
		for _, pair := range strings.Fields(test.header) {
			name, value, _ := strings.Cut(pair, "=")
			header.Add("logbatcher-"+name, value)
		}
		o, err := config.headerOpening(header.Values, &pb.Open{})
		if test.problem != "" {
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Errorf("%s: %v, want %s", test.header, err, test.problem)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.header, err)
			continue
		}
		if o.producer != test.want.producer || o.sequence != test.want.sequence || o.current != test.want.current || o.level != test.want.level ||
			o.defaults.colo != "TST" || o.defaults.stream == nil {
			t.Errorf("%s: %+v, want %+v", test.header, *o, test.want)
		}
	}
}

// A producer that headers name counts its requests. Each is stored once, whoever has restarted or been elsewhere in between; and
// what can't be known is an error, not an acknowledgement.
func TestHeaderSequences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		for i, step := range []struct {
			sequence, body string
			committed      uint64
			repeat         bool
			reason         string
		}{
			{"41", "a", 41, false, ""}, // the instance is new, the producer is not
			{"42", "b", 42, false, ""},
			{"42", "b", 42, true, ""},
			{"41", "a", 42, true, ""},
			{"42", "c", 0, false, "SEQUENCE_ALTERED"},
			{"40", "z", 0, false, "SEQUENCE_FORGOTTEN"},
			{"50", "d", 50, false, ""}, // the ones between went to another instance
			{"49", "e", 0, false, "SEQUENCE_FORGOTTEN"},
			{"51", "f", 51, false, ""},
			{"50", "d", 51, true, ""},
		} {
			a, err := b.callAs(t.Context(), "p", step.sequence, &pb.IngestRequest{Entries: entriesOf(step.body)})
			if step.reason != "" {
				wantStatus(t, err, codes.FailedPrecondition, step.reason)
				continue
			}
			if err != nil || decimal(a.sequence) != step.sequence || a.committed != step.committed || a.repeat != step.repeat || a.entries != 1 || a.producer != "p" {
				t.Fatalf("step %d, sequence %s: %+v, %v", i, step.sequence, a, err)
			}
		}
		var bodies []string
		for _, r := range b.router.routed() {
			bodies = append(bodies, r.Entries[0].Body)
		}
		if want := []string{"a", "b", "d", "f"}; !slices.Equal(bodies, want) {
			t.Errorf("routed %q, want %q", bodies, want)
		}
		// A producer that has restarted and counts from 1 again is told, also when its old requests are too many to be compared.
		for i := range rememberedSums + 1 {
			if _, err := b.callAs(t.Context(), "q", strconv.Itoa(i+1), &pb.IngestRequest{Entries: entriesOf("a")}); err != nil {
				t.Fatal(err)
			}
		}
		_, err := b.callAs(t.Context(), "q", "1", &pb.IngestRequest{Entries: entriesOf("b")})
		if m := wantStatus(t, err, codes.FailedPrecondition, "SEQUENCE_FORGOTTEN"); m["expected"] != decimal(rememberedSums+2) {
			t.Errorf("told %v", m)
		}
	})
}

// Without a producer each call stands alone.
func TestHeaderAnonymous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		for range 2 {
			if a, err := b.callAs(t.Context(), "", "", &pb.IngestRequest{Entries: entriesOf("a")}); err != nil || a.committed != 1 || a.repeat {
				t.Fatalf("%+v, %v", a, err)
			}
		}
		if n := len(b.router.routed()); n != 2 {
			t.Errorf("routed %d times", n)
		}
	})
}

// The call of a stream's producer ends the stream and goes on in its epoch, and the other way round.
func TestHeaderCallBesideAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBubble(t, nil)
		p := b.open(&pb.Open{Producer: "p"}, 100)
		p.in <- &pb.IngestStreamRequest{Sequence: 1, Entries: entriesOf("a")}
		synctest.Wait()
		a, err := b.callAs(t.Context(), "p", "2", &pb.IngestRequest{Entries: entriesOf("b")})
		if err != nil || a.committed != 2 {
			t.Fatalf("%+v, %v", a, err)
		}
		wantStatus(t, <-p.ended, codes.Aborted, "SUPERSEDED")
		b.close(p)
		p = b.open(&pb.Open{Producer: "p", Epoch: a.epoch, CommittedSequence: 2}, 100)
		synctest.Wait()
		if s := p.all(t); s.committed != 2 || !s.opened.Resumed {
			t.Errorf("the stream: committed %d, %v", s.committed, s.opened)
		}
		b.close(p)
	})
}
