package schema_test

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// TestRoutingIsReadBack: a routing read back is the one that was written, and has the same bytes again.
func TestRoutingIsReadBack(t *testing.T) {
	filter, problems := schema.ParseFilter(map[string]any{
		"service": map[string]any{"in": []any{"a", "b"}}, "any": []any{
			map[string]any{"attributes.n": map[string]any{"greaterThan": math.Inf(-1)}},
			map[string]any{"attributes.x": map[string]any{"lessThan": uint64(5)}},
			map[string]any{"not": map[string]any{"body": map[string]any{"contains": "it's \"quoted\"\n"}}},
		},
	}, "filter")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	filtered := schema.DefaultRoute("other")
	filtered.Name, filtered.Filter, filtered.OnTimeOutOfRange = "filtered", filter, schema.DeadLetter
	filtered.Table.Columns[3].Default, filtered.Table.Columns[3].HasDefault = "1", true
	zone, err := time.LoadLocation("Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	written := &schema.Routing{
		Routes: []*schema.Route{schema.DefaultRoute("default"), filtered}, Zone: zone, Bucket: time.Minute, KeepUnmatched: true,
	}
	data, err := json.Marshal(written)
	if err != nil {
		t.Fatal(err)
	}
	var read schema.Routing
	if err := json.Unmarshal(data, &read); err != nil {
		t.Fatal(err)
	}
	if read.Bucket != written.Bucket || read.KeepUnmatched != written.KeepUnmatched || read.Zone.String() != written.Zone.String() {
		t.Errorf("read %+v, written %+v", read, written)
	}
	for i, route := range written.Routes {
		if got, want := read.Routes[i].Filter.String(), route.Filter.String(); got != want {
			t.Errorf("route %d: filter %s, want %s", i, got, want)
		}
		read.Routes[i].Filter = route.Filter // compiled, so it has no comparable form
		if !reflect.DeepEqual(read.Routes[i], route) {
			t.Errorf("route %d: read\n%+v\nwritten\n%+v", i, read.Routes[i].Table, route.Table)
		}
	}
	again, err := json.Marshal(&read)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(data) {
		t.Errorf("written again it is\n%s\ninstead of\n%s", again, data)
	}
}

// TestRoutingThatCannotBeRead: what is no routing is an error, not a panic later.
func TestRoutingThatCannotBeRead(t *testing.T) {
	for _, data := range []string{"", "{", `{"Zone":"Mars/Phobos"}`, `{"Zone":"UTC","Routes":[null]}`, `{"Zone":"UTC","Routes":[{"Name":"a"}]}`,
		`{"Zone":"UTC","Routes":[{"Filter":"{a: {b: c}}","Table":{}}]}`} {
		var r schema.Routing
		if err := json.Unmarshal([]byte(data), &r); err == nil {
			t.Errorf("%s is accepted", data)
		}
	}
}
