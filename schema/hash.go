package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
)

// Hash returns a digest of all that a plan compares: columns (names, types, codecs, comments), indexes, engine, partition
// key, order, primary key, TTL and settings, but not the table's name. White space, comments, needless quotes and brackets make no
// difference. It shows whether a schema changed, not whether a table fits it: system.columns does.
func (t *Table) Hash() string {
	h := sha256.New()
	line := func(values ...any) {
		for _, v := range values {
			fmt.Fprintf(h, "%q ", fmt.Sprint(v))
		}
		_, _ = io.WriteString(h, "\n")
	}
	engine := EngineOf(t)
	line("engine", CanonicalExpression(engine))
	for i := range t.Columns {
		c := &t.Columns[i]
		line("column", c.Name, c.Type.String(), CanonicalCodec(c.Codec, c.Type), c.Comment)
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		line("index", x.Name, CanonicalExpression(x.Expression), CanonicalIndexType(x.Type), max(x.Granularity, 1))
	}
	line("keys", CanonicalExpression(t.PartitionBy), CanonicalExpression(t.OrderBy), CanonicalExpression(t.PrimaryKey))
	line("ttl", CanonicalExpression(t.TTL))
	line("settings", SettingList(TableSettings(t, EngineName(engine))))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
