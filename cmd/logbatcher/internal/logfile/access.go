package logfile

import "strings"

// readAccess reads the fields of a line of an access log in common or combined format, also with the virtual host
// in front:
//
//	client ident user [stamp] "METHOD target protocol" status size "referer" "user agent"
//
// end is behind the stamp. A field that is "-" or does not parse gives no attribute.
func readAccess(record *Record, end int) {
	line := record.Body
	attributes := make([]Attribute, 0, 10)
	head := line[:strings.IndexByte(line[:end], '[')]
	if host, rest, _ := strings.Cut(head, " "); strings.Count(rest, " ") == 3 {
		attributes = append(attributes, text("server.address", host))
		head = rest
	}
	client, head, _ := strings.Cut(head, " ")
	_, user, _ := strings.Cut(strings.TrimSuffix(head, " "), " ")
	attributes = appendField(attributes, "client.address", client)
	attributes = appendField(attributes, "user.name", user)

	request, rest, ok := quoted(line[end:])
	if !ok {
		record.Attributes = attributes
		return
	}
	attributes = appendRequest(attributes, request)
	rest = strings.TrimPrefix(rest, " ")
	status, rest, _ := strings.Cut(rest, " ")
	if code, ok := wholeNumber(status); ok && code >= 100 && code <= 999 {
		attributes = append(attributes, integer("http.response.status_code", code))
		record.SeverityNumber = statusSeverity(code)
		record.SeverityText = severityName(record.SeverityNumber)
	}
	size := rest
	if n := strings.IndexByte(rest, ' '); n >= 0 {
		size, rest = rest[:n], rest[n:]
	} else {
		rest = ""
	}
	if bytes, ok := wholeNumber(size); ok {
		attributes = append(attributes, integer("http.response.body.size", bytes))
	}
	if referer, rest, ok := quoted(rest); ok {
		attributes = appendField(attributes, "http.referer", referer)
		if agent, _, ok := quoted(rest); ok {
			attributes = appendField(attributes, "user_agent.original", agent)
		}
	}
	record.Attributes = attributes
}

// appendRequest reads "GET /path?query HTTP/1.1". What is no request, as a probe's bytes, gives nothing.
func appendRequest(attributes []Attribute, request string) []Attribute {
	method, target, ok := strings.Cut(request, " ")
	if !ok || method == "" || len(method) > 32 {
		return attributes
	}
	for i := 0; i < len(method); i++ {
		if !isLetter(method[i]) && method[i] != '_' && method[i] != '-' {
			return attributes
		}
	}
	attributes = append(attributes, text("http.request.method", method))
	if n := strings.LastIndex(target, " HTTP/"); n >= 0 {
		attributes = append(attributes, text("network.protocol.version", target[n+len(" HTTP/"):]))
		target = target[:n]
	}
	path, query, _ := strings.Cut(target, "?")
	attributes = appendField(attributes, "url.path", path)
	if query != "" {
		attributes = append(attributes, text("url.query", query))
	}
	return attributes
}

func appendField(attributes []Attribute, key, value string) []Attribute {
	if value == "" || value == "-" {
		return attributes
	}
	return append(attributes, text(key, value))
}

// quoted reads the string in double quotes at the start of s, behind spaces. Its escapes are kept.
func quoted(s string) (value, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return s[1:i], s[i+1:], true
		}
	}
	return "", s, false
}
