package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The tokens that a table remembers, per partition. ClickHouse's own default for a table that is not replicated
// is none at all; 10 000 is what it takes for replicated ones, where it forgets them after an hour. A retry
// may come a week later, after a long outage.
const (
	deduplicationWindow        = "10000"
	deduplicationWindowSeconds = "604800"
)

// deduplicationSettings are the settings with which a table remembers no tokens when they are 0.
var deduplicationSettings = []string{
	"non_replicated_deduplication_window", "replicated_deduplication_window", "replicated_deduplication_window_seconds",
}

// ForgetsTokens reports whether a table with the setting remembers no deduplication tokens, so that a repeated insert would
// be stored twice.
func ForgetsTokens(setting, value string) bool {
	window, err := strconv.ParseUint(value, 10, 64)
	return slices.Contains(deduplicationSettings, setting) && (err != nil || window == 0)
}

// smallWindow is the number of tokens, or of seconds, below which a table may forget a token while its batch is still
// being retried.
const smallWindow = 1000

// CreateDatabase returns the statement that creates the table's database.
func CreateDatabase(t *Table) string {
	return "CREATE DATABASE IF NOT EXISTS " + QuoteIdentifier(t.Database) + onCluster(t)
}

// CreateTable returns the statement that creates the table.
func CreateTable(t *Table) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE IF NOT EXISTS " + quotedName(t.Database, t.Name) + onCluster(t) + "\n(\n")
	lines := make([]string, 0, len(t.Columns)+len(t.Indexes))
	for i := range t.Columns {
		lines = append(lines, "    "+columnDefinition(&t.Columns[i]))
	}
	for i := range t.Indexes {
		lines = append(lines, "    INDEX "+indexDefinition(&t.Indexes[i]))
	}
	b.WriteString(strings.Join(lines, ",\n") + "\n)\nENGINE = " + engineOf(t) + "\n")
	if t.PartitionBy != "" {
		b.WriteString("PARTITION BY " + keyExpression(t.PartitionBy) + "\n")
	}
	if t.PrimaryKey != "" {
		b.WriteString("PRIMARY KEY " + keyExpression(t.PrimaryKey) + "\n")
	}
	b.WriteString("ORDER BY " + keyExpression(t.OrderBy) + "\n")
	if t.TTL != "" {
		b.WriteString("TTL " + t.TTL + "\n")
	}
	b.WriteString("SETTINGS " + settingList(tableSettings(t, engineName(engineOf(t)))))
	return b.String()
}

// columnDefinition returns the column as CREATE TABLE and ADD COLUMN take it.
func columnDefinition(c *Column) string {
	s := QuoteIdentifier(c.Name) + " " + c.Type.String()
	// The gateway sends a column's default itself. ClickHouse gets it too, for the rows that are
	// older than the column. A Map can't be read from a literal.
	if c.HasDefault && c.Default != "" && c.Type.Kind != KindMap {
		s += " DEFAULT " + QuoteString(c.Default)
	}
	return s + columnAttributes(c)
}

func columnAttributes(c *Column) string {
	s := ""
	if c.Comment != "" {
		s += " COMMENT " + QuoteString(c.Comment)
	}
	if codec := canonicalCodec(c.Codec, c.Type); codec != "" {
		s += " CODEC(" + codec + ")"
	}
	return s
}

func indexDefinition(i *Index) string {
	expression := i.Expression
	if len(topLevelParts(tokens(expression))) > 1 {
		expression = "(" + expression + ")"
	}
	s := QuoteIdentifier(i.Name) + " " + expression + " TYPE " + i.Type
	if !indexHasNoGranularity(i.Type) {
		s += " GRANULARITY " + strconv.Itoa(max(i.Granularity, 1))
	}
	return s
}

// indexHasNoGranularity tells that ClickHouse chooses the granularity itself: a text or vector index
// is one for the whole part.
func indexHasNoGranularity(indexType string) bool {
	list := tokens(indexType)
	return len(list) > 0 && (list[0].is("text") || list[0].is("vector_similarity"))
}

// keyExpression puts a list of expressions in the parentheses that ClickHouse wants around it.
func keyExpression(expression string) string {
	list := tokens(expression)
	switch {
	case len(list) == 0:
		return "tuple()"
	case len(topLevelParts(list)) > 1:
		return "(" + expression + ")"
	}
	return expression
}

func onCluster(t *Table) string {
	if t.Cluster == "" {
		return ""
	}
	return " ON CLUSTER " + QuoteIdentifier(t.Cluster)
}

func engineOf(t *Table) string {
	if t.Engine == "" {
		return "MergeTree"
	}
	return t.Engine
}

// engineName returns an engine without its arguments.
func engineName(engine string) string {
	name, _, _ := strings.Cut(engine, "(")
	return strings.TrimSpace(name)
}

// keepsTokensInKeeper tells which of ClickHouse's two windows holds for an engine.
func keepsTokensInKeeper(engine string) bool {
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
}

// tableSettings returns the settings that the table should have on an engine. What the
// operator sets wins.
func tableSettings(t *Table, engine string) map[string]string {
	settings := map[string]string{"index_granularity": "8192"}
	if keepsTokensInKeeper(engine) {
		settings["replicated_deduplication_window"] = deduplicationWindow
		settings["replicated_deduplication_window_seconds"] = deduplicationWindowSeconds
	} else {
		settings["non_replicated_deduplication_window"] = deduplicationWindow
	}
	if t.Fsync {
		settings["fsync_after_insert"] = "1"
		settings["fsync_part_directory"] = "1"
	}
	if t.TTL != "" {
		// A part goes when all of it has expired: nothing is rewritten.
		settings["ttl_only_drop_parts"] = "1"
	}
	maps.Copy(settings, t.Settings)
	return settings
}

// settingList returns settings as a SETTINGS clause takes them, in the order of their names.
func settingList(settings map[string]string) string {
	parts := make([]string, 0, len(settings))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		parts = append(parts, name+" = "+settingValue(settings[name]))
	}
	return strings.Join(parts, ", ")
}

func settingValue(value string) string {
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return value
	}
	return QuoteString(value)
}
