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
	"github.com/logbatcher/logbatcher/schema/retention"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// routeName matches the names of routes, which are labels of metrics.
var routeName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$`)

// Routes returns the routes, or the firehose if there are none, and what is wrong with them: nothing, for a Config from Load.
func (c *Config) Routes() ([]*schema.Route, []schema.Problem) {
	b := &builder{}
	written, columns := c.RouteList, schema.DefaultColumns()
	switch {
	case len(written) > 0 && len(c.ColumnList) > 0:
		columns = b.columns(c.ColumnList)
	case len(c.ColumnList) > 0:
		b.report("columns", "no route chooses from these columns; write routes, or leave the columns out for the firehose")
	}
	if len(written) == 0 {
		firehose := defaultRoute()
		firehose.Route.Name, firehose.TableName = schema.DefaultRoute("").Name, schema.DefaultTableName
		written = []Route{firehose}
	}
	names, tables := map[string]int{}, map[string]int{}
	routes := make([]*schema.Route, 0, len(written))
	for i := range written {
		path := fmt.Sprintf("routes[%d]", i)
		route := b.route(&written[i], columns, c.ClickHouse.Database, path)
		c.complete(route)
		b.unique(names, route.Name, i, path+".name", "routes")
		if before, taken := tables[route.Table.FullName()]; taken && route.Table.Name != "" {
			b.report(path+".table", "routes[%d] has the table %s already; a table belongs to one route: put both filters under any in one of them",
				before, route.Table.FullName())
		}
		tables[route.Table.FullName()] = i
		routes = append(routes, route)
	}
	if len(b.problems) == 0 {
		c.checkEngines(b, written, routes)
	}
	return routes, b.problems
}

// checkEngines checks the engine of the section clickhouse against the columns of the tables that have it.
func (c *Config) checkEngines(b *builder, written []Route, routes []*schema.Route) {
	for i, route := range routes {
		if written[i].Engine != "" {
			if c.ClickHouse.Failover == clickhouse.FailoverReplicas && !schema.IsReplicated(route.Table.Engine) {
				b.report(fmt.Sprintf("routes[%d].engine", i), "clickhouse.failover is replicas, which needs tables that replicate, or a retry on another "+
					"replica would store a batch twice; this is %s", schema.Quoted(route.Table.Engine))
			}
			continue
		}
		if err := schema.CheckEngineArguments(route.Table); err != nil && schema.UsableEngine(route.Table.Engine) {
			b.report("clickhouse.engine", "%v, as the route %s needs it; this is %s", err, route.Name, schema.Quoted(c.ClickHouse.Engine))
			return
		}
	}
}

// complete sets what all tables have from the section clickhouse, and what a route leaves to others.
func (c *Config) complete(route *schema.Route) {
	route.Table.Cluster = c.ClickHouse.Cluster
	route.Table.Engine = cmp.Or(route.Table.Engine, c.ClickHouse.Engine)
	route.Table.Fsync = c.ClickHouse.Fsync
	route.MaxAttempts = cmp.Or(route.MaxAttempts, c.ClickHouse.Retry.MaxAttempts)
	route.GiveUpAfter = cmp.Or(route.GiveUpAfter, c.ClickHouse.Retry.GiveUpAfter)
	route.Retention.Interval = cmp.Or(route.Retention.Interval, c.Retention.Interval)
}

// route returns one route with its table.
func (b *builder) route(r *Route, list []schema.Column, database, path string) *schema.Route {
	route, table := r.Route, r.Table
	route.Table = &table
	before := len(b.problems)
	b.matches(path+".name", route.Name, routeName, "the name of a route is 1 to 64 letters, digits, _, - and .")
	b.tableName(&table, r.TableName, database, path+".table")
	b.engine(path+".engine", r.Engine)
	if r.Filter != nil {
		filter, problems := schema.ParseFilter(r.Filter, path+".filter")
		route.Filter = filter
		b.problems = append(b.problems, problems...)
	}
	columnProblems := len(b.problems)
	table.Columns = b.choose(list, r.Columns, path+".columns")
	columnsKnown := len(b.problems) == columnProblems
	b.keys(r, &table, path, columnsKnown)
	b.indexes(r, &table, path+".indexes", columnsKnown)
	b.settings(&table, path+".settings.")
	if columnsKnown && !b.columnsWrong {
		b.expressions(r, &table, path)
	}
	b.ages(&route, path, columnsKnown)
	if !b.columnsWrong && len(b.problems) == before {
		b.layout(&table, route.Name, path)
	}
	return &route
}

// tableName splits and checks table or database.table.
func (b *builder) tableName(table *schema.Table, name, database, path string) {
	table.Database, table.Name = database, name
	if before, after, dotted := strings.Cut(name, "."); dotted {
		if !b.matches(path, before, identifier, identifierRule) {
			return
		}
		table.Database, table.Name = before, after
	}
	b.matches(path, table.Name, identifier, identifierRule)
}

// timeColumn returns the first column of dates or times whose source is the entry's time; nil if there is none.
func timeColumn(columns []schema.Column) *schema.Column {
	for i := range columns {
		if columns[i].Source.Field == schema.FieldTime && columns[i].Type.Kind.IsTime() {
			return &columns[i]
		}
	}
	return nil
}

// keys sets the partition key and the sorting key, by default those of the layout whose columns the table has.
func (b *builder) keys(r *Route, table *schema.Table, path string, columnsKnown bool) {
	layout := schema.LayoutOf(table.Columns)
	switch {
	case r.OrderBy == "" && layout != nil:
		table.OrderBy, table.PrimaryKey = layout.OrderBy, cmp.Or(r.PrimaryKey, layout.PrimaryKey)
	case r.OrderBy == "" && columnsKnown:
		b.report(path+".order_by", "there is no sorting key; write the columns that queries filter by, those with few values first, as in (service, time)")
	}
	primary, order := schema.KeyExpressions(table.PrimaryKey), schema.KeyExpressions(table.OrderBy)
	if r.PrimaryKey != "" && !slices.Equal(primary, order[:min(len(primary), len(order))]) {
		b.report(path+".primary_key", "the primary key must be a prefix of the sorting key, which is %s", table.OrderBy)
	}
	switch at := timeColumn(table.Columns); {
	case r.PartitionBy != nil:
		table.PartitionBy = *r.PartitionBy
	case layout != nil:
		table.PartitionBy = layout.PartitionBy
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
			b.report(path+setting, "%v; this is %s", err, schema.Quoted(text))
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

// indexes sets the table's indexes: those of a set or a list, by default those of the layout whose columns the table has.
func (b *builder) indexes(r *Route, table *schema.Table, path string, columnsKnown bool) {
	set, layout := r.Indexes.Set, schema.LayoutOf(table.Columns)
	switch {
	case set == "" && r.Indexes.List != nil:
		b.indexList(r.Indexes.List, path)
		table.Indexes = r.Indexes.List
		return
	case set == "" && layout == nil:
		return
	case set == "":
		set = layout.IndexSet
	case set != "none" && layout == nil && columnsKnown:
		if _, err := schema.IndexSet(set); err == nil {
			b.report(path, "the set %s is for tables with all columns of the firehose; write a list of indexes", set)
			return
		}
	}
	indexes, err := schema.IndexSet(set)
	if err != nil {
		b.report(path, "%v, or a list of indexes", err)
	}
	table.Indexes = indexes
}

// indexList checks a list of indexes.
func (b *builder) indexList(list []schema.Index, path string) {
	first := map[string]int{}
	for i, x := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.within(at, settings.Check(&list[i]))
		b.matches(at+".name", x.Name, identifier, identifierRule)
		b.unique(first, x.Name, i, at+".name", "indexes")
		if x.Expression == "" {
			b.report(at+".expression", "there is no expression; write what is indexed, as in mapKeys(attributes)")
		}
		if x.Type == "" {
			b.report(at+".type", "there is no type; write one, as in bloom_filter(0.01)")
		}
	}
}

// settings checks the table's settings.
func (b *builder) settings(table *schema.Table, path string) {
	for _, name := range slices.Sorted(maps.Keys(table.Settings)) {
		b.matches(path+name, name, identifier, identifierRule)
		if schema.ForgetsTokens(name, table.Settings[name]) {
			b.report(path+name, "a table that remembers no tokens stores a repeated insert twice; write a number above 0, or leave "+
				"the setting out; this is %s", schema.Quoted(table.Settings[name]))
		}
	}
}

// ages checks the ages that a route accepts and keeps.
func (b *builder) ages(route *schema.Route, path string, columnsKnown bool) {
	kept := route.Retention.MaxAge
	if kept > 0 && route.MaxAge >= kept {
		b.report(path+".max_age", "%s is not below retention.max_age, %s: dropping a partition forgets the tokens of its batches, "+
			"so that a late entry could be stored twice; lower max_age or raise retention.max_age",
			settings.FormatDuration(route.MaxAge), settings.FormatDuration(kept))
	}
	if at := route.Retention.Interval; at > 0 && at < time.Minute {
		b.report(path+".retention.interval", "must be 0 or at least 1m")
	}
	if kept == 0 || !columnsKnown || b.columnsWrong {
		return
	}
	by, err := schema.ParsePartitionBy(route.Table.PartitionBy, route.Table.Columns)
	if err == nil {
		if _, err := retention.TimeColumn(route, route.Table.Columns, by); err != nil {
			b.report(path+".retention.column", "%v", err)
		}
	}
}
