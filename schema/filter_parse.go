package schema

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// maxFilterDepth bounds how deep a filter's groups may nest.
const maxFilterDepth = 32

// ParseFilter compiles a filter from decoded YAML: map[string]any, []any, string, int, int64, uint64,
// float64 and bool. path is the setting's path, for problems. It returns all problems; the
// filter is nil when there is one.
func ParseFilter(value any, path string) (*Filter, []Problem) {
	p := &filterParser{}
	root := p.filter(value, path, 0)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return &Filter{root: root, written: value}, nil
}

// filterParser collects the problems of one filter. After a problem it continues only to find others; the nodes are unusable.
type filterParser struct {
	problems []Problem
}

// report adds a problem, and returns an empty node in place of the wrong one.
func (p *filterParser) report(path, format string, arguments ...any) *node {
	p.problems = append(p.problems, Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
	return &node{}
}

// filter compiles a map of fields and groups; several keys mean all of them.
func (p *filterParser) filter(value any, path string, depth int) *node {
	m, isMap := value.(map[string]any)
	switch {
	case !isMap:
		return p.report(path, "a filter is a map of fields and of all, any and not; this is %s", describeValue(value))
	case len(m) == 0:
		return p.report(path, "an empty filter could mean everything or nothing; name a field, or leave out the setting to take every entry")
	case depth > maxFilterDepth:
		return p.report(path, "filters may nest at most %d deep", maxFilterDepth)
	}
	var parts []*node
	for _, key := range slices.Sorted(maps.Keys(m)) {
		switch below := path + "." + key; key {
		case allGroup, anyGroup:
			parts = append(parts, p.list(key, m[key], below, depth))
		case notGroup:
			parts = append(parts, newGroup(notGroup, p.filter(m[key], below, depth+1)))
		default:
			parts = append(parts, p.field(key, m[key], below)...)
		}
	}
	return newGroup(allGroup, parts...)
}

// list compiles the list of all or any.
func (p *filterParser) list(group string, value any, path string, depth int) *node {
	list, _ := value.([]any)
	if len(list) == 0 {
		return p.report(path, "%s takes a list of at least one filter; this is %s", group, describeValue(value))
	}
	children := make([]*node, len(list))
	for i, element := range list {
		children[i] = p.filter(element, fmt.Sprintf("%s[%d]", path, i), depth+1)
	}
	return newGroup(group, children...)
}

// field compiles the operators on one field, a node each.
func (p *filterParser) field(name string, value any, path string) []*node {
	source, err := ParseSource(name)
	if err == nil && !source.Field.inFilters() {
		err = fmt.Errorf("a filter can't read %s; it reads %s", source, strings.Join(fieldNames(FieldColo), ", "))
	}
	if err != nil {
		p.report(path, "%v", err)
		return nil
	}
	conditions, _ := value.(map[string]any)
	if len(conditions) == 0 {
		p.report(path, "a field takes a map of operators, as in {equals: …} or {exists: true}; this is %s", describeValue(value))
		return nil
	}
	if _, found := conditions[opDoesNotExist]; found && len(conditions) > 1 {
		p.report(path, "%s stands alone: nothing else holds for what is absent; put the operators under any", opDoesNotExist)
	}
	literalType := untyped
	if !source.Field.IsAttribute() {
		literalType = source.Field.Type()
	}
	var nodes []*node
	for _, operator := range slices.Sorted(maps.Keys(conditions)) {
		c := &condition{source: source, operator: operator, literalType: literalType}
		c.text = flow(map[string]any{name: map[string]any{operator: conditions[operator]}})
		if p.condition(c, conditions[operator], path+"."+operator) && c.literalType != untyped {
			literalType = c.literalType // one value has one type: the other literals must have it too
		}
		nodes = append(nodes, &node{condition: c, cost: c.cost()})
	}
	return nodes
}

// inFilters reports whether a filter can read the field.
func (f Field) inFilters() bool { return f.IsAttribute() || f > NoField && f <= FieldColo }

// condition reads the literals of a condition and compiles it. It returns false when it has reported a problem.
func (p *filterParser) condition(c *condition, value any, path string) bool {
	before := len(p.problems)
	types, known := operators[c.operator]
	list, isList := value.([]any)
	switch {
	case !known:
		p.report(path, "%s", UnknownName("operator", c.operator, slices.Sorted(maps.Keys(operators))))
	case c.operator == opExists || c.operator == opDoesNotExist:
		c.literalType = untyped
		if value != true {
			p.report(path, "%s and %s take true; this is %s", opExists, opDoesNotExist, describeValue(value))
		}
	case !c.source.Field.IsAttribute() && !slices.Contains(types, c.literalType):
		p.report(path, "%s applies to %s; %s is of type %s", c.operator, typeNames(types), c.source, c.literalType)
	case c.operator != "in":
		p.literal(c, value, path)
	case !isList || len(list) == 0:
		p.report(path, "in takes a list of at least one value, as in [1, 2]; this is %s", describeValue(value))
	default:
		for i, element := range list {
			p.literal(c, element, fmt.Sprintf("%s[%d]", path, i))
		}
	}
	if len(p.problems) > before {
		return false
	}
	if err := c.compile(); err != nil {
		p.report(path, "not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return len(p.problems) == before
}

// typeNames lists types for a message.
func typeNames(types []AttributeType) string {
	var names []string
	for _, t := range types {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// literal adds one literal to a condition. The first literal on an attribute decides the type.
func (p *filterParser) literal(c *condition, value any, path string) {
	literal, err := newLiteral(value)
	if err == nil && c.literalType == Time {
		literal, err = timeLiteral(literal)
	}
	mismatch := err == nil && c.literalType != untyped && c.literalType != literal.Type
	switch {
	case err != nil:
		p.report(path, "%v; this is %s", err, describeValue(value))
	case mismatch && c.source.Field.IsAttribute():
		p.report(path, "the literals on one attribute are of one type, here %s; this is %s", c.literalType, describeValue(value))
	case mismatch:
		p.report(path, "%s is of type %s; this is %s", c.source, c.literalType, describeValue(value))
	case !slices.Contains(operators[c.operator], literal.Type):
		p.report(path, "%s applies to %s; this is %s", c.operator, typeNames(operators[c.operator]), describeValue(value))
	case c.isEquality() && !c.source.Field.canBe(&literal):
		p.report(path, "%s is 0 to %d; this is %s", c.source, greatest[c.source.Field], describeValue(value))
	default:
		c.literalType = literal.Type
		c.literals = append(c.literals, literal)
	}
}

// greatest has the greatest value of small numbers.
var greatest = map[Field]int64{FieldSeverityNumber: 24, FieldTraceFlags: 255}

// canBe reports whether the field can have the value.
func (f Field) canBe(literal *Attribute) bool {
	most, small := greatest[f]
	return !small || literal.AsInt() >= 0 && literal.AsInt() <= most
}

// newLiteral converts a decoded scalar, or returns why it can't be a literal.
func newLiteral(value any) (Attribute, error) {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return Attribute{}, errors.New("the string is not valid UTF-8")
		}
		return StringAttribute("", v), nil
	case bool:
		return BoolAttribute("", v), nil
	case int:
		return IntAttribute("", int64(v)), nil
	case int64:
		return IntAttribute("", v), nil
	case uint64:
		if v > math.MaxInt64 {
			return Attribute{}, fmt.Errorf("the greatest int is %d", int64(math.MaxInt64))
		}
		return IntAttribute("", int64(v)), nil
	case float64:
		if math.IsNaN(v) {
			return Attribute{}, errors.New("nothing can be compared with NaN")
		}
		return DoubleAttribute("", v), nil
	}
	return Attribute{}, errors.New("a literal is a string, a number or a bool")
}

// timeLiteral reads a time from a string.
func timeLiteral(literal Attribute) (Attribute, error) {
	at, ok := ParseTime(literal.Text)
	if literal.Type != String || !ok {
		return literal, errors.New(`a time is written as in "2026-01-31T08:00:00Z" (RFC 3339)`)
	}
	nanoseconds := at.UnixNano()
	if !time.Unix(0, nanoseconds).Equal(at) {
		return literal, errors.New("times are those of the years 1678 to 2261")
	}
	return Attribute{Type: Time, Bits: uint64(nanoseconds)}, nil
}

// describeValue names a decoded YAML value for a message.
func describeValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "empty"
	case map[string]any:
		if len(v) == 0 {
			return "an empty map"
		}
		return "a map"
	case []any:
		if len(v) == 0 {
			return "an empty list"
		}
		return "a list"
	}
	literal, err := newLiteral(value)
	if err != nil {
		return fmt.Sprintf("the %T %s", value, Short(fmt.Sprint(value), 64))
	}
	return "the " + literal.String()
}
