package journal

import (
	"fmt"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// BenchmarkRequest measures what a request costs besides the disk: from Reserve to Settled, of many producers, with a thousand in flight.
func BenchmarkRequest(b *testing.B) {
	for _, bytes := range []int{0, 170 << 10} {
		b.Run(fmt.Sprint(bytes), func(b *testing.B) {
			config := modelConfig(nil)
			config.FS, config.Dir = nil, b.TempDir()
			config.SegmentBytes = 64 << 20
			config.SyncInterval = 5 * time.Millisecond
			config.CheckpointInterval = time.Second
			j, err := Open(b.Context(), config)
			if err != nil {
				b.Fatal(err)
			}
			if err := j.Start(b.Context()); err != nil {
				b.Fatal(err)
			}
			defer j.Close()
			opening := &schema.LoggedOpening{Data: make([]byte, 200)}
			var producers []string
			for i := range 100 {
				producers = append(producers, fmt.Sprint("producer-", i))
				if err := j.Begin(b.Context(), "", producers[i], 1, 0); err != nil {
					b.Fatal(err)
				}
			}
			data := make([]byte, bytes)
			logged, recorded := func() {}, func() {}
			var lsns []uint64
			nothing := &schema.Outcome{}
			b.SetBytes(int64(bytes))
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				q := j.Request(&schema.LoggedRequest{
					Producer: producers[n%100], Epoch: 1, Sequence: uint64(n/100) + 1, Protocol: "protobuf", Opening: opening, Entries: 500, Data: data,
				}, logged)
				if err := q.Reserve(b.Context(), bytes, nil); err != nil {
					b.Fatal(err)
				}
				lsn, err := q.Append("0123456789abcdef")
				if err != nil {
					b.Fatal(err)
				}
				if lsns = append(lsns, lsn); len(lsns) == 1000 {
					for _, lsn := range lsns {
						j.Placed(lsn, nothing)
						j.Settled(lsn, nothing, recorded)
					}
					lsns = lsns[:0]
				}
			}
		})
	}
}

// BenchmarkCheckpoint measures for how long a checkpoint of many producers keeps requests waiting.
func BenchmarkCheckpoint(b *testing.B) {
	s := newState()
	for i := range 10_000 {
		id := fmt.Sprintf("producer-of-some-service-%d", i)
		s.begin(&beginRecord{producerKey{"", id}, 1, 0})
		for sequence := range uint64(2 * keptSums) {
			q := s.request(uint64(i)<<10+sequence+1, 0, &schema.LoggedRequest{Producer: id, Epoch: 1, Sequence: sequence + 1, Sum: sequence, Entries: 10}, "routing")
			s.finishClean(q)
		}
	}
	var payload []byte
	for b.Loop() {
		payload = s.marshal(payload[:0])
		s.needs(1)
	}
	b.ReportMetric(float64(len(payload))/1e6, "MB")
}
