package config

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
	"github.com/logbatcher/logbatcher/server/access"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
)

// Validate returns every combination of settings that can't work. The bounds of single settings are settings.Check's.
func (c *Config) Validate() []schema.Problem {
	b := &builder{}
	b.checkListen(&c.Listen, c.Server.TLS.CertFile != "")
	b.within("server", c.Server.Check())
	b.keyPair("server.tls", c.Server.TLS.CertFile, c.Server.TLS.KeyFile)
	if c.Server.TLS.ClientCAFile != "" && c.Server.TLS.CertFile == "" {
		b.report("server.tls.client_ca_file", "clients show certificates only over TLS; write server.tls.cert_file and key_file")
	}
	b.checkTenants(c)
	b.checkOpenBatches(c)
	b.checkBudget(c)
	b.matches("colo", c.Colo, coloName, "a colo is 1 to 32 letters, digits, _ and .")
	b.matches("instance.id", c.Instance.ID, instanceName, "the name of an instance is at most 64 letters, digits, _, - and .")
	b.checkClickHouse(&c.ClickHouse)
	b.checkRedis(&c.Redis)
	b.checkLog(c)
	b.within("dead_letters", c.DeadLetters.Check())
	_, problems := c.Routes()
	b.problems = append(b.problems, problems...)
	return append(b.problems, c.checkMemory(c.Capacity())...)
}

