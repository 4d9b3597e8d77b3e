package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Routing is everything that decides which rows an entry becomes. The write-ahead log keeps it, so that a request becomes the same rows
// after a restart, whatever has been configured since.
type Routing struct {
	// Routes are the routes, in the order of the configuration.
	Routes []*Route
	// Zone is the ClickHouse server's time zone.
	Zone *time.Location
	// Bucket is the length of the time bucket in a shard id.
	Bucket time.Duration
	// KeepUnmatched sends entries that match no route to the dead-letter queue.
	KeepUnmatched bool
}

// routingJSON is a Routing's JSON.
type routingJSON struct {
	Routes        []*Route
	Zone          string
	Bucket        time.Duration
	KeepUnmatched bool
}

// MarshalJSON implements json.Marshaler. The same routing always gives the same bytes.
func (r *Routing) MarshalJSON() ([]byte, error) {
	return json.Marshal(routingJSON{Routes: r.Routes, Zone: r.Zone.String(), Bucket: r.Bucket, KeepUnmatched: r.KeepUnmatched})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Routing) UnmarshalJSON(data []byte) error {
	var read routingJSON
	if err := json.Unmarshal(data, &read); err != nil {
		return fmt.Errorf("read a routing: %w", err)
	}
	zone, err := time.LoadLocation(read.Zone)
	if err != nil {
		return fmt.Errorf("read a routing: %w", err)
	}
	for _, route := range read.Routes {
		if route == nil || route.Table == nil {
			return errors.New("read a routing: a route without a table")
		}
	}
	*r = Routing{Routes: read.Routes, Zone: zone, Bucket: read.Bucket, KeepUnmatched: read.KeepUnmatched}
	return nil
}
