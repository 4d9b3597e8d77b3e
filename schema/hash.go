package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Hash returns a digest of all that a plan compares: columns (names, types, codecs, comments), indexes, engine, partition
// key, order, primary key, TTL and settings, but not the table's name. Two spellings of the same schema have the
// same hash. It tells whether a schema changed, not whether a table fits it: that is in system.columns.
func (t *Table) Hash() string {
	h := sha256.New()
	line := func(values ...any) {
		for _, v := range values {
			fmt.Fprintf(h, "%q ", fmt.Sprint(v))
		}
		_, _ = io.WriteString(h, "\n")
	}
	engine := engineOf(t)
	line("engine", canonicalExpression(engine))
	for i := range t.Columns {
		c := &t.Columns[i]
		line("column", c.Name, c.Type.String(), canonicalCodec(c.Codec, c.Type), c.Comment)
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		line("index", x.Name, canonicalExpression(x.Expression), canonicalIndexType(x.Type), max(x.Granularity, 1))
	}
	line("keys", canonicalExpression(t.PartitionBy), canonicalExpression(t.OrderBy), canonicalExpression(t.PrimaryKey))
	line("ttl", canonicalExpression(t.TTL))
	line("settings", settingList(tableSettings(t, engineName(engine))))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
