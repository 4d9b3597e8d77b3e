package sink

import (
	"fmt"
	"slices"
	"strings"
)

// Rule gives one of ClickHouse's error codes its class.
type Rule struct {
	// Code is ClickHouse's error code, greater than 0.
	Code int
	// Name is the code's name in ClickHouse, for instance "TOO_MANY_PARTS".
	Name string
	// Class is what the error means for the batch.
	Class Class
	// Overload means that the server asks for fewer inserts at a time.
	Overload bool
	// Match is text that the message must contain. Empty matches every message that no other rule of the code matches.
	Match string
	// Reason is why the code has this class.
	Reason string
}

// Classes is the table of error codes. It is immutable and safe for concurrent use.
type Classes struct {
	rules map[int][]Rule
}

// NewClasses returns the built-in table with the overrides added, which replace rules with the same code and text. The error lists
// every wrong override.
func NewClasses(overrides []Rule) (*Classes, error) {
	c := &Classes{rules: map[int][]Rule{}}
	for _, rule := range builtinRules {
		c.add(rule)
	}
	var problems []string
	for i, rule := range overrides {
		switch {
		case rule.Code <= 0:
			problems = append(problems, fmt.Sprintf("rule %d: code %d is not an error code; they are greater than 0", i, rule.Code))
		case rule.Class == Unclassified || rule.Class > Row:
			problems = append(problems, fmt.Sprintf("rule %d: code %d needs one of the classes %s", i, rule.Code, strings.Join(classNames[Transient:], ", ")))
		default:
			c.add(rule)
		}
	}
	if problems != nil {
		return nil, fmt.Errorf("error classes: %s", strings.Join(problems, "; "))
	}
	return c, nil
}

// add inserts a rule before less specific ones.
func (c *Classes) add(rule Rule) {
	rules := c.rules[rule.Code]
	if i := slices.IndexFunc(rules, func(r Rule) bool { return r.Match == rule.Match }); i >= 0 {
		if rule.Name == "" {
			rule.Name = rules[i].Name
		}
		if rule.Reason == "" {
			rule.Reason = "the operator's choice"
		}
		rules[i] = rule
		return
	}
	rules = append(rules, rule)
	slices.SortStableFunc(rules, func(a, b Rule) int { return len(b.Match) - len(a.Match) })
	c.rules[rule.Code] = rules
}

// Classify returns the rule for an error code and its message. The class of an unknown code is Unclassified.
func (c *Classes) Classify(code int, message string) Rule {
	for _, rule := range c.rules[code] {
		if strings.Contains(message, rule.Match) {
			return rule
		}
	}
	return Rule{Code: code, Class: Unclassified, Reason: "the code is not in the table"}
}

// ParseClass is the inverse of Class.String, except that Unclassified is no class to choose. The error lists the classes.
func ParseClass(name string) (Class, error) {
	for class := Transient; class <= Row; class++ {
		if classNames[class] == name {
			return class, nil
		}
	}
	return Unclassified, fmt.Errorf("%q is not a class; the classes are %s", name, strings.Join(classNames[Transient:], ", "))
}
