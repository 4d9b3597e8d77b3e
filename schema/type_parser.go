package schema

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ParseType reads a ClickHouse type. It is strict: names are spelled as ClickHouse spells them
// (no aliases, no other case), and only types that columns can have are taken. Space
// between the parts is free. An error names what is wrong and what is supported.
func ParseType(text string) (Type, error) {
	p := typeParser{scanner{text: text}}
	t, err := p.parse(0)
	if err == nil && !p.atEnd() {
		err = p.unexpected("the end")
	}
	if err == nil {
		err = t.Validate()
	}
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", text, err)
	}
	return t, nil
}

// maxTypeDepth is more than the deepest supported type, Map(LowCardinality(String), String), has.
const maxTypeDepth = 4

var kindsByName = func() map[string]Kind {
	byName := make(map[string]Kind, len(kinds))
	for k := KindString; int(k) < len(kinds); k++ {
		byName[kinds[k].name] = k
	}
	return byName
}()

type typeParser struct{ scanner }

func (p *typeParser) parse(depth int) (Type, error) {
	if depth > maxTypeDepth {
		return Type{}, fmt.Errorf("nested too deeply; %s", supportedTypes)
	}
	name := p.word()
	switch name {
	case "":
		return Type{}, p.unexpected("a type")
	case "LowCardinality", "Nullable":
		return p.wrapped(name, depth)
	}
	kind, known := kindsByName[name]
	if !known {
		return Type{}, fmt.Errorf("unknown type %s; %s", name, supportedTypes)
	}
	t := Type{Kind: kind}
	return t, p.arguments(&t, depth)
}

// wrapped reads what stands in the brackets of LowCardinality or Nullable.
func (p *typeParser) wrapped(wrapper string, depth int) (Type, error) {
	if err := p.expect("("); err != nil {
		return Type{}, err
	}
	t, err := p.parse(depth + 1)
	if err != nil {
		return Type{}, err
	}
	if t.LowCardinality || wrapper == "Nullable" && t.Nullable {
		return Type{}, fmt.Errorf("%s(%s) does not exist; %s", wrapper, t, supportedTypes)
	}
	if wrapper == "Nullable" {
		t.Nullable = true
	} else {
		t.LowCardinality = true
	}
	return t, p.expect(")")
}

// arguments reads what stands in brackets behind the name of the kind.
func (p *typeParser) arguments(t *Type, depth int) error {
	switch t.Kind {
	case KindFixedString:
		return p.bracketed(func() (err error) { t.Length, err = p.integer(); return err })
	case KindDateTime:
		if !p.follows("(") {
			return nil
		}
		return p.bracketed(func() (err error) { t.Zone, err = p.zone(); return err })
	case KindDateTime64:
		t.Precision = 3 // ClickHouse's own default
		if !p.follows("(") {
			return nil
		}
		return p.bracketed(func() (err error) {
			if t.Precision, err = p.integer(); err != nil || !p.accept(",") {
				return err
			}
			t.Zone, err = p.zone()
			return err
		})
	case KindEnum8, KindEnum16:
		return p.bracketed(func() error { return p.elements(t) })
	case KindArray:
		return p.bracketed(func() error { return p.nested(&t.Element, depth) })
	case KindMap:
		return p.bracketed(func() error {
			if err := p.nested(&t.Key, depth); err != nil {
				return err
			}
			if err := p.expect(","); err != nil {
				return err
			}
			return p.nested(&t.Value, depth)
		})
	}
	return nil
}

func (p *typeParser) bracketed(inside func() error) error {
	if err := p.expect("("); err != nil {
		return err
	}
	if err := inside(); err != nil {
		return err
	}
	return p.expect(")")
}

func (p *typeParser) nested(into **Type, depth int) error {
	t, err := p.parse(depth + 1)
	*into = &t
	return err
}

