package schema

import "strings"

// QuoteIdentifier returns the name as ClickHouse reads it whatever characters it has. Names are
// always quoted, so that no list of reserved words has to be kept.
func QuoteIdentifier(name string) string { return quote(name, '`') }

// QuoteString returns the text as a string literal.
func QuoteString(text string) string { return quote(text, '\'') }

// quote escapes byte by byte: a text that is no UTF-8 goes through unchanged. ClickHouse reads
// the same escapes in literals and in quoted identifiers.
func quote(text string, mark byte) string {
	var b strings.Builder
	b.Grow(len(text) + 2)
	b.WriteByte(mark)
	for i := range len(text) {
		switch c := text[i]; c {
		case mark, '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case 0:
			b.WriteString(`\0`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte(mark)
	return b.String()
}

// QuotedName returns "database.table" with both parts quoted.
func QuotedName(database, table string) string {
	return QuoteIdentifier(database) + "." + QuoteIdentifier(table)
}

// SQLComment returns a text as lines of comment, whatever line breaks it has.
func SQLComment(text string) string {
	return "-- " + strings.ReplaceAll(strings.ReplaceAll(text, "\r", `\r`), "\n", "\n-- ") + "\n"
}
