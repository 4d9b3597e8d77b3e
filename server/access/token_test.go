package access

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// line makes a token and its line.
func line(t *testing.T, tenant string, expires time.Time, rights ...Right) (token string, text string) {
	t.Helper()
	token, l, err := NewToken(tenant, expires, rights)
	if err != nil {
		t.Fatal(err)
	}
	return token, l.String()
}

func TestTokensAreReadAsTheyAreWritten(t *testing.T) {
	seen := map[string]bool{}
	for _, rights := range [][]Right{nil, {Ingest}, {Admin, Metrics}} {
		for _, expires := range []time.Time{{}, time.Date(2027, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))} {
			token, written, err := NewToken("shop", expires, rights)
			if err != nil {
				t.Fatal(err)
			}
			read, problems := ParseTokens([]byte("# comment\r\n\n  " + written.String() + "\r\n"))
			if len(problems) > 0 || len(read) != 1 || !reflect.DeepEqual(read[0], written) {
				t.Errorf("%s: %+v, %q", written, read, problems)
			}
			if seen[token] || tokenID(token) != written.ID || strings.Contains(written.String(), token) {
				t.Errorf("%s: token %s", written, token)
			}
			seen[token] = true
		}
	}
	if _, _, err := NewToken("a b", time.Time{}, nil); err == nil {
		t.Error("a tenant with a space has a token")
	}
}

func TestWrongTokenLines(t *testing.T) {
	token, good := line(t, "shop", time.Time{})
	words := strings.Fields(good)
	for _, test := range []struct{ text, want string }{
		{token, "line 1: it must begin with the id"},
		{words[0] + " " + token, "line 1: behind the id must be sha256:"},
		{words[0] + " " + words[1][:20] + " tenant=shop", "line 1: behind the id must be sha256:"},
		{words[0] + " " + words[1], "line 1: there is no tenant; write tenant=NAME"},
		{good + " tenant=shop", "line 1: tenant is there twice"},
		{good + " until=2027", "line 1: behind the hash may be tenant=, expires= and rights="},
		{good + " " + token, "line 1: behind the hash may be"},
		{good + " expires=2027-01-31", "line 1: expires must be a time as in 2027-01-31T00:00:00Z"},
		{good + " rights=ingest,", "line 1: rights are ingest, admin, metrics, with commas between them"},
		{good + "\n#\n" + good, "line 3: line 1 has the same id"},
		{good + " \xff", "line 1: it is not UTF-8"},
	} {
		tokens, problems := ParseTokens([]byte(test.text))
		if len(problems) != 1 || !strings.HasPrefix(problems[0], test.want) || strings.Contains(problems[0], token) {
			t.Errorf("%q: %d tokens, %q, want %s", test.text, len(tokens), problems, test.want)
		}
	}
}

// FuzzTokens reads arbitrary files: what is read is written and read again as it was, and no message has a part of the file but a key.
func FuzzTokens(f *testing.F) {
	_, l, err := NewToken("shop", time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC), []Right{Ingest, Metrics})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(l.String()))
	f.Add([]byte("# x\n" + l.String() + "\r\n\n" + l.String()))
	f.Add([]byte(l.ID + " secretsecretsecret tenant=a expires=x rights=,"))
	f.Fuzz(func(t *testing.T, data []byte) {
		tokens, problems := ParseTokens(data)
		for _, problem := range problems {
			if bytes.Contains(data, []byte("secretsecretsecret")) && strings.Contains(problem, "secretsecretsecret") {
				t.Errorf("a message quotes the file: %s", problem)
			}
		}
		var again strings.Builder
		for _, token := range tokens {
			again.WriteString(token.String() + "\n")
		}
		read, problems := ParseTokens([]byte(again.String()))
		if len(problems) > 0 || !slices.EqualFunc(read, tokens, func(a, b *Token) bool { return reflect.DeepEqual(a, b) }) {
			t.Errorf("%q is read as %+v, %q", again.String(), read, problems)
		}
	})
}
