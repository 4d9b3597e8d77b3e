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

// Plan is what it takes to make a table in ClickHouse fit a route. It is computed from what is wanted
// and what is there, and running it is somebody else's matter.
type Plan struct {
	// Table is the table that is wanted.
	Table *schema.Table
	// Steps are statements that add and widen. They lose nothing, and running one twice does no harm.
	Steps []Step
	// Refused are changes that would lose data or rebuild the table. While there are any, no step is run: a person decides.
	Refused []RefusedStep
	// Notes are differences that are left alone.
	Notes []string

	existing *Existing
	// warnings are those of the notes that tell of values or rows which will not stay.
	warnings []string
	// rebuilds are the differences that only a new table can do away with.
	rebuilds []string
}

// Step is one statement of a plan.
type Step struct {
	// Changes say what the statement does, for people.
	Changes []string
	// Statement is the SQL.
	Statement string
}

// RefusedStep is a change that only a person may make.
type RefusedStep struct {
	// Name is what the change is allowed by, after the table's name and a colon, for instance "column Body". Empty: it
	// can't be allowed, it has to be made by hand.
	Name string
	// Change says what differs, and why it is refused.
	Change string
	// Statement is the SQL that would make the change. Empty: no statement does, the route has to name
	// another table.
	Statement string
}

// Empty tells whether the table fits: nothing to run, nothing refused.
func (p *Plan) Empty() bool { return len(p.Steps) == 0 && len(p.Refused) == 0 }

// NewPlan compares the table that is wanted with what there is.
func NewPlan(desired *schema.Table, existing *Existing) *Plan {
	p := &Plan{Table: desired, existing: existing}
	if p.refuseRoute(); len(p.Refused) > 0 {
		return p
	}
	if !existing.Database {
		p.Steps = append(p.Steps, Step{
			Changes:   []string{"create database " + desired.Database},
			Statement: CreateDatabase(desired),
		})
	}
	if !existing.Table {
		p.Steps = append(p.Steps, Step{
			Changes:   []string{"create table " + desired.FullName()},
			Statement: CreateTable(desired),
		})
		return p
	}
	if !p.checkEngine() {
		return p
	}
	p.checkKeys()
	var a alteration
	p.alterColumns(&a)
	p.alterIndexes(&a)
	p.alterSettings(&a)
	p.alterTTL(&a)
	p.noteOthers()
	p.refuseRebuilds(&a)
	if statement := a.statement(desired); statement != "" {
		p.Steps = append(p.Steps, Step{Changes: a.changes, Statement: statement})
	}
	return p
}

// allowName returns the name by which a refused change of a table is asked for, as in "logs.otel_logs:column Body".
func allowName(t *schema.Table, change string) string { return t.FullName() + ":" + change }

// named returns the place of the refused change with that name, or -1. The database may be left out.
func (p *Plan) named(name string) int {
	return slices.IndexFunc(p.Refused, func(r RefusedStep) bool {
		return r.Name != "" && (name == allowName(p.Table, r.Name) || name == p.Table.Name+":"+r.Name)
	})
}

// Allow moves the refused steps with those names ("logs.otel_logs:column Body", or without the database) to the steps
// to run. It returns the names that no refused step of this table has.
func (p *Plan) Allow(names ...string) (unknown []string) {
	for _, name := range names {
		i := p.named(name)
		if i < 0 {
			unknown = append(unknown, name)
			continue
		}
		r := p.Refused[i]
		p.Refused = slices.Delete(p.Refused, i, i+1)
		p.Steps = append(p.Steps, Step{Changes: []string{r.Change}, Statement: r.Statement})
	}
	return unknown
}

// alteration gathers the commands of one ALTER TABLE: on a replicated table a second one before every
// replica has applied the first fails, and each one bumps the version of the table.
type alteration struct {
	changes       []string
	commands      []string
	settings, ttl string
}

func (a *alteration) add(change, command string) {
	a.changes = append(a.changes, change)
	a.commands = append(a.commands, command)
}

