package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// ask sends one request to a server, with the test's database and further
// parameters "name=value".
func ask(t *testing.T, server *embeddedtest.Server, body io.Reader, parameters ...string) (*http.Response, []byte) {
	t.Helper()
	values := url.Values{"database": {server.Database}}
	for _, parameter := range parameters {
		if name, value, found := strings.Cut(parameter, "="); found {
			values.Set(name, value)
		}
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Address+"/?"+values.Encode(), body)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, answer
}

func TestStatementInURLOrBody(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt32, s String) ENGINE = MergeTree ORDER BY a")
	for _, test := range []struct{ query, body string }{
		{"", "INSERT INTO t VALUES (1, 'one')"},
		{"INSERT INTO t VALUES", "(2, 'two')"},
		{"INSERT INTO t VALUES (3, 'three')", ""},
		{"INSERT INTO t FORMAT CSV", "4,four\n"},
		{"", "INSERT INTO t (a, s) SETTINGS async_insert=0 FORMAT JSONEachRow\n{\"a\":5,\"s\":\"five\"}"},
		{"INSERT INTO t", "SELECT 6, 'six'"},
		{"INSERT INTO t SELECT 7,", "'seven'"},
		{"INSERT INTO t (a, s)", "VALUES (8, 'eight')"},
	} {
		response, answer := ask(t, server, strings.NewReader(test.body), "query="+test.query)
		if response.StatusCode != http.StatusOK || len(answer) > 0 {
			t.Errorf("%+v: %s %s", test, response.Status, answer)
		}
	}
	if got := server.Query(t, "SELECT groupArray(s) FROM (SELECT * FROM t ORDER BY a)"); got != "['one','two','three','four','five','six','seven','eight']" {
		t.Error(got)
	}
	if response, answer := ask(t, server, nil, "query=SELECT 1 AS x FORMAT JSONEachRow", "query_id=my-id"); string(answer) != "{\"x\":1}\n" ||
		response.Header.Get("X-ClickHouse-Format") != "JSONEachRow" || response.Header.Get("X-ClickHouse-Query-Id") != "my-id" {
		t.Errorf("%q %v", answer, response.Header)
	}
	if _, answer := ask(t, server, strings.NewReader("SELECT {x:UInt8} + 1"), "param_x=41", "default_format=CSV"); string(answer) != "42\n" {
		t.Errorf("%q", answer)
	}
}

func TestExceptions(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt32, CONSTRAINT small CHECK a < 10) ENGINE = MergeTree ORDER BY a")
	for _, test := range []struct {
		statement, parameter string
		status               int
		code                 string
	}{
		{"SELECT", "", 400, "62"},
		{"SELECT * FROM nowhere", "", 404, "60"},
		{"INSERT INTO nowhere VALUES (1)", "", 404, "60"},
		{"INSERT INTO t (b) VALUES (1)", "", 500, "16"},
		{"INSERT INTO t FORMAT CSV\nx\n", "", 400, "117"},
		{"INSERT INTO t VALUES (11)", "", 500, "469"},
		{"SELECT 1", "database=nowhere", 404, "81"},
		{"SELECT 1", "no_such_setting=1", 404, "115"},
		{"SELECT 1", "bad name=1", 404, "115"},
		{"SELECT throwIf(1)", "", 500, "395"},
		{"SELECT 1 FORMAT Nowhere", "", 404, "73"},
	} {
		response, answer := ask(t, server, strings.NewReader(test.statement), test.parameter)
		if code := response.Header.Get("X-ClickHouse-Exception-Code"); code != test.code || !strings.HasPrefix(string(answer), "Code: "+code+". DB::Exception") {
			t.Errorf("%s %s: code %s, want %s: %s", test.statement, test.parameter, code, test.code, answer)
		}
		if response.StatusCode != test.status {
			t.Errorf("%s %s: status %d, want %d", test.statement, test.parameter, response.StatusCode, test.status)
		}
	}
	if got := server.Query(t, "SELECT count() FROM t"); got != "0" {
		t.Errorf("%s rows of refused inserts", got)
	}
}

