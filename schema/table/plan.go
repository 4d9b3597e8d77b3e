package table

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// Plan is what it takes to make a table in ClickHouse fit a route. It is computed from what is wanted and what exists; a Migrator
// runs it.
type Plan struct {
	// Table is the table that is wanted.
	Table *schema.Table
	// Steps are statements that add and widen. They lose nothing and may be run twice.
	Steps []Step
	// Refused are changes that would lose data or need a new table. While there are any, no step is run: a person decides.
	Refused []RefusedStep
	// Notes are differences that are left alone.
	Notes []string

	existing *Existing
	// warnings are the notes about values or rows that will not stay.
	warnings []string
	// rebuilds are the differences that require a new table.
	rebuilds []string
	// ownCodecs are the columns whose codec is not the default, and stays.
	ownCodecs []string
}

// Step is one statement of a plan.
type Step struct {
	// Changes are what the statement does, for people.
	Changes []string
	// Statement is the SQL.
	Statement string
}

// RefusedStep is a change that only a person may make.
type RefusedStep struct {
	// Name allows the change together with the table's name, for instance "column Body". Empty: the change can't be allowed and
	// has to be made by hand.
	Name string
	// Change is what differs, and why it is refused.
	Change string
	// Statement is the SQL that would make the change. Empty: there is none, the route has to name another table.
	Statement string
}

// Empty reports whether the table fits: nothing to run, nothing refused.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 && len(p.Refused) == 0 }

// NewPlan compares the table that is wanted with what exists.
func NewPlan(desired *schema.Table, existing *Existing) *Plan {
	p := &Plan{Table: desired, existing: existing}
	p.checkRoute()
	switch {
	case len(p.Refused) > 0:
	case !existing.Table:
		if !existing.Database {
			p.step(CreateDatabase(desired), "create database "+desired.Database)
		}
		p.step(CreateTable(desired), "create table "+desired.FullName())
	case p.checkEngine():
		p.compare()
	}
	return p
}

func (p *Plan) step(statement string, changes ...string) {
	p.Steps = append(p.Steps, Step{Changes: changes, Statement: statement})
}

// refuse adds a difference that no statement removes.
func (p *Plan) refuse(format string, arguments ...any) {
	p.Refused = append(p.Refused, RefusedStep{Change: fmt.Sprintf(format, arguments...)})
}

// refuseColumn refuses a MODIFY COLUMN.
func (p *Plan) refuseColumn(name, modification, change string) {
	p.Refused = append(p.Refused, RefusedStep{
		Name: "column " + name, Change: "column " + name + " " + change,
		Statement: p.Table.Alter() + " MODIFY COLUMN " + schema.QuoteIdentifier(name) + " " + modification + alterSync,
	})
}

func (p *Plan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}

// warn adds a note that an operator should see without asking for the plan.
func (p *Plan) warn(format string, arguments ...any) {
	p.note(format, arguments...)
	p.warnings = append(p.warnings, p.Notes[len(p.Notes)-1])
}

// rebuildFor adds a difference that requires a new table.
func (p *Plan) rebuildFor(format string, arguments ...any) {
	p.rebuilds = append(p.rebuilds, fmt.Sprintf(format, arguments...))
}

// allowName returns the name by which a refused change of a table is asked for, as in "logs.otel_logs:column Body".
func allowName(t *schema.Table, change string) string { return t.FullName() + ":" + change }

// named returns the place of the refused change with that name, or -1. The database is optional.
func (p *Plan) named(name string) int {
	return slices.IndexFunc(p.Refused, func(r RefusedStep) bool {
		return r.Name != "" && (name == allowName(p.Table, r.Name) || name == p.Table.Name+":"+r.Name)
	})
}

// Allow moves the refused steps with those names ("logs.otel_logs:column Body", or without the database) to the steps
// to run. It reports whether there are any, and ignores other names.
func (p *Plan) Allow(names ...string) (allowed bool) {
	for _, name := range names {
		if i := p.named(name); i >= 0 {
			p.step(p.Refused[i].Statement, p.Refused[i].Change)
			p.Refused = slices.Delete(p.Refused, i, i+1)
			allowed = true
		}
	}
	return allowed
}

