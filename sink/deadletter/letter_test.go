package deadletter

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/sink"
)

func valuesOf(l *sink.DeadLetter) map[string]any {
	values := make(map[string]any)
	for _, f := range fieldsOf(l) {
		values[f.name] = f.text()
	}
	return values
}

func TestDecodeKeepsWhatItCan(t *testing.T) {
	values := valuesOf(letter("a", 1))
	values["code"] = "many"
	values["class"] = "odd"
	values["first"] = "yesterday"
	values["origins"] = "{"
	values["from the future"] = "1"
	delete(values, "table")
	got, err := decode(values)
	for _, field := range []string{"code", "class", "first", "origins", "table"} {
		if err == nil || !strings.Contains(err.Error(), "field "+field+":") {
			t.Errorf("field %s is not named in: %v", field, err)
		}
	}
	if strings.Contains(err.Error(), "future") || got.ID != "a" || got.Rows != 3 || !got.First.IsZero() {
		t.Errorf("decoded %+v, %v", got, err)
	}
	if _, err := decode(nil); err == nil {
		t.Error("no fields at all should be an error")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("a", "row", "469", "2026-03-04T05:06:07Z", `[{"producer":"p","epoch":1,"sequence":18446744073709551615,"shard_id":"s","rows":1}]`, []byte{0, 255})
	f.Add("", "", "-1", "0000-01-01T00:00:00Z", `null`, []byte(nil))
	f.Add("x\x00\r\n", "unclassified", "99999999999999999999", "2026-03-04T05:06:07.999999999+14:00", `[{"rows":1e400}]`, []byte("$-1\r\n"))
	f.Fuzz(func(t *testing.T, id, class, number, stamp, origins string, payload []byte) {
		values := map[string]any{
			"tried": `["` + id + `"]`, "history": origins,
			"id": id, "table": id, "route": id, "shard_id": id, "class": class, "code": number, "reason": id, "column": id,
			"message": id, "attempts": number, "first": stamp, "last": stamp, "origins": origins, "schema_hash": id,
			"rows": number, "format": id, "payload": string(payload),
		}
		first, err := decode(values)
		if err != nil {
			return
		}
		if y := first.First.UTC().Year(); y < 0 || y > 9999 {
			return // the year has more digits than RFC 3339 allows
		}
		again, err := decode(valuesOf(&first))
		if err != nil {
			t.Fatalf("decoded, written and then: %v", err)
		}
		normalize := func(l *sink.DeadLetter) {
			l.First, l.Last = l.First.UTC(), l.Last.UTC()
			if len(l.Origins) == 0 {
				l.Origins = nil
			}
		}
		normalize(&first)
		normalize(&again)
		if !reflect.DeepEqual(first, again) {
			t.Errorf("%+v\nbecame\n%+v", first, again)
		}
	})
}

func TestZeroTime(t *testing.T) {
	l := letter("a", 1)
	l.First = time.Time{}
	if got, err := decode(valuesOf(l)); err != nil || !got.First.IsZero() {
		t.Errorf("first = %v, %v", got.First, err)
	}
}
