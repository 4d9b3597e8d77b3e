package schema

// Constraint is a check that ClickHouse makes of every row that is inserted.
type Constraint struct {
	// Name is the constraint's.
	Name string
	// Check is the expression that has to be true, as the statement has it.
	Check string
}

// Constraints returns the constraints that a CREATE TABLE statement has, as system.tables returns it. What is only assumed (ASSUME) is
// not checked, and not among them.
func Constraints(create string) []Constraint {
	var found []Constraint
	list := Tokens(create)
	depth := 0
	for i, t := range list {
		switch {
		case t.opens():
			depth++
		case t.closes():
			if depth--; depth == 0 {
				return found // of the list of columns
			}
		}
		begins := t.Is("(") || t.Is(",")
		if depth != 1 || !begins || i+4 >= len(list) || !list[i+1].Is("CONSTRAINT") || !list[i+3].Is("CHECK") {
			continue
		}
		end := expressionEnd(list[i+4:])
		if end > 0 {
			found = append(found, Constraint{Name: list[i+2].Text, Check: create[list[i+4].Start:list[i+3+end].End]})
		}
	}
	return found
}

// expressionEnd returns how many tokens there are before the comma or bracket that ends the expression.
func expressionEnd(list []Token) int {
	depth := 0
	for i, t := range list {
		switch {
		case depth == 0 && (t.Is(",") || t.closes()):
			return i
		case t.opens():
			depth++
		case t.closes():
			depth--
		}
	}
	return 0
}

func (t Token) opens() bool { return t.Is("(") || t.Is("[") || t.Is("{") }

func (t Token) closes() bool { return t.Is(")") || t.Is("]") || t.Is("}") }

// Names reports whether an expression of SQL has the identifier.
func Names(expression, identifier string) bool {
	for _, t := range Tokens(expression) {
		if (t.Kind == WordToken || t.Kind == NameToken) && t.Text == identifier {
			return true
		}
	}
	return false
}