// checkRoute refuses what is wrong whatever exists.
func (p *Plan) checkRoute() {
	t := p.Table
	if !schema.UsableEngine(t.Engine) {
		p.refuse("engine %s can't be used: %s", schema.EngineName(t.Engine), engineEffect(t.Engine))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		if schema.ForgetsTokens(name, t.Settings[name]) {
			p.refuse("setting %s = %s in the route: the table would remember no tokens, so that a repeated insert is stored twice; "+
				"remove the setting", name, t.Settings[name])
		}
	}
}

// checkEngine refuses a table that does not keep every row as it is inserted. It reports whether there is more to compare.
func (p *Plan) checkEngine() bool {
	want, have := p.Table.FullEngine(), p.existing.Engine
	if engineFits(want, have) {
		return true
	}
	change := fmt.Sprintf("engine %s is not %s", have, schema.EngineName(want))
	if !schema.UsableEngine(have) || schema.EngineKind(want) == "MergeTree" && schema.EngineKind(have) != "MergeTree" {
		change += ": " + engineEffect(have)
	}
	if !canBeCopied(have) {
		p.refuse("%s", change)
		return false
	}
	p.rebuilds = append(p.rebuilds, change)
	return true
}

func (p *Plan) compare() {
	if p.refuseJSON() || p.refuseLayout() {
		return
	}
	p.compareKeys()
	var a alteration
	p.compareColumns(&a)
	p.compareIndexes(&a)
	p.compareSettings(&a)
	p.compareTTL(&a)
	p.noteOthers()
	if len(p.rebuilds) > 0 {
		p.refuseRebuild(&a)
	}
	if statement := a.statement(p.Table); statement != "" {
		p.step(statement, a.changes...)
	}
}

// sameExpression compares two expressions in ClickHouse's spelling.
func sameExpression(a, b string) bool {
	return schema.CanonicalExpression(a) == schema.CanonicalExpression(b)
}

func (p *Plan) compareKeys() {
	compare := func(what, want, have string) {
		if !sameExpression(want, have) {
			p.rebuildFor("%s (%s) is not (%s)", what, schema.CanonicalExpression(have), schema.CanonicalExpression(want))
		}
	}
	t, have := p.Table, p.existing.Definition.Clauses
	compare("PARTITION BY", t.PartitionBy, have["PARTITION BY"])
	if t.OrderBy != "" {
		compare("ORDER BY", t.OrderBy, have["ORDER BY"])
	}
	if t.PrimaryKey != "" {
		compare("PRIMARY KEY", t.PrimaryKey, cmp.Or(have["PRIMARY KEY"], have["ORDER BY"]))
	}
}

// refuseRebuild makes one refused step of all differences that require a new table.
func (p *Plan) refuseRebuild(a *alteration) {
	r := RefusedStep{Change: strings.Join(p.rebuilds, "; ") + ": ClickHouse can't change that in place, it takes a new table"}
	missing := p.missingInKeys()
	// Copied rows would have 1970 in a date or time column, and retention would remove them.
	i := slices.IndexFunc(missing, func(c *schema.Column) bool { return c.Type.Kind.IsTime() })
	if i >= 0 {
		r.Change += "; column " + missing[i].Name + ", which a key reads, is not in this one: add and fill it first, or let the route name another table"
	} else if r.Statement = p.rebuild(a); r.Statement != "" {
		r.Change += ". Run the statements while nothing is inserted; afterwards " + p.Table.FullName() + rebuiltSuffix +
			" is the table as it was, to be dropped when the two have been compared"
	}
	p.Refused = append(p.Refused, r)
}

func (p *Plan) compareColumns(a *alteration) {
	place := "FIRST"
	for i := range p.Table.Columns {
		c := &p.Table.Columns[i]
		if have := p.existing.column(c.Name); have != nil {
			p.compareColumn(a, c, have)
		} else {
			a.add("add column "+c.Name+" "+c.Type.String(), "ADD COLUMN IF NOT EXISTS "+columnDefinition(c)+" "+place)
		}
		place = "AFTER " + schema.QuoteIdentifier(c.Name)
	}
	if len(p.ownCodecs) > 0 {
		p.note("codecs of %s are not the defaults: left alone", strings.Join(p.ownCodecs, ", "))
	}
	for _, c := range p.existing.Columns {
		if p.Table.Column(c.Name) == nil {
			p.note("column %s %s is in the table and not in the route: left alone", c.Name, c.Type)
		}
	}
}

