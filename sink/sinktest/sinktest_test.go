package sinktest_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemoryKeepsTheContract(t *testing.T) {
	sinktest.Run(t, func(*testing.T) sinktest.Harness {
		memory := sinktest.NewMemory()
		memory.Reject = func(row sinktest.Row) *sink.Error {
			if row.Number() < sinktest.Limit {
				return nil
			}
			return &sink.Error{Class: sink.Row, Code: 469, Err: fmt.Errorf("number %d violates the constraint", row.Number())}
		}
		memory.Decide = func(b *batch.Block, _ sink.Attempt) sinktest.Step {
			if b.Layout().Table().Name == "missing" {
				return sinktest.Step{Err: &sink.Error{Class: sink.Schema, Code: 60}}
			}
			return sinktest.Step{}
		}
		tables := 0
		return sinktest.Harness{
			Sink: memory,
			Table: func(*testing.T) *schema.Table {
				tables++
				return sinktest.Table("memory", fmt.Sprintf("numbered_%d", tables))
			},
			Numbers: func(_ *testing.T, table *schema.Table) []uint64 {
				var numbers []uint64
				for _, row := range memory.Rows(table.FullName()) {
					numbers = append(numbers, row.Number())
				}
				return numbers
			},
		}
	})
}