func TestSettingsHoldForOneStatement(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, `CREATE TABLE t (a UInt32, p UInt8) ENGINE = MergeTree PARTITION BY p ORDER BY a
		SETTINGS non_replicated_deduplication_window = 100`)
	try := func(statement string, parameters ...string) string {
		_, answer := ask(t, server, strings.NewReader(statement), parameters...)
		return strings.TrimSpace(string(answer))
	}
	if got := try("SELECT getSetting('max_threads'), getSetting('log_comment')", "max_threads=3", "log_comment=it's \\ `me`"); got != `3	it\'s \\ `+"`me`" {
		t.Error(got)
	}
	if got := try("SET max_threads = 7"); got != "" {
		t.Error(got)
	}
	if got := try("SELECT getSetting('max_threads') = 7, getSetting('log_comment')"); got != "0" {
		t.Error(got)
	}
	onePart := []string{"async_insert=0", "max_partitions_per_insert_block=1", "throw_on_max_partitions_per_insert_block=1"}
	if got := try("INSERT INTO t VALUES (1, 1), (2, 2)", onePart...); !strings.Contains(got, "Code: 252") || !strings.Contains(got, "Too many partitions") {
		t.Error(got)
	}
	for range 2 {
		if got := try("INSERT INTO t VALUES (1, 1), (2, 1)", append(onePart, "insert_deduplication_token=a")...); got != "" {
			t.Error(got)
		}
	}
	if got := try("INSERT INTO t VALUES (1, 1), (2, 1)", append(onePart, "insert_deduplication_token=b")...); got != "" {
		t.Error(got)
	}
	if got := try("SELECT count(), uniqExact(_part) FROM t"); got != "4\t2" {
		t.Error(got)
	}
	if got := try("ALTER TABLE t DELETE WHERE a = 1", "mutations_sync=2"); got != "" {
		t.Error(got)
	}
	if got := try("SELECT count(), (SELECT min(is_done) FROM system.mutations WHERE table = 't' AND database = currentDatabase()) FROM t"); got != "2\t1" {
		t.Error(got)
	}
	if got := try("ALTER TABLE t ADD COLUMN b String", "alter_sync=2"); got != "" {
		t.Error(got)
	}
}

func TestCompressedBodiesAndAnswers(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	var rows strings.Builder
	for i := range 500_000 {
		fmt.Fprintln(&rows, i)
	}
	for _, method := range []string{"LZ4", "ZSTD"} {
		body, err := compressed([]byte("INSERT INTO t FORMAT TSV\n"+rows.String()), method)
		if err != nil {
			t.Fatal(err)
		}
		if response, answer := ask(t, server, bytes.NewReader(body), "decompress=1"); response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", method, answer)
		}
		_, answer := ask(t, server, strings.NewReader("SELECT a FROM t ORDER BY a LIMIT 500000"), "compress=1", "network_compression_method="+method)
		got, err := io.ReadAll(newFrameReader(bytes.NewReader(answer)))
		if err != nil || len(got) == 0 || len(answer) > len(got)*3/4 {
			t.Fatalf("%s: %d of %d bytes, %v", method, len(answer), len(got), err)
		}
		body[len(body)-1] ^= 1
		if response, _ := ask(t, server, bytes.NewReader(body), "decompress=1"); response.StatusCode == http.StatusOK {
			t.Errorf("%s: a damaged frame was accepted", method)
		}
		server.Exec(t, "TRUNCATE TABLE t")
	}
}

// A brokenBody fails after its data, as a client does that goes away.
type brokenBody struct{ data io.Reader }

func (b brokenBody) Read(buffer []byte) (int, error) {
	n, err := b.data.Read(buffer)
	if err == io.EOF {
		return n, errors.New("the client goes away")
	}
	return n, err
}

