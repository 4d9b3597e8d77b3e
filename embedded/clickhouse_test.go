package embedded_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

const numbersTable = `CREATE TABLE numbers (number UInt64) ENGINE = MergeTree ORDER BY number
	SETTINGS non_replicated_deduplication_window = 100`

func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	server.Exec(t, numbersTable)
	address := server.Process.Address()
	inserted := 0
	for round := range 3 {
		for range 5 {
			insertNumbers(t, server, fmt.Sprintf("token-%d", inserted), inserted)
			inserted++
		}
		if err := server.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Try(t.Context(), "SELECT 1", nil); err == nil {
			t.Fatal("a killed server answers")
		}
		restart(t, server.Process.Restart)
		if server.Process.Address() != address {
			t.Fatalf("the address changed from %s to %s", address, server.Process.Address())
		}
		if got := server.Query(t, "SELECT count() FROM numbers"); got != fmt.Sprint(inserted) {
			t.Fatalf("round %d: %s rows after SIGKILL, want %d", round, got, inserted)
		}
	}
	// the tokens of before are known still
	for i := range inserted {
		insertNumbers(t, server, fmt.Sprintf("token-%d", i), 1000+i)
	}
	if got := server.Query(t, "SELECT count(), max(number) FROM numbers"); got != fmt.Sprintf("%d\t%d", inserted, inserted-1) {
		t.Fatalf("repeated tokens added rows: %s", got)
	}
}

func insertNumbers(t *testing.T, server *embeddedtest.Server, token string, numbers ...int) {
	t.Helper()
	statement := "INSERT INTO numbers FORMAT TSV\n" + strings.Trim(fmt.Sprintln(numbers), "[]\n") + "\n"
	parameters := map[string]string{"insert_deduplication_token": token, "async_insert": "0"}
	if _, err := server.Try(t.Context(), statement, parameters); err != nil {
		t.Fatalf("insert: %v", err)
	}
}

func restart(t *testing.T, restart func(context.Context) error) {
	t.Helper()
	if err := restart(t.Context()); err != nil {
		t.Fatalf("restart: %v", err)
	}
}

func TestRestartOfRunningServer(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	server.Exec(t, numbersTable, "INSERT INTO numbers VALUES (1), (2)")
	restart(t, server.Process.Restart)
	if got := server.Query(t, "SELECT sum(number) FROM numbers"); got != "3" {
		t.Fatalf("sum is %s", got)
	}
	if err := server.Process.Start(t.Context()); err == nil {
		t.Fatal("a running server was started again")
	}
}

func TestPausedServerAnswersLater(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	if err := server.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := server.Try(short, "SELECT 1", nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a paused server: %v", err)
	}
	if err := server.Process.Resume(); err != nil {
		t.Fatal(err)
	}
	if got := server.Query(t, "SELECT 2"); got != "2" {
		t.Fatalf("got %s", got)
	}
	// a paused server can be stopped all the same
	if err := server.Process.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := server.Process.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-server.Process.Done():
	default:
		t.Fatal("stopped and not done")
	}
	if err := server.Process.Kill(); !errors.Is(err, embedded.ErrNotRunning) {
		t.Fatalf("kill of a stopped server: %v", err)
	}
	if err := server.Process.Pause(); !errors.Is(err, embedded.ErrNotRunning) {
		t.Fatalf("pause of a stopped server: %v", err)
	}
}

func TestHeldAnswerAndKill(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	server.Exec(t, numbersTable)
	proxy.Set(embeddedtest.Faults{DelayAnswer: time.Hour, Match: "numbers"})
	answer := make(chan error, 1)
	go func() {
		_, err := server.Try(t.Context(), "INSERT INTO numbers VALUES (7)", map[string]string{"insert_deduplication_token": "seven"})
		answer <- err
	}()
	awaitHeld(t, proxy, 1)
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	proxy.Set(embeddedtest.Faults{DropAnswer: 1})
	if err := <-answer; err == nil {
		t.Fatal("the insert was acknowledged")
	}
	restart(t, server.Process.Restart)
	if got := server.Query(t, "SELECT number FROM numbers"); got != "7" {
		t.Fatalf("the insert without an answer: %q", got)
	}
}

func awaitHeld(t *testing.T, proxy *embeddedtest.Proxy, count int) {
	t.Helper()
	embeddedtest.Eventually(t, fmt.Sprintf("%d answers are held", count), func() bool { return proxy.Counts().Holding == count })
}

