package schematest

import (
	"strings"
	"testing"

	"github.com/logbatcher/logbatcher/schema"
)

// Type parses a type.
func Type(t testing.TB, text string) schema.Type {
	t.Helper()
	parsed, err := schema.ParseType(text)
	if err != nil {
		t.Fatalf("type %s: %v", text, err)
	}
	return parsed
}

// Columns reads "name Type", "name Type | codec" and "name Type | codec | comment", and adds the batch id.
func Columns(t testing.TB, lines ...string) []schema.Column {
	t.Helper()
	var list []schema.Column
	for _, line := range lines {
		parts := strings.Split(line, " | ")
		name, typeText, _ := strings.Cut(parts[0], " ")
		c := schema.Column{Name: name, Type: Type(t, typeText)}
		if len(parts) > 1 {
			c.Codec = parts[1]
		}
		if len(parts) > 2 {
			c.Comment = parts[2]
		}
		list = append(list, c)
	}
	return append(list, schema.BatchColumn())
}
