package sink

import (
	"errors"
	"regexp"
	"strings"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// ClickHouse's message names what is missing, which need not be the batch's table: a view pushes to another one, and a lookup reads
// system tables.
var (
	grantInMessage    = regexp.MustCompile("have the grant (.+? ON [^ ]+?)[.,]?(?: |$)")
	databaseInMessage = regexp.MustCompile("Database [`'\"]?([^ `'\"]+)[`'\"]? (?:does not|doesn't) exist")
	tableInMessage    = regexp.MustCompile("(?i)table (?:expression identifier )?['\"]?((?:`[^`]+`|[^ `'\".]+)(?:\\.(?:`[^`]+`|[^ `'\".]+))?)['\"]? (?:\\([^)]*\\) )?(?:does not|doesn't|of view|in scope|is dropped|was dropped)")
)

// nameIn returns what the pattern finds in a message, without quotes, or "".
func nameIn(pattern *regexp.Regexp, message string) string {
	if found := pattern.FindStringSubmatch(message); found != nil {
		return strings.ReplaceAll(found[1], "`", "")
	}
	return ""
}

// advice returns what an operator can do about an error that holds batches.
func (d *Delivery) advice(failure *Error) string {
	message := failure.Err.Error()
	var unreadable *batch.ReadError
	if errors.As(failure.Err, &unreadable) {
		return "look at the disk of the write-ahead log: the batch is in its folder batches, and docs/wal.md says what can be done"
	}
	switch failure.Code {
	case 192, 193, 194, 516, 720:
		return "check the ClickHouse user and password in the configuration"
	case 164, 291, 497:
		if grant := nameIn(grantInMessage, message); grant != "" {
			return "grant the ClickHouse user " + grant
		}
		return "grant the ClickHouse user INSERT and SELECT on " + failure.Table
	case 195:
		return "let the ClickHouse user connect from this address"
	case 62, 73, 115, 452:
		return "check the server's version and the constraints of the user's settings profile"
	}
	if view := namedView(message); view != "" {
		return "mend the materialized view " + view + " on " + failure.Table + ", or drop it"
	}
	switch failure.Code {
	case 81:
		own, _, _ := strings.Cut(failure.Table, ".")
		if database := nameIn(databaseInMessage, message); database != "" && database != own {
			return "create the database " + database + ", or correct what names it: the error does, the route does not"
		}
		return "create the database of " + failure.Table + ", or correct the route's"
	case 60, 218:
		_, own, _ := strings.Cut(failure.Table, ".")
		if table := nameIn(tableInMessage, message); table != "" && table != failure.Table && table != own {
			return "create " + table + ", or mend or drop the view that names it"
		}
		return "create " + failure.Table + ", or let the gateway migrate it"
	}
	if failure.Class == Schema {
		return "make the columns of " + failure.Table + " fit its route, or let the gateway migrate it"
	}
	if reason := d.config.Classes.Classify(failure.Code, failure.Error()).Reason; failure.Code != 0 {
		return reason
	}
	return "see the error"
}
