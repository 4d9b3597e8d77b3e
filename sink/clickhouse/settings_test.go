package clickhouse_test

import (
	"os"
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// docs/clickhouse.md lists every setting that is sent, with its value and reason.
func TestDocumentHasTheSettings(t *testing.T) {
	document, err := os.ReadFile("../../docs/clickhouse.md")
	if err != nil {
		t.Fatal(err)
	}
	inserts, questions := clickhouse.DocumentedSettings()
	for name, table := range map[string]string{"inserts": inserts, "questions": questions} {
		if !strings.Contains(string(document), "|---|---|---|---|\n"+table+"\n") {
			t.Errorf("docs/clickhouse.md has another table of the settings of %s; it should be:\n%s", name, table)
		}
	}
}