// refuseJSON refuses a table whose attributes are in JSON columns: there is no way from those to a Map, so nothing else matters.
func (p *Plan) refuseJSON() bool {
	var found []string
	for i := range p.Table.Columns {
		c := &p.Table.Columns[i]
		if have := p.existing.column(c.Name); have != nil && c.Type.Kind == schema.KindMap && strings.HasPrefix(have.Type, "JSON") {
			found = append(found, c.Name+" "+have.Type)
		}
	}
	if len(found) > 0 {
		p.refuse("columns %s: the Collector's exporter makes such a table with json: true, and LogBatcher writes attributes to Map columns only; "+
			"let the route name another table", strings.Join(found, ", "))
	}
	return len(found) > 0
}

// refuseLayout refuses a table of one of the collector's layouts for a route of the other: the route has to change, not the table.
func (p *Plan) refuseLayout() bool {
	want, have := schema.LayoutOf(p.Table.Columns), p.existing.Definition.Clauses
	for _, l := range schema.Layouts() {
		if want != nil && l.Name != want.Name && !sameExpression(p.Table.PartitionBy, have["PARTITION BY"]) &&
			sameExpression(l.PartitionBy, have["PARTITION BY"]) && sameExpression(l.OrderBy, have["ORDER BY"]) {
			p.refuse("PARTITION BY %s, ORDER BY %s: the table has the layout %s of the Collector's exporter, and the route the layout %s; "+
				"to use the table as it is, write columns: [%s] in the route", l.PartitionBy, l.OrderBy, l.Name, want.Name, l.Name)
			return true
		}
	}
	return false
}

func (p *Plan) compareColumn(a *alteration, c *schema.Column, have *ExistingColumn) {
	switch have.DefaultKind {
	case "", "DEFAULT":
	case "EPHEMERAL":
		p.rebuildFor("column %s is EPHEMERAL: ClickHouse accepts its values and stores none", c.Name)
		return
	default:
		p.refuseColumn(c.Name, "REMOVE "+have.DefaultKind, "is "+have.DefaultKind+": ClickHouse computes it, and takes no values for it")
		return
	}
	var changes []string
	modification := ""
	t, err := schema.ParseType(have.Type)
	if err != nil || t.String() != c.Type.String() {
		widens := err == nil && (have.InKey && schema.WidensKey(t, c.Type, have.InPartition) || !have.InKey && schema.Widens(t, c.Type))
		if !widens {
			p.refuseType(c, have, err == nil)
			return
		}
		modification += " " + c.Type.String()
		changes = append(changes, "type "+have.Type+" to "+c.Type.String())
	}
	if c.Comment != have.Comment && c.Comment != "" {
		modification += " COMMENT " + schema.QuoteString(c.Comment)
		changes = append(changes, "comment")
	}
	codec := schema.CanonicalCodec(c.Codec, c.Type)
	switch {
	case codec == "" || schema.SameCodec(codec, schema.CanonicalCodec(have.Codec, c.Type)):
	case c.HasDefaultCodec():
		p.ownCodecs = append(p.ownCodecs, c.Name)
	default:
		modification += " CODEC(" + codec + ")"
		changes = append(changes, "codec "+have.Codec+" to CODEC("+codec+")")
	}
	if len(changes) > 0 {
		a.add("change column "+c.Name+": "+strings.Join(changes, ", "), "MODIFY COLUMN IF EXISTS "+schema.QuoteIdentifier(c.Name)+modification)
	}
}

func (p *Plan) refuseType(c *schema.Column, have *ExistingColumn, known bool) {
	wanted := c.Type.String()
	change := fmt.Sprintf("is %s and not %s", have.Type, wanted)
	modification := wanted
	if strings.Contains(have.Type, "Nullable(") && !c.Type.Nullable {
		// ClickHouse has to know what becomes of the NULLs.
		modification += " DEFAULT defaultValueOfTypeName(" + schema.QuoteString(wanted) + ")"
	}
	switch {
	case have.InKey:
		p.rebuildFor("column %s %s, and is in a key of the table", c.Name, change)
	case known:
		p.refuseColumn(c.Name, modification, change+": values might not fit")
	default:
		p.refuseColumn(c.Name, modification, change+": the two can't be compared")
	}
}

