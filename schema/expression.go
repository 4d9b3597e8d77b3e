package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckExpression returns an error where a key, TTL or index expression can't be one over the columns: it names a column that is
// not there, leaves a bracket or a quote open, or has two values side by side. Whether a function exists, and takes the
// types it is given, only ClickHouse knows.
func CheckExpression(expression string, columns []Column) error {
	c := expressionCheck{list: Tokens(expression), columns: columns}
	if err := c.brackets(); err != nil {
		return err
	}
	c.findParameters()
	for c.at = 0; c.at < len(c.list); c.at++ {
		if err := c.token(); err != nil {
			return err
		}
	}
	return nil
}

// CheckBrackets returns an error where brackets or quotes don't match, or an element of a list is empty.
func CheckBrackets(text string) error {
	c := expressionCheck{list: Tokens(text)}
	return c.brackets()
}

// CheckEngineArguments is CheckExpression for the arguments of a table's engine, such as the version of a ReplacingMergeTree.
func CheckEngineArguments(t *Table) error {
	_, arguments, given := strings.Cut(t.Engine, "(")
	if !given {
		return nil
	}
	return CheckExpression("("+arguments, t.Columns)
}

// CheckSortingKey is CheckExpression for a table's ORDER BY, which can't have a column that is Nullable, or one twice.
func CheckSortingKey(t *Table) error {
	if err := CheckExpression(t.OrderBy, t.Columns); err != nil {
		return err
	}
	names := bareColumns(t.OrderBy)
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("column %s is there twice", name)
		}
		at := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == name })
		if at < 0 {
			continue
		}
		if allowed := t.Settings["allow_nullable_key"]; t.Columns[at].Type.Nullable && allowed != "1" && allowed != "true" {
			return fmt.Errorf("column %s is Nullable, which a sorting key can't be; make it plain, or set allow_nullable_key: 1 in the route's settings", name)
		}
	}
	return nil
}

// CheckTTL is CheckExpression for a table's TTL. One that is a column alone must be a time.
func CheckTTL(t *Table) error {
	if err := CheckExpression(t.TTL, t.Columns); err != nil {
		return err
	}
	for _, name := range bareColumns(t.TTL) {
		for i := range t.Columns {
			if c := &t.Columns[i]; c.Name == name && c.Type.Kind != KindDate && c.Type.Kind != KindDateTime && c.Type.Kind != KindDateTime64 {
				return fmt.Errorf("column %s has type %s; a TTL is a Date or a time, as in toDateTime(time) + INTERVAL 30 DAY", name, c.Type)
			}
		}
	}
	return nil
}

// KeyExpressions returns the elements of a key or of another list, such as codecs, without spaces.
func KeyExpressions(list string) (elements []string) {
	all := Tokens(list)
	for Wrapped(all) {
		all = all[1 : len(all)-1]
	}
	for _, part := range TopLevelParts(all) {
		var text strings.Builder
		for _, t := range part {
			text.WriteString(t.Text)
		}
		elements = append(elements, text.String())
	}
	return elements
}

// bareColumns returns the elements of an expression list that are a name alone.
func bareColumns(expression string) (names []string) {
	list := Tokens(expression)
	for Wrapped(list) {
		list = list[1 : len(list)-1]
	}
	for _, part := range TopLevelParts(list) {
		if len(part) == 1 && (part[0].Kind == NameToken || part[0].Kind == WordToken) {
			names = append(names, part[0].Text)
		}
	}
	return names
}

// expressionCheck is one pass over an expression.
type expressionCheck struct {
	list       []Token
	at         int
	columns    []Column
	parameters []string // of lambdas
}

// expressionWords are words of ClickHouse's language that may stand where a column could.
var expressionWords = strings.Fields("AND OR NOT XOR IN IS NULL LIKE ILIKE REGEXP BETWEEN CASE WHEN THEN ELSE END TRUE FALSE DIV MOD GLOBAL " +
	"ASC DESC INTERVAL INF NAN " +
	"NANOSECOND MICROSECOND MILLISECOND SECOND MINUTE HOUR DAY WEEK MONTH QUARTER YEAR " +
	"NANOSECONDS MICROSECONDS MILLISECONDS SECONDS MINUTES HOURS DAYS WEEKS MONTHS QUARTERS YEARS " +
	"DELETE WHERE TO DISK VOLUME RECOMPRESS GROUP BY SET EXISTS IF LEADING TRAILING BOTH FROM FOR")

