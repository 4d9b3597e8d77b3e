package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/sink"
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
	var away []*sink.Error
	for _, a := range s.addresses {
		server, err := s.checkAddress(ctx, a)
		if err != nil {
			var refused *RefusedError
			if errors.As(err, &refused) {
				return Server{}, err
			}
			a.away()
			away = append(away, s.classify("check", a.name, err, false))
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
		return Server{}, away[len(away)-1]
	}
	for _, failure := range away {
		s.log.Warn("address away", "error", failure)
	}
	return *found, nil
}

// RefusedError says why a server can't be used, and what to change.
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
