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
		{"t + INTERVAL 30 DAY WHERE a = 1", "t+INTERVAL 30 DAY /* a month */ WHERE `a`=1"},
		{"`a b`", "\"a b\""},
		{"m['it''s']", "m['it\\'s']", "m[ 'it''s' ]"},
		{"ab"},
		{"A"},
		{"a.b"},
		{"0.01"},
		{"INTERVAL x DAY"},
		{"'a"},
	} {
		want := CanonicalExpression(same[0])
		for _, s := range same {
			if got := CanonicalExpression(s); got != want {
				t.Errorf("%q is %q, and %q is %q", s, got, same[0], want)
			}
		}
	}
	different := []string{"", "a", "A", "a, b", "b, a", "(a), (b)", "ab", "`a b`", "a b", "'a'", "0.01", "0.1", "a.b"}
	seen := make(map[string]string)
	for _, s := range different {
		c := CanonicalExpression(s)
		if other, ok := seen[c]; ok && CanonicalExpression("a, b") != c {
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
		if got := CanonicalCodec(test.text, test.t); got != test.want {
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
		if got := SameCodec(test.a, test.b); got != test.same {
			t.Errorf("%q and %q: same is %t", test.a, test.b, got)
		}
	}
}

func TestErrorCode(t *testing.T) {
	for text, want := range map[string]int{
		"Code: 60. DB::Exception: Table x does not exist": 60,
		"exec: code: 517, message: Metadata is behind":    517,
		"connection refused":                              0,
	} {
		if got := ErrorCode(errorText(text)); got != want {
			t.Errorf("%q has code %d", text, got)
		}
	}
	if ErrorCode(nil) != 0 {
		t.Error("no error has a code")
	}
}

type errorText string

func (e errorText) Error() string { return string(e) }

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a", "it's", "`", "\\", "a\\'", "\x00\xff\n\t", "--", "/*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, quoted := range []string{QuoteString(s), QuoteIdentifier(s)} {
			list := Tokens("x " + quoted + " y")
			if len(list) != 3 || list[1].Text != s || list[1].Kind == WordToken || list[1].Kind == SymbolToken {
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
		once := CanonicalExpression(s)
		// What is not SQL may change again; it must end all the same, and in something that stays.
		if twice := CanonicalExpression(once); balanced(s) && twice != CanonicalExpression(twice) {
			t.Errorf("%q becomes %q, then %q", s, once, twice)
		}
		CanonicalCodec(s, Type{Kind: KindUInt8})
		SameCodec(s, s)
	})
}

func balanced(s string) bool {
	return strings.Count(s, "(") == strings.Count(s, ")") && !strings.ContainsAny(s, "'`\"\\-/")
}
