package main

import "strings"

// The engine's C interface needs to know where an INSERT ends and its data begins, which format the output has, and which
// statements read query ids. This file finds that out from the words of a statement.

// An insertText is an INSERT statement cut from its data.
type insertText struct {
	statement string // without FORMAT and data
	format    string // of the data
	data      int    // where the data begins in the text
	undecided bool   // the text ends before its data is named
}

// splitInsert cuts an INSERT from its data. It is false for every other
// statement, and for an INSERT that brings no data (INSERT … SELECT).
func splitInsert(text string) (insertText, bool) {
	l := &lexer{text: text}
	if l.word(l.next()) != "INSERT" {
		return insertText{}, false
	}
	depth := 0
	for previous := (token{}); ; {
		t := l.next()
		switch {
		case t.kind == tokenEnd, depth == 0 && l.is(t, ';'):
			return insertText{strings.TrimRight(text[:t.start], " \t\r\n"), "Values", t.end, true}, true
		case l.is(t, '('):
			depth++
		case l.is(t, ')'):
			depth--
		case t.kind != tokenWord || l.is(previous, '.') || l.word(previous) == "INTO" || l.word(previous) == "TABLE":
			// a name, whatever it looks like
		case l.word(t) == "SELECT" || l.word(t) == "WITH" && depth == 0:
			return insertText{}, false
		case depth > 0:
		case l.word(t) == "FROM" || l.word(t) == "WATCH":
			return insertText{}, false
		case l.word(t) == "VALUES":
			return insertText{text[:t.start], "Values", t.end, false}, true
		case l.word(t) == "FORMAT":
			format := l.next()
			if format.kind != tokenWord {
				return insertText{text, "Values", len(text), true}, true
			}
			return insertText{text[:t.start], text[format.start:format.end], afterFormat(text, format.end), false}, true
		}
		previous = t
	}
}

// afterFormat skips what may stand between the name of a format and the data:
// blanks and one line end.
func afterFormat(text string, at int) int {
	for at < len(text) && strings.IndexByte(" \t\f", text[at]) >= 0 {
		at++
	}
	if at < len(text) && text[at] == ';' {
		at++
	}
	if at < len(text) && text[at] == '\r' {
		at++
	}
	if at < len(text) && text[at] == '\n' {
		at++
	}
	return at
}

// outputFormat returns the format that a statement names itself, or "".
func outputFormat(text string) string {
	l := &lexer{text: text}
	format, depth := "", 0
	for previous := (token{}); ; {
		t := l.next()
		switch {
		case t.kind == tokenEnd:
			return format
		case l.is(t, '('):
			depth++
		case l.is(t, ')'):
			depth--
		case depth == 0 && t.kind == tokenWord && l.word(previous) == "FORMAT":
			format = text[t.start:t.end]
		}
		previous = t
	}
}

// queryIDSetting carries a statement's query id. The engine gives every
// statement an id of its own and has no way to choose it (its C interface
// passes none, and the client inside resets it before each insert). But
// system.processes shows the settings of a statement, and this one is a label
// without effect as long as the query cache is off.
const queryIDSetting = "query_cache_tag"

// processesWithIDs is system.processes as a server shows it: with the query
// ids that clients chose.
const processesWithIDs = "(SELECT * REPLACE (" +
	"if(Settings['" + queryIDSetting + "'] != '', Settings['" + queryIDSetting + "'], query_id) AS query_id, " +
	"if(Settings['" + queryIDSetting + "'] != '', Settings['" + queryIDSetting + "'], initial_query_id) AS initial_query_id) " +
	"FROM system.processes)"

// withQueryIDs rewrites the statements that look at query ids: reads of
// system.processes, and KILL QUERY.
func withQueryIDs(text string) string {
	l := &lexer{text: text}
	first := l.word(l.next())
	switch first {
	case "KILL":
		if l.word(l.next()) != "QUERY" {
			return text
		}
		return replaceWord(l, "QUERY_ID", "Settings['"+queryIDSetting+"']")
	case "SELECT", "WITH", "INSERT", "EXPLAIN", "":
		return replaceProcesses(text)
	}
	return text
}

// replaceWord replaces a bare word in what is left of a lexer's text.
func replaceWord(l *lexer, word, with string) string {
	var out strings.Builder
	copied := 0
	for {
		t := l.next()
		if t.kind == tokenEnd {
			return out.String() + l.text[copied:]
		}
		if l.word(t) == word {
			out.WriteString(l.text[copied:t.start] + with)
			copied = t.end
		}
	}
}

// replaceProcesses replaces the table system.processes by processesWithIDs.
func replaceProcesses(text string) string {
	l := &lexer{text: text}
	var out strings.Builder
	copied := 0
	for system := l.next(); system.kind != tokenEnd; {
		if l.word(system) != "SYSTEM" {
			system = l.next()
			continue
		}
		dot := l.next()
		if !l.is(dot, '.') {
			system = dot
			continue
		}
		table := l.next()
		after := l.next()
		if l.word(table) == "PROCESSES" && !l.is(after, '.') {
			out.WriteString(text[copied:system.start] + processesWithIDs)
			copied = table.end
		}
		system = after
	}
	return out.String() + text[copied:]
}
