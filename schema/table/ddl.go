package table

import (
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// CreateDatabase returns the statement that creates the table's database.
func CreateDatabase(t *schema.Table) string {
	return "CREATE DATABASE IF NOT EXISTS " + schema.QuoteIdentifier(t.Database) + t.OnCluster()
}

// CreateTable returns the statement that creates the table.
func CreateTable(t *schema.Table) string {
	elements := make([]string, 0, len(t.Columns)+len(t.Indexes))
	for i := range t.Columns {
		elements = append(elements, columnDefinition(&t.Columns[i]))
	}
	for i := range t.Indexes {
		elements = append(elements, "INDEX "+indexDefinition(&t.Indexes[i]))
	}
	return "CREATE TABLE IF NOT EXISTS " + definition(t, elements, map[string]string{
		"ENGINE": t.FullEngine(), "PARTITION BY": t.PartitionBy, "PRIMARY KEY": t.PrimaryKey, "ORDER BY": t.OrderBy, "TTL": t.TTL,
		"SETTINGS": schema.SettingList(t.SettingsFor(schema.EngineName(t.FullEngine()))),
	})
}

// definition returns a CREATE TABLE statement from the table's name on.
func definition(t *schema.Table, elements []string, clauses map[string]string) string {
	lines := []string{schema.QuotedName(t.Database, t.Name) + t.OnCluster(), "(", "    " + strings.Join(elements, ",\n    "), ")"}
	for _, keyword := range schema.DefinitionClauses {
		body := clauses[keyword]
		switch keyword {
		case "ENGINE":
			keyword += " ="
		case "ORDER BY":
			body = keyExpression(body)
		case "PARTITION BY", "PRIMARY KEY":
			if body != "" {
				body = keyExpression(body)
			}
		}
		if body != "" {
			lines = append(lines, keyword+" "+body)
		}
	}
	return strings.Join(lines, "\n")
}

// columnDefinition returns the column as in CREATE TABLE and ADD COLUMN.
func columnDefinition(c *schema.Column) string {
	s := schema.QuoteIdentifier(c.Name) + " " + c.Type.String()
	// The gateway sends a column's default itself. ClickHouse needs it for rows that are older than the column. A Map
	// can't be read from a literal.
	if c.HasDefault && c.Default != "" && c.Type.Kind != schema.KindMap {
		s += " DEFAULT " + schema.QuoteString(c.Default)
	}
	if c.Comment != "" {
		s += " COMMENT " + schema.QuoteString(c.Comment)
	}
	if codec := schema.CanonicalCodec(c.Codec, c.Type); codec != "" {
		s += " CODEC(" + codec + ")"
	}
	return s
}

func indexDefinition(i *schema.Index) string {
	s := schema.QuoteIdentifier(i.Name) + " " + keyExpression(i.Expression) + " TYPE " + i.Type
	if !indexHasNoGranularity(i.Type) {
		s += " GRANULARITY " + strconv.Itoa(max(i.Granularity, 1))
	}
	return s
}

// indexHasNoGranularity reports whether ClickHouse chooses the granularity: a text or vector index covers a whole part.
func indexHasNoGranularity(indexType string) bool {
	list := schema.Tokens(indexType)
	return len(list) > 0 && (list[0].Is("text") || list[0].Is("vector_similarity"))
}

// keyExpression puts a list of expressions in parentheses.
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
