package config

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// plainValue returns what a filter would get of the value of x.
func plainValue(text string) (any, []Problem) {
	var target struct {
		X any `yaml:"x"`
	}
	problems := decodeFile("f", []byte(text), &target, origins{})
	return target.X, problems
}

// TestPlainScalars has what stands in the file without quotes: a value of YAML 1.2's core schema, a text, or an error that says
// what would be right. In quotes all of it is text.
func TestPlainScalars(t *testing.T) {
	for _, test := range []struct {
		text string
		want any // a string that begins with "!" is a part of an error
	}{
		{"0", int64(0)}, {"10", int64(10)}, {"-5", int64(-5)}, {"+5", int64(5)}, {"0o10", int64(8)}, {"0x10", int64(16)}, {"0xfF", int64(255)},
		{"9223372036854775807", int64(math.MaxInt64)}, {"-9223372036854775808", int64(math.MinInt64)}, {"18446744073709551615", uint64(math.MaxUint64)},
		{"1e3", 1000.0}, {"1E3", 1000.0}, {"-1.5e-3", -0.0015}, {".5", 0.5}, {"5.", 5.0}, {"+.5", 0.5}, {"0.0", 0.0}, {"1e+3", 1000.0}, {"01.5", 1.5},
		{".inf", math.Inf(1)}, {"-.Inf", math.Inf(-1)},
		{"true", true}, {"True", true}, {"FALSE", false},
		{"~", nil}, {"null", nil}, {"Null", nil}, {"", nil},
		{"yes", "yes"}, {"no", "no"}, {"on", "on"}, {"off", "off"}, {"y", "y"}, {"tRUE", "tRUE"}, {"inf", "inf"}, {"nan", "nan"},
		{"2026-01-31", "2026-01-31"}, {"2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"}, {"1:30", "1:30"}, {"1.2.3", "1.2.3"}, {"10.0.0.1", "10.0.0.1"},
		{"5s", "5s"}, {"e3", "e3"}, {".", "."}, {"-", nil}, {"1e", "1e"}, {"0x", "0x"}, {"0xg", "0xg"}, {"a_1", "a_1"}, {"_1", "_1"}, {"1-2", "1-2"},
		{"010", "!without the leading 0"}, {"-010", "!without the leading 0"}, {"08", "!without the leading 0"}, {"00", "!without the leading 0"}, {"+007", "!without the leading 0"},
		{"1_000", "!as in 1000"}, {"1_000.5", "!not a number"}, {"0b101", "!not a number"}, {"0X10", "!not a number"}, {"0O10", "!not a number"}, {"-0x10", "!not a number"}, {"0x1_0", "!not a number"},
		{"18446744073709551616", "!does not fit 64 bits"}, {"-9223372036854775809", "!does not fit 64 bits"}, {"0xfffffffffffffffff", "!does not fit 64 bits"},
		{"1e999", "!does not fit 64 bits"}, {"1e-999", "!does not fit 64 bits"},
	} {
		if test.text == "-" {
			continue // a list
		}
		got, problems := plainValue("x: " + test.text + "\n")
		wanted, isText := test.want.(string)
		part, isError := strings.CutPrefix(wanted, "!")
		switch {
		case isText && isError:
			if len(problems) != 1 || !strings.Contains(problems[0].Message, part) || problems[0].origin.line != 1 || problems[0].origin.column != 4 {
				t.Errorf("%s: got %v, want an error with %q", test.text, problems, part)
			}
			continue
		case len(problems) > 0:
			t.Errorf("%s: %v", test.text, problems)
			continue
		}
		if !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %#v, want %#v", test.text, got, test.want)
		}
		for _, quoted := range []string{"'" + test.text + "'", `"` + test.text + `"`} {
			if got, problems := plainValue("x: " + quoted + "\n"); len(problems) > 0 || got != test.text {
				t.Errorf("%s: got %#v, %v", quoted, got, problems)
			}
		}
	}
	if got, problems := plainValue("x: .nan\n"); len(problems) > 0 || !math.IsNaN(got.(float64)) {
		t.Errorf("got %v", problems)
	}
}

// TestNumbersOfSettings has numbers of all forms where a setting wants one.
func TestNumbersOfSettings(t *testing.T) {
	for _, test := range []struct {
		text string
		want int // 0: an error
	}{
		{"16", 16}, {"0x10", 16}, {"0o20", 16}, {"+16", 16}, {"016", 0}, {"1_6", 0}, {"16.0", 16}, {"1.6e1", 16}, {"16.5", 0}, {"'16'", 0}, {"yes", 0}, {"~", 0}, {".inf", 0},
		{"99999999999999999999", 0},
	} {
		c, err := parse(t.Context(), "f", []byte("shards: {count: "+test.text+"}\n"), nil, nil)
		if test.want == 0 && err == nil || test.want > 0 && (err != nil || c.Shards.Shards != test.want) {
			t.Errorf("%s: got %v", test.text, err)
		}
	}
	for _, variable := range []string{"LOGBATCHER_SHARDS_COUNT=010", "LOGBATCHER_SHARDS_COUNT=1_0", "LOGBATCHER_SHARDS_COUNT=0x4", "LOGBATCHER_MEMORY_TABLE_SHARE=0x1p-2",
		"LOGBATCHER_MEMORY_TABLE_SHARE=inf", "LOGBATCHER_MEMORY_TABLE_SHARE=NaN", "LOGBATCHER_MEMORY_BUDGET=0100000000", "LOGBATCHER_LISTEN_GRPC="} {
		if _, err := parse(t.Context(), "f", nil, []string{variable}, nil); err == nil {
			t.Errorf("%s is taken", variable)
		}
	}
}
