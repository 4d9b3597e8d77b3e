package clickhouse_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/table"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// A column is changed while batches arrive. A value that the column can't hold unchanged must never be acknowledged. A column that
// holds all values receives them.
func TestEngineColumnChangedWhileRunning(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for _, test := range []struct {
		column, kind string
		goesOn       bool
	}{
		{"Number", "UInt8", false},
		{"Number", "UInt16", false},
		{"Number", "Int64", false},
		{"Number", "Float64", false},
		{"Number", "String", false},
		{"Number", "Enum8('a' = 1, 'b' = 2)", false},
		{"Number", "Bool", false},
		{"Number", "Decimal(9, 2)", false},
		{"Number", "Nullable(UInt8)", false},
		{"Number", "Nullable(UInt64)", true},
		{"Body", "LowCardinality(String)", true},
		{"Body", "Nullable(String)", true},
		{"Body", "LowCardinality(Nullable(String))", true},
		{"Body", "FixedString(4)", false},
		{"Body", "FixedString(100)", false},
		{"Body", "Enum8('numbered' = 1)", false},
		{"Body", "Array(String)", false},
		{"Body", "UInt8", false},
		{"Body", "DateTime", false},
		{"Body", "IPv4", false},
		{"Moment", "DateTime64(3, 'UTC')", false},
		{"Moment", "DateTime64(9, 'UTC')", false}, // ends in 2262
		{"Moment", "DateTime64(8, 'UTC')", true},
		{"Moment", "DateTime64(6, 'Asia/Tokyo')", true},
		{"Moment", "DateTime('UTC')", false},
		{"Moment", "Date", false},
	} {
		t.Run(test.column+" "+test.kind, func(t *testing.T) {
			changed := sinktest.Table(server.Database, fmt.Sprintf("changed_%d", tables.Add(1)))
			moment := sinktest.Table("", "").Columns[0]
			moment.Name, moment.Type.Precision = "Moment", 6
			changed.Columns = append(changed.Columns, moment)
			server.Exec(t, table.CreateTable(changed))
			s := open(t, server)
			maker := sinktest.NewMaker(t, changed)
			values := func() string {
				return server.Query(t, "SELECT toString(Number), toString(Body), toString(toDateTime64(Moment, 9, 'UTC')) FROM "+changed.Name+" ORDER BY Number FORMAT TSVRaw")
			}
			insert := func(id string, from, to uint64) error {
				b := maker.Batch(t, changed.Name+id, sinktest.Numbers(from, to)...)
				return s.Insert(t.Context(), b, attempt(b))
			}
			if err := insert("-before", 290, 300); err != nil {
				t.Fatal(err)
			}
			want := values()
			server.Exec(t, "TRUNCATE TABLE "+changed.Name)
			server.Exec(t, "ALTER TABLE "+changed.Name+" MODIFY COLUMN "+test.column+" "+test.kind+" SETTINGS mutations_sync = 2, alter_sync = 2")
			err := insert("-after", 290, 300)
			if !test.goesOn {
				var failure *sink.Error
				if !errors.As(err, &failure) || failure.Code != 53 || failure.Class != sink.Schema {
					t.Errorf("error %v, want code 53 and class schema; the table has\n%s", err, values())
				}
				if n := server.Query(t, "SELECT count() FROM "+changed.Name); n != "0" {
					t.Errorf("%s rows were stored", n)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := values(); got != want {
				t.Errorf("the table has\n%s\nwant\n%s", got, want)
			}
			if err := insert("-again", 300, 310); err != nil {
				t.Errorf("the next batch: %v", err)
			}
			// Narrowed after it was found to be wider, which no longer counts.
			server.Exec(t, "TRUNCATE TABLE "+changed.Name, "ALTER TABLE "+changed.Name+" DROP COLUMN Body", "ALTER TABLE "+changed.Name+" ADD COLUMN Body FixedString(8)")
			if err := insert("-narrowed", 310, 320); err == nil {
				t.Errorf("the narrowed column took rows:\n%s", values())
			}
		})
	}
}

// The server converts to a wider column only after its type was read, which happens anew for each insert.
func TestConversionIsAllowedForWiderColumnsAlone(t *testing.T) {
	for columns, converted := range map[string]bool{
		"Timestamp\tDateTime64(9, 'UTC')\nNumber\tNullable(UInt64)\nBody\tString\n_batch_id\tLowCardinality(String)\n": true,
		"Timestamp\tDateTime64(9, 'UTC')\nNumber\tUInt64\nBody\tString\n_batch_id\tLowCardinality(String)\n":           false,
		"Timestamp\tDateTime64(9, 'UTC')\nNumber\tUInt32\nBody\tString\n_batch_id\tLowCardinality(String)\n":           false,
		"Timestamp\tDateTime64(9, 'UTC')\nBody\tString\n_batch_id\tLowCardinality(String)\n":                           false,
		"": false,
	} {
		server := newFakeServer(t, false)
		server.Inserts(fakeAnswer{Code: 53, Text: "Cannot convert"})
		server.Query("system.columns", columns)
		s := sinkOf(t, []string{server.Address()})
		b := numbered(t, "batch", 10)
		err := s.Insert(t.Context(), b, attempt(b))
		if converted != (err == nil) {
			t.Errorf("columns %q: error %v", columns, err)
		}
		conversions := 0
		for _, r := range server.Requests() {
			if strings.HasPrefix(r.Statement, "INSERT") && r.Parameters.Get("input_format_native_allow_types_conversion") != "0" {
				conversions++
			}
		}
		if want := map[bool]int{true: 1}[converted]; conversions != want {
			t.Errorf("columns %q: %d inserts that convert, want %d", columns, conversions, want)
		}
	}
}
