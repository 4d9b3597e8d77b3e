package sink_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/sink"
)

func TestClassify(t *testing.T) {
	classes, err := sink.NewClasses(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		code     int
		message  string
		class    sink.Class
		overload bool
	}{
		{252, "Too many parts (3001 with average size of 1.00 MiB) in table", sink.Transient, true},
		{252, "Too many partitions for single INSERT block (more than 1)", sink.Shape, false},
		{241, "(total) memory limit exceeded", sink.Transient, true},
		{242, "", sink.Transient, false}, {202, "", sink.Transient, true}, {999, "", sink.Transient, false}, {745, "", sink.Transient, true},
		{159, "", sink.Ambiguous, false}, {209, "", sink.Ambiguous, false}, {210, "", sink.Ambiguous, false}, {319, "", sink.Ambiguous, false},
		{516, "", sink.Hold, false}, {497, "", sink.Hold, false}, {192, "", sink.Hold, false}, {81, "", sink.Hold, false}, {62, "", sink.Hold, false}, {115, "", sink.Hold, false},
		{60, "", sink.Schema, false}, {16, "", sink.Schema, false}, {53, "", sink.Schema, false}, {517, "", sink.Schema, false},
		{6, "", sink.Row, false}, {27, "", sink.Row, false}, {38, "", sink.Row, false}, {41, "", sink.Row, false}, {72, "", sink.Row, false}, {469, "", sink.Row, false}, {691, "", sink.Row, false},
		{4711, "", sink.Unclassified, false},
	} {
		rule := classes.Classify(test.code, test.message)
		if rule.Class != test.class || rule.Overload != test.overload || rule.Code != test.code {
			t.Errorf("%d %q: %+v, want %s, overload %v", test.code, test.message, rule, test.class, test.overload)
		}
	}
}

func TestRulesAreComplete(t *testing.T) {
	classes, _ := sink.NewClasses(nil)
	seen := map[string]bool{}
	for _, rule := range classes.Rules() {
		key := fmt.Sprint(rule.Code, rule.Match)
		if seen[key] || rule.Code <= 0 || rule.Name == "" || rule.Reason == "" || rule.Class == sink.Unclassified {
			t.Errorf("rule %+v is double or lacks something", rule)
		}
		seen[key] = true
	}
}

func TestOverrides(t *testing.T) {
	classes, err := sink.NewClasses([]sink.Rule{
		{Code: 241, Class: sink.Hold},
		{Code: 4711, Class: sink.Row, Reason: "ours"},
		{Code: 210, Class: sink.Hold, Match: "certificate"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if rule := classes.Classify(241, ""); rule.Class != sink.Hold || rule.Overload || rule.Name != "MEMORY_LIMIT_EXCEEDED" || rule.Reason == "" {
		t.Errorf("overridden rule %+v", rule)
	}
	if rule := classes.Classify(4711, ""); rule.Class != sink.Row {
		t.Errorf("added rule %+v", rule)
	}
	if classes.Classify(210, "bad certificate").Class != sink.Hold || classes.Classify(210, "reset").Class != sink.Ambiguous {
		t.Error("the text of a rule does not decide")
	}
	_, err = sink.NewClasses([]sink.Rule{{Code: 0, Class: sink.Row}, {Code: 5}})
	if err == nil || !strings.Contains(err.Error(), "rule 0") || !strings.Contains(err.Error(), "rule 1") {
		t.Errorf("error %v, want both rules", err)
	}
}

func TestParseClass(t *testing.T) {
	for class := sink.Transient; class <= sink.Row; class++ {
		if got, err := sink.ParseClass(class.String()); got != class || err != nil {
			t.Errorf("%s: %s, %v", class, got, err)
		}
	}
	if _, err := sink.ParseClass("unclassified"); err == nil {
		t.Error("unclassified was taken")
	}
}

// docs/errors.md has the table, row for row.
func TestDocumentHasTheTable(t *testing.T) {
	document, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	classes, _ := sink.NewClasses(nil)
	var want strings.Builder
	for class := sink.Transient; class <= sink.Row; class++ {
		for _, rule := range classes.Rules() {
			if rule.Class != class {
				continue
			}
			name := rule.Name
			if rule.Match != "" {
				name += fmt.Sprintf(" with “%s”", rule.Match)
			}
			overload := ""
			if rule.Overload {
				overload = "yes"
			}
			fmt.Fprintf(&want, "| %d | %s | %s | %s | %s |\n", rule.Code, name, rule.Class, overload, rule.Reason)
		}
	}
	_, table, _ := strings.Cut(string(document), "|---|---|---|---|---|\n")
	if got, _, _ := strings.Cut(table, "\n\n"); got+"\n" != want.String() {
		t.Errorf("docs/errors.md has another table than the code; it should be:\n%s", want.String())
	}
}
