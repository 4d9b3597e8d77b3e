package config

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// coloName is what a colo looks like; it is half of a shard id.
var coloName = regexp.MustCompile(`^[A-Za-z0-9_.]{1,32}$`)

// Validate returns everything in the configuration that can't work. It changes nothing. The types,
// choices and bounds of single settings are checked as they are read, by Load.
func (c *Config) Validate() []schema.Problem {
	b := &builder{}
	b.checkListen(&c.Listen)
	b.checkServer(&c.Server)
	b.checkBudget(c)
	if !coloName.MatchString(c.Colo) {
		b.report("colo", "a colo is 1 to 32 letters, digits, _ and .; this is %q", cut(c.Colo))
	}
	b.checkClickHouse(&c.ClickHouse)
	b.checkRedis(&c.Redis)
	if c.DeadLetters.Stream == "" {
		b.report("dead_letters.stream", "the stream has a key; write one, as in logbatcher:dead_letters")
	}
	_, problems := c.Routes()
	b.problems = append(b.problems, problems...)
	return append(b.problems, c.checkMemory(c.Capacity())...)
}

// checkListen checks the addresses that are listened on.
func (b *builder) checkListen(l *Listen) {
	b.address("listen.grpc", l.GRPC, true)
	if l.HTTP == "" {
		return
	}
	b.address("listen.http", l.HTTP, true)
	if l.HTTP == l.GRPC && !strings.HasSuffix(l.HTTP, ":0") {
		b.report("listen.http", "the address %s is that of listen.grpc; write another", l.HTTP)
	}
}

// address checks host:port. An empty host, for all interfaces, and port 0, for any, are for listening.
func (b *builder) address(path, address string, listening bool) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	example := "clickhouse.example:8123"
	if listening {
		example = ":4320"
	}
	switch {
	case err != nil || portErr != nil || !listening && (host == "" || number == 0):
		b.report(path, "an address is host:port, as in %s; this is %q", example, cut(address))
	case strings.ContainsAny(host, "/ @"):
		b.report(path, "an address is host:port without anything else, as in %s; this is %q", example, cut(address))
	}
}

// checkServer checks what must fit together in the section server.
func (b *builder) checkServer(s *Server) {
	if s.Limits.MaxEntryBytes > s.Limits.MaxRequestBytes {
		b.report("server.limits.max_entry_bytes", "%v is more than server.limits.max_request_bytes, %v, so that such an entry could not be sent",
			s.Limits.MaxEntryBytes, s.Limits.MaxRequestBytes)
	}
	if s.Windows.Stream > s.Windows.Connection {
		b.report("server.windows.stream", "%v is more than server.windows.connection, %v, which all streams of a connection share",
			s.Windows.Stream, s.Windows.Connection)
	}
	if s.ConnectionAge > 0 && s.StreamAge >= s.ConnectionAge {
		b.report("server.connection_age", "%s is not above server.stream_age, %s: streams move before their connection is closed",
			formatDuration(s.ConnectionAge), formatDuration(s.StreamAge))
	}
	b.keyPair("server.tls", s.TLS.CertFile, s.TLS.KeyFile)
}

// keyPair reports a certificate without a key, or a key without a certificate.
func (b *builder) keyPair(path, certificate, key string) {
	if certificate != "" && key == "" {
		b.report(path+".cert_file", "a certificate needs its key; write %s.key_file", path)
	}
	if certificate == "" && key != "" {
		b.report(path+".key_file", "a key needs its certificate; write %s.cert_file", path)
	}
}

// checkBudget reports a budget in which a request finds no room.
func (b *builder) checkBudget(c *Config) {
	share := Size(float64(c.Memory.Budget) * c.Memory.TableShare)
	request := c.Server.Limits.MaxRequestBytes
	switch {
	case c.Memory.Budget < request:
		b.report("memory.budget", "%v is less than server.limits.max_request_bytes, %v; a request must find room in it", c.Memory.Budget, request)
	case share < request:
		b.report("memory.table_share", "%v of the budget is %s, less than server.limits.max_request_bytes, %v; one table must be able to hold a request",
			c.Memory.TableShare, approximate(share), request)
	case len(c.RouteList) > 1 && c.tableBytes() < 2*c.largestRows():
		b.report("memory.budget", "a table that stands still must leave room for the others: of %v tables may hold %s, and the rows of one request up to %s, "+
			"of which two must fit; raise memory.budget or lower server.limits.max_request_bytes",
			c.Memory.Budget, approximate(c.tableBytes()), approximate(c.largestRows()))
	}
}

