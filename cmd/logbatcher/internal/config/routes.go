package config

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// routeName is what names of routes look like: they are labels of metrics.
var routeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// Routes returns the routes of the configuration, the firehose where it has none, and what is wrong
// with them. Of a Config that Load returned, nothing is wrong.
func (c *Config) Routes() ([]*schema.Route, []schema.Problem) {
	b := &builder{}
	if len(c.RouteList) == 0 {
		if len(c.ColumnList) > 0 {
			b.report("columns", "no route chooses from these columns; write routes, or leave the columns out for the firehose")
		}
		route := schema.DefaultRoute(c.ClickHouse.Database)
		c.complete(route)
		c.checkEngines(b, []*schema.Route{route})
		return []*schema.Route{route}, b.problems
	}
	list, firehose := b.columns(c.ColumnList), len(c.ColumnList) == 0
	if firehose {
		list = schema.DefaultColumns()
	}
	names, tables := map[string]int{}, map[string]int{}
	routes := make([]*schema.Route, 0, len(c.RouteList))
	for i := range c.RouteList {
		from, path := &c.RouteList[i], fmt.Sprintf("routes[%d]", i)
		route := b.route(from, list, c.ClickHouse.Database, path)
		c.complete(route)
		if before, taken := names[route.Name]; taken && route.Name != "" {
			b.report(path+".name", "routes[%d] has the name %s already; a name is there once", before, route.Name)
		}
		if before, taken := tables[route.Table.FullName()]; taken && route.Table.Name != "" {
			b.report(path+".table", "routes[%d] has the table %s already; a table belongs to one route: put both filters under any in one of them",
				before, route.Table.FullName())
		}
		names[route.Name], tables[route.Table.FullName()] = i, i
		routes = append(routes, route)
	}
	if len(b.problems) == 0 {
		c.checkEngines(b, routes)
	}
	return routes, b.problems
}

// checkEngines checks the engine of the section clickhouse against the columns of the tables that have it.
func (c *Config) checkEngines(b *builder, routes []*schema.Route) {
	for i, route := range routes {
		if own := i < len(c.RouteList) && c.RouteList[i].Engine != ""; own {
			if c.ClickHouse.Failover == "replicas" && !replicates(route.Table.Engine) {
				b.report(fmt.Sprintf("routes[%d].engine", i), "clickhouse.failover is replicas, which needs tables that replicate, or a retry on another "+
					"replica would store a batch twice; this is %q", cut(route.Table.Engine))
			}
			continue
		}
		if err := schema.CheckEngineArguments(route.Table); err != nil && schema.UsableEngine(route.Table.Engine) {
			b.report("clickhouse.engine", "%v, as the route %s needs it; this is %q", err, route.Name, cut(c.ClickHouse.Engine))
			return
		}
	}
}

// complete fills in what all tables have from the section clickhouse.
func (c *Config) complete(route *schema.Route) {
	route.Table.Cluster = c.ClickHouse.Cluster
	route.Table.Engine = cmp.Or(route.Table.Engine, c.ClickHouse.Engine)
	route.Table.Fsync = c.ClickHouse.Fsync
	route.MaxAttempts = cmp.Or(route.MaxAttempts, c.ClickHouse.Retry.MaxAttempts)
	route.GiveUpAfter = cmp.Or(route.GiveUpAfter, c.ClickHouse.Retry.GiveUpAfter)
	if route.Retention.Interval == 0 || len(c.RouteList) == 0 {
		route.Retention.Interval = c.Retention.Interval
	}
}

// route turns one route.
func (b *builder) route(r *Route, list []schema.Column, database, path string) *schema.Route {
	table := &schema.Table{Database: database, Name: r.Table, Engine: r.Engine, PrimaryKey: r.PrimaryKey, OrderBy: r.OrderBy, TTL: r.TTL}
	route := &schema.Route{
		Name: r.Name, Table: table, MaxAge: r.MaxAge, MaxAhead: r.MaxAhead, OnTimeOutOfRange: onErrorOf(r.OnTimeOutOfRange),
		HoldFor: r.HoldFor, MaxAttempts: r.MaxAttempts, GiveUpAfter: r.GiveUpAfter,
		Retention: schema.Retention{
			MaxAge: r.Retention.MaxAge, Interval: r.Retention.Interval, Column: r.Retention.Column, Precise: r.Retention.Precise,
		},
	}
	before := len(b.problems)
	switch {
	case r.Name == "":
		b.report(path+".name", "a route has a name; write one")
	case !routeName.MatchString(r.Name):
		b.report(path+".name", "the name of a route is at most 64 letters, digits, _, - and .; this is %q", cut(r.Name))
	}
	b.tableName(table, path+".table")
	b.engine(path+".engine", r.Engine)
	if r.Filter != nil {
		filter, problems := schema.ParseFilter(r.Filter, path+".filter")
		route.Filter = filter
		b.problems = append(b.problems, problems...)
	}
	columnProblems := len(b.problems)
	table.Columns = b.choose(list, r.Columns, path+".columns")
	columnsKnown := len(b.problems) == columnProblems
	b.keys(r, table, path, columnsKnown)
	b.indexes(r, table, path, columnsKnown)
	b.settings(r, table, path)
	if columnsKnown && !b.columnsWrong {
		b.expressions(r, table, path)
	}
	b.ages(route, path, columnsKnown)
	if !b.columnsWrong && len(b.problems) == before {
		b.layout(table, route.Name, path)
	}
	return route
}

