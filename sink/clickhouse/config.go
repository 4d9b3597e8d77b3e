package clickhouse

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/sink"
)

// Failover is whether attempts of a batch may move between addresses.
type Failover string

// The kinds of failover.
const (
	// FailoverNone is for a single address.
	FailoverNone Failover = "none"
	// FailoverReplicas: the addresses are replicas of the same Replicated tables.
	FailoverReplicas Failover = "replicas"
)

// Config is where ClickHouse is and how to connect to it. Start from DefaultConfig.
type Config struct {
	// Classes classifies error codes.
	Classes *sink.Classes
	// Log receives what an operator should know; nil discards.
	Log *slog.Logger
	// TLS turns HTTPS on; nil connects with HTTP.
	TLS *tls.Config

	// Addresses are host:port of ClickHouse's HTTP interface.
	Addresses []string `yaml:"addresses"`
	// User and Password log in. Empty user: "default".
	User     string          `yaml:"user"`
	Password settings.Secret `yaml:"password"`
	// Database is the default database of statements. Empty: the user's.
	Database string
	// Cluster names the cluster that has the replicas of replicated tables. Empty: "default", if the server has it.
	Cluster string `yaml:"cluster"`
	// Failover must be FailoverReplicas if there are several addresses.
	Failover Failover `yaml:"failover" oneof:"none|replicas"`

	// DialTimeout bounds connecting, AttemptTimeout waiting for an answer.
	DialTimeout, AttemptTimeout time.Duration
	// MaxInserts is the most inserts that the caller has in flight. Each has a connection; other statements have theirs.
	MaxInserts int
}

// DefaultConfig returns the defaults. Addresses must be set.
func DefaultConfig() Config {
	classes, _ := sink.NewClasses(nil) // can't fail without overrides
	return Config{
		Failover: FailoverNone, DialTimeout: 5 * time.Second, AttemptTimeout: time.Minute,
		MaxInserts: 64, Classes: classes,
	}
}

// Check returns what is wrong with the settings.
func (c *Config) Check() []schema.Problem {
	problems := settings.Check(c)
	report := func(path, message string) {
		problems = append(problems, schema.Problem{Path: path, Message: message})
	}
	switch {
	case len(c.Addresses) == 0:
		report("addresses", "there is no address; write at least one, as in 127.0.0.1:8123")
	case len(c.Addresses) > 1 && c.Failover != FailoverReplicas:
		report("failover", "several addresses must be replicas of the same tables; write replicas, or one address in addresses")
	}
	return problems
}

// Validate returns everything that is wrong with the configuration.
func (c *Config) Validate() error {
	problems := c.Check()
	require := func(ok bool, path, problem string) {
		if !ok {
			problems = append(problems, schema.Problem{Path: path, Message: problem})
		}
	}
	for i, address := range c.Addresses {
		_, _, err := net.SplitHostPort(address)
		require(err == nil, fmt.Sprintf("addresses[%d]", i), fmt.Sprintf("%q is not host:port", address))
	}
	require(c.DialTimeout > 0 && c.AttemptTimeout > 0, "clickhouse", "DialTimeout and AttemptTimeout must be above 0")
	require(c.MaxInserts >= 1, "clickhouse", "MaxInserts must be at least 1")
	require(c.Classes != nil, "clickhouse", "Classes is missing")
	return settings.Error(problems)
}
