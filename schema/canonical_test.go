package schema

import (
	"strings"
	"testing"
)

func TestCanonicalExpression(t *testing.T) {
	for _, same := range [][]string{
		{"", "tuple()", "()", " /* none */ "},
		{"a", "(a)", "`a`", "\"a\"", "tuple(a)", "((a))", " a -- the key\n"},
		{"a, b", "(a,b)", "tuple(a, `b`)"},
		{"(a), (b)"},
		{"(a) + (b)"},
		{"toDate(Timestamp)", "toDate( `Timestamp` )"},
		{"t + toIntervalDay(30)", "t + INTERVAL 30 DAY", "t + interval 30 days", "t + INTERVAL '30 day'"},
		{"t + toIntervalDay(30) WHERE a = 1", "t + INTERVAL 30 DAY DELETE WHERE a = 1", "t+INTERVAL 30 DAY where a=1"},
		{"a AND NOT b", "a and not b"},
		{"`a b`", "\"a b\""},
		{"m['it''s']", "m['it\\'s']", "m[ 'it''s' ]"},
		{"ab"},
		{"A"},
		{"a.b"},
		{"0.01"},
		{"INTERVAL x DAY"},
		{"'a"},
	} {
		want := canonicalExpression(same[0])
		for _, s := range same {
			if got := canonicalExpression(s); got != want {
				t.Errorf("%q is %q, and %q is %q", s, got, same[0], want)
			}
		}
	}
	different := []string{"", "a", "A", "a, b", "b, a", "(a), (b)", "ab", "`a b`", "a b", "'a'", "0.01", "0.1", "a.b"}
	seen := make(map[string]string)
	for _, s := range different {
		c := canonicalExpression(s)
		if other, ok := seen[c]; ok && canonicalExpression("a, b") != c {
			t.Errorf("%q and %q are both %q", s, other, c)
		}
		seen[c] = s
	}
}

func TestCanonicalCodec(t *testing.T) {
	eight, four := Type{Kind: KindDateTime64}, Type{Kind: KindUInt32}
	for _, test := range []struct {
		text string
		t    Type
		want string
	}{
		{"", four, ""},
		{"Default", four, ""},
		{"ZSTD", four, "ZSTD(1)"},
		{"zstd( 3 )", four, "ZSTD(3)"},
		{"CODEC(Delta, ZSTD)", eight, "Delta(8), ZSTD(1)"},
		{"delta,lz4", four, "Delta(4), LZ4"},
		{"Gorilla", eight, "Gorilla(8)"},
		{"T64('bit')", four, "T64('bit')"},
		{"AES_128_GCM_SIV", four, "AES_128_GCM_SIV"},
	} {
		if got := canonicalCodec(test.text, test.t); got != test.want {
			t.Errorf("%q is %q, want %q", test.text, got, test.want)
		}
	}
	for _, test := range []struct {
		a, b string
		same bool
	}{
		{"LZ4HC", "LZ4HC(0)", true},
		{"FPC, ZSTD(1)", "FPC(12), ZSTD(1)", true},
		{"ZSTD(1)", "ZSTD(3)", false},
		{"ZSTD(1)", "LZ4", false},
		{"ZSTD(1)", "", false},
		{"Delta(8), ZSTD(1)", "ZSTD(1)", false},
	} {
		if got := sameCodec(test.a, test.b); got != test.same {
			t.Errorf("%q and %q: same is %t", test.a, test.b, got)
		}
	}
}

func TestEngineClauses(t *testing.T) {
	c := engineClauses("ReplicatedMergeTree('/t/{uuid}', 'ORDER BY') PARTITION BY (toDate(t), a) PRIMARY KEY s ORDER BY (s, t) " +
		"TTL t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1) SETTINGS index_granularity = 8192, storage_policy = 'hot, SETTINGS', x = -1")
	if c.partitionBy != "(toDate(t), a)" || c.primaryKey != "s" || c.orderBy != "(s, t)" || c.ttl != "t + toIntervalDay(30) WHERE a = 3, t + toIntervalYear(1)" {
		t.Errorf("%+v", c)
	}
	if s := parseSettings(c.settings); len(s) != 3 || s["index_granularity"] != "8192" || s["storage_policy"] != "hot, SETTINGS" || s["x"] != "-1" {
		t.Errorf("%v", s)
	}
	if c := engineClauses("Memory"); c.orderBy != "" || len(c.settings) != 0 {
		t.Errorf("%+v", c)
	}
}

func TestErrorCode(t *testing.T) {
	for text, want := range map[string]int{
		"Code: 60. DB::Exception: Table x does not exist": 60,
		"exec: code: 517, message: Metadata is behind":    517,
		"connection refused":                              0,
	} {
		if got := errorCode(errorText(text)); got != want {
			t.Errorf("%q has code %d", text, got)
		}
	}
	if errorCode(nil) != 0 || errorCode(codedError{errorText("Code: 1."), 60}) != 60 {
		t.Error("the typed code does not count")
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

type codedError struct {
	error
	code int
}

func (e codedError) ServerCode() int { return e.code }

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "it's", "`", "\\", "a\\'", "\x00\xff\n\t", "--", "/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []string{QuoteString(s), QuoteIdentifier(s)} {
			list := tokens("x " + quoted + " y")
			if len(list) != 3 || list[1].text != s || list[1].kind == wordToken || list[1].kind == symbolToken {
				t.Errorf("%q is read back as %+v", quoted, list)
			}
			if strings.ContainsAny(quoted, "\n\r\x00") {
				t.Errorf("%q goes over lines", quoted)
			}
		}
	})
}

func FuzzCanonicalExpression(f *testing.F) {
	for _, s := range []string{"a + INTERVAL 1 DAY", "((a), 'b')", "`x``y`", "a -- b", "/*", "'", "((", "))", "1.5.2", "INTERVAL", ","} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := canonicalExpression(s)
		// What is not SQL may change again; it must end all the same, and in something that stays.
		if twice := canonicalExpression(once); balanced(s) && twice != canonicalExpression(twice) {
			t.Errorf("%q becomes %q, then %q", s, once, twice)
		}
		engineClauses(s)
		canonicalCodec(s, Type{Kind: KindUInt8})
		sameCodec(s, s)
	})
}

func balanced(s string) bool {
	return strings.Count(s, "(") == strings.Count(s, ")") && !strings.ContainsAny(s, "'`\"\\-/")
}
