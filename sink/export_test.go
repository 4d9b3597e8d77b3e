package sink

import "slices"

// Rules returns the table, by code; of two rules with one code the more specific one is first.
func (c *Classes) Rules() []Rule {
	var all []Rule
	for _, rules := range c.rules {
		all = append(all, rules...)
	}
	slices.SortStableFunc(all, func(a, b Rule) int { return a.Code - b.Code })
	return all
}
