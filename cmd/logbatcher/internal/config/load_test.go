package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

func TestLoadNothing(t *testing.T) {
	c, err := Load(t.Context(), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	routes, problems := c.Routes()
	if len(problems) > 0 || !reflect.DeepEqual(routes, []*schema.Route{schema.DefaultRoute("default")}) {
		t.Errorf("got %v, %v, want the firehose", routes, problems)
	}
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		if _, err := parse(t.Context(), "f", []byte(text), nil, nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestLoadPrecedence(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("colo: AMS\nshards: {linger: 2s, count: 3}\nclickhouse:\n  fsync: false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(t.Context(), file, []string{
		"LOGBATCHER_SHARDS_LINGER=3s", "LOGBATCHER_COLO=FRA", "LOGBATCHER_CLICKHOUSE_ADDRESSES=a:1, b:2", "HOME=/",
		"LOGBATCHER_CLICKHOUSE_FAILOVER=replicas", "LOGBATCHER_CLICKHOUSE_ENGINE=ReplicatedMergeTree",
		"LOGBATCHER_SERVER_LIMITS_MAX_REQUEST_BYTES=8MiB", "LOGBATCHER_MEMORY_LIMIT=4GiB",
	}, []string{"colo=EWR", "redis.tls.enabled=true", "memory.table_share=0.5"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Colo != "EWR" || c.Shards.Linger != 3*time.Second || c.Shards.Shards != 3 || c.ClickHouse.Fsync || !c.Redis.TLS.Enabled ||
		c.Memory.TableShare != 0.5 || c.Server.Limits.MaxRequestBytes != 8*settings.MiB || !reflect.DeepEqual(c.ClickHouse.Addresses, []string{"a:1", "b:2"}) {
		t.Errorf("got %+v", c)
	}
	var out strings.Builder
	if err := c.Show(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"colo: EWR # --set colo\n", "  linger: 3s # environment variable LOGBATCHER_SHARDS_LINGER\n", "  count: 3 # " + file + ":2:29\n",
		"  addresses: # environment variable LOGBATCHER_CLICKHOUSE_ADDRESSES\n    - a:1\n    - b:2\n", "  max_batch_rows: 100000\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

// TestForeignVariables has variables with our prefix that are not settings: those of the program itself and of Kubernetes are
// let be, all others are errors.
func TestForeignVariables(t *testing.T) {
	c, err := Load(t.Context(), "", []string{
		"LOGBATCHER_TEST_X=1", "LOGBATCHER_CHDB_LIBRARY=/x", "LOGBATCHER_ENGINE=x", "LOGBATCHER_ENGINE_LOG=x", "LOGBATCHER_CONFIG=y",
		"LOGBATCHERS=x", "logbatcher_colo=x",
	}, nil)
	if err != nil || len(c.Warnings) > 0 {
		t.Errorf("got %v", err)
	}
	for _, links := range [][]string{
		{
			"LOGBATCHER_SERVICE_HOST=10.0.0.7", "LOGBATCHER_SERVICE_PORT=4320", "LOGBATCHER_SERVICE_PORT_GRPC=4320", "LOGBATCHER_SERVICE_PORT_HTTP_2=4321",
			"LOGBATCHER_PORT=tcp://10.0.0.7:4320", "LOGBATCHER_PORT_4320_TCP=tcp://10.0.0.7:4320", "LOGBATCHER_PORT_4320_TCP_PROTO=tcp",
			"LOGBATCHER_PORT_4320_TCP_PORT=4320", "LOGBATCHER_PORT_4320_TCP_ADDR=10.0.0.7",
		},
		{"LOGBATCHER_METRICS_SERVICE_HOST=fd00::7", "LOGBATCHER_METRICS_PORT=udp://[fd00::7]:53", "LOGBATCHER_METRICS_PORT_53_UDP_ADDR=fd00::7"},
	} {
		c, err := Load(t.Context(), "", links, nil)
		if err != nil || len(c.Warnings) != 1 {
			t.Fatalf("got %v", err)
		}
		for _, link := range links {
			if name, _, _ := strings.Cut(link, "="); !strings.Contains(c.Warnings[0], name) {
				t.Errorf("%s is not in %q", name, c.Warnings[0])
			}
		}
	}
	for _, test := range []struct{ variable, want string }{
		{"LOGBATCHER_COLOO=x", "environment variable LOGBATCHER_COLOO: unknown variable; did you mean LOGBATCHER_COLO?"},
		{"LOGBATCHER_SOMETHING_OF_OTHERS=secret", "environment variable LOGBATCHER_SOMETHING_OF_OTHERS: unknown variable; those of LogBatcher are named"},
		{"LOGBATCHER_ENGINE_LOGS=1", "LOGBATCHER_ENGINE_LOGS: unknown variable"},
		{"LOGBATCHER_PORT=4320", "LOGBATCHER_PORT: unknown variable"},
		{"LOGBATCHER_SERVICE_HOST=logs.example", "LOGBATCHER_SERVICE_HOST: unknown variable"},
		{"LOGBATCHER_SERVICE_PORT=", "LOGBATCHER_SERVICE_PORT: unknown variable"},
		{"LOGBATCHER_LISTEN_GRCP_PORT=4320", "LOGBATCHER_LISTEN_GRCP_PORT: unknown variable"},
		{"LOGBATCHER_=1", "LOGBATCHER_: unknown variable"},
	} {
		_, err := Load(t.Context(), "", []string{test.variable}, nil)
		if err == nil || !strings.HasPrefix(err.Error(), "environment variable ") || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want %s", test.variable, err, test.want)
		}
	}
}

func TestSettingNames(t *testing.T) {
	variables := map[string]string{}
	for _, f := range settings.All(Default()) {
		name := variable(f)
		if before, taken := variables[name]; taken {
			t.Errorf("%s and %s have one variable, %s", before, f.Path, name)
		}
		variables[name] = f.Path
		if isForeign(name) {
			t.Errorf("%s is never read", name)
		}
	}
}

func TestPasswords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "clickhouse: {password_file: " + file + "}\nredis: {password: other}\n"
	c, err := parse(t.Context(), "f", []byte(text), nil, nil)
	if err != nil || c.ClickHouse.Password != "sesame" || c.Redis.Password != "other" {
		t.Fatalf("got %v, %v", c, err)
	}
	var out strings.Builder
	if err := c.Show(&out); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(out.String(), "sesame") || strings.Contains(out.String(), "other\n") || strings.Count(out.String(), `"***"`) != 2 {
		t.Errorf("got\n%s", out.String())
	}
	c, err = parse(t.Context(), "f", []byte(text), []string{"LOGBATCHER_CLICKHOUSE_PASSWORD=nearer"}, nil)
	if err != nil || c.ClickHouse.Password != "nearer" {
		t.Errorf("a variable does not win over the file of a password: %v", err)
	}
	_, err = parse(t.Context(), "f", []byte("redis:\n  password: a\n  password_file: b\nclickhouse:\n  password_file: /nowhere\n"), nil, nil)
	want := "f:3:18: redis.password_file: password is set too; leave one of the two out\n" +
		"f:5:18: clickhouse.password_file: open /nowhere: no such file or directory"
	if err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load(t.Context(), "/nowhere/c.yaml", nil, nil)
	if err == nil || err.Error() != "configuration: open /nowhere/c.yaml: no such file or directory" {
		t.Errorf("got %v", err)
	}
}

// TestPrintIsRead checks that what Show writes is the same configuration.
func TestPrintIsRead(t *testing.T) {
	text := `
columns:
  - {name: ts, type: DateTime64(3), source: time, codec: "Delta, ZSTD(1)", comment: "it's #1: 'a'"}
  - {name: status, type: UInt16, source: 'attributes["http.status"]', default: 0, on_error: dead_letter}
  - {name: kind, type: String, default: "yes"}
routes:
  - name: errors
    table: logs.errors
    filter: {any: [{severity_number: {greaterThan: 16}}, {'attributes["a b"]': {in: [1.0, 2.5]}}]}
    columns: [ts, status]
    order_by: (ts)
    partition_by: ""
    indexes: [{name: i, expression: status, type: minmax}]
    settings: {index_granularity: 1024}
  - {name: rest, table: rest, order_by: ts, indexes: none, retention: {max_age: 0}, hold_for: 1d12h}
clickhouse:
  error_classes: [{code: 469, class: hold, reason: "a: b"}]
`
	first, err := parse(t.Context(), "f", []byte(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := first.Show(&out); err != nil {
		t.Fatal(err)
	}
	second, err := parse(t.Context(), "printed", []byte(out.String()), nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	one, _ := first.Routes()
	two, _ := second.Routes()
	for i := range one {
		if one[i].Filter.String() != two[i].Filter.String() || !reflect.DeepEqual(one[i].Table, two[i].Table) || one[i].Retention != two[i].Retention {
			t.Errorf("got %+v %+v, want %+v %+v", two[i], two[i].Table, one[i], one[i].Table)
		}
	}
	first.origins, second.origins = nil, nil
	first.RouteList[0].Filter, second.RouteList[0].Filter = nil, nil
	if !reflect.DeepEqual(first, second) {
		t.Errorf("got\n%+v\nwant\n%+v", second, first)
	}
}

// TestShowQuotes shows texts that YAML could read as something else.
func TestShowQuotes(t *testing.T) {
	for _, text := range []string{
		"", " ", "\t", "a\nb", "010", "08", "1_000", "0X1F", "1e3", "yes", "~", "null", "True", "1:30", "- a", "? a", "a: b", "#x", "*a", "'x'", "[a]", "<<", "---", `a\b`, "é",
	} {
		c := Default()
		c.Redis.User = text
		var out strings.Builder
		if err := c.Show(&out); err != nil {
			t.Errorf("%q: %v", text, err)
		} else if again, err := parse(t.Context(), "f", []byte(out.String()), nil, nil); err != nil || again.Redis.User != text {
			t.Errorf("%q: read as %+v, %v", text, again, err)
		}
	}
}

func TestAnchors(t *testing.T) {
	c, err := parse(t.Context(), "f", []byte(`
clickhouse:
  tls: &tls {enabled: true}
redis:
  tls: {<<: *tls, server_name: r}
  addresses: &a [x:1]
`), nil, nil)
	if err != nil || c.Redis.TLS != (ClientTLS{Enabled: true, ServerName: "r"}) {
		t.Errorf("got %v", err)
	}
	bomb := "routes:\n- filter:\n    a: &a [1,1,1,1,1,1,1,1,1,1]\n"
	for _, name := range "bcdefgh" {
		alias := "*" + string(name-1)
		bomb += "    " + string(name) + ": &" + string(name) + " [" + strings.Repeat(alias+",", 9) + alias + "]\n"
	}
	if _, err = parse(t.Context(), "f", []byte(bomb), nil, nil); err == nil || !strings.Contains(err.Error(), "the aliases repeat too much") {
		t.Errorf("got %.300v", err)
	}
}

func FuzzLoad(f *testing.F) {
	data, err := os.ReadFile(referenceFile)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data[:len(data)/2]))
	f.Add("columns: [{name: a, type: Int8, source: attributes.a}]\nroutes: [{name: r, table: a.b, order_by: a, filter: {not: {a: 1}}}]")
	f.Add("a: &a [*a]\n<<: *a\n? x : y\n--- |\n z")
	f.Add("shards: {linger: 1e3, count: 0x1}\nmemory: {budget: .inf, limit: -1}\ncolo: !!str 5\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse(t.Context(), "f", []byte(text), nil, nil)
		if err == nil {
			if err := c.Show(&strings.Builder{}); err != nil {
				t.Fatal(err)
			}
		} else if len(problemsOf(err)) == 0 {
			t.Fatal("an error without a problem")
		}
	})
}

// TestLayouts: a layout's name stands for its columns, keys and indexes.
func TestLayouts(t *testing.T) {
	c, err := parse(t.Context(), "f", []byte(`routes:
  - {name: newer, table: a, columns: [otel_logs_v2]}
  - {name: text, table: b, columns: [otel_logs_v2], indexes: text, order_by: Timestamp}
  - {name: older, table: c, columns: [otel_logs]}
`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	routes, problems := c.Routes()
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	layouts := schema.Layouts()
	for i, want := range []struct {
		layout  int
		orderBy string
		indexes int
	}{{1, layouts[1].OrderBy, 0}, {1, "Timestamp", 8}, {0, layouts[0].OrderBy, 8}} {
		table, layout := routes[i].Table, layouts[want.layout]
		if !reflect.DeepEqual(table.Columns, layout.Columns) || table.PartitionBy != layout.PartitionBy || table.OrderBy != want.orderBy || len(table.Indexes) != want.indexes {
			t.Errorf("%s: %+v", routes[i].Name, table)
		}
	}
}

// TestOpenAddresses loads configurations with addresses that others can reach: what they may then do is warned of.
func TestOpenAddresses(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ text, want string }{
		{"listen: {grpc: \"127.0.0.1:1\", http: \"[::1]:2\"}", ""},
		{"listen: {grpc: \"localhost:1\", otlp_grpc: \":2\", insecure: true}", "whoever can reach :2 can send and administer"},
		{"listen: {grpc: \":1\", insecure: true}\nserver: {tokens_file: " + tokens + "}\ntenants: [{name: a}]", "tokens come to :1 in plain text"},
	} {
		c, err := parse(t.Context(), "f", []byte(test.text), nil, nil)
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if all := strings.Join(c.Warnings, "\n"); len(c.Warnings) > 1 || !strings.Contains(all, test.want) || (test.want == "") != (all == "") {
			t.Errorf("%s: %s", test.text, all)
		}
	}
}
