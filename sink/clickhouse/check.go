package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// The oldest ClickHouse that is taken. The settings that the gateway needs are asked for by name, and a server that lacks one is refused whatever its
// version; below 24.8, the oldest release that its maker still supported when LogBatcher was written, nobody would mend
// what goes wrong between a token and its part.
const (
	oldestMajor = 24
	oldestMinor = 8
)

// Server is what Check has found.
type Server struct {
	// Version is the server's, for instance "26.7.2.1".
	Version string
	// Zone is the time zone in which the server computes partitions of columns without a zone of their own.
	Zone *time.Location
}

// Check asks the servers for their version, time zone and settings, and refuses those on which the gateway can't keep its
// promises. Servers that can't be reached are told of in the log, as long as one can. The error is an *sink.Error where
// none can be reached, and a plain one that says what to change where a server is refused.
func (s *Sink) Check(ctx context.Context) (Server, error) {
	var found *Server
	var lastAway error
	for _, a := range s.addresses {
		server, err := s.checkAddress(ctx, a)
		if err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) {
				return Server{}, err
			}
			a.away()
			lastAway = s.classify("check", a.name, err, false)
			s.log.Warn("address away", "address", a.name, "error", err)
			continue
		}
		if found != nil && found.Zone.String() != server.Zone.String() {
			return Server{}, &RefusedError{fmt.Sprintf("%s has the time zone %s, and another address has %s: partitions would differ; give them the same",
				a.name, server.Zone, found.Zone)}
		}
		if found == nil {
			found = &server
		}
	}
	if found == nil {
		return Server{}, lastAway
	}
	return *found, nil
}

// RefusedError says why a server or a table can't be used, and what to change.
type RefusedError struct{ Message string }

// Error returns the message.
func (e *RefusedError) Error() string { return e.Message }

func (s *Sink) checkAddress(ctx context.Context, a *address) (Server, error) {
	rows, err := a.query(ctx, "SELECT version(), timezone()")
	if err != nil {
		return Server{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 2 {
		return Server{}, &RefusedError{a.name + " does not answer as ClickHouse does"}
	}
	server := Server{Version: rows[0][0]}
	if !isNewEnough(server.Version) {
		return Server{}, &RefusedError{fmt.Sprintf("%s has ClickHouse %s; the oldest that can be used is %d.%d", a.name, server.Version, oldestMajor, oldestMinor)}
	}
	if server.Zone, err = time.LoadLocation(rows[0][1]); err != nil {
		return Server{}, &RefusedError{fmt.Sprintf("%s has the time zone %q, which is not known here: %v", a.name, rows[0][1], err)}
	}
	known, err := a.known(ctx)
	if err != nil {
		return Server{}, err
	}
	for _, setting := range insertSettings {
		if setting.required && !known[setting.name] {
			return Server{}, &RefusedError{fmt.Sprintf("%s (ClickHouse %s) does not know the setting %s, without which a batch is not one part", a.name, server.Version, setting.name)}
		}
	}
	return server, nil
}

// isNewEnough reads "26.7.2.1" and what builders of packages put behind it.
func isNewEnough(version string) bool {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, err := strconv.Atoi(parts[0])
	if err != nil {
		return false
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return false
	}
	return major > oldestMajor || major == oldestMajor && minor >= oldestMinor
}

// windowInEngine finds a deduplication window among a table's settings.
var windowInEngine = regexp.MustCompile(`\b(non_replicated_deduplication_window|replicated_deduplication_window) = (\d+)`)

// CheckTable refuses a table that can't keep the gateway's promises: one that is no MergeTree, such as a Distributed one, which
// acknowledges before anything is stored, or one that remembers no tokens. A table that is not there yet is good.
// The error is a *RefusedError, or an *sink.Error where the server could not be asked.
func (s *Sink) CheckTable(ctx context.Context, table *schema.Table) error {
	rows, err := s.Conn().Query(ctx, fmt.Sprintf("SELECT engine, engine_full FROM system.tables WHERE database = %s AND name = %s",
		schema.QuoteString(table.Database), schema.QuoteString(table.Name)))
	if err != nil || len(rows) == 0 {
		return err
	}
	engine, full := rows[0][0], rows[0][1]
	name := table.FullName()
	switch {
	case engine == "Distributed":
		return &RefusedError{fmt.Sprintf("%s is a Distributed table, which acknowledges an insert before it is stored: name the local tables behind it, and spread instances or addresses over the servers", name)}
	case !strings.HasSuffix(engine, "MergeTree"):
		return &RefusedError{fmt.Sprintf("%s has the engine %s: only tables of the MergeTree family store a batch whole or not at all", name, engine)}
	}
	setting := "non_replicated_deduplication_window"
	if strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared") {
		setting = "replicated_deduplication_window"
	}
	window, err := s.window(ctx, setting, full)
	if err != nil {
		return err
	}
	switch {
	case window == 0:
		return &RefusedError{fmt.Sprintf("%s remembers no deduplication tokens, so that a retry would double rows: ALTER TABLE %s MODIFY SETTING %s = 10000", name, tableName(table), setting)}
	case window < smallWindow:
		s.log.Warn("small deduplication window", "table", name, "setting", setting, "window", window, "recommended", 10000)
	}
	return nil
}

// smallWindow is the number of tokens below which a table may forget one while its batch is still being retried.
const smallWindow = 1000

// window returns how many tokens a table remembers: its own setting or the server's.
func (s *Sink) window(ctx context.Context, setting, engine string) (int, error) {
	for _, found := range windowInEngine.FindAllStringSubmatch(engine, -1) {
		if found[1] == setting {
			return strconv.Atoi(found[2])
		}
	}
	rows, err := s.Conn().Query(ctx, "SELECT value FROM system.merge_tree_settings WHERE name = "+schema.QuoteString(setting))
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return strconv.Atoi(rows[0][0])
}
