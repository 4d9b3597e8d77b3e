package logline

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/logbatcher/logbatcher/schema"
)

// FuzzObject compares with encoding/json what is an object, and what its members are.
func FuzzObject(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1,"b":[1,{"c":"\u00e9\n"}],"d":-1.5e+3,"e":null,"f":true,"g":false}`, `{"a":01}`, `{"a":1,}`, `{"a":"\x"}`,
		`{"a":"\ud800\u0041"}`, `{"a":"\ud800\ud83d\ude00\udc00"}`, `{"a":[[[[]]]]}`, `{"a" : 1 }` + "\t", `{"":""}`,
		`{"a":1e400,"b":123456789012345678901234567890}`, `{"a":"` + "\xff" + `"}`, "{\"a\":\"\x7f\"}", `{"a":-0,"b":-0.0}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var o Object
		ok := o.Parse(s)
		s = strings.Trim(s, White+"\n")
		valid := strings.HasPrefix(s, "{") && json.Valid([]byte(s)) && !tooDeep(s)
		if ok != valid {
			t.Fatalf("%q: %v, encoding/json: %v", s, ok, valid)
		}
		if !ok || !utf8.ValidString(s) {
			return
		}
		want := map[string]any{}
		decoder := json.NewDecoder(strings.NewReader(s))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		got, count := map[string]schema.Attribute{}, map[string]int{}
		for _, m := range o.Members {
			count[m.Key]++
		}
		if n := o.CountAttributes(); n != len(o.Attributes(nil)) {
			t.Fatalf("%q: %d attributes, counted %d", s, len(o.Attributes(nil)), n)
		}
		for _, a := range o.Attributes(nil) {
			got[a.Key] = a
		}
		if len(count) != len(want) {
			t.Fatalf("%q: %d members, want %d", s, len(count), len(want))
		}
		for key, value := range want {
			m, ok := got[key]
			switch v := value.(type) {
			case nil:
				ok = !ok
			case string:
				ok = ok && m.Type == schema.String && m.Text == v
			case bool:
				ok = ok && m.Type == schema.Bool && m.AsBool() == v
			case json.Number:
				if n, err := v.Int64(); err == nil {
					ok = ok && m.Type == schema.Int && m.AsInt() == n
				} else if x, err := v.Float64(); err == nil && strings.ContainsAny(v.String(), ".eE") {
					ok = ok && m.Type == schema.Double && m.AsDouble() == x
				} else {
					ok = ok && m.Type == schema.String && m.Text == v.String()
				}
			default:
				ok = ok && m.Type == schema.JSON && json.Valid([]byte(m.Text))
			}
			if !ok && count[key] == 1 {
				t.Fatalf("%q: %q is %+v, want %v", s, key, m, value)
			}
		}
	})
}

// Deep nesting takes stack: it is bounded, and brackets in strings are none.
func TestDepth(t *testing.T) {
	nested := func(n int) string { return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + "}" }
	var o Object
	for text, want := range map[string]bool{
		nested(maxDepth - 1): true, nested(maxDepth): false, nested(1 << 20): false,
		`{"a":"` + strings.Repeat("[", maxDepth*2) + `\"[["}`: true,
		`{"a":[` + strings.Repeat("[],", maxDepth*2) + `0]}`:  true,
	} {
		if o.Parse(text) != want {
			t.Errorf("%.40s…: %t", text, !want)
		}
	}
}
