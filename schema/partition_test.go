package schema

import (
	"strings"
	"testing"
)

func partitionColumns(t testing.TB) []Column {
	var columns []Column
	for _, c := range [][2]string{
		{"ts", "DateTime64(9, 'UTC')"}, {"seconds", "DateTime"}, {"day", "Date"}, {"service", "LowCardinality(String)"},
		{"tenant id", "UInt32"}, {"toDate", "String"}, {"maybe", "Nullable(Date)"}, {"ratio", "Float64"},
		{"tags", "Array(String)"}, {"level", "Enum8('info' = 1)"},
	} {
		parsed, err := ParseType(c[1])
		if err != nil {
			t.Fatal(err)
		}
		columns = append(columns, Column{Name: c[0], Type: parsed})
	}
	return columns
}

func TestParsePartitionBy(t *testing.T) {
	columns := partitionColumns(t)
	for text, want := range map[string]string{
		"":                                    "",
		" tuple() ":                           "",
		"()":                                  "",
		"day":                                 "`day`",
		"(day)":                               "`day`",
		"(day,)":                              "`day`",
		"toDate(ts)":                          "toDate(`ts`)",
		" toYYYYMM ( `ts` ) ":                 "toYYYYMM(`ts`)",
		"toMonday(day)":                       "toMonday(`day`)",
		"toStartOfDay(seconds)":               "toStartOfDay(`seconds`)",
		"(service, toStartOfHour(ts))":        "(`service`, toStartOfHour(`ts`))",
		"tuple(service,`tenant id`,level)":    "(`service`, `tenant id`, `level`)",
		`("tenant id", toDate(seconds))`:      "(`tenant id`, toDate(`seconds`))",
		"`toDate`":                            "`toDate`",
		"(toDate)":                            "`toDate`",
		"(toDate, toDate(day), toMonday(ts))": "(`toDate`, toDate(`day`), toMonday(`ts`))",
	} {
		by, err := ParsePartitionBy(text, columns)
		if err != nil {
			t.Errorf("ParsePartitionBy(%q): %v", text, err)
			continue
		}
		if got := spell(by); got != want {
			t.Errorf("ParsePartitionBy(%q) = %q, want %q", text, got, want)
		}
		for _, key := range by {
			if columns[key.Column].Name != key.Name {
				t.Errorf("%q: key %v has column %d", text, key, key.Column)
			}
		}
	}
}

func TestParsePartitionByListsWhatItCanCompute(t *testing.T) {
	columns := partitionColumns(t)
	for text, want := range map[string]string{
		"nothing":                  `there is no column "nothing"`,
		"toYYYYMMDD(ts)":           "function toYYYYMMDD is not supported",
		"todate(ts)":               "function todate is not supported",
		"toDate(ts) + 1":           "neither a column nor a function",
		"toDate(ts, 'UTC')":        "takes the column alone",
		"toDate(toStartOfDay(ts))": "takes the column alone",
		"toDate(service)":          "needs a Date, DateTime or DateTime64",
		"toStartOfHour(day)":       "toStartOfHour of a Date",
		"ts":                       "by whose value",
		"ratio":                    "by whose value",
		"tags":                     "by whose value",
		"maybe":                    "is Nullable",
		"toDate(maybe)":            "is Nullable",
		"(day":                     "a ) is missing",
		"day, service":             "neither a column nor a function",
		"((day), service)":         "neither a column nor a function",
		"intDiv(`tenant id`, 10)":  "function intDiv is not supported",
		"`day":                     "is not closed",
		"cityHash64(service) % 16": "neither a column nor a function",
		"toStartOfInterval(ts, 1)": "function toStartOfInterval",
	} {
		_, err := ParsePartitionBy(text, columns)
		if err == nil {
			t.Errorf("ParsePartitionBy(%q) succeeded", text)
			continue
		}
		for _, part := range []string{want, "toDate, toYYYYMM, toMonday, toStartOfDay and toStartOfHour"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("ParsePartitionBy(%q) = %q, want it to contain %q", text, err, part)
			}
		}
	}
}

// spell returns keys as a PARTITION BY expression.
func spell(keys []PartitionKey) string {
	if len(keys) == 0 {
		return ""
	}
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.String()
	}
	if len(keys) == 1 {
		return texts[0]
	}
	return "(" + strings.Join(texts, ", ") + ")"
}

func FuzzParsePartitionBy(f *testing.F) {
	for _, seed := range []string{"", "day", "(service, toDate(ts))", "tuple(`tenant id`)", `"day"`} {
		f.Add(seed)
	}
	columns := partitionColumns(f)
	f.Fuzz(func(t *testing.T, text string) {
		by, err := ParsePartitionBy(text, columns)
		if err != nil {
			return
		}
		again, err := ParsePartitionBy(spell(by), columns)
		if err != nil || spell(again) != spell(by) {
			t.Fatalf("%q becomes %v, and that %v, %v", text, by, again, err)
		}
	})
}
