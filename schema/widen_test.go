package schema_test

import (
	"testing"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/schematest"
)

func TestWidens(t *testing.T) {
	for _, test := range []struct {
		from, to string
		want     bool
	}{
		{"String", "String", true},
		{"UInt8", "UInt16", true}, {"UInt8", "Int16", true}, {"UInt8", "Int8", false}, {"UInt16", "UInt8", false}, {"Int8", "UInt64", false}, {"UInt64", "Int64", false},
		{"Float32", "Float64", true}, {"Float64", "Float32", false}, {"Int32", "Float64", false},
		{"String", "LowCardinality(String)", true}, {"LowCardinality(String)", "String", true},
		{"String", "Nullable(String)", true}, {"Nullable(String)", "String", false}, {"String", "LowCardinality(Nullable(String))", true}, {"LowCardinality(Nullable(String))", "Nullable(String)", true},
		{"UInt8", "Nullable(UInt16)", true}, {"Nullable(UInt8)", "UInt16", false},
		{"FixedString(4)", "FixedString(8)", true}, {"FixedString(8)", "FixedString(4)", false}, {"FixedString(8)", "String", false},
		{"Enum8('a' = 1)", "Enum8('a' = 1, 'b' = 2)", true}, {"Enum8('a' = 1)", "Enum16('a' = 1, 'b' = 300)", true}, {"Enum8('a' = 1, 'b' = 2)", "Enum8('a' = 1)", false},
		{"Enum8('a' = 1)", "Enum8('a' = 2)", false}, {"Enum16('a' = 1)", "Enum8('a' = 1)", false}, {"Enum8('a' = 1)", "String", false},
		{"DateTime", "DateTime64(3)", true}, {"DateTime64(3)", "DateTime64(9)", true}, {"DateTime64(9)", "DateTime64(3)", false}, {"DateTime64(3)", "DateTime", false},
		{"DateTime", "DateTime('UTC')", true}, {"Date", "DateTime", false},
		{"Map(String, String)", "Map(LowCardinality(String), String)", true}, {"Map(String, String)", "Array(String)", false},
		{"String", "UInt8", false}, {"UInt8", "String", false}, {"Bool", "UInt8", false}, {"UUID", "String", false}, {"IPv4", "IPv6", false},
	} {
		if got := schema.Widens(schematest.Type(t, test.from), schematest.Type(t, test.to)); got != test.want {
			t.Errorf("%s to %s: %t", test.from, test.to, got)
		}
	}
}
