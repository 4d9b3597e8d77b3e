package schema

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// CheckExpression returns an error where a key, TTL or index expression over the columns can't be right: it names a column that
// does not exist, leaves a bracket or a quote open, or has two values side by side. Whether a function exists and takes the
// types of its arguments, only ClickHouse knows.
func CheckExpression(expression string, columns []Column) error {
	if err := CheckBrackets(expression); err != nil {
		return err
	}
	list := Tokens(expression)
	names := lambdaParameters(list)
	for i := range columns {
		names = append(names, columns[i].Name)
	}
	for i := 0; i < len(list); i++ {
		switch t := list[i]; {
		case t.Is("AS"), t.Is(":") && i > 0 && list[i-1].Is(":"): // an alias or a type follows
			i = endOfCall(list, i+1)
		case t.Is("CODEC") && endOfCall(list, i) > i:
			i = endOfCall(list, i)
		case t.Kind != SymbolToken:
			if err := checkValue(list, i, names); err != nil {
				return err
			}
		}
	}
	return nil
}

// endOfCall returns the place of the last token of a name and of the brackets that follow it.
func endOfCall(list []Token, name int) int {
	if name+1 < len(list) && list[name+1].Is("(") {
		return name + 1 + Closing(list[name+1:])
	}
	return name
}

// lambdaParameters returns the names before the arrows of lambdas.
func lambdaParameters(list []Token) (names []string) {
	for i := 1; i+1 < len(list); i++ {
		if !list[i].Is("-") || !list[i+1].Is(">") || list[i].End != list[i+1].Start {
			continue
		}
		first := i - 1
		for list[i-1].Is(")") && first > 0 && !list[first].Is("(") {
			first--
		}
		for _, t := range list[first:i] {
			names = append(names, t.Text)
		}
	}
	return names
}

// checkValue checks a literal, a name or a word of the language.
func checkValue(list []Token, i int, names []string) error {
	t := list[i]
	var before Token
	if i > 0 {
		before = list[i-1]
	}
	value := before.Kind != 0 && before.Kind != SymbolToken && !isExpressionWord(before)
	switch {
	case (value || before.Closes()) && !isExpressionWord(t):
		return fmt.Errorf("there is nothing between %q and %q", before.Text, t.Text)
	case t.Kind == StringToken, t.Kind == WordToken && isDigit(t.Text[0]), isExpressionWord(t):
		return nil
	case endOfCall(list, i) > i, before.Is("."), slices.Contains(names, t.Text):
		return nil
	}
	if near := DidYouMean(t.Text, names); near != "" {
		return fmt.Errorf("the table has no column %q; did you mean %s?", t.Text, near)
	}
	return fmt.Errorf("the table has no column %q; it has %s", t.Text, strings.Join(names, ", "))
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

// CheckBrackets returns an error where brackets or quotes don't match, or an element of a list is empty.
func CheckBrackets(text string) error {
	list := Tokens(text)
	var open []string
	closing := map[string]string{"(": ")", "[": "]"}
	for i, t := range list {
		if t.Kind != SymbolToken {
			continue
		}
		switch {
		case len(t.Text) > 1:
			return fmt.Errorf("the quote of %s is not closed", t.Text)
		case closing[t.Text] != "":
			open = append(open, closing[t.Text])
		case t.Text == ")" || t.Text == "]":
			if len(open) == 0 || open[len(open)-1] != t.Text {
				return fmt.Errorf("there is a %s that nothing opens", t.Text)
			}
			open = open[:len(open)-1]
		case t.Text == ";":
			return errors.New("an expression has no semicolon")
		case t.Text == "," && (i == 0 || i == len(list)-1 || list[i-1].Is(",") || list[i-1].Is("(")):
			return errors.New("there is nothing on one side of a comma")
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("a %s is missing", open[len(open)-1])
	}
	return nil
}

// CheckEngineArguments is CheckExpression for the arguments of a table's engine, such as the version of a ReplacingMergeTree.
func CheckEngineArguments(t *Table) error {
	_, arguments, given := strings.Cut(t.Engine, "(")
	if !given {
		return nil
	}
	return CheckExpression("("+arguments, t.Columns)
}

// CheckSortingKey is CheckExpression for a table's ORDER BY, which can't have a column twice or one that is Nullable.
func CheckSortingKey(t *Table) error {
	if err := CheckExpression(t.OrderBy, t.Columns); err != nil {
		return err
	}
	elements := KeyExpressions(t.OrderBy)
	for i, element := range elements {
		c := t.Column(element)
		if c == nil {
			continue
		}
		if slices.Contains(elements[:i], element) {
			return fmt.Errorf("column %s is there twice", c.Name)
		}
		if allowed := t.Settings["allow_nullable_key"]; c.Type.Nullable && allowed != "1" && allowed != "true" {
			return fmt.Errorf("column %s is Nullable, which a sorting key can't be; make it plain, or set allow_nullable_key: 1 in the route's settings", c.Name)
		}
	}
	return nil
}

// CheckTTL is CheckExpression for a table's TTL. A column alone must be a date or a time.
func CheckTTL(t *Table) error {
	if err := CheckExpression(t.TTL, t.Columns); err != nil {
		return err
	}
	for _, element := range KeyExpressions(t.TTL) {
		if c := t.Column(element); c != nil && !c.Type.Kind.IsTime() {
			return fmt.Errorf("column %s has type %s; a TTL is a Date or a time, as in toDateTime(time) + INTERVAL 30 DAY", c.Name, c.Type)
		}
	}
	return nil
}

// KeyExpressions returns the elements of a key or of another list, such as codecs, without spaces.
func KeyExpressions(list string) (elements []string) {
	for _, part := range TopLevelParts(unwrap(Tokens(list))) {
		var text strings.Builder
		for _, t := range part {
			text.WriteString(t.Text)
		}
		elements = append(elements, text.String())
	}
	return elements
}