// statement returns the ALTER TABLE, or nothing where there is nothing to do. MODIFY SETTING and MODIFY TTL each take
// all that follows after a comma for themselves, so either comes last; with both, the commands
// are put in parentheses, which ClickHouse reads from 24.8 on.
func (a *alteration) statement(t *schema.Table) string {
	commands := slices.Clone(a.commands)
	if a.settings != "" {
		commands = append(commands, "MODIFY SETTING "+a.settings)
	}
	if a.ttl != "" {
		commands = append(commands, "MODIFY TTL "+a.ttl)
	}
	if len(commands) == 0 {
		return ""
	}
	if a.settings != "" && a.ttl != "" {
		for i, c := range commands {
			commands[i] = "(" + c + ")"
		}
	}
	return t.Alter() + "\n    " + strings.Join(commands, ",\n    ") + alterSync
}

// alterSync has ClickHouse answer only when every replica has made the change.
const alterSync = "\nSETTINGS alter_sync = 2"

// refuseRoute refuses what no table could make right.
func (p *Plan) refuseRoute() {
	t := p.Table
	if !schema.UsableEngine(t.Engine) {
		p.refuse("engine %s can't be used: %s", schema.EngineName(t.Engine), engineEffect(t.Engine))
	}
	for _, name := range slices.Sorted(maps.Keys(t.Settings)) {
		if schema.ForgetsTokens(name, t.Settings[name]) {
			p.refuse("setting %s = %s in the route: the table would remember no tokens, so that a repeated insert is stored twice; "+
				"leave the setting out", name, t.Settings[name])
		}
	}
}

// checkEngine refuses what is not a table that keeps every row as it is given. It reports whether there is more
// to compare.
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

// checkKeys refuses changes of what ClickHouse sorted and cut the parts by.
func (p *Plan) checkKeys() {
	compare := func(what, want, have string) {
		if schema.CanonicalExpression(want) != schema.CanonicalExpression(have) {
			p.rebuilds = append(p.rebuilds, fmt.Sprintf("%s (%s) is not (%s)", what, schema.CanonicalExpression(have), schema.CanonicalExpression(want)))
		}
	}
	t := p.Table
	clauses := p.existing.Definition.Clauses
	compare("PARTITION BY", t.PartitionBy, clauses["PARTITION BY"])
	if t.OrderBy != "" {
		compare("ORDER BY", t.OrderBy, clauses["ORDER BY"])
	}
	if t.PrimaryKey != "" {
		compare("PRIMARY KEY", t.PrimaryKey, cmp.Or(clauses["PRIMARY KEY"], clauses["ORDER BY"]))
	}
}

// refuseRebuilds makes one refused step of all that takes a new table.
func (p *Plan) refuseRebuilds(a *alteration) {
	if len(p.rebuilds) == 0 {
		return
	}
	change := strings.Join(p.rebuilds, "; ") + ": ClickHouse can't change that in place, it takes a new table"
	statement := ""
	if missing := p.missingTime(); missing != "" {
		change += "; column " + missing + ", which a key reads, is not in this one: add and fill it first, or let the route name another table"
	} else if statement = p.rebuild(a); statement != "" {
		change += ". Run the statements while nothing is inserted; afterwards " + p.Table.FullName() + rebuiltSuffix +
			" is the table as it was, to be dropped when the two have been compared"
	}
	p.Refused = append(p.Refused, RefusedStep{Change: change, Statement: statement})
}

// missingTime returns a column of dates or times that the keys read and the table lacks. A copy would give all rows 1970 in
// it, and retention would then remove them.
func (p *Plan) missingTime() string {
	for _, k := range schema.Tokens(p.Table.PartitionBy + "," + p.Table.OrderBy) {
		if c := p.Table.Column(k.Text); k.Kind != schema.StringToken && c != nil && c.Type.Kind.IsTime() && p.existing.column(c.Name) == nil {
			return c.Name
		}
	}
	return ""
}

func (p *Plan) alterColumns(a *alteration) {
	place := "FIRST"
	wanted := make(map[string]bool, len(p.Table.Columns))
	for i := range p.Table.Columns {
		c := &p.Table.Columns[i]
		wanted[c.Name] = true
		have := p.existing.column(c.Name)
		if have == nil {
			a.add("add column "+c.Name+" "+c.Type.String(), "ADD COLUMN IF NOT EXISTS "+columnDefinition(c)+" "+place)
		} else {
			p.alterColumn(a, c, have)
		}
		place = "AFTER " + schema.QuoteIdentifier(c.Name)
	}
	for i := range p.existing.Columns {
		if c := &p.existing.Columns[i]; !wanted[c.Name] {
			p.note("column %s %s is in the table and not in the route: left alone", c.Name, c.Type)
		}
	}
}

