package config

import (
	"time"
)

// Config is the whole configuration. Load makes one and checks it; Default is what holds
// where nothing is written.
//
// The tags of its fields are the single description of a setting: yaml its name, doc its meaning, oneof its choices, min
// and max its bounds.
type Config struct {
	Instance    Instance    `yaml:"instance"`
	Listen      Listen      `yaml:"listen"`
	Server      Server      `yaml:"server"`
	Memory      Memory      `yaml:"memory"`
	Colo        string      `yaml:"colo" doc:"where entries come from whose producer names no colo; the first half of their shard id"`
	Unmatched   string      `yaml:"unmatched" oneof:"dead_letter|refuse" doc:"what happens to entries that no route takes: dead_letter keeps them in the dead-letter queue, refuse tells the producer"`
	Shards      Shards      `yaml:"shards"`
	ClickHouse  ClickHouse  `yaml:"clickhouse"`
	Redis       Redis       `yaml:"redis"`
	DeadLetters DeadLetters `yaml:"dead_letters"`
	Retention   Retention   `yaml:"retention"`
	Shutdown    Shutdown    `yaml:"shutdown"`
	Log         Log         `yaml:"log"`
	// ColumnList is the list of columns that routes choose from. Empty: those of the firehose.
	ColumnList []Column `yaml:"columns"`
	// RouteList is the routes. Empty: the firehose.
	RouteList []Route `yaml:"routes"`

	// Warnings are what is not wrong but probably not meant, such as an unknown variable.
	Warnings []string `yaml:"-"`

	// transports are made of the files that the sections name.
	transports transports

	// origins say where each setting's value came from, by its path. What is not there is a default.
	origins map[string]origin
}

// Instance identifies this process among several.
type Instance struct {
	ID string `yaml:"id" doc:"name of this instance, part of batch ids and leases; empty: the host's name"`
}

// Listen is the addresses that the service listens on.
type Listen struct {
	GRPC string `yaml:"grpc" doc:"address of the gRPC services"`
	HTTP string `yaml:"http" doc:"address of health, metrics and the HTTP face; empty: none"`
}

// Server is how producers are served.
type Server struct {
	Limits           Limits        `yaml:"limits"`
	StreamAge        time.Duration `yaml:"stream_age" min:"0" doc:"age, give or take a fifth, at which a stream is asked to move, so that load spreads over instances; 0: never"`
	ConnectionAge    time.Duration `yaml:"connection_age" min:"0" doc:"age at which a connection is closed, after its streams have moved; 0: never"`
	ConnectionIdle   time.Duration `yaml:"connection_idle" min:"0" doc:"how long a connection without a stream or call is kept; 0: for as long as it lasts"`
	HandshakeTimeout time.Duration `yaml:"handshake_timeout" min:"1s" max:"2m" doc:"how long a new connection may take until it speaks HTTP/2, TLS included"`
	DrainTimeout     time.Duration `yaml:"drain_timeout" min:"1s" doc:"time between asking a stream to move and reading no further from it"`
	FinishTimeout    time.Duration `yaml:"finish_timeout" min:"1s" doc:"how long a stream from which nothing more is read waits for what it sent to be committed"`
	UnaryTimeout     time.Duration `yaml:"unary_timeout" min:"1s" doc:"how long a unary call waits at most"`
	ProducerIdle     time.Duration `yaml:"producer_idle" min:"1m" doc:"how long the state of a producer without a stream is kept"`
	Keepalive        Keepalive     `yaml:"keepalive"`
	Windows          Windows       `yaml:"windows"`
	TLS              ServerTLS     `yaml:"tls"`
}

// Limits are the bounds on what a producer may send.
type Limits struct {
	MaxRequestBytes         Size `yaml:"max_request_bytes" min:"16KiB" max:"1GiB" doc:"largest request, after decompression"`
	MaxRequestEntries       int  `yaml:"max_request_entries" min:"1" max:"1000000" doc:"most entries in a request"`
	MaxEntryBytes           Size `yaml:"max_entry_bytes" min:"1KiB" max:"768KiB" doc:"largest entry, in protobuf encoding; a dead letter must hold one"`
	MaxEntryAttributes      int  `yaml:"max_entry_attributes" min:"1" max:"100000" doc:"most attributes of an entry"`
	MaxStreams              int  `yaml:"max_streams" min:"0" max:"1000000" doc:"most streams at a time; 0: as many as the memory limit allows, at most 10000"`
	MaxConnections          int  `yaml:"max_connections" min:"0" max:"1000000" doc:"most connections at a time; 0: as many as file descriptors and max_streams allow"`
	MaxStreamsPerConnection int  `yaml:"max_streams_per_connection" min:"1" max:"100000" doc:"most streams of one connection"`
	MaxProducers            int  `yaml:"max_producers" min:"1" max:"10000000" doc:"most producers whose state is kept; the longest idle are forgotten first"`
}

