package table

import (
	"slices"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// alteration collects the commands of one ALTER TABLE. On a replicated table a second ALTER fails until every replica has applied
// the first.
type alteration struct {
	changes       []string
	commands      []string
	settings, ttl string
}

// alterSync has ClickHouse answer only when every replica has made the change.
const alterSync = "\nSETTINGS alter_sync = 2"

func (a *alteration) add(change, command string) {
	a.changes = append(a.changes, change)
	a.commands = append(a.commands, command)
}

// statement returns the ALTER TABLE, or nothing if there is nothing to do. MODIFY SETTING and MODIFY TTL each take everything after
// a comma, so either has to be last; with both, the commands are in parentheses, which ClickHouse reads from 24.8 on.
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
