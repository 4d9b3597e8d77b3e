package config

import (
	"testing"
)

// The beginnings of cases about columns and routes.
const (
	column = "columns: [{name: ts, type: DateTime, source: time}]\n"
	route  = column + "routes:\n- {name: a, table: a, order_by: ts"
)

// problemCases has every problem with its place and its text. What a case does not name is the default.
var problemCases = []struct{ text, want string }{
	// The file.
	{"colo: [", "f:1:7: not YAML: sequence end token ']' not found"},
	{"5", "f:1:1: a map of settings is expected; this is \"5\""},
	{"colo: a\n---\ncolo: b", "f:3:1: a second document; a configuration is one document, so remove the line ---"},
	{"colo: a\nlog: {}\ncolo: b", "f:3:1: not YAML: mapping key \"colo\" already defined at [1:1]"},
	{"colo: !!str 5", "f:1:7: colo: tags (!!str) have no meaning here; leave it out"},
	{"colo: *x", "f:1:7: colo: unknown anchor \"x\"; define it above, as &x"},
	{"log: &x {level: *x}", "f:1:17: log.level: unknown anchor \"x\"; define it above, as &x"},
	// Keys and types.
	{"shard: {count: 1}", "f:1:1: shard: unknown setting \"shard\"; did you mean shards?"},
	{"log:\n  level: info\n  colour: true", "f:3:3: log.colour: unknown setting \"colour\"; it is one of level, format"},
	{"shards: 5", "f:1:9: shards: a map of settings is expected; this is \"5\""},
	{"shards:", "f:1:1: shards: there is no value; write one, or leave out the key"},
	{"colo:", "f:1:1: colo: there is no value; write one, or leave out the key"},
	{"colo: [a]", "f:1:1: colo: one value is expected; this is a list"},
	{"colo: {a: 1}", "f:1:1: colo: one value is expected; this is a map"},
	{"shards: {count: two}", `f:1:17: shards.count: a whole number is expected; this is "two"`},
	{"shards: {count: 1.5}", `f:1:17: shards.count: a whole number is expected; this is "1.5"`},
	{"shards: {count: \"2\"}", `f:1:17: shards.count: a whole number is expected; this is "\"2\""`},
	{"shards: {count: -1}", "f:1:17: shards.count: must be from 0 to 256"},
	{"shards: {count: 257}", "f:1:17: shards.count: must be from 0 to 256"},
	{"shards: {linger: 5}", "f:1:18: shards.linger: a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is \"5\""},
	{"shards: {linger: 5x}", `f:1:18: shards.linger: a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is "5x"`},
	{"shards: {linger: 0}", "f:1:18: shards.linger: must be from 1ms to 10m"},
	{"shards: {linger: 1d}", "f:1:18: shards.linger: must be from 1ms to 10m"},
	{"server: {drain_timeout: 1ms}", "f:1:25: server.drain_timeout: must be at least 1s"},
	{"memory: {budget: 3 apples}", `f:1:18: memory.budget: a size is a number with a unit, as in 16MiB; this is "3 apples"`},
	{"memory: {table_share: most}", `f:1:23: memory.table_share: a number is expected; this is "most"`},
	{"clickhouse: {fsync: yes}", `f:1:21: clickhouse.fsync: true or false is expected; this is "yes"`},
	{"clickhouse: {compression: lz5}", `f:1:27: clickhouse.compression: unknown choice "lz5"; did you mean lz4?`},
	{"clickhouse: {compression: gzip}", `f:1:27: clickhouse.compression: unknown choice "gzip"; it is one of none, lz4, zstd`},
	{"clickhouse: {addresses: a:1}", `f:1:25: clickhouse.addresses: a list is expected; this is "a:1"`},
	{"clickhouse: {addresses: [[a]]}", "f:1:26: clickhouse.addresses[0]: one value is expected; this is a list"},
	{"unmatched: keep", `f:1:12: unmatched: unknown choice "keep"; it is one of dead_letter, refuse`},
	{"routes: [{name: a, table: a, columns: [otel_logs], filter: {body: {equals: 010}}}]",
		"f:1:76: routes[0].filter.body.equals: 010 is octal in some versions of YAML and decimal in others; write it without the leading 0, or put a text in quotes"},
	// What must fit together.
	{"listen: {grpc: \"4320\"}", `f:1:16: listen.grpc: an address is host:port without a scheme, as in :4320; this is "4320"`},
	{"listen: {grpc: \":1\", http: \"\"}", `f:1:16: listen.grpc: ":1" can be reached from other machines, and there is no TLS: write server.tls.cert_file and key_file, or listen.insecure: true if the network is trusted or a proxy adds TLS, or listen on 127.0.0.1`},
	{"listen: {http: \"host:1\"}", `f:1:16: listen.http: "host:1" can be reached from other machines, and there is no TLS: write server.tls.cert_file and key_file, or listen.insecure: true if the network is trusted or a proxy adds TLS, or listen on 127.0.0.1`},
	{"listen: {insecure: true, grpc: \":1\", http: \":1\"}", "f:1:44: listen.http: the address :1 uses the port of listen.grpc, :1; write another port"},
	{"listen: {http: \"127.0.0.1:1\", otlp_http: \"localhost:4317\", otlp_grpc: \"localhost:4317\"}", "f:1:42: listen.otlp_http: the address localhost:4317 uses the port of listen.otlp_grpc, localhost:4317; write another port"},
	{"listen: {otlp_grpc: \":4317\"}", `f:1:21: listen.otlp_grpc: ":4317" can be reached from other machines, and there is no TLS: write server.tls.cert_file and key_file, or listen.insecure: true if the network is trusted or a proxy adds TLS, or listen on 127.0.0.1`},
	{"listen: {grpc: \"a/b:1\"}", `f:1:16: listen.grpc: an address is host:port without a scheme, as in :4320; this is "a/b:1"`},
	{"server: {limits: {max_request_bytes: 128KiB}}", "f:1:10: server.limits.max_entry_bytes: 256KiB is more than limits.max_request_bytes, 128KiB, so such an entry could not be sent"},
	{"server: {windows: {stream: 2MiB}}", "f:1:28: server.windows.stream: 2MiB is more than windows.connection, 1MiB, which all streams of a connection share"},
	{"server: {connection_age: 10m}", "f:1:26: server.connection_age: 10m is not above stream_age, 30m: streams move before their connection is closed"},
	{"server: {tls: {cert_file: a}}", "f:1:27: server.tls.cert_file: a certificate needs its key; write server.tls.key_file"},
	{"server: {tls: {key_file: a}}", "f:1:26: server.tls.key_file: a key needs its certificate; write server.tls.cert_file"},
	{"server: {tls: {client_ca_file: a}}", "f:1:32: server.tls.client_ca_file: clients show certificates only over TLS; write server.tls.cert_file and key_file\n" +
		"tenants: there is no tenant, so nobody could call; write one, as in tenants: [{name: shop}]"},
	{"tenants: [{name: a b}]", "f:1:1: tenants: nobody is asked who they are, so tenants do nothing; write server.tokens_file or server.tls.client_ca_file, or leave them out\n" +
		`f:1:18: tenants[0].name: the name of a tenant is 1 to 64 letters, digits, _, - and .; this is "a b"`},
	{"tenants: [{name: a, certificates: [b], rights: [ingets], routes: [firehoes], max_streams: -1}, {name: a}]\nserver: {tokens_file: /dev/null}",
		"f:1:21: tenants[0].certificates: nobody is asked for a certificate; write server.tls.client_ca_file, or leave them out\n" +
			`f:1:49: tenants[0].rights[0]: unknown right "ingets"; did you mean ingest?` + "\n" +
			`f:1:67: tenants[0].routes[0]: unknown route "firehoes"; did you mean firehose?` + "\n" +
			"f:1:91: tenants[0].max_streams: must be from 0 to 1000000\n" +
			"f:1:103: tenants[1].name: tenants[0] has the name a already"},
	{"memory: {budget: 2MiB}", "f:1:18: memory.budget: 2MiB is less than server.limits.max_request_bytes, 4MiB; a request must find room in it"},
	{"memory: {table_share: 0.02}", "f:1:23: memory.table_share: 0.02 of the budget is 1.9 MiB, less than server.limits.max_request_bytes, 4MiB; one table must be able to hold a request"},
	{"colo: a b", `f:1:7: colo: a colo is 1 to 32 letters, digits, _ and .; this is "a b"`},
	{"clickhouse: {addresses: []}", "f:1:14: clickhouse.addresses: there is no address; write at least one, as in 127.0.0.1:8123"},
	{"clickhouse: {addresses: [\"http://a:1\"]}", `f:1:26: clickhouse.addresses[0]: an address is host:port without a scheme, as in 127.0.0.1:8123 or clickhouse.example:8123; this is "http://a:1"`},
	{"redis: {addresses: [\"redis://user:secret@a:1\"]}", `f:1:21: redis.addresses[0]: an address is host:port without a scheme, as in 127.0.0.1:8123 or clickhouse.example:8123; this is "…@a:1"`},
	{"redis: {password: 0123}", "f:1:19: redis.password: this is not read as a text; put the password in quotes"},
	{"redis: {password: *secret}", "f:1:19: redis.password: this is not read as a text; put the password in quotes"},
	{"redis: {password: !secret a}", "f:1:19: redis.password: this is not read as a text; put the password in quotes"},
	{"clickhouse: {addresses: [\"a:1\", \"b:1\"]}", "f:1:1: clickhouse.failover: several addresses must be replicas of the same tables; write replicas, or one address in addresses"},
	{"clickhouse: {engine: ReplicatedMergeTree, failover: replicas, addresses: [\"a:1\", \"a:1\"]}", "f:1:82: clickhouse.addresses[1]: clickhouse.addresses[0] is the same address; leave one out"},
	{"clickhouse: {database: a-b}", `f:1:24: clickhouse.database: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is "a-b"`},
	{"clickhouse: {user: \"\"}", "f:1:20: clickhouse.user: there is no user; write one, as in default"},
	{"clickhouse: {tls: {ca_file: a}}", "f:1:14: clickhouse.tls.enabled: TLS is not enabled, so the other settings of clickhouse.tls do nothing; write enabled: true, or leave them out"},
	{"redis: {tls: {enabled: true, server_name: a, insecure_skip_verify: true}}", "f:1:68: redis.tls.insecure_skip_verify: nothing is verified, so ca_file and server_name do nothing; leave one out"},
	{"clickhouse: {retry: {min: 1m}}", "f:1:27: clickhouse.retry.min: 1m is more than retry.max, 30s"},
	{"clickhouse: {engine: Distributed(a)}", `f:1:22: clickhouse.engine: the engine is MergeTree or ReplicatedMergeTree, which keep every row and can tell whether a batch is there, or a form of ReplacingMergeTree, which keeps one row of those with the same sorting key; this is "Distributed(a)"`},
	{"clickhouse: {engine: Log}", `f:1:22: clickhouse.engine: the engine is MergeTree or ReplicatedMergeTree, which keep every row and can tell whether a batch is there, or a form of ReplacingMergeTree, which keeps one row of those with the same sorting key; this is "Log"`},
	{"routes: [{name: a, table: b, columns: [otel_logs], engine: SummingMergeTree}]", `f:1:60: routes[0].engine: the engine is MergeTree or ReplicatedMergeTree, which keep every row and can tell whether a batch is there, or a form of ReplacingMergeTree, which keeps one row of those with the same sorting key; this is "SummingMergeTree"`},
	{"routes: [{name: a, table: b, columns: [otel_logs], settings: {replicated_deduplication_window: 0}}]", `f:1:96: routes[0].settings.replicated_deduplication_window: a table that remembers no tokens stores a repeated insert twice; write a number above 0, or leave the setting out; this is "0"`},
	{"clickhouse: {failover: replicas}", "f:1:24: clickhouse.failover: replicas needs two addresses or more in clickhouse.addresses"},
	{"clickhouse: {failover: replicas, addresses: [\"a:1\", \"b:1\"]}", "f:1:24: clickhouse.failover: replicas needs tables that replicate, or a retry on another replica would store a batch twice; write clickhouse.engine, as in ReplicatedMergeTree"},
	{"clickhouse: {error_classes: [{code: 1, class: row, reason: r}, {code: 1, class: hold, reason: r}]}", "f:1:71: clickhouse.error_classes[1].code: error_classes[0] has the code 1 already; each code has one class"},
	{"clickhouse:\n  error_classes:\n  - {}", "f:3:5: clickhouse.error_classes[0].code: must be from 1 to 100000\n" +
		"f:3:5: clickhouse.error_classes[0].class: unknown choice \"\"; it is one of transient, ambiguous, hold, schema, shape, row\n" +
		"f:3:5: clickhouse.error_classes[0].reason: there is no reason; write why the built-in class is wrong here"},
	{"clickhouse: {error_classes: [{code: 1, class: rows, reason: r}]}", `f:1:47: clickhouse.error_classes[0].class: unknown choice "rows"; did you mean row?`},
	{"redis: {addresses: []}", "f:1:9: redis.addresses: there is no address; dead letters and leases need Redis, so write one, as in 127.0.0.1:6379"},
	{"redis: {addresses: [\"a:1\", \"b:1\"], db: 2}", "f:1:40: redis.db: a cluster has only the database 0; leave db out, or write master_name if the addresses are sentinels"},
	{"dead_letters: {stream: \"\"}", "f:1:24: dead_letters.stream: the stream has no key; write one, as in logbatcher:dead_letters"},
	// Columns.
	{"columns: [{name: a, type: String, source: body}]", "f:1:1: columns: no route chooses from these columns; write routes, or leave the columns out for the firehose"},
	{"columns:\n- {type: DateTime, source: time}\nroutes:\n- {name: a, table: a, order_by: a}", `f:2:4: columns[0].name: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is ""`},
	{"columns:\n- {name: ts, type: DateTime, source: time}\n- {name: a-b, source: body, type: String}\nroutes:\n- {name: a, table: a, order_by: ts}",
		`f:3:10: columns[1].name: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is "a-b"`},
	{"columns:\n- {name: ts, type: DateTime, source: time}\n- {name: ts, source: body, type: String}\nroutes:\n- {name: a, table: a, order_by: ts}",
		"f:3:10: columns[1].name: columns[0] has the name ts already; a name is there once"},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: b}\nroutes:\n- {name: a, table: a, order_by: ts}",
		"f:3:4: columns[1].type: there is no type; write one, as in LowCardinality(String)\nf:3:4: columns[1].source: there is neither a source nor a default; write where the value comes from"},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: b, type: String, source: bodi}\nroutes:\n- {name: a, table: a, order_by: ts}",
		`f:3:35: columns[1].source: unknown field "bodi"; did you mean body?`},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: b, type: String, source: attributes}\nroutes:\n- {name: a, table: a, order_by: ts}",
		`f:3:4: columns[1]: column "b": a Map takes attributes, resource_attributes or scope_attributes, and these need a Map; here "attributes" meets String`},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: b, type: \"Map(String, String)\", source: body}\nroutes:\n- {name: a, table: a, order_by: ts}",
		`f:3:4: columns[1]: column "b": a Map takes attributes, resource_attributes or scope_attributes, and these need a Map; here "body" meets Map(String, String)`},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: b, type: String, source: body, required: true, default: x}\nroutes:\n- {name: a, table: a, order_by: ts}",
		"f:3:51: columns[1].required: required refuses what default would fill in; leave one of the two out"},
	{"columns:\n- {name: ts, source: time, type: DateTime}\n- {name: _batch_id, type: String, source: body}\nroutes:\n- {name: a, table: a, order_by: ts}",
		"f:3:43: columns[1].source: the column _batch_id holds the id of the batch; write source: batch_id, or leave the column out: every table gets it"},
	// Routes.
	{column + "routes:\n- {table: a, order_by: ts}", `f:3:4: routes[0].name: the name of a route is 1 to 64 letters, digits, _, - and .; this is ""`},
	{column + "routes:\n- {name: a b, table: a, order_by: ts}", `f:3:10: routes[0].name: the name of a route is 1 to 64 letters, digits, _, - and .; this is "a b"`},
	{column + "routes:\n- {name: a, order_by: ts}", `f:3:4: routes[0].table: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is ""`},
	{column + "routes:\n- {name: a, table: a.b.c, order_by: ts}", `f:3:20: routes[0].table: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is "b.c"`},
	{route + "}\n- {name: a, table: b, order_by: ts}", "f:4:10: routes[1].name: routes[0] has the name a already; a name is there once"},
	{route + "}\n- {name: b, table: default.a, order_by: ts}", "f:4:20: routes[1].table: routes[0] has the table default.a already; a table belongs to one route: put both filters under any in one of them"},
	{route + ", columns: [t]}", `f:3:47: routes[0].columns[0]: unknown column "t"; did you mean ts?`},
	{route + ", columns: [message]}", `f:3:47: routes[0].columns[0]: unknown column "message"; it is one of ts, otel_logs, otel_logs_v2`},
	{route + ", columns: [ts, ts]}", "f:3:51: routes[0].columns[1]: the column ts is there twice; leave one out"},
	{column + "routes:\n- {name: a, table: a}", "f:3:4: routes[0].order_by: there is no sorting key; write the columns that queries filter by, those with few values first, as in (service, time)"},
	{route + ", primary_key: x}", "f:3:50: routes[0].primary_key: the primary key must be a prefix of the sorting key, which is ts"},
	{route + ", indexes: all}", `f:3:46: routes[0].indexes: unknown index set "all": it is one of bloom, none, text, or a list of indexes`},
	{route + ", indexes: bloom}", "f:3:46: routes[0].indexes: the set bloom is for tables with all columns of the firehose; write a list of indexes"},
	{route + ", indexes: {a: 1}}", "f:3:37: routes[0].indexes: the name of a set or a list of indexes is expected; this is a map"},
	{route + ", indexes: [{name: a}]}", "f:3:48: routes[0].indexes[0].expression: there is no expression; write what is indexed, as in mapKeys(attributes)\n" +
		"f:3:48: routes[0].indexes[0].type: there is no type; write one, as in bloom_filter(0.01)"},
	{route + ", indexes: [{name: a, expression: ts, type: minmax}, {name: a, expression: ts, type: set(0)}]}",
		"f:3:95: routes[0].indexes[1].name: indexes[0] has the name a already; a name is there once"},
	{route + ", settings: {a b: 1}}", `f:3:53: routes[0].settings.a b: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is "a b"`},
	{route + ", settings: {a: [1]}}", "f:3:48: routes[0].settings.a: one value is expected; this is a list"},
	{route + ", max_age: 30d}", "f:3:46: routes[0].max_age: 30d is not below retention.max_age, 30d: dropping a partition forgets the tokens of its batches, " +
		"so that a late entry could be stored twice; lower max_age or raise retention.max_age"},
	{route + ", max_ahead: 31d}", "f:3:48: routes[0].max_ahead: must be from 0 to 30d"},
	{route + ", on_time_out_of_range: default}", `f:3:59: routes[0].on_time_out_of_range: unknown choice "default"; it is one of refuse, dead_letter`},
	{route + ", retention: {interval: 5s}}", "f:3:59: routes[0].retention.interval: must be 0 or at least 1m"},
	{route + ", retention: {column: x}}", "f:3:57: routes[0].retention.column: column x is not in the table, or its type is unknown"},
	{"columns:\n- {name: b, source: body, type: String}\nroutes:\n- {name: a, table: a, order_by: b}", "f:4:4: routes[0].retention.column: no column holds the entry's time; " +
		"name one in retention.column, or write retention.max_age: 0"},
	{"columns:\n- {name: b, source: body, type: String}\nroutes:\n- {name: a, table: a, order_by: b, retention: {column: b}}",
		"f:4:56: routes[0].retention.column: column b is String: it must be Date, DateTime or DateTime64"},
	{route + ", filter: {body: {greaterThn: 3}}}", `f:3:65: routes[0].filter.body.greaterThn: unknown operator "greaterThn"; did you mean greaterThan?`},
	{route + ", filter: {'attributes[\"a.b\"]': {contains: 3}}}", `f:3:78: routes[0].filter.attributes["a.b"].contains: contains applies to string; this is the int 3`},
	// Memory.
	{"memory: {limit: 1GiB}\nserver: {limits: {max_streams: 1000}}",
		"f:2:32: server.limits.max_streams: 1000 streams of 4.5 MiB, a budget of 96MiB and 76 MiB beside it need 4.6 GiB, " +
			"more than the limit of 1.0 GiB (memory.limit): lower server.limits.max_streams to at most 189, or server.limits.max_request_bytes"},
	{"memory: {limit: 128MiB}",
		"f:1:1: memory.budget: 1 streams of 4.5 MiB, a budget of 96MiB and 76 MiB beside it need 177 MiB, " +
			"more than the limit of 128 MiB (memory.limit): lower memory.budget or server.limits.max_request_bytes, or raise the limit"},
	{"memory: {budget: 12MiB, table_share: 0.5}\n" + twoRoutes,
		"f:1:18: memory.budget: a table that stands still must leave room for the others: of 12MiB tables may hold 9.0 MiB, and the rows of one request up to 4.6 MiB, " +
			"of which two must fit; raise memory.budget or lower server.limits.max_request_bytes"},
	{"clickhouse: {inserts_per_table: 8, max_inserts: 4}", "f:1:33: clickhouse.inserts_per_table: 8 is more than max_inserts, 4"},
	{"shards: {max_open_batches: 1}\n" + twoRoutes,
		"f:1:28: shards.max_open_batches: 1 is less than the number of routes, 2: their tables would get an insert for nearly every row; write 0, or at least 2"},
}

