package config

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// identifier is what names of databases, tables, columns and indexes look like.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// identifierRule says so, for messages.
const identifierRule = "a name is letters, digits and _, does not begin with a digit and has at most 128 characters; this is %q"

// builder makes schema values of columns and routes, and collects what is wrong with them.
type builder struct {
	problems []schema.Problem
	// columnsWrong says that the list of columns has problems, so that those of the tables made of it are
	// no news.
	columnsWrong bool
}

// report adds a problem.
func (b *builder) report(path, format string, arguments ...any) {
	b.problems = append(b.problems, schema.Problem{Path: path, Message: fmt.Sprintf(format, arguments...)})
}

// identifier checks a name. Absent says that it is needed.
func (b *builder) identifier(path, name string) bool {
	switch {
	case name == "":
		b.report(path, "there is no name; write one")
		return false
	case !identifier.MatchString(name):
		b.report(path, identifierRule, cut(name))
		return false
	}
	return true
}

// columns turns the list of columns into schema columns, by their names. A column that is wrong is
// there without what is wrong, so that routes that choose it have no second problem.
func (b *builder) columns(list []Column) []schema.Column {
	columns := make([]schema.Column, 0, len(list)+1)
	first := map[string]int{}
	for i := range list {
		path := fmt.Sprintf("columns[%d]", i)
		problems := len(b.problems)
		column := b.column(&list[i], path)
		named := b.identifier(path+".name", list[i].Name)
		if before, taken := first[column.Name]; named && taken {
			b.report(path+".name", "columns[%d] has the name %s already; a name is there once", before, column.Name)
			continue
		}
		first[column.Name] = i
		if len(b.problems) == problems {
			b.layout(&schema.Table{Columns: []schema.Column{column}}, "", path)
		}
		columns = append(columns, column)
	}
	b.columnsWrong = len(b.problems) > 0
	return columns
}

// column turns one column.
func (b *builder) column(c *Column, path string) schema.Column {
	column := schema.Column{
		Name: c.Name, Codec: c.Codec, Comment: c.Comment, Required: c.Required, OnError: onErrorOf(c.OnError),
	}
	if c.Default != nil {
		column.HasDefault, column.Default = true, *c.Default
	}
	if err := checkNames(c.Codec, codecs); err != nil {
		b.report(path+".codec", "%v; this is %q", err, cut(c.Codec))
	}
	typeKnown := false
	if c.Type == "" {
		b.report(path+".type", "there is no type; write one, as in LowCardinality(String)")
	} else if t, err := schema.ParseType(c.Type); err != nil {
		b.report(path+".type", "%v", err)
	} else {
		column.Type, typeKnown = t, true
	}
	if c.Source == "" {
		if c.Default == nil {
			b.report(path, "column %s has neither a source nor a default; write where its value comes from", c.Name)
		}
	} else if source, err := schema.ParseSource(c.Source); err != nil {
		b.report(path+".source", "%v", err)
	} else {
		column.Source = source
		if typeKnown {
			b.sourceFits(path, &column)
		}
	}
	if c.Required && c.Default != nil && c.OnError != "default" {
		b.report(path+".required", "required refuses what default would fill in; leave one of the two out")
	}
	if c.Name == schema.BatchIDColumn && column.Source.Field != schema.FieldBatchID {
		b.report(path+".source", "the column %s holds the id of the batch; write source: batch_id, or leave the column out: every table gets it",
			schema.BatchIDColumn)
	}
	return column
}

// codecs are ClickHouse's.
var codecs = []string{
	"NONE", "LZ4", "LZ4HC", "ZSTD", "Delta", "DoubleDelta", "Gorilla", "FPC", "GCD", "T64", "ALP", "Default", "DEFLATE_QPL", "ZSTD_QAT",
	"AES_128_GCM_SIV", "AES_256_GCM_SIV",
}

