package clickhouse_test

import (
	"fmt"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// The cost of an insert beside the block itself. Bytes and allocations are this process's; the engine is another one.
func BenchmarkInsert(b *testing.B) {
	for _, compression := range batch.Compressions() {
		b.Run(string(compression), func(b *testing.B) {
			server := embeddedtest.ClickHouse(b)
			table := createTable(b, server)
			s := open(b, server)
			maker := sinktest.NewMaker(b, table)
			maker.Body = "a line of a log of about the length that lines of logs have, which is to say some hundred bytes"
			maker.Compression = compression
			block := maker.Batch(b, "bench", sinktest.Numbers(0, 100_000)...)
			b.SetBytes(int64(block.Bytes()))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				token := fmt.Sprintf("%s-%s-%d", table.Name, compression, i)
				if err := s.Insert(b.Context(), block, sink.Attempt{Number: 1, Token: token, QueryID: token}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