func TestFaults(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	server.Exec(t, numbersTable)
	inserts := 0
	insert := func() error {
		inserts++ // equal blocks would be deduplicated
		_, err := server.Try(t.Context(), fmt.Sprintf("INSERT INTO numbers VALUES (%d)", inserts), nil)
		return err
	}
	rows := func(want string) {
		t.Helper()
		if got := server.Query(t, "SELECT count() FROM numbers"); got != want {
			t.Fatalf("%s rows, want %s", got, want)
		}
	}
	var refused *embeddedtest.Exception

	proxy.Set(embeddedtest.Faults{Refuse: 1, Code: 241})
	if err := insert(); !errors.As(err, &refused) || refused.Code != "241" || refused.Status != http.StatusInternalServerError {
		t.Fatalf("refused insert: %v", err)
	}
	rows("0")
	proxy.Set(embeddedtest.Faults{CorruptAnswer: 1})
	if err := insert(); !errors.As(err, &refused) || refused.Code != "252" {
		t.Fatalf("corrupt answer: %v", err)
	}
	rows("1")
	proxy.Set(embeddedtest.Faults{DropAnswer: 1})
	if err := insert(); err == nil || errors.As(err, &refused) {
		t.Fatalf("dropped answer: %v", err)
	}
	rows("2")
	if counts := proxy.Counts(); counts.Dropped != 1 {
		t.Fatalf("counts: %+v", counts)
	}
	proxy.Set(embeddedtest.Faults{Refuse: 1, Match: "other"})
	if err := insert(); err != nil {
		t.Fatal(err)
	}
	rows("3")
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	start := func(config embedded.ClickHouseConfig) error {
		server := embedded.NewClickHouse(config)
		defer server.Stop(context.Background())
		return server.Start(t.Context())
	}
	if err := start(embedded.ClickHouseConfig{}); err == nil {
		t.Error("started without a folder")
	}
	var missing *embedded.UnavailableError
	t.Setenv(embedded.LibraryVariable, "/nowhere/libchdb.so")
	if err := start(embedded.ClickHouseConfig{Directory: t.TempDir()}); !errors.As(err, &missing) {
		t.Errorf("a library that is not there: %v", err)
	}
	t.Setenv(embedded.EngineVariable, "/nowhere/engine")
	config := embedded.ClickHouseConfig{Directory: t.TempDir(), Library: "/dev/null"}
	if err := start(config); !errors.As(err, &missing) {
		t.Errorf("an engine that is not there: %v", err)
	}
	config.Engine = "/bin/false"
	if err := start(config); err == nil || !strings.Contains(err.Error(), "ended") {
		t.Errorf("an engine that ends: %v", err)
	}
	config.Engine, config.StartTimeout = "/bin/cat", 100*time.Millisecond
	if err := start(config); err == nil {
		t.Error("an engine that is none")
	}
}

func TestHeldInsertIsNotListedAsRunning(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	proxy := server.InjectFaults(t)
	server.Exec(t, numbersTable)
	proxy.Set(embeddedtest.Faults{DelayAnswer: time.Hour})
	answer := make(chan error, 1)
	go func() {
		_, err := server.Try(t.Context(), "INSERT INTO numbers VALUES (7)", map[string]string{"query_id": "held"})
		answer <- err
	}()
	awaitHeld(t, proxy, 1)
	if got := server.Query(t, "SELECT count() FROM system.processes WHERE query_id = 'held'"); got != "0" {
		t.Error("an insert that has been executed is listed as running")
	}
	proxy.Set(embeddedtest.Faults{})
	if err := <-answer; err != nil {
		t.Errorf("the answer that was let go: %v", err)
	}
}

func TestTwoServersOnOneFolder(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	folder := t.TempDir()
	first := embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: folder})
	second := embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: folder})
	defer second.Stop(context.Background())
	defer first.Stop(context.Background())
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil {
		t.Error("two servers run on one folder")
	} else {
		t.Log(err)
	}
	server.Exec(t, "SELECT 1")
}

func TestRealServerByVariable(t *testing.T) {
	own := embeddedtest.OwnClickHouse(t)
	t.Setenv(embeddedtest.ClickHouseVariable, strings.Replace(own.Address, "http://", "http://user:password@", 1))
	server := embeddedtest.ClickHouse(t)
	if server.Process != nil || server.Username != "user" || server.Password != "password" || server.Address != own.Address {
		t.Fatalf("%+v", server)
	}
	if got := server.Query(t, "SELECT currentDatabase()"); got != server.Database {
		t.Fatalf("database %s, want %s", got, server.Database)
	}
	if err := server.Open(t).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A statement reads from a server of the test's, so that it runs until the test lets it end.
func TestStopLetsStatementsFinish(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	asked, mayEnd := make(chan struct{}, 10), make(chan struct{})
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked <- struct{}{}
		<-mayEnd
		_, _ = io.WriteString(w, "7\n")
	}))
	defer source.Close()
	answer := make(chan error, 1)
	go func() {
		got, err := server.Try(t.Context(), "SELECT a FROM url('"+source.URL+"', 'TSV', 'a UInt8')", nil)
		if err == nil && got != "7" {
			err = fmt.Errorf("got %q", got)
		}
		answer <- err
	}()
	select {
	case <-asked:
	case err := <-answer:
		t.Fatalf("the statement ended: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- server.Process.Stop(t.Context()) }()
	awaitClosed(t, strings.TrimPrefix(server.Process.Address(), "http://"))
	close(mayEnd)
	if err := <-answer; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestStopHasALimit(t *testing.T) {
	server := embeddedtest.OwnClickHouse(t)
	answer := make(chan error, 1)
	go func() {
		_, err := server.Try(t.Context(), "SELECT sum(sleepEachRow(1)) FROM numbers(60) SETTINGS max_block_size = 1", map[string]string{"query_id": "slow"})
		answer <- err
	}()
	embeddedtest.Eventually(t, "the slow statement runs", func() bool {
		return server.Query(t, "SELECT count() FROM system.processes WHERE query_id = 'slow'") == "1"
	})
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := server.Process.Stop(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("stop: %v", err)
	}
	if err := <-answer; err == nil {
		t.Error("a killed server answered")
	}
}