func (p *Plan) alterColumn(a *alteration, c *schema.Column, have *ExistingColumn) {
	if have.DefaultKind != "" && have.DefaultKind != "DEFAULT" {
		p.refuseComputed(c, have)
		return
	}
	var changes []string
	typeText := ""
	switch t, err := schema.ParseType(have.Type); {
	case err == nil && t.String() == c.Type.String():
	case err == nil && (have.InKey && schema.WidensKey(t, c.Type, have.InPartition) || !have.InKey && schema.Widens(t, c.Type)):
		typeText = " " + c.Type.String()
		changes = append(changes, "type "+have.Type+" to "+c.Type.String())
	default:
		p.refuseType(c, have, err == nil)
		return
	}
	attributes := ""
	if c.Comment != have.Comment && c.Comment != "" {
		attributes += " COMMENT " + schema.QuoteString(c.Comment)
		changes = append(changes, "comment")
	}
	if codec := schema.CanonicalCodec(c.Codec, c.Type); codec != "" && !schema.SameCodec(codec, schema.CanonicalCodec(have.Codec, c.Type)) {
		attributes += " CODEC(" + codec + ")"
		changes = append(changes, "codec "+have.Codec+" to CODEC("+codec+")")
	}
	if len(changes) > 0 {
		a.add("change column "+c.Name+": "+strings.Join(changes, ", "),
			"MODIFY COLUMN IF EXISTS "+schema.QuoteIdentifier(c.Name)+typeText+attributes)
	}
}

func (p *Plan) refuseComputed(c *schema.Column, have *ExistingColumn) {
	if have.DefaultKind == "EPHEMERAL" {
		p.rebuilds = append(p.rebuilds, fmt.Sprintf("column %s is EPHEMERAL: ClickHouse takes its values and stores none", c.Name))
		return
	}
	statement := p.Table.Alter() + " MODIFY COLUMN " + schema.QuoteIdentifier(c.Name) + " REMOVE " + have.DefaultKind + alterSync
	p.Refused = append(p.Refused, RefusedStep{
		Name:      "column " + c.Name,
		Change:    fmt.Sprintf("column %s is %s: ClickHouse computes it, and takes no values for it", c.Name, have.DefaultKind),
		Statement: statement,
	})
}

func (p *Plan) refuseType(c *schema.Column, have *ExistingColumn, known bool) {
	change := fmt.Sprintf("column %s is %s and not %s", c.Name, have.Type, c.Type.String())
	if have.InKey {
		p.rebuilds = append(p.rebuilds, change+", and is in a key of the table")
		return
	}
	r := RefusedStep{
		Name:      "column " + c.Name,
		Change:    change + ": values might not fit",
		Statement: p.Table.Alter() + " MODIFY COLUMN " + schema.QuoteIdentifier(c.Name) + " " + c.Type.String(),
	}
	if !known {
		r.Change = change + ": the two can't be compared"
	}
	if strings.Contains(have.Type, "Nullable(") && !c.Type.Nullable {
		// ClickHouse wants to know what becomes of the NULLs.
		r.Statement += " DEFAULT defaultValueOfTypeName(" + schema.QuoteString(c.Type.String()) + ")"
	}
	r.Statement += alterSync
	p.Refused = append(p.Refused, r)
}

func (p *Plan) alterIndexes(a *alteration) {
	existing := p.existing.Definition.Indexes()
	wanted := make(map[string]bool, len(p.Table.Indexes))
	for i := range p.Table.Indexes {
		want := &p.Table.Indexes[i]
		wanted[want.Name] = true
		at := slices.IndexFunc(existing, func(x schema.Index) bool { return x.Name == want.Name })
		if at < 0 {
			a.add("add index "+want.Name+" (new parts have it, older ones when they are merged)",
				"ADD INDEX IF NOT EXISTS "+indexDefinition(want))
		} else if have := &existing[at]; !sameIndex(want, have) {
			p.note("index %s is %s and not %s: left alone; to change it, drop it (ALTER TABLE %s DROP INDEX %s) and migrate again",
				want.Name, indexDefinition(have), indexDefinition(want), schema.QuotedName(p.Table.Database, p.Table.Name), schema.QuoteIdentifier(want.Name))
		}
	}
	for i := range existing {
		if name := existing[i].Name; !wanted[name] {
			p.note("index %s is in the table and not in the route: left alone", name)
		}
	}
}

