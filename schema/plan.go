package schema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Plan is what it takes to make a table in ClickHouse fit a route. It is computed from what is wanted
// and what is there, and running it is somebody else's matter.
type Plan struct {
	// Table is the table that is wanted.
	Table *Table
	// Steps are statements that add and widen. They lose nothing, and running one twice does no harm.
	Steps []Step
	// Refused are changes that would lose data or rebuild the table. While there are any, no step is run: a person decides.
	Refused []RefusedStep
	// Notes are differences that are left alone.
	Notes []string

	existing *Existing
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
	// Name is by what the change is allowed, for instance "column Body". Empty: it can't be allowed, it
	// has to be made by hand.
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
func NewPlan(desired *Table, existing *Existing) *Plan {
	p := &Plan{Table: desired, existing: existing}
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
	p.refuseRebuilds()
	if statement := a.statement(desired); statement != "" {
		p.Steps = append(p.Steps, Step{Changes: a.changes, Statement: statement})
	}
	return p
}

// Allow moves the refused steps with those names ("column Body") to the steps to run. It reports the names that
// no refused step has.
func (p *Plan) Allow(names ...string) (unknown []string) {
	for _, name := range names {
		i := slices.IndexFunc(p.Refused, func(r RefusedStep) bool { return r.Name != "" && r.Name == name })
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
func (a *alteration) statement(t *Table) string {
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
	return alterTable(t) + "\n    " + strings.Join(commands, ",\n    ") + alterSync
}

// alterSync has ClickHouse answer only when every replica has made the change.
const alterSync = "\nSETTINGS alter_sync = 2"

func alterTable(t *Table) string {
	return "ALTER TABLE " + quotedName(t.Database, t.Name) + onCluster(t)
}

// checkEngine refuses what is not a table that keeps every row that it is given.
func (p *Plan) checkEngine() bool {
	want, have := engineName(p.Table.Engine), p.existing.Engine
	fits := want == have
	if want == "" {
		fits = have == "MergeTree" || have == "ReplicatedMergeTree" || have == "SharedMergeTree"
	}
	if fits {
		return true
	}
	change := fmt.Sprintf("engine %s is not %s", have, engineName(engineOf(p.Table)))
	switch have {
	case "Distributed", "Buffer":
		p.Refused = append(p.Refused, RefusedStep{Change: change + ": it acknowledges rows before they are stored; name the table behind it"})
	case "View", "MaterializedView", "LiveView":
		p.Refused = append(p.Refused, RefusedStep{Change: change + ": it is a view"})
	default:
		p.rebuilds = append(p.rebuilds, change)
		p.refuseRebuilds()
	}
	return false
}

// checkKeys refuses changes of what ClickHouse sorted and cut the parts by.
func (p *Plan) checkKeys() {
	compare := func(what, want, have string) {
		if canonicalExpression(want) != canonicalExpression(have) {
			p.rebuilds = append(p.rebuilds, fmt.Sprintf("%s (%s) is not (%s)", what, canonicalExpression(have), canonicalExpression(want)))
		}
	}
	t := p.Table
	compare("PARTITION BY", t.PartitionBy, p.existing.PartitionBy)
	if t.OrderBy != "" {
		compare("ORDER BY", t.OrderBy, p.existing.OrderBy)
	}
	if t.PrimaryKey != "" {
		compare("PRIMARY KEY", t.PrimaryKey, p.existing.PrimaryKey)
	}
}

// refuseRebuilds makes one refused step of all that takes a new table.
func (p *Plan) refuseRebuilds() {
	if len(p.rebuilds) == 0 {
		return
	}
	p.Refused = append(p.Refused, RefusedStep{
		Change:    strings.Join(p.rebuilds, "; ") + ": ClickHouse can't change that in place, it takes a new table",
		Statement: p.rebuild(),
	})
}

// rebuild returns the statements that put the rows into a table of the wanted form. They are for a
// person to run while nothing is inserted: the copy is not atomic, and tokens do not go with the rows.
func (p *Plan) rebuild() string {
	t := *p.Table
	t.Engine = rebuiltEngine(t.Engine)
	var both []string
	for i := range t.Columns {
		if c := p.existing.column(t.Columns[i].Name); c != nil && c.DefaultKind != "EPHEMERAL" {
			both = append(both, QuoteIdentifier(c.Name))
		}
	}
	names := strings.Join(both, ", ")
	table, rebuilt := quotedName(t.Database, t.Name), quotedName(t.Database, t.Name+"_rebuilt")
	statements := []string{createTable(&t, t.Name+"_rebuilt")}
	if len(both) > 0 {
		statements = append(statements, "INSERT INTO "+rebuilt+" ("+names+") SELECT "+names+" FROM "+table)
	}
	return strings.Join(append(statements,
		"EXCHANGE TABLES "+table+" AND "+rebuilt+onCluster(&t),
		"DROP TABLE "+rebuilt+onCluster(&t),
	), ";\n")
}

// rebuiltEngine gives a replicated table of the same form a path of its own in Keeper, where the path does not
// follow from the table already.
func rebuiltEngine(engine string) string {
	if !strings.HasPrefix(engine, "Replicated") || strings.Contains(engine, "{uuid}") || strings.Contains(engine, "{table}") {
		return engine
	}
	for _, t := range tokens(engine) {
		if t.kind == stringToken {
			return engine[:t.start] + QuoteString(t.text+"_rebuilt") + engine[t.end:]
		}
	}
	return engine
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
		place = "AFTER " + QuoteIdentifier(c.Name)
	}
	for i := range p.existing.Columns {
		if c := &p.existing.Columns[i]; !wanted[c.Name] {
			p.note("column %s %s is in the table and not in the route: left alone", c.Name, c.Type)
		}
	}
}

func (p *Plan) alterColumn(a *alteration, c *Column, have *ExistingColumn) {
	if have.DefaultKind != "" && have.DefaultKind != "DEFAULT" {
		p.refuseComputed(c, have)
		return
	}
	var changes []string
	typeText := ""
	switch t, err := ParseType(have.Type); {
	case err == nil && t.String() == c.Type.String():
	case err == nil && (have.InKey && widensKey(t, c.Type) || !have.InKey && Widens(t, c.Type)):
		typeText = " " + c.Type.String()
		changes = append(changes, "type "+have.Type+" to "+c.Type.String())
	default:
		p.refuseType(c, have, err == nil)
		return
	}
	attributes := ""
	if c.Comment != have.Comment && c.Comment != "" {
		attributes += " COMMENT " + QuoteString(c.Comment)
		changes = append(changes, "comment")
	}
	if codec := canonicalCodec(c.Codec, c.Type); codec != "" && !sameCodec(codec, canonicalCodec(have.Codec, c.Type)) {
		attributes += " CODEC(" + codec + ")"
		changes = append(changes, "codec "+have.Codec+" to CODEC("+codec+")")
	}
	if len(changes) > 0 {
		a.add("change column "+c.Name+": "+strings.Join(changes, ", "),
			"MODIFY COLUMN IF EXISTS "+QuoteIdentifier(c.Name)+typeText+attributes)
	}
}

func (p *Plan) refuseComputed(c *Column, have *ExistingColumn) {
	statement := alterTable(p.Table) + " MODIFY COLUMN " + QuoteIdentifier(c.Name) + " REMOVE " + have.DefaultKind + alterSync
	p.Refused = append(p.Refused, RefusedStep{
		Name:      "column " + c.Name,
		Change:    fmt.Sprintf("column %s is %s: ClickHouse computes it, and takes no values for it", c.Name, have.DefaultKind),
		Statement: statement,
	})
}

func (p *Plan) refuseType(c *Column, have *ExistingColumn, known bool) {
	change := fmt.Sprintf("column %s is %s and not %s", c.Name, have.Type, c.Type.String())
	if have.InKey {
		p.rebuilds = append(p.rebuilds, change+", and is in a key of the table")
		return
	}
	r := RefusedStep{
		Name:      "column " + c.Name,
		Change:    change + ": values might not fit",
		Statement: alterTable(p.Table) + " MODIFY COLUMN " + QuoteIdentifier(c.Name) + " " + c.Type.String(),
	}
	if !known {
		r.Change = change + ": the two can't be compared"
	}
	if strings.Contains(have.Type, "Nullable(") && !c.Type.Nullable {
		// ClickHouse wants to know what becomes of the NULLs.
		r.Statement += " DEFAULT defaultValueOfTypeName(" + QuoteString(c.Type.String()) + ")"
	}
	r.Statement += alterSync
	p.Refused = append(p.Refused, r)
}

func (p *Plan) alterIndexes(a *alteration) {
	wanted := make(map[string]bool, len(p.Table.Indexes))
	for i := range p.Table.Indexes {
		want := &p.Table.Indexes[i]
		wanted[want.Name] = true
		at := slices.IndexFunc(p.existing.Indexes, func(x Index) bool { return x.Name == want.Name })
		if at < 0 {
			a.add("add index "+want.Name+" (new parts have it, older ones when they are merged)",
				"ADD INDEX IF NOT EXISTS "+indexDefinition(want))
		} else if have := &p.existing.Indexes[at]; !sameIndex(want, have) {
			p.note("index %s is %s and not %s: left alone; to change it, drop it (ALTER TABLE %s DROP INDEX %s) and migrate again",
				want.Name, indexDefinition(have), indexDefinition(want), quotedName(p.Table.Database, p.Table.Name), QuoteIdentifier(want.Name))
		}
	}
	for i := range p.existing.Indexes {
		if name := p.existing.Indexes[i].Name; !wanted[name] {
			p.note("index %s is in the table and not in the route: left alone", name)
		}
	}
}

func sameIndex(a, b *Index) bool {
	return canonicalExpression(a.Expression) == canonicalExpression(b.Expression) &&
		canonicalIndexType(a.Type) == canonicalIndexType(b.Type) &&
		(indexHasNoGranularity(a.Type) || max(a.Granularity, 1) == max(b.Granularity, 1))
}

func (p *Plan) alterSettings(a *alteration) {
	want := tableSettings(p.Table, p.existing.Engine)
	if !p.Table.Fsync && p.existing.Settings["fsync_after_insert"] == "1" {
		want["fsync_after_insert"] = "0"
	}
	change := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		have, ok := p.existing.Settings[name]
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
	a.settings = settingList(change)
}

func (p *Plan) alterTTL(a *alteration) {
	want, have := canonicalExpression(p.Table.TTL), canonicalExpression(p.existing.TTL)
	switch {
	case want == have:
	case want == "":
		p.note("TTL %s is in the table and not in the route: left alone", p.existing.TTL)
	default:
		a.changes = append(a.changes, "TTL "+p.Table.TTL)
		a.ttl = p.Table.TTL
	}
}

func (p *Plan) note(format string, arguments ...any) {
	p.Notes = append(p.Notes, fmt.Sprintf(format, arguments...))
}
