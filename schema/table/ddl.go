package table

import (
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// smallWindow is the number of tokens, or of seconds, below which a table may forget a token while its batch is still
// being retried.
const smallWindow = 1000

// CreateDatabase returns the statement that creates the table's database.
func CreateDatabase(t *schema.Table) string {
	return "CREATE DATABASE IF NOT EXISTS " + schema.QuoteIdentifier(t.Database) + t.OnCluster()
}

// CreateTable returns the statement that creates the table.
func CreateTable(t *schema.Table) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE IF NOT EXISTS " + schema.QuotedName(t.Database, t.Name) + t.OnCluster() + "\n(\n")
	lines := make([]string, 0, len(t.Columns)+len(t.Indexes))
	for i := range t.Columns {
		lines = append(lines, "    "+columnDefinition(&t.Columns[i]))
	}
	for i := range t.Indexes {
		lines = append(lines, "    INDEX "+indexDefinition(&t.Indexes[i]))
	}
	b.WriteString(strings.Join(lines, ",\n") + "\n)\nENGINE = " + t.FullEngine() + "\n")
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
	b.WriteString("SETTINGS " + schema.SettingList(t.SettingsFor(schema.EngineName(t.FullEngine()))))
	return b.String()
}

// columnDefinition returns the column as CREATE TABLE and ADD COLUMN take it.
func columnDefinition(c *schema.Column) string {
	s := schema.QuoteIdentifier(c.Name) + " " + c.Type.String()
	// The gateway sends a column's default itself. ClickHouse gets it too, for the rows that are
	// older than the column. A Map can't be read from a literal.
	if c.HasDefault && c.Default != "" && c.Type.Kind != schema.KindMap {
		s += " DEFAULT " + schema.QuoteString(c.Default)
	}
	return s + columnAttributes(c)
}

func columnAttributes(c *schema.Column) string {
	s := ""
	if c.Comment != "" {
		s += " COMMENT " + schema.QuoteString(c.Comment)
	}
	if codec := schema.CanonicalCodec(c.Codec, c.Type); codec != "" {
		s += " CODEC(" + codec + ")"
	}
	return s
}

func indexDefinition(i *schema.Index) string {
	expression := i.Expression
	if len(schema.TopLevelParts(schema.Tokens(expression))) > 1 {
		expression = "(" + expression + ")"
	}
	s := schema.QuoteIdentifier(i.Name) + " " + expression + " TYPE " + i.Type
	if !indexHasNoGranularity(i.Type) {
		s += " GRANULARITY " + strconv.Itoa(max(i.Granularity, 1))
	}
	return s
}

// indexHasNoGranularity tells that ClickHouse chooses the granularity itself: a text or vector index
// is one for the whole part.
func indexHasNoGranularity(indexType string) bool {
	list := schema.Tokens(indexType)
	return len(list) > 0 && (list[0].Is("text") || list[0].Is("vector_similarity"))
}

// keyExpression puts a list of expressions in the parentheses that ClickHouse wants around it.
func keyExpression(expression string) string {
	list := schema.Tokens(expression)
	switch {
	case len(list) == 0:
		return "tuple()"
	case len(schema.TopLevelParts(list)) > 1:
		return "(" + expression + ")"
	}
	return expression
}