// checkNames reports brackets that don't match in a list like Delta(8), ZSTD, and names that are nearly one of the known ones.
// Others may be of a newer ClickHouse.
func checkNames(list string, known []string) error {
	if err := schema.CheckBrackets(list); err != nil {
		return err
	}
	for _, name := range keyExpressions(list) {
		name, _, _ = strings.Cut(name, "(")
		near := schema.DidYouMean(name, known)
		if near != "" && !strings.EqualFold(near, name) {
			return fmt.Errorf("there is no %s; did you mean %s?", name, near)
		}
	}
	return nil
}

// layout reports what the batches of a table could not do, such as turn a default into its column's type.
func (b *builder) layout(table *schema.Table, route, path string) {
	_, err := batch.NewLayout(table, route, nil)
	if err == nil {
		return
	}
	prefix := fmt.Sprintf("route %q, table %s: ", route, table.FullName())
	for _, text := range strings.Split(strings.TrimPrefix(err.Error(), prefix), "\n"+prefix) {
		b.report(path, "%s", strings.ReplaceAll(text, "\n", "; "))
	}
}

// sourceFits reports types that can hold no value of their source.
func (b *builder) sourceFits(path string, c *schema.Column) {
	switch c.Source.Field {
	case schema.FieldAttributes, schema.FieldResourceAttributes, schema.FieldScopeAttributes:
		if c.Type.Kind != schema.KindMap {
			b.report(path+".type", "the source %s is a map and needs a type like Map(LowCardinality(String), String); "+
				"for one attribute write its key in the source", c.Source)
		}
	case schema.FieldAttribute, schema.FieldResourceAttribute, schema.FieldScopeAttribute:
	default:
		if c.Type.Kind == schema.KindMap {
			b.report(path+".type", "the source %s is one value, which a Map can't hold", c.Source)
		}
	}
}

// onErrorOf turns a choice that the decoder has checked.
func onErrorOf(choice string) schema.OnError {
	switch choice {
	case "default":
		return schema.UseDefault
	case "dead_letter":
		return schema.DeadLetter
	}
	return schema.Refuse
}

// choose returns the columns that a route names, in its order, and the batch's id.
//
// FirehoseColumns among the names stands for the firehose's columns, which can also be chosen one by one.
func (b *builder) choose(list []schema.Column, names []string, path string) []schema.Column {
	if len(names) == 0 {
		return withBatchID(list)
	}
	known := make([]string, len(list))
	byName := map[string]schema.Column{schema.BatchIDColumn: schema.BatchColumn()}
	for _, column := range schema.DefaultColumns() {
		byName[column.Name] = column
	}
	for i, column := range list {
		known[i] = column.Name
		byName[column.Name] = column
	}
	chosen := make([]schema.Column, 0, len(names)+1)
	seen := map[string]bool{}
	add := func(name, at string) {
		column, found := byName[name]
		switch {
		case seen[name]:
			b.report(at, "the column %s is there twice; leave one out", name)
		case !found:
			if near := schema.DidYouMean(name, known); near != "" {
				b.report(at, "there is no column %q in the list of columns; did you mean %s?", cut(name), near)
			} else {
				b.report(at, "there is no column %q in the list of columns; it has %s", cut(name), strings.Join(known, ", "))
			}
		default:
			chosen = append(chosen, column)
		}
		seen[name] = true
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		if name != FirehoseColumns {
			add(name, at)
			continue
		}
		for _, column := range schema.DefaultColumns() {
			add(column.Name, at)
		}
	}
	return withBatchID(chosen)
}

// withBatchID returns the columns with the batch's id among them.
func withBatchID(columns []schema.Column) []schema.Column {
	for i := range columns {
		if columns[i].Name == schema.BatchIDColumn {
			return columns
		}
	}
	return append(columns[:len(columns):len(columns)], schema.BatchColumn())
}

// FirehoseColumns is the name by which a route chooses all columns of the firehose, beside those of the list.
const FirehoseColumns = schema.DefaultTableName