func isExpressionWord(t Token) bool {
	return t.Kind == WordToken && slices.Contains(expressionWords, strings.ToUpper(t.Text))
}

// brackets reports brackets and quotes that don't match, and elements that are empty.
func (c *expressionCheck) brackets() error {
	var open []string
	closing := map[string]string{"(": ")", "[": "]"}
	for i, t := range c.list {
		if t.Kind != SymbolToken {
			continue
		}
		switch {
		case len(t.Text) > 1:
			return fmt.Errorf("the quote of %s is not closed", t.Text)
		case t.Text == "(" || t.Text == "[":
			open = append(open, closing[t.Text])
		case t.Text == ")" || t.Text == "]":
			if len(open) == 0 || open[len(open)-1] != t.Text {
				return fmt.Errorf("there is a %s that nothing opens", t.Text)
			}
			open = open[:len(open)-1]
		case t.Text == ";":
			return errors.New("an expression has no semicolon")
		case t.Text == "," && (i == 0 || i == len(c.list)-1 || c.list[i-1].Is(",") || c.list[i-1].Is("(")):
			return errors.New("there is nothing on one side of a comma")
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("a %s is missing", open[len(open)-1])
	}
	return nil
}

// findParameters collects the names before the arrows of lambdas.
func (c *expressionCheck) findParameters() {
	for i := 1; i+1 < len(c.list); i++ {
		if !c.list[i].Is("-") || !c.list[i+1].Is(">") || c.list[i].End != c.list[i+1].Start {
			continue
		}
		if !c.list[i-1].Is(")") {
			c.parameters = append(c.parameters, c.list[i-1].Text)
			continue
		}
		for k := i - 2; k >= 0 && !c.list[k].Is("("); k-- {
			c.parameters = append(c.parameters, c.list[k].Text)
		}
	}
}

// token checks the token at hand, and leaves c.at at the last one that it has looked at.
func (c *expressionCheck) token() error {
	t := c.list[c.at]
	switch {
	case t.Is(":") && c.follows(1, ":"):
		c.at++
		c.skipType()
		return nil
	case t.Kind == WordToken && t.Is("AS"):
		c.skipType()
		return nil
	case t.Kind == WordToken && t.Is("CODEC") && c.follows(1, "("):
		c.at++
		c.skipBrackets()
		return nil
	case t.Kind == SymbolToken:
		return nil
	}
	if err := c.sideBySide(t); err != nil {
		return err
	}
	isNumber := t.Kind == WordToken && isDigit(t.Text[0])
	switch {
	case t.Kind == StringToken, isNumber, isExpressionWord(t), c.follows(1, "("): // a function
		return nil
	case c.at > 0 && c.list[c.at-1].Is("."): // a part of what stands before the dot
		return nil
	case slices.Contains(c.parameters, t.Text):
		return nil
	}
	var names []string
	for i := range c.columns {
		if c.columns[i].Name == t.Text {
			return nil
		}
		names = append(names, c.columns[i].Name)
	}
	if near := DidYouMean(t.Text, names); near != "" {
		return fmt.Errorf("the table has no column %q; did you mean %s?", t.Text, near)
	}
	return fmt.Errorf("the table has no column %q; it has %s", t.Text, strings.Join(names, ", "))
}

// sideBySide reports a value right behind another one.
func (c *expressionCheck) sideBySide(t Token) error {
	if c.at == 0 || isExpressionWord(t) {
		return nil
	}
	switch before := c.list[c.at-1]; {
	case before.Kind != SymbolToken && !isExpressionWord(before), before.Is(")"), before.Is("]"):
		return fmt.Errorf("there is nothing between %q and %q", before.Text, t.Text)
	}
	return nil
}

// follows reports whether the token that many places on is the word or symbol.
func (c *expressionCheck) follows(places int, text string) bool {
	return c.at+places < len(c.list) && c.list[c.at+places].Is(text)
}

// skipType skips the name of a type or an alias, and the brackets behind it.
func (c *expressionCheck) skipType() {
	c.at++
	if c.follows(1, "(") {
		c.at++
		c.skipBrackets()
	}
}

// skipBrackets goes from an opening bracket to the one that closes it.
func (c *expressionCheck) skipBrackets() {
	for depth := 0; c.at < len(c.list); c.at++ {
		switch {
		case c.list[c.at].Is("("):
			depth++
		case c.list[c.at].Is(")"):
			depth--
		}
		if depth == 0 {
			return
		}
	}
}
