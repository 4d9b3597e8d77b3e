package batch

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
)

// elementsOf reads an array with encoding/json, if all its elements are of accepted types.
func elementsOf(text string) ([]string, bool) {
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(text), &raw); err != nil || raw == nil {
		return nil, false
	}
	elements := []string{}
	for _, r := range raw {
		switch {
		case r[0] == '"':
			var s string
			if err := json.Unmarshal(r, &s); err != nil {
				return nil, false
			}
			elements = append(elements, s)
		case r[0] == 'n' || r[0] == '[' || r[0] == '{':
			return nil, false
		default:
			elements = append(elements, string(r))
		}
	}
	return elements, true
}

var surrogate = regexp.MustCompile(`\\u[dD][89a-fA-F]`)

// FuzzJSONArray compares with encoding/json, which replaces invalid UTF-8 where the array keeps it.
func FuzzJSONArray(f *testing.F) {
	for _, seed := range []string{
		`[]`, `["a"]`, `["a","b\n"]`, `[1, -2.5e+3, true,false]`, ` [ "\u00e9" ] `, `[null]`, `["a",]`, `[,]`, `["a" "b"]`, `["`, `["\"`,
		`[01]`, `[1.]`, `[-]`, `[1e]`, `["a"]x`, `[[]]`, "[\"\x00\"]", `["\ud800"]`, `["\q"]`, `["\ud83d\uDE00 \/"]`, `["\udE00\ud83d"]`, `["\u12"]`, `["\u00/1"]`, "[\"\xff\\n\"]",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var out value
		in := schema.JSONAttribute("", text)
		taken := jsonToArray(nil, &in, &out) == schema.NoReason
		got := out.elements
		want, ok := elementsOf(text)
		if !taken && surrogate.MatchString(text) {
			return // encoding/json replaces half a pair by U+FFFD
		}
		if ok != taken {
			t.Fatalf("%q: taken is %v, by encoding/json %v", text, taken, ok)
		}
		if !ok {
			return
		}
		for i := range got {
			got[i] = strings.ToValidUTF8(got[i], "")
		}
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "\ufffd", "")
		}
		for i := range got {
			got[i] = strings.ReplaceAll(got[i], "\ufffd", "")
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%q: %q, want %q", text, got, want)
		}
	})
}