func (p *Plan) compareIndexes(a *alteration) {
	existing := p.existing.Definition.Indexes()
	named := func(name string) func(schema.Index) bool { return func(x schema.Index) bool { return x.Name == name } }
	for i := range p.Table.Indexes {
		want := &p.Table.Indexes[i]
		at := slices.IndexFunc(existing, named(want.Name))
		if at < 0 {
			a.add("add index "+want.Name+" (new parts have it, older ones when they are merged)",
				"ADD INDEX IF NOT EXISTS "+indexDefinition(want))
		} else if have := &existing[at]; !sameIndex(want, have) {
			p.note("index %s is %s and not %s: left alone; to change it, drop it (ALTER TABLE %s DROP INDEX %s) and migrate again",
				want.Name, indexDefinition(have), indexDefinition(want), schema.QuotedName(p.Table.Database, p.Table.Name), schema.QuoteIdentifier(want.Name))
		}
	}
	for _, have := range existing {
		if !slices.ContainsFunc(p.Table.Indexes, named(have.Name)) {
			p.note("index %s is in the table and not in the route: left alone", have.Name)
		}
	}
}

func sameIndex(a, b *schema.Index) bool {
	return sameExpression(a.Expression, b.Expression) && sameExpression(a.Type, b.Type) &&
		(indexHasNoGranularity(a.Type) || max(a.Granularity, 1) == max(b.Granularity, 1))
}

func (p *Plan) compareSettings(a *alteration) {
	engine := p.existing.Engine
	if !engineFits(p.Table.FullEngine(), engine) {
		engine = schema.EngineName(p.Table.FullEngine()) // of the table that replaces this one
	}
	want, have := p.Table.SettingsFor(engine), p.existing.settings()
	if !p.Table.Fsync && have["fsync_after_insert"] == "1" {
		want["fsync_after_insert"] = "0"
	}
	if value, ok := have["index_granularity"]; ok && value != want["index_granularity"] {
		p.note("setting index_granularity is %s and not %s: it can't be changed in an existing table", value, want["index_granularity"])
	}
	maps.DeleteFunc(want, func(name, value string) bool { return have[name] == value || name == "index_granularity" })
	for _, name := range slices.Sorted(maps.Keys(want)) {
		a.changes = append(a.changes, "setting "+name+" = "+want[name])
	}
	a.settings = schema.SettingList(want)
}

func (p *Plan) compareTTL(a *alteration) {
	want, have := p.Table.TTL, p.existing.Definition.Clauses["TTL"]
	switch {
	case sameExpression(want, have):
	case want == "":
		p.warn("TTL %s is in the table and not in the route: left alone; it changes or removes rows by itself", have)
	default:
		a.changes = append(a.changes, "TTL "+want)
		a.ttl = want
	}
}

// smallWindow is the number of tokens, or of seconds, below which a table may forget a token while its batch is still retried.
const smallWindow = 1000

// noteOthers names what others have put into the table and is not in the route.
func (p *Plan) noteOthers() {
	for i := range p.existing.Definition.Elements {
		e := &p.existing.Definition.Elements[i]
		switch e.Kind {
		case "PROJECTION":
			p.note("projection %s is in the table and not in the route: left alone", e.Name)
		case "CONSTRAINT":
			p.note("constraint %s is in the table and not in the route: left alone; rows that violate a CHECK become dead letters", e.Text[len(e.Kind)+1:])
		case "":
			p.compareColumnTTL(e.Name, columnTTL(e))
		}
	}
	for _, name := range schema.DeduplicationSettings {
		if window, err := strconv.Atoi(p.Table.Settings[name]); err == nil && window > 0 && window < smallWindow {
			p.warn("setting %s = %d: the table may forget a token while its batch is still retried; remove the setting to get %s", name, window, schema.DeduplicationWindow)
		}
	}
}

func (p *Plan) compareColumnTTL(name, ttl string) {
	switch {
	case ttl == "" || p.Table.Column(name) == nil:
	case name == schema.BatchIDColumn:
		p.refuseColumn(name, "REMOVE TTL", "has the TTL "+ttl+": without its value a batch can't be looked up")
	default:
		p.warn("column %s has the TTL %s, which is not in the route: left alone; it empties the column on its own, at once in rows that are older", name, ttl)
	}
}
