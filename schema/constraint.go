package schema

import "slices"

// Constraint is a check that ClickHouse makes of every inserted row.
type Constraint struct {
	// Name is the constraint's.
	Name string
	// Check is the expression that has to be true, as the statement spells it.
	Check string
}

// Constraints returns the constraints in a CREATE TABLE statement, as system.tables returns it. Constraints that ClickHouse only
// assumes (ASSUME) are left out: it does not check them.
func Constraints(create string) []Constraint {
	list := Tokens(create)
	open := slices.IndexFunc(list, Token.Opens)
	if open < 0 || Closing(list[open:]) < 0 {
		return nil
	}
	var found []Constraint
	for _, part := range TopLevelParts(list[open+1 : open+Closing(list[open:])]) {
		if len(part) > 3 && part[0].Is("CONSTRAINT") && part[2].Is("CHECK") {
			check := create[part[3].Start:part[len(part)-1].End]
			found = append(found, Constraint{Name: part[1].Text, Check: check})
		}
	}
	return found
}

// Names reports whether an expression of SQL has the identifier.
func Names(expression, identifier string) bool {
	return slices.ContainsFunc(Tokens(expression), func(t Token) bool { return t.IsName() && t.Text == identifier })
}