// tableName splits and checks table or database.table.
func (b *builder) tableName(table *schema.Table, path string) {
	if before, after, dotted := strings.Cut(table.Name, "."); dotted {
		if !b.identifier(path, before) {
			return
		}
		table.Database, table.Name = before, after
	}
	b.identifier(path, table.Name)
}

// hasFirehose tells whether a table has all columns that the firehose has.
func hasFirehose(columns []schema.Column) bool {
	have := map[string]bool{}
	for i := range columns {
		have[columns[i].Name] = true
	}
	return !slices.ContainsFunc(schema.DefaultColumns(), func(c schema.Column) bool { return !have[c.Name] })
}

// timeColumn returns the first column of dates or times whose source is the entry's time; nil if
// there is none.
func timeColumn(columns []schema.Column) *schema.Column {
	for i := range columns {
		if columns[i].Source.Field == schema.FieldTime && isTime(columns[i].Type.Kind) {
			return &columns[i]
		}
	}
	return nil
}

// isTime tells whether a kind has dates or times.
func isTime(kind schema.Kind) bool {
	return kind == schema.KindDate || kind == schema.KindDateTime || kind == schema.KindDateTime64
}

// keys sets the partition key and the sorting key, the firehose's where nothing is written.
func (b *builder) keys(r *Route, table *schema.Table, path string, columnsKnown bool) {
	firehose := schema.DefaultRoute("").Table
	same := hasFirehose(table.Columns)
	if r.OrderBy == "" && same {
		table.OrderBy = firehose.OrderBy
		if r.PrimaryKey == "" {
			table.PrimaryKey = firehose.PrimaryKey
		}
	} else if r.OrderBy == "" && columnsKnown {
		b.report(path+".order_by", "there is no sorting key; write the columns that queries filter by, those with few values first, as in (service, time)")
	}
	if !isPrefix(table.PrimaryKey, table.OrderBy) && r.PrimaryKey != "" {
		b.report(path+".primary_key", "the primary key is a prefix of the sorting key, which is %s", table.OrderBy)
	}
	switch at := timeColumn(table.Columns); {
	case r.PartitionBy != nil:
		table.PartitionBy = *r.PartitionBy
	case same:
		table.PartitionBy = firehose.PartitionBy
	case at == nil || at.Name == "":
	case at.Type.Kind == schema.KindDate:
		table.PartitionBy = at.Name
	default:
		table.PartitionBy = "toDate(" + at.Name + ")"
	}
	if !columnsKnown {
		return
	}
	if _, err := schema.ParsePartitionBy(table.PartitionBy, table.Columns); err != nil {
		b.report(path+".partition_by", "%v", err)
	}
}

// expressions checks what is written in ClickHouse's language against the table's columns.
func (b *builder) expressions(r *Route, table *schema.Table, path string) {
	check := func(setting, text string, err error) {
		if text != "" && err != nil {
			b.report(path+setting, "%v; this is %q", err, cut(text))
		}
	}
	check(".order_by", r.OrderBy, schema.CheckSortingKey(table))
	check(".ttl", r.TTL, schema.CheckTTL(table))
	check(".engine", r.Engine, schema.CheckEngineArguments(table))
	for i, x := range r.Indexes.List {
		at := fmt.Sprintf(".indexes[%d]", i)
		check(at+".expression", x.Expression, schema.CheckExpression(x.Expression, table.Columns))
		check(at+".type", x.Type, checkNames(x.Type, indexTypes))
	}
}

// indexTypes are ClickHouse's types of data skipping indexes.
var indexTypes = []string{"minmax", "set", "bloom_filter", "ngrambf_v1", "tokenbf_v1", "sparse_grams", "text", "vector_similarity", "hypothesis"}

