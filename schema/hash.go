package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Hash returns a digest of what a plan compares: columns (names, types, codecs, comments), indexes, engine, keys, TTL and
// settings, but not the table's name. White space, comments, needless quotes and brackets don't change it. It tells whether
// a route's table changed, not whether ClickHouse's table fits it: that is in system.columns.
func (t *Table) Hash() string {
	h := sha256.New()
	line := func(values ...string) { fmt.Fprintf(h, "%q\n", values) }
	line("engine", CanonicalExpression(t.FullEngine()))
	for i := range t.Columns {
		c := &t.Columns[i]
		line("column", c.Name, c.Type.String(), CanonicalCodec(c.Codec, c.Type), c.Comment)
	}
	for i := range t.Indexes {
		x := &t.Indexes[i]
		line("index", x.Name, CanonicalExpression(x.Expression), CanonicalExpression(x.Type), fmt.Sprint(max(x.Granularity, 1)))
	}
	line("keys", CanonicalExpression(t.PartitionBy), CanonicalExpression(t.OrderBy), CanonicalExpression(t.PrimaryKey))
	line("ttl", CanonicalExpression(t.TTL))
	line("settings", SettingList(t.SettingsFor(EngineName(t.FullEngine()))))
	return hex.EncodeToString(h.Sum(nil)[:16])
}