func TestBrokenInsertWritesNothing(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	body := brokenBody{strings.NewReader("INSERT INTO t FORMAT TSV\n1\n2\n3\n")}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.Address+"/?query_id=broken-1&database="+server.Database, body)
	if _, err := http.DefaultClient.Do(request); err == nil {
		t.Fatal("answered")
	}
	embeddedtest.Eventually(t, "the insert has ended", func() bool {
		return server.Query(t, "SELECT count() FROM system.processes WHERE query_id = 'broken-1'") == "0"
	})
	if got := server.Query(t, "SELECT count() FROM t"); got != "0" {
		t.Fatalf("%s rows", got)
	}
}

const slowSelect = "SELECT sum(sleepEachRow(0.05)) FROM numbers(600) SETTINGS max_block_size = 1, function_sleep_max_microseconds_per_block = 100000000"

func TestRunningQueriesAreSeenAndKilled(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	done := make(chan error, 1)
	go func() {
		_, err := server.Try(t.Context(), slowSelect, map[string]string{"query_id": "batch-7-attempt-1"})
		done <- err
	}()
	count := func(pattern string) string {
		return server.Query(t, "SELECT count() FROM system.processes WHERE query_id LIKE '"+pattern+"'")
	}
	embeddedtest.Eventually(t, "the query runs", func() bool { return count("batch-7-%") == "1" })

	// no statement waits behind the slow one
	began := time.Now()
	server.Exec(t, "INSERT INTO t VALUES (1)")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("an insert took %v beside a slow select", took)
	}
	if _, err := server.Try(t.Context(), "SELECT 1", map[string]string{"query_id": "batch-7-attempt-1"}); err == nil || !strings.Contains(err.Error(), "Code: 216") {
		t.Errorf("a second query of the same id: %v", err)
	}
	server.Exec(t, "KILL QUERY WHERE query_id = 'batch-7-attempt-1' SYNC")
	var killed *embeddedtest.Exception
	if err := <-done; !errors.As(err, &killed) || killed.Code != "394" {
		t.Errorf("the killed query: %v", err)
	}
	if got := count("batch-7-%"); got != "0" {
		t.Errorf("%s killed queries are listed", got)
	}
}

func TestInsertIsListedWhileItsDataComes(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	reader, writer := io.Pipe()
	done := make(chan int, 1)
	go func() {
		response, _ := ask(t, server, reader, "query=INSERT INTO t FORMAT TSV", "query_id=batch-8")
		done <- response.StatusCode
	}()
	_, _ = io.WriteString(writer, "1\n")
	embeddedtest.Eventually(t, "the insert runs", func() bool {
		return server.Query(t, "SELECT count() FROM system.processes WHERE query_id LIKE 'batch-8%'") == "1"
	})
	_, _ = io.WriteString(writer, "2\n")
	_ = writer.Close()
	if status := <-done; status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	if got := server.Query(t, "SELECT sum(a), uniqExact(_part) FROM t"); got != "3\t1" {
		t.Fatal(got)
	}
}

func TestManyStatementsAtOnce(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	server.Exec(t, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	var wait sync.WaitGroup
	for worker := range 16 {
		wait.Go(func() {
			for i := range 20 {
				statement := fmt.Sprintf("INSERT INTO t VALUES (%d)", worker*1000+i)
				if i%2 == 1 {
					statement = "SELECT count() FROM t"
				}
				if _, err := server.Try(context.Background(), statement, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if got := server.Query(t, "SELECT count() FROM t"); got != "160" {
		t.Errorf("%s rows", got)
	}
}

func TestOtherPaths(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for path, want := range map[string]string{
		"/ping": "200 Ok.\n", "/": "200 Ok.\n", "/replicas_status": "200 Ok.\n", "/nowhere": "404 There is no handle /nowhere\n",
		"/?query=SELECT+2":            "200 2\n",
		"/?query=CREATE+DATABASE+xyz": "500 Code: 164. DB::Exception: default: Cannot execute query in readonly mode. (READONLY)\n",
	} {
		request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.Address+path, nil)
		request.Close = true
		request.SetBasicAuth("anybody", "anything")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if got := fmt.Sprintf("%d %s", response.StatusCode, answer); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}
