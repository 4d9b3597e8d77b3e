package schema

import (
	"strings"
	"testing"
)

func TestParseTypeGivesBackSystemColumnsSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"String":                                "",
		"FixedString(16)":                       "",
		"Int8":                                  "",
		"UInt64":                                "",
		"Float32":                               "",
		"Bool":                                  "",
		"Date":                                  "",
		"DateTime":                              "",
		"DateTime('Europe/Paris')":              "",
		"DateTime64":                            "DateTime64(3)",
		"DateTime64(0)":                         "",
		"DateTime64( 9,'UTC' )":                 "DateTime64(9, 'UTC')",
		"UUID":                                  "",
		"IPv4":                                  "",
		"Nullable(IPv6)":                        "",
		"Enum8('b'=2,'a'=-1)":                   "Enum8('a' = -1, 'b' = 2)",
		`Enum16('it''s' = 300, 'a\\b\n' = 301)`: `Enum16('it\'s' = 300, 'a\\b\n' = 301)`,
		"LowCardinality(String)":                "",
		"LowCardinality( Nullable(String) )":    "LowCardinality(Nullable(String))",
		"Nullable(DateTime64(6, 'Asia/Kolkata'))": "",
		"Array(String)":                            "",
		" Map( String ,String)\n":                  "Map(String, String)",
		"Map(LowCardinality(String), String)":      "",
		"Nullable(Enum8('' = 0))":                  "",
		"Nullable(FixedString(1))":                 "",
		"Enum16('low' = -32768, 'high' = 32767)":   "",
		"Enum8('low' = -128, 'high' = 127)":        "",
		"Enum8('a=b, c' = 1, '(' = 2, '\"' = 3)":   "",
		"Nullable(Bool)":                           "",
		"DateTime64(3, 'America/Argentina/Salta')": "",
	} {
		if want == "" {
			want = text
		}
		parsed, err := ParseType(text)
		if err != nil {
			t.Errorf("ParseType(%q): %v", text, err)
			continue
		}
		if got := parsed.String(); got != want {
			t.Errorf("ParseType(%q).String() = %q, want %q", text, got, want)
		}
	}
}

func TestParseTypeNamesWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "a type is missing",
		"string":                               "unknown type string; supported are",
		"Decimal(9, 2)":                        "unknown type Decimal",
		"String String":                        `"String" can't follow String`,
		"FixedString":                          "FixedString with 0 arguments does not exist",
		"FixedString(0)":                       "length is 0",
		"FixedString(x)":                       "a whole number is expected",
		"FixedString(999999999999999999999)":   "a whole number is expected",
		"DateTime64(10)":                       "precision is 10; it has to be 0 to 9",
		"DateTime64(3, 'Mars/Olympus')":        `unknown time zone "Mars/Olympus"`,
		"DateTime('Local')":                    `unknown time zone "Local"`,
		"DateTime('')":                         "a time zone is expected in single quotes",
		"DateTime(UTC)":                        "a time zone is expected in single quotes",
		"DateTime('UTC":                        "is not closed",
		"DateTime('\\q')":                      `unknown time zone "\\q"`,
		"LowCardinality(UInt8)":                "LowCardinality of UInt8 is not supported",
		"LowCardinality(FixedString(3))":       "LowCardinality of FixedString",
		"Nullable(LowCardinality(String))":     "Nullable(LowCardinality(String)) does not exist",
		"Nullable(Nullable(String))":           "does not exist",
		"Nullable(Array(String))":              "Nullable of Array does not exist",
		"Array(UInt8)":                         "Array(UInt8) is not supported",
		"Array(LowCardinality(String))":        "is not supported",
		"Map(String, UInt8)":                   "Map(String, UInt8) is not supported",
		"Map(UInt8, String)":                   "is not supported",
		"Map(String)":                          "Map with 1 arguments does not exist",
		"Enum8()":                              "Enum8 with 0 arguments does not exist",
		"Enum8('a', 'b')":                      "is written as in 'name' = 1",
		"Enum8('a' = 128)":                     "value 128; values have to be -128 to 127",
		"Enum8('a' = 1, 'a' = 2)":              `the element "a" twice`,
		"Enum8('a' = 1, 'b' = 1)":              "the value 1 twice",
		"Enum16('a' = 40000)":                  "which no Enum can hold",
		"Array(Array(Array(Array(Array(x)))))": "nested too deeply",
	} {
		_, err := ParseType(text)
		if err == nil {
			t.Errorf("ParseType(%q) succeeded", text)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("ParseType(%q) = %q, want it to contain %q", text, err, want)
		}
	}
}

func TestValidateFindsTypesMadeByHand(t *testing.T) {
	text := Type{Kind: KindString}
	for name, made := range map[string]Type{
		"zero":       {},
		"unknown":    {Kind: KindMap + 1},
		"no element": {Kind: KindArray},
		"no value":   {Kind: KindMap, Key: &text},
		"unsorted":   {Kind: KindEnum8, Enum: []EnumValue{{"a", 2}, {"b", 1}}},
		"precision":  {Kind: KindDateTime64, Precision: -1},
	} {
		if err := made.Validate(); err == nil {
			t.Errorf("%s: Validate() = nil", name)
		}
		_ = made.String() // must not panic
	}
}

// FuzzParseType holds that what is taken comes back from String, and is taken again as the same.
func FuzzParseType(f *testing.F) {
	for _, seed := range []string{
		"String", "Nullable(DateTime64(9, 'UTC'))", `Enum8('a\'' = 1, 'b' = -2)`, "Map(LowCardinality(String), String)",
		"FixedString(8)", "LowCardinality(Nullable(String))", "Enum16('\\\\' = 7)",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := ParseType(text)
		if err != nil {
			return
		}
		if err := parsed.Validate(); err != nil {
			t.Fatalf("ParseType(%q) is not valid: %v", text, err)
		}
		again, err := ParseType(parsed.String())
		if err != nil {
			t.Fatalf("ParseType(%q).String() = %q is refused: %v", text, parsed, err)
		}
		if again.String() != parsed.String() {
			t.Fatalf("%q becomes %q, and that %q", text, parsed, again)
		}
	})
}