func sameIndex(a, b *schema.Index) bool {
	return schema.CanonicalExpression(a.Expression) == schema.CanonicalExpression(b.Expression) &&
		schema.CanonicalExpression(a.Type) == schema.CanonicalExpression(b.Type) &&
		(indexHasNoGranularity(a.Type) || max(a.Granularity, 1) == max(b.Granularity, 1))
}

func (p *Plan) alterSettings(a *alteration) {
	engine := p.existing.Engine
	if !engineFits(p.Table.FullEngine(), engine) {
		engine = schema.EngineName(p.Table.FullEngine()) // of the table that takes this one's place
	}
	want := p.Table.SettingsFor(engine)
	if !p.Table.Fsync && p.existing.settings()["fsync_after_insert"] == "1" {
		want["fsync_after_insert"] = "0"
	}
	change := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, ok := p.existing.settings()[name]
		switch {
		case ok && have == want[name]:
		case name == "index_granularity":
			if ok {
				p.note("setting %s is %s and not %s: it can't be changed in a table that is there", name, have, want[name])
			}
		default:
			change[name] = want[name]
			a.changes = append(a.changes, "setting "+name+" = "+want[name])
		}
	}
	a.settings = schema.SettingList(change)
}

func (p *Plan) alterTTL(a *alteration) {
	want, have := schema.CanonicalExpression(p.Table.TTL), schema.CanonicalExpression(p.existing.Definition.Clauses["TTL"])
	switch {
	case want == have:
	case want == "":
		p.warn("TTL %s is in the table and not in the route: left alone; it changes or removes rows by itself", p.existing.Definition.Clauses["TTL"])
	default:
		a.changes = append(a.changes, "TTL "+p.Table.TTL)
		a.ttl = p.Table.TTL
	}
}

// noteOthers names what others have put into the table and the route does not know of.
func (p *Plan) noteOthers() {
	for i := range p.existing.Definition.Elements {
		e := &p.existing.Definition.Elements[i]
		ttl := ""
		if e.Kind == "" {
			ttl = columnTTL(e)
		}
		switch {
		case e.Kind == "PROJECTION":
			p.note("projection %s is in the table and not in the route: left alone", e.Name)
		case e.Kind == "CONSTRAINT":
			p.note("constraint %s is in the table and not in the route: left alone; rows that violate a CHECK become dead letters", e.Text[len(e.Kind)+1:])
		case ttl == "" || p.Table.Column(e.Name) == nil:
		case e.Name == schema.BatchIDColumn:
			p.Refused = append(p.Refused, RefusedStep{
				Name:      "column " + e.Name,
				Change:    fmt.Sprintf("column %s has the TTL %s: without its value nobody can tell whether a batch is there", e.Name, ttl),
				Statement: p.Table.Alter() + " MODIFY COLUMN " + schema.QuoteIdentifier(e.Name) + " REMOVE TTL" + alterSync,
			})
		default:
			p.warn("column %s has the TTL %s, which is not in the route: left alone; it empties the column by itself, at once in rows that are older", e.Name, ttl)
		}
	}
	for _, name := range schema.DeduplicationSettings {
		if window, err := strconv.Atoi(p.Table.Settings[name]); err == nil && window > 0 && window < smallWindow {
			p.warn("setting %s = %d: the table may forget a token while its batch is still tried again; leave the setting out for %s", name, window, schema.DeduplicationWindow)
		}
	}
}

// refuse adds a difference that no statement does away with.
func (p *Plan) refuse(format string, arguments ...any) {
	p.Refused = append(p.Refused, RefusedStep{Change: fmt.Sprintf(format, arguments...)})
}

// warn adds a note that an operator should read without asking for the plan.
func (p *Plan) warn(format string, arguments ...any) {
	p.note(format, arguments...)
	p.warnings = append(p.warnings, p.Notes[len(p.Notes)-1])
}

func (p *Plan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}
