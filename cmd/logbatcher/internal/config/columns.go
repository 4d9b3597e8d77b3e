package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// identifier matches the names of databases, tables, columns and indexes, and identifierRule describes them.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

const identifierRule = "a name is 1 to 128 letters, digits and _, and does not begin with a digit"

// builder makes schema values of columns and routes, and collects what is wrong with them.
type builder struct {
	problems []schema.Problem
	// columnsWrong is set if the list of columns has problems: those of tables made of it would repeat them.
	columnsWrong bool
}

// report adds a problem.
func (b *builder) report(path, format string, arguments ...any) {
	b.problems = append(b.problems, schema.Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
}

// unique reports a name that an earlier element of a list has, and remembers it.
func (b *builder) unique(first map[string]int, name string, i int, path, list string) bool {
	before, taken := first[name]
	if taken && name != "" {
		b.report(path, "%s[%d] has the name %s already; a name is there once", list, before, name)
		return false
	}
	first[name] = i
	return true
}

// columns returns the list of columns. One that is wrong is in it too, so that routes that choose it have no second problem.
func (b *builder) columns(list []Column) []schema.Column {
	columns := make([]schema.Column, 0, len(list)+1)
	first := map[string]int{}
	for i := range list {
		path := fmt.Sprintf("columns[%d]", i)
		problems := len(b.problems)
		column := b.column(&list[i], path)
		if !b.matches(path+".name", column.Name, identifier, identifierRule) || b.unique(first, column.Name, i, path+".name", "columns") {
			columns = append(columns, column)
		}
		if len(b.problems) == problems {
			b.layout(&schema.Table{Columns: []schema.Column{column}}, "", path)
		}
	}
	b.columnsWrong = len(b.problems) > 0
	return columns
}

// column returns one column of the list.
func (b *builder) column(c *Column, path string) schema.Column {
	column := c.Column
	if c.Default != nil {
		column.HasDefault, column.Default = true, *c.Default
	}
	if err := checkNames(c.Codec, codecs); err != nil {
		b.report(path+".codec", "%v; this is %s", err, schema.Quoted(c.Codec))
	}
	if c.Type.Kind == 0 {
		b.report(path+".type", "there is no type; write one, as in LowCardinality(String)")
	}
	if c.Source.Field == schema.NoField && c.Default == nil {
		b.report(path+".source", "there is neither a source nor a default; write where the value comes from")
	}
	if c.Required && c.Default != nil && c.OnError != schema.UseDefault {
		b.report(path+".required", "required refuses what default would fill in; leave one of the two out")
	}
	if c.Name == schema.BatchIDColumn && c.Source.Field != schema.FieldBatchID {
		b.report(path+".source", "the column %s holds the id of the batch; write source: batch_id, or leave the column out: every table gets it",
			schema.BatchIDColumn)
	}
	return column
}

// codecs are ClickHouse's compression codecs.
var codecs = []string{
	"NONE", "LZ4", "LZ4HC", "ZSTD", "Delta", "DoubleDelta", "Gorilla", "FPC", "GCD", "T64", "ALP", "Default", "DEFLATE_QPL", "ZSTD_QAT",
	"AES_128_GCM_SIV", "AES_256_GCM_SIV",
}

// checkNames returns an error for brackets that don't match in a list like Delta(8), ZSTD, and for names that are nearly one of
// the known ones. Other names may be of a newer ClickHouse.
func checkNames(list string, known []string) error {
	if err := schema.CheckBrackets(list); err != nil {
		return err
	}
	for _, element := range schema.KeyExpressions(list) {
		name, _, _ := strings.Cut(element, "(")
		near := schema.DidYouMean(name, known)
		if near != "" && !strings.EqualFold(near, name) {
			return fmt.Errorf("there is no %s; did you mean %s?", name, near)
		}
	}
	return nil
}

// layout reports what batches of a table could not do, such as turn a default into its column's type.
func (b *builder) layout(table *schema.Table, route, path string) {
	if _, err := batch.NewLayout(table, route, nil); err != nil {
		for problem := range strings.SplitSeq(err.Error(), "\n") {
			b.report(path, "%s", problem)
		}
	}
}

// choose returns the columns that a route names, in its order, and the batch's id. The name of a layout among the names stands
// for its columns, which can also be chosen one by one.
func (b *builder) choose(list []schema.Column, names []string, path string) []schema.Column {
	if len(names) == 0 {
		return withBatchID(list)
	}
	layouts := schema.Layouts()
	known := make([]string, len(list), len(list)+len(layouts))
	byName := map[string]schema.Column{}
	for _, column := range withBatchID(schema.DefaultColumns()) {
		byName[column.Name] = column
	}
	for i, column := range list {
		known[i] = column.Name
		byName[column.Name] = column
	}
	for _, layout := range layouts {
		known = append(known, layout.Name)
	}
	var chosen []schema.Column
	seen := map[string]bool{}
	add := func(name, at string) {
		column, found := byName[name]
		switch {
		case seen[name]:
			b.report(at, "the column %s is there twice; leave one out", name)
		case found:
			chosen = append(chosen, column)
		default:
			b.report(at, "%s", schema.UnknownName("column", name, known))
		}
		seen[name] = true
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		layout := slices.IndexFunc(layouts, func(l schema.Layout) bool { return l.Name == name })
		if layout < 0 {
			add(name, at)
			continue
		}
		for _, column := range layouts[layout].Columns {
			add(column.Name, at)
		}
	}
	return withBatchID(chosen)
}

// withBatchID returns the columns with the batch's id among them.
func withBatchID(columns []schema.Column) []schema.Column {
	if slices.ContainsFunc(columns, func(c schema.Column) bool { return c.Name == schema.BatchIDColumn }) {
		return columns
	}
	return append(slices.Clip(columns), schema.BatchColumn())
}
