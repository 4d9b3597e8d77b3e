package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
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
	b.checkOpenBatches(c)
	b.checkInserts(&c.ClickHouse)
	b.checkBudget(c)
	if !coloName.MatchString(c.Colo) {
		b.report("colo", "a colo is 1 to 32 letters, digits, _ and .; this is %q", cut(c.Colo))
	}
	b.checkClickHouse(&c.ClickHouse)
	b.checkRedis(&c.Redis)
	b.checkInstance(&c.Instance)
	b.checkDeadLetters(&c.DeadLetters)
	_, problems := c.Routes()
	b.problems = append(b.problems, problems...)
	return append(b.problems, c.checkMemory(c.Capacity())...)
}

// instanceName is what the name of an instance looks like: it is part of query ids, tokens and Redis keys.
var instanceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// checkInstance checks the name of the instance.
func (b *builder) checkInstance(i *Instance) {
	if i.ID != "" && !instanceName.MatchString(i.ID) {
		b.report("instance.id", "the name of an instance is at most 64 letters, digits, _, - and .; this is %q", cut(i.ID))
	}
}

// checkDeadLetters checks the queue as it checks itself: what it says begins with the setting.
func (b *builder) checkDeadLetters(d *DeadLetters) {
	if d.Stream == "" {
		b.report("dead_letters.stream", "the stream has a key; write one, as in logbatcher:dead_letters")
		return
	}
	err := d.Queue().Validate()
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		setting, message, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		b.report("dead_letters."+setting, "%s", message)
	}
}

// checkListen checks the addresses that are listened on.
func (b *builder) checkListen(l *Listen) {
	grpcHost, grpcPort, ok := b.address("listen.grpc", l.GRPC, true)
	if l.HTTP == "" {
		return
	}
	host, port, httpOK := b.address("listen.http", l.HTTP, true)
	if ok && httpOK && port == grpcPort && port != "0" && (host == grpcHost || isAnyHost(host) || isAnyHost(grpcHost)) {
		b.report("listen.http", "the address %s takes the port of listen.grpc, %s; write another port", l.HTTP, l.GRPC)
	}
}

// isAnyHost reports whether a host stands for all interfaces.
func isAnyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// hostName is what a host looks like that is no IP address.
var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$`)

// digitsAndDots is what an IPv4 address is made of.
var digitsAndDots = regexp.MustCompile(`^[0-9.]+$`)

// address checks host:port and returns both. An empty host, for all interfaces, and port 0, for any, are for listening.
func (b *builder) address(path, address string, listening bool) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	example := "clickhouse.example:8123"
	if listening {
		example = ":4320"
	}
	bare, _, _ := strings.Cut(host, "%") // the zone of an IPv6 address
	isIP := net.ParseIP(bare) != nil
	switch {
	case strings.Contains(address, "://"):
		b.report(path, "an address is host:port without a scheme, as in %s; this is %q", example, cut(address))
	case err != nil || portErr != nil || port[0] == '+' || !listening && (host == "" || number == 0):
		b.report(path, "an address is host:port, as in %s; this is %q", example, cut(address))
	case host == "" || isIP:
		return host, port, true
	case digitsAndDots.MatchString(host):
		b.report(path, "%s is no IP address, which has four numbers from 0 to 255; this is %q", host, cut(address))
	case !hostName.MatchString(host):
		b.report(path, "an address is host:port without anything else, as in %s; this is %q", example, cut(address))
	default:
		return host, port, true
	}
	return host, port, false
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

// checkInserts reports a bound for one table that the bound for all of them makes void.
func (b *builder) checkInserts(c *ClickHouse) {
	if c.InsertsPerTable > c.MaxInserts {
		b.report("clickhouse.inserts_per_table", "%d is more than clickhouse.max_inserts, %d", c.InsertsPerTable, c.MaxInserts)
	}
}

// checkOpenBatches reports a bound by which each request seals what the one before has opened.
func (b *builder) checkOpenBatches(c *Config) {
	if n := c.Shards.MaxOpenBatches; n > 0 && n < len(c.RouteList) {
		b.report("shards.max_open_batches", "%d is less than the number of routes, %d: their tables would get an insert for nearly every row; write 0, or at least %d",
			n, len(c.RouteList), len(c.RouteList))
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
	if _, err := h.Classes(); err != nil && !slices.ContainsFunc(h.ErrorClasses, func(e ErrorClass) bool { return e.Class == "" || e.Code == 0 }) {
		b.report("clickhouse.error_classes", "%v", err) // what is left out is reported below
	}
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
	switch {
	case h.Failover != "replicas" && len(h.Addresses) > 1:
		b.report("clickhouse.failover", "several addresses must be replicas of the same tables; write replicas, or one address in clickhouse.addresses")
	case h.Failover != "replicas":
	case len(h.Addresses) < 2:
		b.report("clickhouse.failover", "replicas needs two addresses or more in clickhouse.addresses")
	case !replicates(h.Engine):
		b.report("clickhouse.failover", "replicas needs tables that replicate, or a retry on another replica would store a batch twice; "+
			"write clickhouse.engine, as in ReplicatedMergeTree")
	}
}

// replicates reports whether tables of the engine are the same on all replicas.
func replicates(engine string) bool {
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
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