// Keepalive is how dead connections are noticed.
type Keepalive struct {
	Interval          time.Duration `yaml:"interval" min:"1s" doc:"silence after which a connection is pinged"`
	Timeout           time.Duration `yaml:"timeout" min:"1s" doc:"how long the answer to a ping may take"`
	MinClientInterval time.Duration `yaml:"min_client_interval" min:"1s" doc:"a client that pings more often is disconnected"`
}

// Windows are the HTTP/2 flow-control windows. They never grow.
type Windows struct {
	Stream     Size `yaml:"stream" min:"64KiB" max:"64MiB" doc:"flow-control window of a stream"`
	Connection Size `yaml:"connection" min:"64KiB" max:"1GiB" doc:"flow-control window of a connection"`
}

// ServerTLS is the certificate of the gRPC services.
type ServerTLS struct {
	CertFile string `yaml:"cert_file" doc:"certificate, PEM; empty: no TLS"`
	KeyFile  string `yaml:"key_file" doc:"key of the certificate, PEM"`
}

// Memory bounds what the process holds.
type Memory struct {
	Budget     Size    `yaml:"budget" min:"1MiB" doc:"bytes of requests in flight, over all streams; when they are spent, producers wait"`
	Limit      Size    `yaml:"limit" min:"0" doc:"memory of the process; 0: GOMEMLIMIT, else the cgroup's, else the machine's"`
	TableShare float64 `yaml:"table_share" min:"0.01" max:"1" doc:"share that one of several tables may hold of what the others leave of the tables' part of the budget; the only table may hold all of it"`
}

// Shards are the workers that fill batches.
type Shards struct {
	Count          int           `yaml:"count" min:"0" max:"256" doc:"number of shards; 0: the cores, at most 4"`
	Bucket         time.Duration `yaml:"bucket" min:"1s" max:"1d" doc:"length of the time bucket in a shard id"`
	Linger         time.Duration `yaml:"linger" min:"1ms" max:"10m" doc:"longest time that the first row of a batch waits for company"`
	MaxBatchRows   int           `yaml:"max_batch_rows" min:"1" max:"1000000" doc:"rows at which a batch is sealed"`
	MaxBatchBytes  Size          `yaml:"max_batch_bytes" min:"64KiB" max:"256MiB" doc:"bytes at which a batch is sealed"`
	MaxOpenBatches int           `yaml:"max_open_batches" min:"0" max:"10000" doc:"most batches that one shard has open; 0: as many as its tables need, at least 64"`
}

// ClickHouse is where rows go.
type ClickHouse struct {
	Addresses       []string      `yaml:"addresses" doc:"host:port of ClickHouse's HTTP(S) interface, one or more"`
	Database        string        `yaml:"database" doc:"database of tables that name none"`
	User            string        `yaml:"user" doc:"user who may insert, and create and alter the tables of the routes"`
	Password        Secret        `yaml:"password" doc:"password; better in password_file or LOGBATCHER_CLICKHOUSE_PASSWORD"`
	PasswordFile    string        `yaml:"password_file" doc:"file with the password, its last newline left out"`
	Compression     string        `yaml:"compression" oneof:"none|lz4|zstd" doc:"compression of inserts: none, lz4 or zstd; none costs least CPU where the network is fast"`
	TLS             ClientTLS     `yaml:"tls"`
	Failover        string        `yaml:"failover" oneof:"none|replicas" doc:"replicas: the addresses are replicas of the same Replicated tables, and retries may move between them; none: there is one address"`
	InsertsPerTable int           `yaml:"inserts_per_table" min:"1" max:"64" doc:"most inserts in flight for one table"`
	MaxInserts      int           `yaml:"max_inserts" min:"1" max:"1024" doc:"most inserts in flight, over all tables; each has a connection"`
	AttemptTimeout  time.Duration `yaml:"attempt_timeout" min:"1s" max:"1h" doc:"how long one attempt to insert may take"`
	LateAfter       time.Duration `yaml:"late_after" min:"0" max:"1h" doc:"how long after its timeout an attempt may still begin to run, for instance out of a proxy; until then its batch gets no new token, is not divided and becomes no dead letter"`
	Retry           Retry         `yaml:"retry"`
	HoldBackoff     time.Duration `yaml:"hold_backoff" min:"1s" max:"1h" doc:"longest time between attempts while a table is held (rights, an unknown database)"`
	Fsync           bool          `yaml:"fsync" doc:"tables that are created fsync each insert, against loss of power"`
	Cluster         string        `yaml:"cluster" doc:"cluster for ON CLUSTER; empty: none"`
	Engine          string        `yaml:"engine" doc:"engine of tables that are created, with its arguments; empty: MergeTree"`
	// ErrorClasses override the built-in classes of ClickHouse's error codes.
	ErrorClasses []ErrorClass `yaml:"error_classes"`
}

