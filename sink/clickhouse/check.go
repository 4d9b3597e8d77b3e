package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/sink"
)

// The oldest supported ClickHouse, which was the oldest with upstream support when LogBatcher was written. The settings that
// LogBatcher needs are checked by name, whatever the version.
const (
	oldestMajor = 24
	oldestMinor = 8
)

// Server is the result of Check.
type Server struct {
	// Version is the server's version, such as "26.7.2.1".
	Version string
	// Zone is the server's time zone, in which it computes partitions by columns without a zone of their own.
	Zone *time.Location
}

// Check asks the servers for their version, time zone and settings, and refuses those on which the gateway can't keep its
// promises. Servers that can't be reached are only logged if another one can. The error is an *sink.Error if none can be
// reached, and a *RefusedError if a server is refused.
func (s *Sink) Check(ctx context.Context) (Server, error) {
	var found []Server
	var away []*sink.Error
	for _, a := range s.addresses {
		server, err := a.check(ctx)
		var refused *RefusedError
		switch {
		case errors.As(err, &refused):
			return Server{}, err
		case err != nil:
			a.setAway(true)
			away = append(away, s.classify("check", a.name, err, false))
		case len(found) > 0 && found[0].Zone.String() != server.Zone.String():
			return Server{}, &RefusedError{fmt.Sprintf("%s has the time zone %s and another address has %s: partitions would differ; set the same on all",
				a.name, server.Zone, found[0].Zone)}
		default:
			found = append(found, server)
		}
	}
	if len(found) == 0 {
		return Server{}, away[len(away)-1]
	}
	for _, failure := range away {
		s.log.Warn("ClickHouse address unreachable", "error", failure)
	}
	return found[0], nil
}

// RefusedError reports that a server can't be used, and what to change.
type RefusedError struct{ Message string }

// Error returns the message.
func (e *RefusedError) Error() string { return e.Message }

func (a *address) check(ctx context.Context) (Server, error) {
	number := func(part int) string { return fmt.Sprintf("toUInt16OrZero(splitByChar('.', version())[%d])", part) }
	rows, err := a.query(ctx, fmt.Sprintf("SELECT version(), timezone(), (%s, %s) >= (%d, %d)", number(1), number(2), oldestMajor, oldestMinor))
	if err != nil {
		return Server{}, err
	}
	if len(rows) != 1 || len(rows[0]) != 3 {
		return Server{}, &RefusedError{a.name + " does not answer as ClickHouse does"}
	}
	version, zone, isNewEnough := rows[0][0], rows[0][1], rows[0][2] == "1"
	if !isNewEnough {
		return Server{}, &RefusedError{fmt.Sprintf("%s runs ClickHouse %s; the oldest supported version is %d.%d", a.name, version, oldestMajor, oldestMinor)}
	}
	location, err := time.LoadLocation(zone)
	if err != nil {
		return Server{}, &RefusedError{fmt.Sprintf("%s has the time zone %q, which is unknown here: %v", a.name, zone, err)}
	}
	known, err := a.known(ctx)
	if err != nil {
		return Server{}, err
	}
	for _, setting := range insertSettings {
		if setting.required && !known[setting.name] {
			return Server{}, &RefusedError{fmt.Sprintf("%s (ClickHouse %s) does not know the setting %s, without which a batch is not one part", a.name, version, setting.name)}
		}
	}
	return Server{Version: version, Zone: location}, nil
}