// clientTLS checks how a server is trusted.
func (b *builder) clientTLS(path string, t *ClientTLS) {
	if used := *t; !t.Enabled {
		used.Enabled = false
		if used != (ClientTLS{}) {
			b.report(path+".enabled", "TLS is not enabled, so that the other settings of %s do nothing; write enabled: true, or leave them out", path)
		}
		return
	}
	b.keyPair(path, t.CertFile, t.KeyFile)
	if t.InsecureSkipVerify && (t.CAFile != "" || t.ServerName != "") {
		b.report(path+".insecure_skip_verify", "nothing is verified, so that ca_file and server_name do nothing; leave one out")
	}
}

// addresses checks the addresses of a server.
func (b *builder) addresses(path string, addresses []string) {
	first := map[string]int{}
	for i, address := range addresses {
		at := fmt.Sprintf("%s[%d]", path, i)
		b.address(at, address, false)
		if before, taken := first[address]; taken {
			b.report(at, "%s[%d] is the same address; leave one out", path, before)
		}
		first[address] = i
	}
}

// checkClickHouse checks the section clickhouse.
func (b *builder) checkClickHouse(h *ClickHouse) {
	if len(h.Addresses) == 0 {
		b.report("clickhouse.addresses", "there is no address; write at least one, as in 127.0.0.1:8123")
	}
	b.addresses("clickhouse.addresses", h.Addresses)
	b.identifier("clickhouse.database", h.Database)
	if h.User == "" {
		b.report("clickhouse.user", "there is no user; write one, as in default")
	}
	b.clientTLS("clickhouse.tls", &h.TLS)
	if h.Retry.Min > h.Retry.Max {
		b.report("clickhouse.retry.min", "%s is more than clickhouse.retry.max, %s", formatDuration(h.Retry.Min), formatDuration(h.Retry.Max))
	}
	b.checkEngine(h)
	first := map[int]int{}
	for i, e := range h.ErrorClasses {
		path := fmt.Sprintf("clickhouse.error_classes[%d]", i)
		if e.Code == 0 {
			b.report(path+".code", "there is no code; write ClickHouse's, as in 241")
		} else if before, taken := first[e.Code]; taken {
			b.report(path+".code", "error_classes[%d] has the code %d already; a code is there once", before, e.Code)
		} else {
			first[e.Code] = i
		}
		if e.Class == "" {
			b.report(path+".class", "there is no class; write transient, ambiguous, hold, schema, shape or row")
		}
		if e.Reason == "" {
			b.report(path+".reason", "there is no reason; write why the built-in class is wrong here")
		}
	}
}

// checkEngine checks the engine of tables, and what failover needs of it.
func (b *builder) checkEngine(h *ClickHouse) {
	b.engine("clickhouse.engine", h.Engine)
	replicated := strings.HasPrefix(h.Engine, "Replicated") || strings.HasPrefix(h.Engine, "Shared")
	switch {
	case h.Failover != "replicas":
	case len(h.Addresses) < 2:
		b.report("clickhouse.failover", "replicas needs two addresses or more in clickhouse.addresses")
	case !replicated:
		b.report("clickhouse.failover", "replicas needs tables that replicate, or a retry on another replica would store a batch twice; "+
			"write clickhouse.engine, as in ReplicatedMergeTree")
	}
}

// engine checks an engine of tables.
func (b *builder) engine(path, engine string) {
	if !schema.UsableEngine(engine) {
		b.report(path, "the engine is MergeTree or ReplicatedMergeTree, which keep every row and can tell whether a batch is there, "+
			"or a form of ReplacingMergeTree, which keeps one row of those with the same sorting key; this is %q", cut(engine))
	}
}

// checkRedis checks the section redis.
func (b *builder) checkRedis(r *Redis) {
	if len(r.Addresses) == 0 {
		b.report("redis.addresses", "there is no address; dead letters and leases need Redis, so write one, as in 127.0.0.1:6379")
	}
	b.addresses("redis.addresses", r.Addresses)
	if r.DB != 0 && len(r.Addresses) > 1 && r.MasterName == "" {
		b.report("redis.db", "a cluster has only the database 0; leave db out, or write master_name where the addresses are sentinels")
	}
	b.clientTLS("redis.tls", &r.TLS)
}
