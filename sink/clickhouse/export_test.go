package clickhouse

import (
	"fmt"
	"strings"
)

// MaxAnswerBytes bounds an answer.
const MaxAnswerBytes = maxAnswerBytes

// DocumentedSettings returns the tables of docs/clickhouse.md.
func DocumentedSettings() (inserts, questions string) {
	table := func(settings []setting) string {
		var b strings.Builder
		for _, s := range settings {
			value, required := s.value, ""
			if value == "" {
				value = "the token"
			}
			if s.required {
				required = "yes"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.name, value, required, s.reason)
		}
		return b.String()
	}
	return table(insertSettings), table(querySettings)
}