var (
	// coloName matches a colo, which is half of a shard id.
	coloName = regexp.MustCompile(`^[A-Za-z0-9_.]{1,32}$`)
	// instanceName matches the name of an instance, which is part of query ids, tokens and Redis keys.
	instanceName = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)
	// hostName matches a host that is not an IP address.
	hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?$`)
	// digitsAndDots matches what can only be an IPv4 address.
	digitsAndDots = regexp.MustCompile(`^[0-9.]+$`)
)

// within adds a section's own problems.
func (b *builder) within(section string, problems []schema.Problem) {
	for _, p := range problems {
		b.report(settings.Join(section, p.Path), "%s", p.Message)
	}
}

// matches reports a text that a pattern does not match.
func (b *builder) matches(path, text string, pattern *regexp.Regexp, rule string) bool {
	ok := pattern.MatchString(text)
	if !ok {
		b.report(path, "%s; this is %s", rule, schema.Quoted(text))
	}
	return ok
}

// checkListen checks the addresses that are listened on. All but the first may be empty.
func (b *builder) checkListen(l *Listen, secured bool) {
	type checked struct{ path, address, host, port string }
	var others []checked
	for i, c := range []checked{
		{path: "listen.grpc", address: l.GRPC}, {path: "listen.http", address: l.HTTP},
		{path: "listen.otlp_grpc", address: l.OTLPGRPC}, {path: "listen.otlp_http", address: l.OTLPHTTP},
	} {
		if i > 0 && c.address == "" {
			continue
		}
		var ok bool
		if c.host, c.port, ok = b.address(c.path, c.address, true); !ok {
			continue
		}
		b.checkPlain(c.path, c.address, c.host, !secured && !l.Insecure)
		for _, o := range others {
			if c.port == o.port && c.port != "0" && (c.host == o.host || isAnyHost(c.host) || isAnyHost(o.host)) {
				b.report(c.path, "the address %s uses the port of %s, %s; write another port", c.address, o.path, o.address)
				break
			}
		}
		others = append(others, c)
	}
}

// checkPlain reports an address that others can reach, if it is plain text and nobody has allowed that.
func (b *builder) checkPlain(path, address, host string, plain bool) {
	if plain && !IsLoopback(host) {
		b.report(path, "%s can be reached from other machines, and there is no TLS: write server.tls.cert_file and key_file, "+
			"or listen.insecure: true if the network is trusted or a proxy adds TLS, or listen on 127.0.0.1", schema.Quoted(address))
	}
}

// IsLoopback reports whether only this machine can reach a host. Of names, only localhost is one.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// isAnyHost reports whether a host stands for all interfaces.
func isAnyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// address checks host:port and returns both. Only an address to listen on may have an empty host (all interfaces) or port 0 (any).
func (b *builder) address(path, address string, listening bool) (host, port string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	number, portErr := strconv.ParseUint(port, 10, 16)
	bare, _, _ := strings.Cut(host, "%") // the zone of an IPv6 address
	isHost := net.ParseIP(bare) != nil || hostName.MatchString(host) && !digitsAndDots.MatchString(host)
	switch {
	case err != nil || portErr != nil || port[0] == '+':
	case isHost && number > 0, listening && (isHost || host == ""):
		return host, port, true
	}
	example := "127.0.0.1:8123 or clickhouse.example:8123"
	if listening {
		example = ":4320"
	}
	if at := strings.LastIndex(address, "@"); at >= 0 { // what is before it may be a password
		address = "…" + address[at:]
	}
	b.report(path, "an address is host:port without a scheme, as in %s; this is %s", example, schema.Quoted(address))
	return host, port, false
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

// checkTenants checks the tenants, and that somebody can be one.
func (b *builder) checkTenants(c *Config) {
	for _, p := range access.CheckTenants(c.Tenants) {
		b.report("tenants"+p.Path, "%s", p.Message)
	}
	routes := []string{schema.DefaultRoute("").Name}
	if len(c.RouteList) > 0 {
		routes = nil
	}
	for _, r := range c.RouteList {
		routes = append(routes, r.Route.Name)
	}
	certified := false
	for i, t := range c.Tenants {
		certified = certified || len(t.Certificates) > 0
		if len(t.Certificates) > 0 && c.Server.TLS.ClientCAFile == "" {
			b.report(fmt.Sprintf("tenants[%d].certificates", i), "nobody is asked for a certificate; write server.tls.client_ca_file, or leave them out")
		}
		for n, name := range t.Routes {
			if !slices.Contains(routes, name) {
				b.report(fmt.Sprintf("tenants[%d].routes[%d]", i, n), "%s", schema.UnknownName("route", name, routes))
			}
		}
	}
	switch {
	case len(c.Tenants) > 0 && !c.Server.asks():
		b.report("tenants", "nobody is asked who they are, so tenants do nothing; write server.tokens_file or server.tls.client_ca_file, or leave them out")
	case len(c.Tenants) == 0 && c.Server.asks():
		b.report("tenants", "there is no tenant, so nobody could call; write one, as in tenants: [{name: shop}]")
	case c.Server.TLS.ClientCAFile != "" && !certified:
		b.report("server.tls.client_ca_file", "no tenant has a certificate, so none would be accepted; write the names in tenants, as in "+
			"certificates: [shop.example.com], or leave client_ca_file out")
	}
}

// warnOpen warns of addresses where others can read tokens, or do everything without one.
func (c *Config) warnOpen() {
	if c.Server.asks() && (c.Server.TokensFile == "" || c.Server.TLS.CertFile != "") {
		return
	}
	warning := "whoever can reach %s can send and administer: nobody is asked who they are; write server.tokens_file or server.tls.client_ca_file"
	if c.Server.asks() {
		warning = "tokens come to %s in plain text: whoever can read the network can use them; only a proxy that adds TLS makes this safe"
	}
	for _, address := range []string{c.Listen.GRPC, c.Listen.HTTP, c.Listen.OTLPGRPC, c.Listen.OTLPHTTP} {
		if host, _, err := net.SplitHostPort(address); err == nil && !IsLoopback(host) {
			c.Warnings = append(c.Warnings, fmt.Sprintf(warning, address))
		}
	}
}

// checkLog reports a log that can't be kept, or that is relied on and not kept.
func (b *builder) checkLog(c *Config) {
	if !c.WAL.Enabled {
		if c.Server.Acknowledgement == "logged" {
			b.report("server.acknowledgement", "nothing is ever logged with wal.enabled: false; write committed or received, or keep a log")
		}
		return
	}
	b.within("wal", c.WAL.Check())
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

// clientTLS checks how a connection is secured.
func (b *builder) clientTLS(path string, t *ClientTLS) {
	if !t.Enabled {
		if *t != (ClientTLS{}) {
			b.report(path+".enabled", "TLS is not enabled, so the other settings of %s do nothing; write enabled: true, or leave them out", path)
		}
		return
	}
	b.keyPair(path, t.CertFile, t.KeyFile)
	if t.InsecureSkipVerify && (t.CAFile != "" || t.ServerName != "") {
		b.report(path+".insecure_skip_verify", "nothing is verified, so ca_file and server_name do nothing; leave one out")
	}
}

// checkBudget reports a budget in which a request finds no room.
func (b *builder) checkBudget(c *Config) {
	share := settings.Size(float64(c.Memory.Budget) * c.Memory.TableShare)
	request := c.Server.MaxRequestBytes
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

// checkOpenBatches reports a bound at which each request seals what the one before has opened.
func (b *builder) checkOpenBatches(c *Config) {
	if n := c.Shards.MaxOpenBatches; n > 0 && n < len(c.RouteList) {
		b.report("shards.max_open_batches", "%d is less than the number of routes, %d: their tables would get an insert for nearly every row; write 0, or at least %d",
			n, len(c.RouteList), len(c.RouteList))
	}
}

// checkClickHouse checks the section clickhouse.
func (b *builder) checkClickHouse(h *ClickHouse) {
	delivery := h.Delivery()
	b.within("clickhouse", append(h.Config.Check(), delivery.Check()...))
	b.addresses("clickhouse.addresses", h.Addresses)
	b.matches("clickhouse.database", h.Database, identifier, identifierRule)
	if h.User == "" {
		b.report("clickhouse.user", "there is no user; write one, as in default")
	}
	b.clientTLS("clickhouse.tls", &h.TLS)
	b.engine("clickhouse.engine", h.Engine)
	switch {
	case h.Failover != clickhouse.FailoverReplicas:
	case len(h.Addresses) < 2:
		b.report("clickhouse.failover", "replicas needs two addresses or more in clickhouse.addresses")
	case !schema.IsReplicated(h.Engine):
		b.report("clickhouse.failover", "replicas needs tables that replicate, or a retry on another replica would store a batch twice; "+
			"write clickhouse.engine, as in ReplicatedMergeTree")
	}
	first := map[int]int{}
	for i, e := range h.ErrorClasses {
		path := fmt.Sprintf("clickhouse.error_classes[%d]", i)
		if before, taken := first[e.Code]; taken && e.Code != 0 {
			b.report(path+".code", "error_classes[%d] has the code %d already; each code has one class", before, e.Code)
		}
		first[e.Code] = i
		if e.Reason == "" {
			b.report(path+".reason", "there is no reason; write why the built-in class is wrong here")
		}
	}
}

// engine checks an engine of tables.
func (b *builder) engine(path, engine string) {
	if !schema.UsableEngine(engine) {
		b.report(path, "the engine is MergeTree or ReplicatedMergeTree, which keep every row and can tell whether a batch is there, "+
			"or a form of ReplacingMergeTree, which keeps one row of those with the same sorting key; this is %s", schema.Quoted(engine))
	}
}

// checkRedis checks the section redis.
func (b *builder) checkRedis(r *Redis) {
	if len(r.Addresses) == 0 {
		b.report("redis.addresses", "there is no address; dead letters and leases need Redis, so write one, as in 127.0.0.1:6379")
	}
	b.addresses("redis.addresses", r.Addresses)
	if r.DB != 0 && len(r.Addresses) > 1 && r.MasterName == "" {
		b.report("redis.db", "a cluster has only the database 0; leave db out, or write master_name if the addresses are sentinels")
	}
	b.clientTLS("redis.tls", &r.TLS)
}