// Retry is the pause between attempts, which doubles from Min to Max, with jitter, and the end of them.
type Retry struct {
	Min         time.Duration `yaml:"min" min:"1ms" doc:"first pause between attempts"`
	Max         time.Duration `yaml:"max" min:"1ms" max:"1h" doc:"longest pause between attempts"`
	MaxAttempts int           `yaml:"max_attempts" min:"0" doc:"how often a batch is inserted, whatever the failures are, before it is dead-lettered; 0: as often as it takes"`
	GiveUpAfter time.Duration `yaml:"give_up_after" min:"0" doc:"how long a batch is tried from its first failure on, whatever the failures are, before it is dead-lettered; 0: for as long as it takes"`
}

// ClientTLS is how a server that we connect to is trusted.
type ClientTLS struct {
	Enabled            bool   `yaml:"enabled" doc:"connect with TLS"`
	CAFile             string `yaml:"ca_file" doc:"certificates that are trusted, PEM; empty: the system's"`
	CertFile           string `yaml:"cert_file" doc:"own certificate, PEM; empty: none"`
	KeyFile            string `yaml:"key_file" doc:"key of the own certificate, PEM"`
	ServerName         string `yaml:"server_name" doc:"name in the server's certificate; empty: that of the address"`
	InsecureSkipVerify bool   `yaml:"insecure_skip_verify" doc:"trust any certificate; for tests"`
}

// ErrorClass overrides what one of ClickHouse's error codes means for a batch.
type ErrorClass struct {
	Code   int    `yaml:"code" min:"1" max:"100000" doc:"ClickHouse's error code"`
	Class  string `yaml:"class" oneof:"transient|ambiguous|hold|schema|shape|row" doc:"what it means for the batch"`
	Reason string `yaml:"reason" doc:"why, for whoever reads the configuration next"`
}

// Redis is where dead letters, leases and producers' owners are kept.
type Redis struct {
	Addresses    []string  `yaml:"addresses" doc:"host:port; one: a single server; several: a cluster, or with master_name its sentinels"`
	MasterName   string    `yaml:"master_name" doc:"name of the master that the sentinels watch; empty: no Sentinel"`
	User         string    `yaml:"user" doc:"user; empty: the default one"`
	Password     Secret    `yaml:"password" doc:"password; better in password_file or LOGBATCHER_REDIS_PASSWORD"`
	PasswordFile string    `yaml:"password_file" doc:"file with the password, its last newline left out"`
	DB           int       `yaml:"db" min:"0" max:"65535" doc:"number of the database; 0 with a cluster"`
	TLS          ClientTLS `yaml:"tls"`
}

// DeadLetters is the queue of rows that ClickHouse refuses for good.
type DeadLetters struct {
	Stream   string `yaml:"stream" doc:"key of the Redis stream"`
	MaxBytes Size   `yaml:"max_bytes" min:"2MiB" doc:"bytes of dead letters that the stream may hold"`
	WhenFull string `yaml:"when_full" oneof:"wait|trim" doc:"wait: batches with bad rows wait for room, and back-pressure follows; trim: the oldest dead letters are lost"`
}

// Retention is the job that removes expired rows.
type Retention struct {
	Enabled  bool          `yaml:"enabled" doc:"whether this instance takes part in removing expired rows"`
	Interval time.Duration `yaml:"interval" min:"1m" max:"30d" doc:"time between two runs, for routes that name none"`
}

// Shutdown is how the process ends.
type Shutdown struct {
	Timeout time.Duration `yaml:"timeout" min:"1s" max:"1h" doc:"how long settling what was accepted may take before the process ends without"`
}

// Log is the service's own log.
type Log struct {
	Level  string `yaml:"level" oneof:"debug|info|warn|error" doc:"least severity that is logged"`
	Format string `yaml:"format" oneof:"text|json" doc:"form of a line"`
}

