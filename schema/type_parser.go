package schema

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ParseType reads a ClickHouse type. It is strict: names are spelled as ClickHouse spells them
// (no aliases, no other case), and only types that columns can have are accepted. Errors list the supported types.
func ParseType(text string) (Type, error) {
	err := CheckBrackets(text)
	var t Type
	if err == nil {
		t, err = parseType(Tokens(text), 0)
	}
	if err == nil {
		err = t.Validate()
	}
	if err != nil {
		return Type{}, fmt.Errorf("type %q: %w", text, err)
	}
	return t, nil
}

// MarshalText implements encoding.TextMarshaler.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a type as ParseType does.
func (t *Type) UnmarshalText(text []byte) (err error) {
	*t, err = ParseType(string(text))
	return err
}

// maxTypeDepth is more than the deepest supported type, Map(LowCardinality(String), String), has.
const maxTypeDepth = 4

// parseType reads a name and its arguments in parentheses.
func parseType(list []Token, depth int) (Type, error) {
	if depth > maxTypeDepth {
		return Type{}, fmt.Errorf("nested too deeply; %s", supportedTypes)
	}
	if len(list) == 0 || list[0].Kind != WordToken {
		return Type{}, fmt.Errorf("a type is missing; %s", supportedTypes)
	}
	name, rest := list[0].Text, list[1:]
	if len(rest) > 0 && !Wrapped(rest) {
		return Type{}, fmt.Errorf("%q can't follow %s; %s", rest[0].Text, name, supportedTypes)
	}
	var arguments [][]Token
	if len(rest) > 0 {
		arguments = TopLevelParts(rest[1 : len(rest)-1])
	}
	if name == "LowCardinality" || name == "Nullable" {
		return wrapType(name, arguments, depth)
	}
	kind := slices.IndexFunc(kinds[:], func(row kindRow) bool { return row.name == name })
	if kind < 0 {
		return Type{}, fmt.Errorf("unknown type %s; %s", name, supportedTypes)
	}
	t := Type{Kind: Kind(kind)}
	row := &kinds[kind]
	if len(arguments) < row.least || len(arguments) > row.most || len(rest) > 0 && row.most == 0 {
		return Type{}, fmt.Errorf("%s with %d arguments does not exist; %s", name, len(arguments), supportedTypes)
	}
	return t, t.parseArguments(arguments, depth)
}

// wrapType reads the argument of LowCardinality or Nullable.
func wrapType(wrapper string, arguments [][]Token, depth int) (Type, error) {
	if len(arguments) != 1 {
		return Type{}, fmt.Errorf("%s has one type in parentheses; %s", wrapper, supportedTypes)
	}
	t, err := parseType(arguments[0], depth+1)
	switch {
	case err != nil:
		return Type{}, err
	case t.LowCardinality || wrapper == "Nullable" && t.Nullable:
		return Type{}, fmt.Errorf("%s(%s) does not exist; %s", wrapper, t, supportedTypes)
	case wrapper == "Nullable":
		t.Nullable = true
	default:
		t.LowCardinality = true
	}
	return t, nil
}

// parseArguments reads the arguments of a kind.
func (t *Type) parseArguments(arguments [][]Token, depth int) (err error) {
	switch t.Kind {
	case KindFixedString:
		t.Length, err = parseInteger(arguments[0])
	case KindDateTime:
		if len(arguments) > 0 {
			t.Zone, err = parseZone(arguments[0])
		}
	case KindDateTime64:
		t.Precision = 3 // ClickHouse's own default
		if len(arguments) > 0 {
			t.Precision, err = parseInteger(arguments[0])
		}
		if len(arguments) > 1 && err == nil {
			t.Zone, err = parseZone(arguments[1])
		}
	case KindEnum8, KindEnum16:
		err = t.parseElements(arguments)
	case KindArray:
		t.Element, err = parseNested(arguments[0], depth)
	case KindMap:
		if t.Key, err = parseNested(arguments[0], depth); err == nil {
			t.Value, err = parseNested(arguments[1], depth)
		}
	}
	return err
}

func parseNested(list []Token, depth int) (*Type, error) {
	t, err := parseType(list, depth+1)
	return &t, err
}

// parseElements reads the elements of an Enum, and sorts them by value.
func (t *Type) parseElements(arguments [][]Token) error {
	for _, element := range arguments {
		if len(element) < 3 || element[0].Kind != StringToken || !element[1].Is("=") {
			return fmt.Errorf("an element of %s is written as in 'name' = 1", t.Kind)
		}
		name := element[0].Text
		value, err := parseInteger(element[2:])
		if err != nil {
			return err
		}
		if value != int(int16(value)) {
			return fmt.Errorf("%s's element %q has value %d, which no Enum can hold", t.Kind, name, value)
		}
		t.Enum = append(t.Enum, EnumValue{Name: name, Value: int16(value)})
	}
	slices.SortStableFunc(t.Enum, func(a, b EnumValue) int { return cmp.Compare(a.Value, b.Value) })
	return nil
}

func parseInteger(argument []Token) (int, error) {
	sign := ""
	if len(argument) == 2 && argument[0].Is("-") {
		sign, argument = "-", argument[1:]
	}
	if len(argument) == 1 && argument[0].Kind == WordToken {
		if n, err := strconv.Atoi(sign + argument[0].Text); err == nil {
			return n, nil
		}
	}
	return 0, errors.New("a whole number is expected in parentheses")
}

// parseZone reads a quoted time zone. An empty one is refused: String would not write it.
func parseZone(argument []Token) (string, error) {
	if len(argument) != 1 || argument[0].Kind != StringToken || argument[0].Text == "" {
		return "", errors.New("a time zone is expected in single quotes, as in DateTime('UTC')")
	}
	return argument[0].Text, nil
}