// isPrefix tells whether the expressions of one key begin another.
func isPrefix(primary, order string) bool {
	first, all := keyExpressions(primary), keyExpressions(order)
	return len(first) <= len(all) && slices.Equal(first, all[:len(first)])
}

// keyExpressions splits a key at the commas outside of brackets.
func keyExpressions(key string) []string {
	key = strings.TrimSpace(key)
	if strings.HasPrefix(key, "(") && strings.HasSuffix(key, ")") {
		key = key[1 : len(key)-1]
	}
	var parts []string
	depth, from := 0, 0
	for i := range len(key) + 1 {
		switch {
		case i == len(key) || key[i] == ',' && depth == 0:
			if part := strings.Join(strings.Fields(key[from:i]), ""); part != "" {
				parts = append(parts, part)
			}
			from = i + 1
		case key[i] == '(':
			depth++
		case key[i] == ')':
			depth--
		}
	}
	return parts
}

// indexes sets the table's indexes: those of a set, of a list, or where nothing is written the
// firehose's for a table with its columns.
func (b *builder) indexes(r *Route, table *schema.Table, path string, columnsKnown bool) {
	path += ".indexes"
	set, same := r.Indexes.Set, hasFirehose(table.Columns)
	switch {
	case set == "" && r.Indexes.List != nil:
		b.indexList(r.Indexes.List, table, path)
		return
	case set == "" && !same:
		return
	case set == "":
		set = schema.DefaultIndexSet
	case set != "none" && !same && columnsKnown:
		b.report(path, "the set %s is for tables with all columns of the firehose; write a list of indexes", set)
		return
	}
	if indexes, err := schema.IndexSet(set); err != nil {
		b.report(path, "%v", err)
	} else {
		table.Indexes = indexes
	}
}

// indexList turns a list of indexes.
func (b *builder) indexList(list []Index, table *schema.Table, path string) {
	first := map[string]int{}
	for i, x := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if b.identifier(at+".name", x.Name) {
			if before, taken := first[x.Name]; taken {
				b.report(at+".name", "indexes[%d] has the name %s already; a name is there once", before, x.Name)
			}
			first[x.Name] = i
		}
		if x.Expression == "" {
			b.report(at+".expression", "there is no expression; write what is indexed, as in mapKeys(attributes)")
		}
		if x.Type == "" {
			b.report(at+".type", "there is no type; write one, as in bloom_filter(0.01)")
		}
		table.Indexes = append(table.Indexes, schema.Index(x))
	}
}

// settings sets the table's settings.
func (b *builder) settings(r *Route, table *schema.Table, path string) {
	for _, name := range slices.Sorted(maps.Keys(r.Settings)) {
		if !identifier.MatchString(name) {
			b.report(path+".settings."+name, identifierRule, cut(name))
		}
		if schema.ForgetsTokens(name, r.Settings[name]) {
			b.report(path+".settings."+name, "a table that remembers no tokens stores a repeated insert twice; write a number above 0, or leave "+
				"the setting out; this is %q", cut(r.Settings[name]))
		}
	}
	if len(r.Settings) > 0 {
		table.Settings = maps.Clone(r.Settings)
	}
}

// ages checks the ages that a route accepts and keeps.
func (b *builder) ages(route *schema.Route, path string, columnsKnown bool) {
	kept := route.Retention.MaxAge
	if kept > 0 && route.MaxAge >= kept {
		b.report(path+".max_age", "%s is not below retention.max_age, %s: dropping a partition forgets the tokens of its batches, "+
			"so that a late entry could be stored twice; lower max_age or raise retention.max_age", formatDuration(route.MaxAge), formatDuration(kept))
	}
	if at := route.Retention.Interval; at > 0 && at < time.Minute {
		b.report(path+".retention.interval", "too small; it is 0 or at least 1m")
	}
	if kept == 0 || !columnsKnown {
		return
	}
	name := route.Retention.Column
	if name == "" {
		if timeColumn(route.Table.Columns) == nil {
			b.report(path+".retention.column", "the table has no date or time column with the source time, by which age could be measured; "+
				"name one here, or write retention.max_age: 0")
		}
		return
	}
	at := slices.IndexFunc(route.Table.Columns, func(c schema.Column) bool { return c.Name == name })
	switch {
	case at < 0:
		b.report(path+".retention.column", "the table has no column %q", cut(name))
	case !isTime(route.Table.Columns[at].Type.Kind):
		b.report(path+".retention.column", "the column %s has no dates or times; name one of type Date, DateTime or DateTime64", name)
	}
}