// Column is a column of the list that routes choose from.
type Column struct {
	Name     string  `yaml:"name" doc:"name of the column in ClickHouse"`
	Type     string  `yaml:"type" doc:"ClickHouse type"`
	Codec    string  `yaml:"codec" doc:"what stands inside CODEC(…); empty: the server's default"`
	Comment  string  `yaml:"comment" doc:"comment of the column"`
	Source   string  `yaml:"source" doc:"part of the entry that the value is taken from; empty: always the default"`
	Default  *string `yaml:"default" doc:"value for an absent source; nothing: NULL where the type has it, else the type's zero value"`
	Required bool    `yaml:"required" doc:"an entry without the source is treated as on_error says"`
	OnError  string  `yaml:"on_error" oneof:"refuse|default|dead_letter" doc:"what happens when a value doesn't fit the type, or is missing though required"`
}

// Route is a filter and the table of the entries that it takes.
type Route struct {
	Name   string `yaml:"name" doc:"name of the route in metrics, refusals and dead letters"`
	Table  string `yaml:"table" doc:"table, or database.table"`
	Filter any    `yaml:"filter" doc:"which entries; nothing: all. See filters.md"`
	// Columns are names from the list. Empty: all of the list.
	Columns          []string          `yaml:"columns" doc:"columns of the table, chosen from the list; otel_logs: those of the firehose; none: all of the list"`
	Indexes          Indexes           `yaml:"indexes"`
	PartitionBy      *string           `yaml:"partition_by" doc:"partition key; empty: one partition; nothing: the firehose's, where the table has its columns"`
	OrderBy          string            `yaml:"order_by" doc:"sorting key; may be left out where the table has the firehose's columns"`
	PrimaryKey       string            `yaml:"primary_key" doc:"primary key, a prefix of the sorting key; empty: the sorting key"`
	Engine           string            `yaml:"engine" doc:"engine of the table, with its arguments; empty: clickhouse.engine"`
	TTL              string            `yaml:"ttl" doc:"ClickHouse TTL expression; empty: none, retention removes rows"`
	Settings         map[string]string `yaml:"settings" doc:"settings of the table, beside those that the service needs"`
	MaxAge           time.Duration     `yaml:"max_age" min:"1m" doc:"how far an entry's time may lie in the past; below retention.max_age"`
	MaxAhead         time.Duration     `yaml:"max_ahead" min:"0" max:"30d" doc:"how far an entry's time may lie in the future; 0: not at all"`
	OnTimeOutOfRange string            `yaml:"on_time_out_of_range" oneof:"refuse|dead_letter" doc:"what happens to entries outside of these"`
	Retention        RouteRetention    `yaml:"retention"`
	HoldFor          time.Duration     `yaml:"hold_for" min:"0" doc:"how long a batch is held when ClickHouse refuses it for a reason that is not the data's, before it is dead-lettered, from its first failure on; 0: for ever"`
	MaxAttempts      int               `yaml:"max_attempts" min:"0" doc:"as clickhouse.retry.max_attempts; 0: that one"`
	GiveUpAfter      time.Duration     `yaml:"give_up_after" min:"0" doc:"as clickhouse.retry.give_up_after; 0: that one"`
}

// RouteRetention is how long a route's rows are kept.
type RouteRetention struct {
	MaxAge   time.Duration `yaml:"max_age" min:"0" doc:"age at which rows go; 0: never"`
	Interval time.Duration `yaml:"interval" min:"0" max:"30d" doc:"time between two runs; 0: retention.interval"`
	Column   string        `yaml:"column" doc:"time column by which age is measured; empty: the column of the entry's time"`
	Precise  bool          `yaml:"precise" doc:"delete what is expired in the partition that the cutoff cuts too; false: rewrite nothing, the partition goes when all of it has expired"`
}

// Indexes are a table's data skipping indexes: a list, or the name of a set for tables with the
// firehose's columns (none, bloom, text).
type Indexes struct {
	// Set is the name of the set. Empty: List holds, or the default set where that is nil.
	Set string
	// List are the indexes.
	List []Index
}

// Index is one data skipping index.
type Index struct {
	Name        string `yaml:"name" doc:"name of the index"`
	Expression  string `yaml:"expression" doc:"what is indexed"`
	Type        string `yaml:"type" doc:"type of the index with its arguments"`
	Granularity int    `yaml:"granularity" min:"1" max:"65536" doc:"granules of the table to one of the index"`
}
