package clickhouse

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

// Failover says whether attempts of a batch may move between addresses.
type Failover string

// The kinds of failover.
const (
	// FailoverNone is for a single address.
	FailoverNone Failover = "none"
	// FailoverReplicas: the addresses are replicas of the same Replicated tables.
	FailoverReplicas Failover = "replicas"
)

// Config says where ClickHouse is and how to speak to it.
type Config struct {
	// Addresses are host:port of ClickHouse's HTTP interface.
	Addresses []string
	// Failover must be FailoverReplicas if there are several addresses.
	Failover Failover
	// Cluster names the cluster that has the replicas of replicated tables. Empty: "default", where the server has it.
	Cluster string
	// Database is the default database of statements. Empty: the user's.
	Database string
	// User and Password. Empty user: "default".
	User, Password string
	// TLS turns HTTPS on. Nil: HTTP.
	TLS *tls.Config
	// Compression is how batches for this sink are to be sealed. The sink itself sends a block as it is.
	Compression batch.Compression
	// DialTimeout bounds connecting, AttemptTimeout waiting for an answer.
	DialTimeout, AttemptTimeout time.Duration
	// MaxInserts is how many inserts the caller has in flight at most. Each has a connection, and so have the statements beside them.
	MaxInserts int
	// Classes is the table of error codes.
	Classes *sink.Classes
	// Log gets what an operator should know. Nil: discarded.
	Log *slog.Logger
}

// DefaultConfig returns what suits most; Addresses are missing.
func DefaultConfig() Config {
	classes, _ := sink.NewClasses(nil) // without overrides nothing can be wrong
	return Config{
		Failover: FailoverNone, Compression: batch.Uncompressed, DialTimeout: 5 * time.Second, AttemptTimeout: time.Minute,
		MaxInserts: 64, Classes: classes,
	}
}

// Validate returns everything that is wrong with the configuration, or nil.
func (c *Config) Validate() error {
	var problems []string
	check := func(ok bool, problem string, arguments ...any) {
		if !ok {
			problems = append(problems, fmt.Sprintf(problem, arguments...))
		}
	}
	check(len(c.Addresses) > 0, "Addresses is empty")
	for i, address := range c.Addresses {
		_, _, err := net.SplitHostPort(address)
		check(err == nil, "Addresses[%d] %q is not host:port", i, address)
	}
	check(c.Failover == FailoverNone || c.Failover == FailoverReplicas, "Failover %q is neither %q nor %q", c.Failover, FailoverNone, FailoverReplicas)
	check(len(c.Addresses) <= 1 || c.Failover == FailoverReplicas, "several Addresses need Failover %q", FailoverReplicas)
	if err := c.Compression.Validate(); err != nil {
		check(false, "%v", err)
	}
	check(c.DialTimeout > 0, "DialTimeout must be greater than 0")
	check(c.AttemptTimeout > 0, "AttemptTimeout must be greater than 0")
	check(c.MaxInserts >= 1, "MaxInserts must be at least 1")
	check(c.Classes != nil, "Classes is missing")
	if problems != nil {
		return errors.New("clickhouse: " + strings.Join(problems, "; "))
	}
	return nil
}
