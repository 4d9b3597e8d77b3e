package sink

import (
	"fmt"
	"regexp"
	"slices"
	"time"
)

// viewInMessage matches the way ClickHouse names the view that it was pushing a block to: "while pushing to view logs.`a view`. (".
var viewInMessage = regexp.MustCompile("while pushing to view ((?:`[^`]+`|[^`.\\s(]+)(?:\\.(?:`[^`]+`|[^`.\\s(]+))?)")

// failedView is the last failure of a materialized view on a table.
type failedView struct {
	at      time.Time
	message string
}

// namedView returns the materialized view that an error names, or "".
func namedView(message string) string {
	if found := viewInMessage.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return ""
}

// viewReasons returns which views of the table failed lately. The caller holds the table's lock.
func viewReasons(t *tableWatch, now time.Time) []string {
	var reasons []string
	for view, failed := range t.views {
		if now.Sub(failed.at) >= recentView {
			delete(t.views, view)
			continue
		}
		reasons = append(reasons, fmt.Sprintf("view %s fails on inserts into %s, last at %s; it has none of the rows of such a batch: %s",
			view, t.name, clock(failed.at), failed.message))
	}
	slices.Sort(reasons)
	return reasons
}
