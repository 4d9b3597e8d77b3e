package schema

import (
	"slices"
	"strings"
)

// escapes are those that ClickHouse reads in literals and in quoted identifiers. Any other byte stands for itself,
// in valid UTF-8 or not.
var escapes = []string{`\`, `\\`, "\x00", `\0`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\b", `\b`, "\f", `\f`}

var (
	identifierEscapes = strings.NewReplacer(append(slices.Clone(escapes), "`", "\\`")...)
	stringEscapes     = strings.NewReplacer(append(slices.Clone(escapes), "'", `\'`)...)
)

// QuoteIdentifier returns the name for a statement. Names are always quoted, so that no list of reserved words is needed.
func QuoteIdentifier(name string) string { return "`" + identifierEscapes.Replace(name) + "`" }

// QuoteString returns the text as a string literal.
func QuoteString(text string) string { return "'" + stringEscapes.Replace(text) + "'" }

// QuotedName returns "database.table" with both parts quoted.
func QuotedName(database, table string) string {
	return QuoteIdentifier(database) + "." + QuoteIdentifier(table)
}

// SQLComment returns a text as lines of comment, whatever line breaks it has.
func SQLComment(text string) string {
	return "-- " + strings.ReplaceAll(strings.ReplaceAll(text, "\r", `\r`), "\n", "\n-- ") + "\n"
}
