package clickhouse_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

func TestEngineNamesAllViolations(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	s := open(t, server)
	for _, test := range []struct {
		name   string
		checks []string
		want   string // message fragments and rows; empty: unknown
	}{
		{"one", []string{"Number < 7"}, "Number < 7:[{7 10}] "},
		{"first and last", []string{"Number NOT IN (0, 9)"}, "Number NOT IN (0, 9):[{0 1} {9 10}] "},
		{"several", []string{"Number != 3", "Number != 5 AND Number != 3"}, "Number != 3:[{3 4}] (Number != 5) AND (Number != 3):[{5 6}] "},
		{"all", []string{"Body LIKE '%)%, ('"}, "Body LIKE '%)%, (':[{0 10}] "},
		{"none", []string{"Number < 100"}, ""},
		{"NULL", []string{"nullIf(Number, 4) < 100"}, "nullIf(Number, 4) < 100:[{4 5}] "},
		{"neither 0 nor 1", []string{"toUInt8(Number % 3)"}, "toUInt8(Number % 3):[{0 1} {2 4} {5 7} {8 10}] "},
		{"a materialized column", []string{"Computed < 5"}, "Computed < 5:[{5 10}] "},
		{"columns computed from each other", []string{"Twice != 6"}, "Twice != 6:[{3 4}] "},
		{"a column without a default", []string{"Empty = '' AND Number != 8"}, "(Empty = '') AND (Number != 8):[{8 9}] "},
		{"a default of another type", []string{"length(Text) = 1 AND Text != '4'"}, "(length(Text) = 1) AND (Text != '4'):[{4 5}] "},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := createTable(t, server)
			server.Exec(t, "ALTER TABLE "+table.Name+" DROP CONSTRAINT IF EXISTS small")
			server.Exec(t, "ALTER TABLE "+table.Name+" ADD COLUMN Computed UInt64 MATERIALIZED Number, ADD COLUMN Twice UInt64 DEFAULT 2 * Computed, "+
				"ADD COLUMN Empty String, ADD COLUMN Text String DEFAULT Number, ADD COLUMN Unread UInt8 DEFAULT throwIf(1 = 0) + toUInt8('5')")
			for i, check := range test.checks {
				server.Exec(t, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT c%d CHECK %s", table.Name, i, check))
			}
			b := sinktest.NewMaker(t, table).Batch(t, table.Name, sinktest.Numbers(0, 10)...)
			found, err := s.Violations(t.Context(), b)
			if test.want != "" && err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			bad := map[int]bool{}
			for _, v := range found {
				_, check, _ := strings.Cut(v.Message, "Expression: (")
				fmt.Fprintf(&got, "%s:%v ", strings.TrimSuffix(check, ")"), v.Rows)
				for _, r := range v.Rows {
					for i := r.From; i < r.To; i++ {
						bad[i] = true
					}
				}
			}
			if got.String() != test.want {
				t.Errorf("violations %q, want %q (%v)", got.String(), test.want, err)
			}
			// The table itself agrees about every row.
			for i := range 10 {
				one, err := b.Cut(fmt.Sprintf("%s.%d", table.Name, i), batch.RowSet{{From: i, To: i + 1}})
				if err != nil {
					t.Fatal(err)
				}
				err = s.Insert(t.Context(), one, attempt(one))
				if test.want != "" && (err != nil) != bad[i] {
					t.Errorf("row %d: insert %v, violation %v", i, err, bad[i])
				}
			}
		})
	}
}

// Both cases of producers with bad rows at full size: every good row is stored with few inserts.
func TestEngineStoresTheNeighboursOfBadRows(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for _, test := range []struct {
		name         string
		producers    int
		bad          func(i int) bool
		later, first int // inserts of the second batch and of the first
	}{
		{"a tenth of the rows, of one of five producers", 5, func(i int) bool { return i%5 == 4 && i%10 == 9 }, 2, 2},
		{"2 % of one producer alone", 1, func(i int) bool { return i%50 == 49 }, 1, 2},
		{"2 % of two of five producers", 5, func(i int) bool { return i%25 == 3 || i%25 == 4 }, 2, 2},
		{"all", 1, func(int) bool { return true }, 0, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			table := createTable(t, server)
			letters := sinktest.NewLetters()
			counted := &counting{Sink: open(t, server)}
			config := sink.DefaultDeliveryConfig()
			config.Sink, config.DeadLetters = counted, letters
			delivery, err := sink.NewDelivery(config)
			if err != nil {
				t.Fatal(err)
			}
			maker := sinktest.NewMaker(t, table)
			maker.RequestRows, maker.Producers = 1, test.producers
			const rows = 20_000
			good := 0
			for round, want := range []int{test.first, test.later} {
				numbers := sinktest.Numbers(uint64(round*rows), uint64((round+1)*rows))
				for i := range numbers {
					if test.bad(i) {
						numbers[i] += sinktest.Limit
					} else {
						good++
					}
				}
				counted.inserts = 0
				outcome, err := delivery.Deliver(t.Context(), maker.Batch(t, fmt.Sprintf("%s-%d", table.Name, round), numbers...), nil, sink.Limits{}, nil)
				if err != nil {
					t.Fatal(err)
				}
				dead := 0
				for _, d := range outcome.DeadLettered {
					dead += d.Rows
				}
				if outcome.Committed+dead != rows || counted.inserts != want {
					t.Errorf("round %d: %d rows committed, %d dead-lettered, %d inserts, want %d rows and %d inserts", round, outcome.Committed, dead, counted.inserts, rows, want)
				}
			}
			if n := len(numbers(t, server, table)); n != good {
				t.Errorf("%d rows in the table, want every good one, %d", n, good)
			}
			var found []uint64
			for _, letter := range letters.All() {
				if letter.Reason != "refused" || letter.Code != 469 || letter.Column != sinktest.NumberColumn || !strings.Contains(letter.Message, "small") {
					t.Errorf("letter %s: %s, code %d, column %s: %s", letter.ID, letter.Reason, letter.Code, letter.Column, letter.Message)
				}
				rows, err := sinktest.Decode(letter.Payload)
				if err != nil {
					t.Fatal(err)
				}
				for _, row := range rows {
					found = append(found, row.Number())
				}
			}
			slices.Sort(found)
			if len(found) != 2*rows-good || len(slices.Compact(found)) != 2*rows-good || len(found) > 0 && found[0] < sinktest.Limit {
				t.Errorf("%d rows in dead letters, want every bad one once, %d", len(found), 2*rows-good)
			}
		})
	}
}

// counting counts inserts.
type counting struct {
	*clickhouse.Sink
	inserts int
}

func (c *counting) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	c.inserts++
	return c.Sink.Insert(ctx, b, a)
}