// zone reads a quoted time zone. The empty one is refused: it would not come back from String.
func (p *typeParser) zone() (string, error) {
	zone, err := p.literal()
	if err == nil && zone == "" {
		err = fmt.Errorf("the time zone is empty; leave it out, or name one")
	}
	return zone, err
}

func (p *typeParser) elements(t *Type) error {
	for {
		name, err := p.literal()
		if err != nil {
			return err
		}
		if err := p.expect("="); err != nil {
			return err
		}
		value, err := p.integer()
		if err != nil {
			return err
		}
		if value != int(int16(value)) {
			return fmt.Errorf("%s's element %q has value %d, which no Enum can hold", t.Kind, name, value)
		}
		t.Enum = append(t.Enum, EnumValue{Name: name, Value: int16(value)})
		if !p.accept(",") {
			break
		}
	}
	slices.SortStableFunc(t.Enum, func(a, b EnumValue) int { return int(a.Value) - int(b.Value) })
	return nil
}

// scanner reads the words, numbers, literals and signs of a piece of ClickHouse's language.
type scanner struct {
	text string
	at   int
}

func (s *scanner) skipSpace() {
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
}

func (s *scanner) atEnd() bool {
	s.skipSpace()
	return s.at == len(s.text)
}

// follows says whether the sign comes next, and leaves it there.
func (s *scanner) follows(sign string) bool {
	s.skipSpace()
	return strings.HasPrefix(s.text[s.at:], sign)
}

// accept takes the sign where it comes next.
func (s *scanner) accept(sign string) bool {
	if !s.follows(sign) {
		return false
	}
	s.at += len(sign)
	return true
}

func (s *scanner) expect(sign string) error {
	if !s.accept(sign) {
		return s.unexpected(strconv.Quote(sign))
	}
	return nil
}

func (s *scanner) unexpected(wanted string) error {
	if s.atEnd() {
		return fmt.Errorf("%s is missing at the end", wanted)
	}
	return fmt.Errorf("%s is expected at character %d, before %q", wanted, s.at+1, s.text[s.at:])
}

func isLetter(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// word takes an identifier without quotes, and returns "" where there is none.
func (s *scanner) word() string {
	s.skipSpace()
	start := s.at
	for s.at < len(s.text) && (isLetter(s.text[s.at]) || s.at > start && isDigit(s.text[s.at])) {
		s.at++
	}
	return s.text[start:s.at]
}

func (s *scanner) integer() (int, error) {
	s.skipSpace()
	start := s.at
	if s.at < len(s.text) && s.text[s.at] == '-' {
		s.at++
	}
	for s.at < len(s.text) && isDigit(s.text[s.at]) {
		s.at++
	}
	n, err := strconv.Atoi(s.text[start:s.at])
	if err != nil {
		s.at = start
		return 0, s.unexpected("a whole number")
	}
	return n, nil
}

// literal takes a string in single quotes.
func (s *scanner) literal() (string, error) {
	if !s.follows("'") {
		return "", s.unexpected("a string in single quotes")
	}
	return s.quoted('\'')
}

var escapes = map[byte]byte{
	'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', '0': 0, '\\': '\\', '\'': '\'', '"': '"', '`': '`',
}

// quoted takes what stands between two quotes of that kind; a backslash escapes, and so does
// doubling the quote.
func (s *scanner) quoted(quote byte) (string, error) {
	start := s.at
	var b strings.Builder
	for s.at++; s.at < len(s.text); s.at++ {
		c := s.text[s.at]
		switch {
		case c == quote:
			s.at++
			if s.at == len(s.text) || s.text[s.at] != quote {
				return b.String(), nil
			}
			b.WriteByte(quote)
		case c == '\\':
			s.at++
			if s.at == len(s.text) {
				break
			}
			plain, known := escapes[s.text[s.at]]
			if !known {
				return "", fmt.Errorf("unknown escape \\%c at character %d", s.text[s.at], s.at)
			}
			b.WriteByte(plain)
		default:
			b.WriteByte(c)
		}
	}
	return "", fmt.Errorf("the quote at character %d is not closed", start+1)
}
