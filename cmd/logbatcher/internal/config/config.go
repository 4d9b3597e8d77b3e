// Package config is the configuration of LogBatcher: one YAML file, with environment variables and --set assignments over it.
//
// Load takes the three and returns a checked *Config, from which the schema.Route values follow. The settings of the server,
// the shards, ClickHouse and the dead-letter queue are declared in those packages; this one composes them, reads them, and
// checks what concerns several of them. An unknown key, a wrong type and a combination that can't work are errors. All of them
// are reported at once, each with its place (file, line and column, variable or assignment) and how to fix it. No secret is ever printed.
package config

import (
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/owner"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/server/access"
	"github.com/logbatcher/logbatcher/shard"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/deadletter"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// Config is the whole configuration. Package settings explains the tags.
type Config struct {
	Instance Instance `yaml:"instance"`
	Listen   Listen   `yaml:"listen"`
	Server   Server   `yaml:"server"`
	// Tenants are those who may call, where callers are asked who they are.
	Tenants []access.Tenant `yaml:"tenants"`
	Memory  Memory          `yaml:"memory"`
	// Colo is the colo of entries whose producer names none: the first half of their shard id.
	Colo string `yaml:"colo"`
	// Unmatched is what happens to entries that match no route.
	Unmatched   string            `yaml:"unmatched" oneof:"dead_letter|refuse"`
	Shards      shard.Config      `yaml:"shards"`
	WAL         WAL               `yaml:"wal"`
	ClickHouse  ClickHouse        `yaml:"clickhouse"`
	Redis       Redis             `yaml:"redis"`
	DeadLetters deadletter.Config `yaml:"dead_letters"`
	Producers   owner.Config      `yaml:"producers"`
	Retention   Retention         `yaml:"retention"`
	Shutdown    Shutdown          `yaml:"shutdown"`
	Log         Log               `yaml:"log"`
	// ColumnList is the list of columns that routes choose from. Empty: those of the firehose.
	ColumnList []Column `yaml:"columns"`
	// RouteList is the list of routes. Empty: the firehose.
	RouteList []Route `yaml:"routes"`

	// Warnings are about what is not wrong but probably not meant.
	Warnings []string

	transports  transports
	credentials *Credentials
	origins     origins
}

// UnmatchedDeadLetter is the value of Config.Unmatched that keeps entries; the other one refuses them.
const UnmatchedDeadLetter = "dead_letter"

// Instance identifies this process among several.
type Instance struct {
	// ID is part of batch ids and leases. Empty: the host's name.
	ID string `yaml:"id"`
}

// Listen is the addresses that the service listens on.
type Listen struct {
	// GRPC is the address of the gRPC services, HTTP that of health and metrics; empty HTTP: none.
	GRPC string `yaml:"grpc"`
	HTTP string `yaml:"http"`
	// OTLPGRPC and OTLPHTTP are more addresses of the same, such as OTLP's standard ports 4317 and 4318. Empty: none.
	OTLPGRPC string `yaml:"otlp_grpc"`
	OTLPHTTP string `yaml:"otlp_http"`
	// Insecure allows addresses beyond loopback without TLS.
	Insecure bool `yaml:"insecure"`
}

// Server is how producers are served. With 0 for MaxStreams and MaxConnections, Capacity chooses them.
type Server struct {
	server.Config `yaml:",inline"`
	TLS           ServerTLS `yaml:"tls"`
	// TokensFile has the tokens of callers. Empty, and without TLS.ClientCAFile: nobody is asked who they are.
	TokensFile string `yaml:"tokens_file"`
}

// asks reports whether callers are asked who they are.
func (s *Server) asks() bool { return s.TokensFile != "" || s.TLS.ClientCAFile != "" }

// ServerTLS is the certificate of all ports, in PEM files. Empty: no TLS.
type ServerTLS struct {
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ClientCAFile has the authorities of clients' certificates. Empty: clients are not asked for one.
	ClientCAFile string `yaml:"client_ca_file"`
}

// Memory bounds what the process holds.
type Memory struct {
	// Budget bounds the bytes of requests in flight, over all streams. When it is exhausted, producers wait.
	Budget settings.Size `yaml:"budget" min:"1MiB"`
	// Limit is the memory of the process. 0: GOMEMLIMIT, else the cgroup's limit, else the machine's memory.
	Limit settings.Size `yaml:"limit" min:"0"`
	// TableShare is the share of the tables' part of the budget that one of several tables may hold, of what the others leave.
	TableShare float64 `yaml:"table_share" min:"0.01" max:"1"`
}

// WAL is the write-ahead log.
type WAL struct {
	// Enabled keeps what is received on disk until it is committed.
	Enabled        bool `yaml:"enabled"`
	journal.Config `yaml:",inline"`
}

// ClickHouse is where rows go, and how.
type ClickHouse struct {
	clickhouse.Config   `yaml:",inline"`
	sink.DeliveryConfig `yaml:",inline"`
	// Database is the database of tables that name none.
	Database string `yaml:"database"`
	// PasswordFile is a file with the password; its last newline is dropped.
	PasswordFile string    `yaml:"password_file"`
	TLS          ClientTLS `yaml:"tls"`
	Retry        Retry     `yaml:"retry"`
	// Compression is how batches are compressed.
	Compression batch.Compression `yaml:"compression" oneof:"none|lz4|zstd"`
	// HoldBackoff is the longest time between attempts while a table is held.
	HoldBackoff time.Duration `yaml:"hold_backoff" min:"1s" max:"1h"`
	// Fsync makes tables that are created fsync each insert, against power loss.
	Fsync bool `yaml:"fsync"`
	// Engine is the engine of tables that are created, with its arguments. Empty: MergeTree.
	Engine string `yaml:"engine"`
	// ErrorClasses override the built-in classes of ClickHouse's error codes.
	ErrorClasses []ErrorClass `yaml:"error_classes"`
}

// Retry is the wait between attempts, which doubles from Min to Max with jitter, and when to give up.
type Retry struct {
	sink.Backoff `yaml:",inline"`
	// MaxAttempts and GiveUpAfter hold for routes that have none of their own.
	MaxAttempts int           `yaml:"max_attempts" min:"0"`
	GiveUpAfter time.Duration `yaml:"give_up_after" min:"0"`
}

// ErrorClass overrides the class of one of ClickHouse's error codes.
type ErrorClass struct {
	Code   int    `yaml:"code" min:"1" max:"100000"`
	Class  string `yaml:"class" oneof:"transient|ambiguous|hold|schema|shape|row"`
	Reason string `yaml:"reason"`
}

// ClientTLS is how a connection to a server is secured.
type ClientTLS struct {
	Enabled bool `yaml:"enabled"`
	// CAFile has the trusted certificates. Empty: the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are our own certificate and its key. Empty: none.
	CertFile string `yaml:"cert_file"`
	KeyFile  string `yaml:"key_file"`
	// ServerName is the name in the server's certificate. Empty: that of the address.
	ServerName         string `yaml:"server_name"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify"`
}

// Redis keeps dead letters and leases.
type Redis struct {
	// Addresses are one server, the nodes of a cluster, or with MasterName its sentinels.
	Addresses    []string        `yaml:"addresses"`
	MasterName   string          `yaml:"master_name"`
	User         string          `yaml:"user"`
	Password     settings.Secret `yaml:"password"`
	PasswordFile string          `yaml:"password_file"`
	DB           int             `yaml:"db" min:"0" max:"65535"`
	TLS          ClientTLS       `yaml:"tls"`
}

// Retention is the job that removes expired rows.
type Retention struct {
	// Enabled makes this instance take part.
	Enabled bool `yaml:"enabled"`
	// Interval is the time between two runs, for routes that set none.
	Interval time.Duration `yaml:"interval" min:"1m" max:"30d"`
}

// Shutdown is how the process ends.
type Shutdown struct {
	// Timeout bounds how long the process waits for what it accepted to be settled.
	Timeout time.Duration `yaml:"timeout" min:"1s" max:"1h"`
}

// Log is the service's own log.
type Log struct {
	Level  string `yaml:"level" oneof:"debug|info|warn|error"`
	Format string `yaml:"format" oneof:"text|json"`
}

// Column is a column of the list that routes choose from.
type Column struct {
	schema.Column `yaml:",inline"`
	// Default is the value for an absent source. Nil: NULL if the type has it, else the type's zero value.
	Default *string `yaml:"default"`
}

// Route is a filter, and the table of the entries that match it.
type Route struct {
	schema.Route `yaml:",inline"`
	// TableName is "table" or "database.table".
	TableName string `yaml:"table"`
	// Filter is decoded YAML. Nil: all entries.
	Filter any `yaml:"filter"`
	// Columns are names from the list. Empty: all of the list.
	Columns []string `yaml:"columns"`
	Indexes Indexes  `yaml:"indexes"`
	// PartitionBy is the partition key. Nil: the firehose's if the table has its columns, else the day of the entry's time.
	PartitionBy  *string `yaml:"partition_by"`
	schema.Table `yaml:",inline"`
}

// Indexes are a table's data skipping indexes: a list, or the name of a set for tables with the firehose's columns.
type Indexes struct {
	// Set is the name of the set. Empty: List, or the default set if that is nil.
	Set  string
	List []schema.Index
}

// Default returns the configuration of an empty file: the firehose, with ClickHouse and Redis on this machine.
func Default() *Config {
	c := &Config{
		Listen:      Listen{GRPC: "127.0.0.1:4320", HTTP: "127.0.0.1:4321"},
		Server:      Server{Config: server.DefaultConfig()},
		Memory:      Memory{Budget: 96 * settings.MiB, TableShare: 0.25},
		Unmatched:   UnmatchedDeadLetter,
		Shards:      shard.DefaultConfig(),
		WAL:         WAL{Enabled: true, Config: journal.DefaultConfig()},
		ClickHouse:  ClickHouse{Config: clickhouse.DefaultConfig(), DeliveryConfig: sink.DefaultDeliveryConfig(), Database: "default", Fsync: true},
		Redis:       Redis{Addresses: []string{"127.0.0.1:6379"}},
		DeadLetters: deadletter.DefaultConfig(),
		Producers:   owner.DefaultConfig(),
		Retention:   Retention{Enabled: true, Interval: schema.DefaultRetentionInterval},
		Shutdown:    Shutdown{Timeout: 30 * time.Second},
		Log:         Log{Level: "info", Format: "text"},
		credentials: &Credentials{},
	}
	c.Colo = c.Server.Colo
	c.Server.MaxStreams, c.Server.MaxConnections = 0, 0
	c.ClickHouse.Addresses, c.ClickHouse.User, c.ClickHouse.Compression = []string{"127.0.0.1:8123"}, "default", c.Shards.Compression
	c.ClickHouse.Retry.Backoff, c.ClickHouse.HoldBackoff = c.ClickHouse.Backoff, c.ClickHouse.DeliveryConfig.HoldBackoff.Max
	return c
}

// defaultRoute returns the settings of a route that writes nothing.
func defaultRoute() Route {
	route := *schema.DefaultRoute("")
	route.Name, route.Table, route.Retention.Interval = "", nil, 0
	return Route{Route: route}
}

// Delivery returns how batches are settled, without the parts that do it.
func (h *ClickHouse) Delivery() sink.DeliveryConfig {
	d := h.DeliveryConfig
	d.Backoff = h.Retry.Backoff
	d.HoldBackoff = sink.Backoff{Min: min(d.HoldBackoff.Min, h.HoldBackoff), Max: h.HoldBackoff}
	return d
}

// Classes returns the table of error codes with the configuration's own over it.
func (h *ClickHouse) Classes() (*sink.Classes, error) {
	var overrides []sink.Rule
	for _, o := range h.ErrorClasses {
		class, err := sink.ParseClass(o.Class)
		if err != nil {
			return nil, fmt.Errorf("clickhouse.error_classes: %w", err)
		}
		overrides = append(overrides, sink.Rule{Code: o.Code, Class: class, Reason: o.Reason})
	}
	return sink.NewClasses(overrides)
}