const twoRoutes = "routes: [{name: a, table: a}, {name: b, table: b}]"

func TestProblems(t *testing.T) {
	for _, test := range problemCases {
		_, err := parse(t.Context(), "f", []byte(test.text), nil, nil)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

// problemsOf returns the problems in an error of Load.
func problemsOf(err error) []Problem {
	var problems []Problem
	if several, is := err.(interface{ Unwrap() []error }); is {
		for _, err := range several.Unwrap() {
			problems = append(problems, err.(Problem))
		}
	}
	return problems
}

// TestProblemsOfOthers has problems whose texts are those of other packages: here only their places count.
func TestProblemsOfOthers(t *testing.T) {
	const (
		top = "columns:\n- {name: ts, source: time, type: DateTime}\n"
		end = "\nroutes:\n- {name: a, table: a, order_by: ts}"
	)
	tests := []struct{ text, place, path string }{
		{top + "- {name: b, type: Strng, source: body}" + end, "f:3:19", "columns[1].type"},
		{top + "- {name: b, type: UInt8, source: attributes.b, default: x}" + end, "f:3:4", "columns[1]"},
		{top + "- {name: _batch_id, type: String, source: batch_id}" + end, "f:3:4", "columns[1]"},
		{top + "- {name: b, type: UUID, source: severity_number}" + end, "f:3:4", "columns[1]"},
		{top + "- {name: b, type: \"Map(String, String)\", source: attributes}\n- {name: c, type: \"Map(String, String)\", source: attributes}" + end,
			"f:6:4", "routes[0]"},
		{top + "routes:\n- {name: a, table: a, order_by: ts, partition_by: cityHash64(ts)}", "f:4:51", "routes[0].partition_by"},
	}
	for _, test := range tests {
		_, err := parse(t.Context(), "f", []byte(test.text), nil, nil)
		problems := problemsOf(err)
		if len(problems) != 1 || problems[0].origin.String() != test.place || problems[0].Path != test.path {
			t.Errorf("%s\n got %v\nwant one at %s: %s", test.text, err, test.place, test.path)
		}
	}
}

func TestProblemsOfVariablesAndFlags(t *testing.T) {
	_, err := parse(t.Context(), "f", []byte("colo: a b\nclickhouse: {database: a-b}\n"),
		[]string{"LOGBATCHER_SHARDS_LINGER=5", "LOGBATCHER_LISTEN_GRPC=x", "LOGBATCHER_CLICKHOUSE_FSYNC=1"},
		[]string{"memory.budget=1x", "clickhouse.database=b-c", "log.level=warning"})
	want := `f:1:7: colo: a colo is 1 to 32 letters, digits, _ and .; this is "a b"
environment variable LOGBATCHER_CLICKHOUSE_FSYNC: clickhouse.fsync: true or false is expected; this is "1"
environment variable LOGBATCHER_SHARDS_LINGER: shards.linger: a duration is a number with a unit (ms, s, m, h, d), as in 30s or 7d; this is "5"
environment variable LOGBATCHER_LISTEN_GRPC: listen.grpc: an address is host:port without a scheme, as in :4320; this is "x"
--set memory.budget: memory.budget: a size is a number with a unit, as in 16MiB; this is "1x"
--set log.level: log.level: unknown choice "warning"; it is one of debug, info, warn, error
--set clickhouse.database: clickhouse.database: a name is 1 to 128 letters, digits and _, and does not begin with a digit; this is "b-c"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v", err)
	}
}
