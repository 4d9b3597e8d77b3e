package schema

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxFilterDepth bounds how deep a filter's groups may nest.
const maxFilterDepth = 32

// groupNames are the keys of a filter that are not fields.
var groupNames = []string{"all", "any", "not"}

// ParseFilter compiles a filter from decoded YAML: map[string]any, []any, string, int64, uint64,
// float64 and bool. path is the setting's path, for problems. All problems are returned; the
// filter is nil when there is one.
func ParseFilter(value any, path string) (*Filter, []Problem) {
	p := &filterParser{}
	root := p.parse(value, path, 0)
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return &Filter{root: root}, nil
}

// filterParser collects the problems of one filter. Its methods return nil
// where they have reported one.
type filterParser struct {
	problems []Problem
}

// report adds a problem.
func (p *filterParser) report(path, format string, arguments ...any) {
	p.problems = append(p.problems, Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
}

// parse compiles a map of fields and groups; several keys mean all of them.
func (p *filterParser) parse(value any, path string, depth int) *node {
	m, isMap := value.(map[string]any)
	switch {
	case !isMap:
		p.report(path, "a filter is a map of fields and of all, any and not; this is %s", describeValue(value))
		return nil
	case len(m) == 0:
		p.report(path, "an empty filter says nothing; name a field, or leave out the setting to take every entry")
		return nil
	case depth > maxFilterDepth:
		p.report(path, "filters may nest at most %d deep", maxFilterDepth)
		return nil
	}
	var parts []*node
	for _, key := range sortedKeys(m) {
		below := path + "." + key
		switch key {
		case "all":
			parts = append(parts, p.parseList(allNode, m[key], below, depth))
		case "any":
			parts = append(parts, p.parseList(anyNode, m[key], below, depth))
		case "not":
			if child := p.parse(m[key], below, depth+1); child != nil {
				parts = append(parts, newGroup(notNode, child))
			}
		default:
			parts = append(parts, p.parseField(key, m[key], below)...)
		}
	}
	if len(p.problems) > 0 {
		return nil
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return newGroup(allNode, parts...)
}

// parseList compiles the list of all or any.
func (p *filterParser) parseList(kind nodeKind, value any, path string, depth int) *node {
	list, isList := value.([]any)
	switch {
	case !isList:
		p.report(path, "%s takes a list of filters; this is %s", nodeNames[kind], describeValue(value))
		return nil
	case len(list) == 0:
		p.report(path, "%s has an empty list; write at least one filter in it", nodeNames[kind])
		return nil
	}
	children := make([]*node, 0, len(list))
	for i, element := range list {
		children = append(children, p.parse(element, path+"["+strconv.Itoa(i)+"]", depth+1))
	}
	if len(p.problems) > 0 {
		return nil
	}
	if len(children) == 1 {
		return children[0]
	}
	return newGroup(kind, children...)
}

// filterFieldNames returns the keys that a filter may have, for messages.
func filterFieldNames() []string {
	var names []string
	for f, field := range fields {
		if _, readable := fieldType(Field(f)); readable && field.name != "" {
			names = append(names, field.name)
		}
	}
	names = append(names, `attributes["key"]`, `resource["key"]`, `scope["key"]`)
	return append(names, groupNames...)
}

// parseField compiles the operators on one field.
func (p *filterParser) parseField(name string, value any, path string) []*node {
	source, err := ParseSource(name)
	if err != nil {
		if strings.HasPrefix(err.Error(), "unknown") {
			p.report(path, "%s", unknownName("field", name, filterFieldNames()))
		} else {
			p.report(path, "%v", err)
		}
		return nil
	}
	class, readable := fieldType(source.Field)
	if !readable {
		p.report(path, "%s", unreadable(source))
		return nil
	}
	operators, isMap := value.(map[string]any)
	if !isMap {
		if text, scalar := plainLiteral(value); scalar {
			p.report(path, "write an operator, as in %s: {equals: %s}", name, text)
		} else {
			p.report(path, "a field takes a map of operators, as in {equals: …}; this is %s", describeValue(value))
		}
		return nil
	}
	if len(operators) == 0 {
		p.report(path, "no operator; write one, as in {exists: true}")
		return nil
	}
	var conditions []*condition
	for _, operatorName := range sortedKeys(operators) {
		below := path + "." + operatorName
		o := slices.Index(operatorNames, operatorName)
		if o < 0 {
			p.report(below, "%s", unknownName("operator", operatorName, operatorNames))
			continue
		}
		c := &condition{source: source, operator: operator(o), value: class}
		if p.parseOperator(c, operators[operatorName], below) {
			p.checkTogether(conditions, c, below)
			conditions = append(conditions, c)
		}
	}
	nodes := make([]*node, 0, len(conditions))
	for _, c := range conditions {
		nodes = append(nodes, newCondition(c))
	}
	return nodes
}

// unreadable says why a filter can't read a source.
func unreadable(source Source) string {
	switch source.Field {
	case FieldAttributes:
		return `a filter reads one attribute, not all of them; write attributes["key"]`
	case FieldResourceAttributes:
		return `a filter reads one attribute, not all of them; write resource["key"]`
	case FieldScopeAttributes:
		return `a filter reads one attribute, not all of them; write scope["key"]`
	}
	return "a filter can't read " + source.String() + "; it reads " + strings.Join(filterFieldNames()[:15], ", ") +
		" and single attributes"
}

// checkTogether reports conditions on one field that can't hold together.
func (p *filterParser) checkTogether(conditions []*condition, c *condition, path string) {
	for _, other := range conditions {
		switch {
		case c.operator+other.operator == opExists+opDoesNotExist && c.operator != other.operator:
			p.report(path, "%s and %s on one field can't both hold; leave one out", other.operator, c.operator)
		case other.operator == opDoesNotExist && c.value != anyValue && c.source.Key != "",
			c.operator == opDoesNotExist && other.value != anyValue && c.source.Key != "":
			p.report(path, "%s and %s can't both hold: an absent attribute has no value; leave one out, or put them under any",
				other.operator, c.operator)
		case c.value != anyValue && other.value != anyValue && c.value != other.value:
			p.report(path, "%s compares with %s %s, but %s with %s %s; one value can't be both: write both literals with one type, "+
				"or put the conditions under any", c.operator, article(c.value), c.value, other.operator, article(other.value), other.value)
		default:
			continue
		}
		return
	}
}

// article returns the type's article.
func article(t valueType) string {
	if t == intValue {
		return "an"
	}
	return "a"
}

// parseOperator reads the literals of a condition. It returns false when it has reported a problem.
func (p *filterParser) parseOperator(c *condition, value any, path string) bool {
	class := c.value
	if c.operator == opExists || c.operator == opDoesNotExist {
		return p.parseExistence(c, value, path)
	}
	if class != anyValue && !c.operator.applies(class) {
		p.report(path, "%s doesn't apply to %s, which is %s %s; its operators are %s", c.operator, c.source, article(class), class, operatorsOf(class))
		return false
	}
	list, isList := value.([]any)
	switch {
	case c.operator != opIn:
		return p.parseLiteral(c, value, path)
	case !isList:
		p.report(path, "in takes a list, as in [1, 2]; this is %s", describeValue(value))
		return false
	case len(list) == 0:
		p.report(path, "in has an empty list, so that nothing would match; write at least one value")
		return false
	}
	valid := true
	for i, element := range list {
		valid = p.parseLiteral(c, element, path+"["+strconv.Itoa(i)+"]") && valid
	}
	if valid {
		c.buildSets()
	}
	return valid
}

// buildSets makes the maps of a long `in`.
func (c *condition) buildSets() {
	if len(c.texts) >= setThreshold {
		c.textSet = make(map[string]struct{}, len(c.texts))
		for _, text := range c.texts {
			c.textSet[text] = struct{}{}
		}
	}
	if len(c.integers) >= setThreshold {
		c.integerSet = make(map[int64]struct{}, len(c.integers))
		for _, n := range c.integers {
			c.integerSet[n] = struct{}{}
		}
	}
}

// parseExistence reads exists and doesNotExist.
func (p *filterParser) parseExistence(c *condition, value any, path string) bool {
	if value == true {
		return true
	}
	if value == false {
		p.report(path, "%s takes true; for the contrary write %s: true", c.operator, opExists+opDoesNotExist-c.operator)
	} else {
		p.report(path, "%s takes true; this is %s", c.operator, describeValue(value))
	}
	return false
}

// parseLiteral adds one literal to a condition. The first literal of a condition on an
// attribute decides its type.
func (p *filterParser) parseLiteral(c *condition, value any, path string) bool {
	if c.value == timeValue {
		return p.parseTime(c, value, path)
	}
	literal := literalType(value)
	fromKey := c.source.Key != ""
	switch {
	case literal == anyValue:
		p.report(path, "%s compares with one value, a string, an int, a float or a bool; this is %s", c.operator, describeValue(value))
		return false
	case fromKey && !c.operator.applies(literal):
		p.report(path, "%s needs %s; this is %s", c.operator, needs(c.operator), describeValue(value))
		return false
	case c.value == anyValue:
		c.value = literal
	case literal != c.value && !fromKey:
		p.report(path, "%s is %s %s; this is %s", c.source, article(c.value), c.value, describeValue(value))
		return false
	case literal != c.value:
		p.report(path, "the values of one list have one type, here %s; this is %s", c.value, describeValue(value))
		return false
	}
	return p.addLiteral(c, value, path)
}

// needs says which literals an operator takes.
func needs(o operator) string {
	if o.applies(textValue) {
		return "a string"
	}
	return "an int or a float"
}

// addLiteral stores a literal of the condition's type, checked.
func (p *filterParser) addLiteral(c *condition, value any, path string) bool {
	switch v := value.(type) {
	case string:
		return p.addText(c, v, path)
	case bool:
		n := int64(0)
		if v {
			n = 1
		}
		c.integers = append(c.integers, n)
	case float64:
		if math.IsNaN(v) {
			p.report(path, "nothing can be compared with NaN; write a number")
			return false
		}
		c.doubles = append(c.doubles, v)
	case uint64:
		if v > math.MaxInt64 {
			p.report(path, "%d is above the greatest int, %d", v, int64(math.MaxInt64))
			return false
		}
		return p.addInteger(c, int64(v), path)
	case int64:
		return p.addInteger(c, v, path)
	case int:
		return p.addInteger(c, int64(v), path)
	}
	return true
}

// addText stores a string, and compiles it where it is a regular expression.
func (p *filterParser) addText(c *condition, text, path string) bool {
	if !utf8.ValidString(text) {
		p.report(path, "the string is not valid UTF-8")
		return false
	}
	c.texts = append(c.texts, text)
	if c.operator != opMatches {
		return true
	}
	pattern, err := regexp.Compile(text)
	if err != nil {
		p.report(path, "not a regular expression (RE2): %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return false
	}
	c.pattern = pattern
	return true
}

// addInteger stores an integer that the field can have.
func (p *filterParser) addInteger(c *condition, n int64, path string) bool {
	most := int64(math.MaxInt64)
	switch c.source.Field {
	case FieldSeverityNumber:
		most = 24
	case FieldTraceFlags:
		most = 255
	}
	equality := c.operator == opEquals || c.operator == opNotEquals || c.operator == opIn
	if most < math.MaxInt64 && equality && (n < 0 || n > most) {
		p.report(path, "%s is 0 to %d; this is %d", c.source, most, n)
		return false
	}
	c.integers = append(c.integers, n)
	return true
}

// parseTime adds a time to a condition.
func (p *filterParser) parseTime(c *condition, value any, path string) bool {
	text, isText := value.(string)
	seconds, nanoseconds, ok := ParseRFC3339(text)
	at := time.Unix(seconds, nanoseconds).UTC()
	switch {
	case !isText:
		p.report(path, `%s is a time; write it as in "2026-01-31T08:00:00Z" (RFC 3339); this is %s`, c.source, describeValue(value))
		return false
	case !ok:
		p.report(path, `%s is a time; write it as in "2026-01-31T08:00:00Z" (RFC 3339); this is %s`, c.source, Quoted(text))
		return false
	case at.Year() < 1678 || at.Year() > 2261:
		p.report(path, "times lie between the years 1678 and 2261; this is %s", Quoted(text))
		return false
	}
	c.integers = append(c.integers, at.UnixNano())
	return true
}

// literalType returns the type of a decoded YAML scalar; anyValue for everything else.
func literalType(value any) valueType {
	switch value.(type) {
	case string:
		return textValue
	case int, int64, uint64:
		return intValue
	case float64:
		return doubleValue
	case bool:
		return boolValue
	}
	return anyValue
}

// plainLiteral returns a scalar as YAML writes it.
func plainLiteral(value any) (string, bool) {
	if text, isText := value.(string); isText {
		return Quoted(text), true
	}
	return fmt.Sprint(value), literalType(value) != anyValue
}

// describeValue names a decoded YAML value for a message.
func describeValue(value any) string {
	switch v := value.(type) {
	case nil:
		return "empty"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	case string:
		return "the string " + Quoted(v)
	case bool:
		return "the bool " + strconv.FormatBool(v)
	case int, int64, uint64:
		return fmt.Sprintf("the int %d", v)
	case float64:
		return "the float " + strconv.FormatFloat(v, 'g', -1, 64)
	}
	return fmt.Sprintf("a %T", value)
}

// sortedKeys returns the keys of a map in order.
func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
