package server

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
)

func newIngestFixture(t *testing.T, adjust func(*Config)) *httpFixture {
	return newHTTPFixture(t, adjust, (*ingest).httpProtocols)
}

// postLines posts JSON lines and returns the answer.
func (f *httpFixture) postLines(query, lines string, headers ...string) (int, ingestAnswer, string) {
	f.t.Helper()
	r, body := f.post("/v1/ingest"+query, strings.NewReader(lines), headers...)
	var a ingestAnswer
	if err := json.Unmarshal([]byte(body), &a); err != nil || r.Header.Get("Content-Type") != contentJSON || !strings.HasSuffix(body, "}\n") {
		f.t.Errorf("%q is no answer: %v, %v", body, err, r.Header)
	}
	return r.StatusCode, a, body
}

func TestIngestOverHTTP(t *testing.T) {
	f := newIngestFixture(t, nil)
	f.router.outcome = func(r *schema.Request) *schema.Outcome {
		return &schema.Outcome{
			Refusals:     []schema.Refusal{{Index: r.Place(1), Field: `attributes["a"]`, Route: "r", Reason: schema.OutOfRange, Message: "too much"}},
			DeadLettered: []schema.DeadLettered{{Rows: 1, ID: "b", Route: "q", Table: "d.t", Code: 6, Message: "bad"}},
		}
	}
	code, a, body := f.postLines("?service=shop&colo=EWR&attribute=host.name=web1&attribute=k%3D=v", "{\"msg\":\"a\"}\n\n{\"msg\":\"b\",\"a\":1}\nc\n")
	want := ingestAnswer{
		Accepted: 1, Acknowledgement: "committed",
		Refused: []refusedLine{
			{Line: 4, Reason: "invalid_field", Message: "the line is not a JSON object"},
			{Line: 3, Field: `attributes["a"]`, Reason: "out_of_range", Message: "too much", Route: "r"},
		},
		DeadLettered: []deadLetteredRows{{Rows: 1, Route: "q", Table: "d.t", DeadLetter: "b", Code: 6, Message: "bad"}},
	}
	if code != 200 || !reflect.DeepEqual(a, want) {
		t.Errorf("%d %s", code, body)
	}
	r := f.router.routed()[0]
	resource := []schema.Attribute{schema.StringAttribute("host.name", "web1"), schema.StringAttribute("k", "=v"), schema.StringAttribute("service.name", "shop")}
	got := slices.Clone(r.Entries[0].Stream.ResourceAttributes)
	slices.SortFunc(got, func(a, b schema.Attribute) int { return strings.Compare(a.Key, b.Key) })
	if e := r.Entries[0]; len(r.Entries) != 2 || e.Body != "a" || e.Service != "shop" || e.Colo != "EWR" || !reflect.DeepEqual(got, resource) {
		t.Errorf("routed %+v with %+v", e, got)
	}
	f.router.outcome = nil

	// Once and twice, in the form of Entry.
	headers := []string{"logbatcher-producer", "p", "logbatcher-sequence", "7", "logbatcher-acknowledgement", "received"}
	for _, repeat := range []bool{false, true} {
		code, a, body := f.postLines("?format=entry", `{"body":"x","severityNumber":9}`, headers...)
		if code != 200 || a.Accepted != 1 || a.Producer != "p" || a.Sequence != 7 || a.Acknowledgement != "received" || a.Repeat != repeat {
			t.Errorf("%d %s", code, body)
		}
	}
	routed := f.router.routed()
	if e := routed[1].Entries[0]; len(routed) != 2 || e.Body != "x" || e.SeverityNumber != 9 {
		t.Errorf("routed %d times, %+v", len(routed), e)
	}
	if code, a, body := f.postLines("", ""); code != 200 || a.Accepted != 0 {
		t.Errorf("nothing: %d %s", code, body)
	}
}

func TestIngestOverHTTPThatIsRefused(t *testing.T) {
	f := newIngestFixture(t, nil)
	for name, c := range map[string]struct {
		query, body string
		headers     []string
		code        int
		part        string
	}{
		"plain text":           {"", "a\nb\n", nil, 400, "NO_JSON_LINES"},
		"an image":             {"", "{}", []string{"Content-Type", "image/png"}, 415, "UNKNOWN_MEDIA_TYPE"},
		"protobuf":             {"", "{}", []string{"Content-Type", "application/x-protobuf"}, 415, "UNKNOWN_MEDIA_TYPE"},
		"curl":                 {"", "{}", []string{"Content-Type", "application/x-www-form-urlencoded"}, 200, `"accepted":1`},
		"with a charset":       {"", "{}", []string{"Content-Type", "application/json; charset=utf-8"}, 200, `"accepted":1`},
		"format":               {"?format=xml", "{}", nil, 400, "format: it must be log"},
		"twice":                {"?colo=a&colo=b", "{}", nil, 400, "colo: it must be there once"},
		"colo":                 {"?colo=a-b", "{}", nil, 400, "colo: it must be at most 32"},
		"attribute":            {"?attribute=a", "{}", nil, 400, "attribute: it must be KEY=VALUE"},
		"unknown parameter":    {"?Service=a", "{}", nil, 400, "Service: there is no such parameter"},
		"a producer only":      {"", "{}", []string{"logbatcher-producer", "p"}, 400, "logbatcher-sequence"},
		"an unknown level":     {"", "{}", []string{"logbatcher-acknowledgement", "stored"}, 400, "it must be committed, logged or received"},
		"all lines are broken": {"", "{\n}\n", nil, 200, `"accepted":0`},
	} {
		if code, _, body := f.postLines(c.query, c.body, c.headers...); code != c.code || !strings.Contains(body, c.part) {
			t.Errorf("%s: %d %s", name, code, body)
		}
	}
	// An answer lists so many refusals and counts the others.
	if _, a, _ := f.postLines("", strings.Repeat("{\n", maxResponseOutcomes+5)); len(a.Refused) != maxResponseOutcomes || a.Unlisted != 5 || a.Accepted != 0 {
		t.Errorf("%d refusals, %d more", len(a.Refused), a.Unlisted)
	}
}

// While nothing is committed, an anonymous request is not accepted: each repeat would be stored.
func TestIngestOverHTTPWhileAway(t *testing.T) {
	f := newIngestFixture(t, nil)
	f.readiness.setAway("ClickHouse is away")
	if code, _, body := f.postLines("", "{}"); code != 503 || !strings.Contains(body, "NOT_COMMITTING") {
		t.Errorf("anonymous: %d %s", code, body)
	}
	if code, _, body := f.postLines("", "{}", "logbatcher-producer", "p", "logbatcher-sequence", "1"); code != 200 {
		t.Errorf("with a sequence: %d %s", code, body)
	}
	f.readiness.setAway("")
	if code, _, body := f.postLines("", "{}"); code != 200 || len(f.router.routed()) != 2 {
		t.Errorf("afterwards: %d %s", code, body)
	}
}
