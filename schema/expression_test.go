package schema_test

import (
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/table"
)

// TestExpressionsAsClickHouse compares what is said of sorting keys, TTLs and indexes with whether ClickHouse makes the table.
func TestExpressionsAsClickHouse(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	column := func(name, text string) schema.Column {
		parsed, err := schema.ParseType(text)
		if err != nil {
			t.Fatal(err)
		}
		return schema.Column{Name: name, Type: parsed}
	}
	columns := []schema.Column{
		column("ts", "DateTime"), column("ts64", "DateTime64(9)"), column("day", "Date"), column("body", "String"), column("n", "UInt32"),
		column("service", "LowCardinality(String)"), column("maybe", "Nullable(String)"), column("maybe_too", "LowCardinality(Nullable(String))"),
		column("tags", "Array(String)"), column("attributes", "Map(LowCardinality(String), String)"), column("end", "UInt8"), column("x y", "UInt8"),
	}
	good := func(kind string, expressions ...string) (cases [][2]string) {
		for _, e := range expressions {
			cases = append(cases, [2]string{kind, e})
		}
		return cases
	}
	check := func(cases [][2]string, want bool) {
		for _, test := range cases {
			wanted := &schema.Table{Database: server.Database, Name: "expressions", Columns: columns, OrderBy: "n"}
			var err error
			switch kind, expression := test[0], test[1]; kind {
			case "order":
				wanted.OrderBy = expression
				err = schema.CheckSortingKey(wanted)
			case "ttl":
				wanted.TTL = expression
				err = schema.CheckTTL(wanted)
			case "index":
				wanted.Indexes = []schema.Index{{Name: "i", Expression: expression, Type: "minmax", Granularity: 1}}
				err = schema.CheckExpression(expression, columns)
			}
			_, refused := server.Try(t.Context(), table.CreateTable(wanted), nil)
			server.Exec(t, "DROP TABLE IF EXISTS expressions SYNC")
			if (err == nil) != want || (refused == nil) != want {
				t.Errorf("%s %q: we say %v, ClickHouse says %.200v; want it good: %v", test[0], test[1], err, refused, want)
			}
		}
	}
	check(good("order",
		"n", "(n)", "(service, ts)", "n, ts", "tuple()", "", "`x y`", `"x y"`, "`end`", "(toStartOfHour(ts), n)", "(toDate(ts, 'UTC'), cityHash64(body))", "n % 10",
		"-n", "(n + 1) * 2", "if(n = 1 AND service != 'a', 1, 0)", "attributes['a']", "tags[1]", "length(tags)", "tags", "day", "ts64", "toUInt8(n IN (1, 2, 3))",
		"CAST(n AS String)", "CAST(n, 'String')", "n::String", "CASE WHEN n = 1 THEN 'a' ELSE 'b' END", "arrayMap(v -> upper(v), tags)",
		"arrayMap((a, b) -> a || b, tags, attributes.values)", "assumeNotNull(maybe)", "toStartOfInterval(ts, INTERVAL 5 MINUTE)", "ts - INTERVAL 1 DAY", "tupleElement((n, ts), 1)",
		"(n, ts).1", "toString(n) || 'a,b)('", "n /* a comment, with ( */", "n BETWEEN 1 AND 2", "service LIKE '%a%'", "ifNull(maybe, '') = 'x''y'", "1.5 * n",
		"isNull(maybe)", "attributes.keys", "attributes", "(n,)",
	), true)
	check(good("ttl",
		"ts", "ts + INTERVAL 30 DAY", "day + toIntervalDay(30)", "toDateTime(ts64) + INTERVAL 1 WEEK", "ts + INTERVAL 1 MONTH DELETE", "ts + INTERVAL 1 DAY DELETE WHERE n = 1",
		"ts + INTERVAL 1 DAY, ts + INTERVAL 2 DAY RECOMPRESS CODEC(Delta(4), ZSTD(3))", "ts + INTERVAL 1 DAY WHERE service = 'x' OR n > 3", "toDateTime('2030-01-01 00:00:00') + INTERVAL n DAY",
		"ts + INTERVAL 1 DAY GROUP BY n SET end = max(end)",
	), true)
	check(good("index", "body", "lower(body)", "(n, service)", "mapKeys(attributes)", "attributes['k']"), true)

	check(good("order",
		"Nope", "(Nope)", "(n, Nope)", "toDate(Nope)", "TS", "N", "(n", "n)", "n,", ",n", "n,,ts", "n ts", "(n, n)", "n, service, n", "(n ts)", "toDate(ts", "'open", "n; DROP", "maybe", "(n, maybe_too)",
		"attributes[Nope]", "arrayMap(v -> upper(w), tags)", "n + nope * 2", "`nope`", "end2", "CAST(nope AS String)", "n]", "tags[1", "toDate(ts) n", "n SETTINGS a = 1",
	), false)
	check(good("ttl", "Nope + INTERVAL 1 DAY", "body", "ts + INTERVAL 1 DAY DELETE WHERE nope = 1", "ts + INTERVAL 1 DAY,", "ts + INTERVAL 1 DAY GROUP BY n SET nope = 1"), false)
	check(good("index", "Nope", "lower(Body)", "mapKeys(attrs)"), false)
}

func TestExpressionAdvice(t *testing.T) {
	table := schema.DefaultRoute("d").Table
	for expression, want := range map[string]string{
		"timestamp":             `the table has no column "timestamp"; did you mean Timestamp?`,
		"zzz":                   `the table has no column "zzz"; it has Timestamp, `,
		"(ServiceName":          "a ) is missing",
		"ServiceName, 'x":       "the quote of 'x is not closed",
		"ServiceName Body":      `there is nothing between "ServiceName" and "Body"`,
		"ServiceName,,Body":     "there is nothing on one side of a comma",
		"(Body, TraceId, Body)": "Body is there twice",
		"ServiceName; SELECT":   "no semicolon",
	} {
		table.OrderBy = expression
		if err := schema.CheckSortingKey(table); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %s", expression, err, want)
		}
	}
	table.Columns[8].Type.Nullable = true // Body
	table.OrderBy = "Body"
	if err := schema.CheckSortingKey(table); err == nil || !strings.Contains(err.Error(), "allow_nullable_key") {
		t.Errorf("got %v", err)
	}
	table.Settings = map[string]string{"allow_nullable_key": "1"}
	if err := schema.CheckSortingKey(table); err != nil {
		t.Error(err)
	}
}
