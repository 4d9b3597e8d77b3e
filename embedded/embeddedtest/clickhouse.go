package embeddedtest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/logbatcher/logbatcher/embedded"
)

// A Server is a ClickHouse with a database for one test.
type Server struct {
	// Address is the URL of the HTTP interface, without user and password.
	Address string
	// Database is the test's own; it is dropped when the test ends.
	Database string
	// Username and Password are empty for the embedded engine.
	Username, Password string
	// Process is the embedded engine, which a test may kill if it is its own. It is
	// nil for a real server.
	Process *embedded.Server
}

// ClickHouse returns a database of the test's own, on a ClickHouse that all tests of this process share, or on the real server that
// ClickHouseVariable names. A test must not stop or disturb that server; see OwnClickHouse.
func ClickHouse(t testing.TB) *Server {
	t.Helper()
	server := &Server{}
	if text := os.Getenv(ClickHouseVariable); text != "" {
		address, err := url.Parse(text)
		if err != nil || address.Host == "" {
			t.Fatalf("%s=%s is not a URL", ClickHouseVariable, text)
		}
		server.Username = address.User.Username()
		server.Password, _ = address.User.Password()
		server.Address = address.Scheme + "://" + address.Host
	} else {
		process, err := shared.get()
		if err != nil {
			unavailable(t, err)
		}
		server.Process, server.Address = process, process.Address()
	}
	server.createDatabase(t)
	t.Cleanup(func() {
		if _, err := server.post(context.Background(), "", "DROP DATABASE IF EXISTS `"+server.Database+"` SYNC", nil); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return server
}

// OwnClickHouse starts a ClickHouse that the test may pause, kill and restart. It is always the embedded engine,
// and stopped when the test ends.
func OwnClickHouse(t testing.TB) *Server {
	t.Helper()
	process := embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: t.TempDir()})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := process.Start(ctx); err != nil {
		unavailable(t, err)
	}
	stopAtEnd(t, process.Stop)
	server := &Server{Process: process, Address: process.Address()}
	server.createDatabase(t)
	return server
}

// databases numbers the tests' databases.
var databases atomic.Int64

func (s *Server) createDatabase(t testing.TB) {
	t.Helper()
	name := strings.Map(func(c rune) rune {
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' {
			return c
		}
		return '_'
	}, t.Name())
	s.Database = fmt.Sprintf("%s_%x_%d", name[:min(len(name), 60)], time.Now().UnixNano(), databases.Add(1))
	if _, err := s.post(t.Context(), "", "CREATE DATABASE `"+s.Database+"`", nil); err != nil {
		t.Fatalf("create the test's database: %v", err)
	}
}

// Options returns the driver's options for this server and database, over HTTP
// and without compression.
func (s *Server) Options() *clickhouse.Options {
	address, _ := url.Parse(s.Address)
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP,
		Addr:     []string{address.Host},
		Auth:     clickhouse.Auth{Database: s.Database, Username: s.Username, Password: s.Password},
	}
	return options
}

// Open connects the driver. The connection is closed when the test ends.
func (s *Server) Open(t testing.TB) driver.Conn {
	t.Helper()
	connection, err := clickhouse.Open(s.Options())
	if err != nil {
		t.Fatalf("open ClickHouse: %v", err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// Exec executes statements in the test's database, one after the other.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.Try(t.Context(), statement, nil); err != nil {
			t.Fatalf("execute %s: %v", statement, err)
		}
	}
}

// Query executes a statement in the test's database and returns its rows as
// tab-separated text, without the last line end.
func (s *Server) Query(t testing.TB, statement string) string {
	t.Helper()
	rows, err := s.Try(t.Context(), statement, nil)
	if err != nil {
		t.Fatalf("query %s: %v", statement, err)
	}
	return rows
}

// Try executes a statement in the test's database, with parameters of the HTTP
// interface (settings, query_id), and returns its rows as tab-separated text or
// the exception as an error.
func (s *Server) Try(ctx context.Context, statement string, parameters map[string]string) (string, error) {
	return s.post(ctx, s.Database, statement, parameters)
}

func (s *Server) post(ctx context.Context, database, statement string, parameters map[string]string) (string, error) {
	values := url.Values{}
	for name, value := range parameters {
		values.Set(name, value)
	}
	if database != "" {
		values.Set("database", database)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Address+"/?"+values.Encode(), strings.NewReader(statement))
	if err != nil {
		return "", err
	}
	if s.Username != "" {
		request.SetBasicAuth(s.Username, s.Password)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	text := strings.TrimSuffix(string(body), "\n")
	if response.StatusCode != http.StatusOK {
		return "", &Exception{Status: response.StatusCode, Code: response.Header.Get("X-ClickHouse-Exception-Code"), Text: text}
	}
	return text, nil
}

// An Exception is ClickHouse's answer to a statement that failed.
type Exception struct {
	Status     int // of HTTP
	Code, Text string
}

// Error returns the exception's text.
func (e *Exception) Error() string { return e.Text }

// shared is the one ClickHouse of a test process. Its data folder goes when it
// is stopped.
var shared sharedClickHouse

type sharedClickHouse struct {
	mu      sync.Mutex
	process *embedded.Server
	folder  string
	err     error // why it could not be started; the answer to all who ask
}

func (s *sharedClickHouse) get() (*embedded.Server, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil && s.err == nil {
		s.err = s.start()
	}
	return s.process, s.err
}

func (s *sharedClickHouse) start() error {
	removeAbandonedFolders()
	folder, err := os.MkdirTemp("", folderPattern)
	if err != nil {
		return err
	}
	process := embedded.NewClickHouse(embedded.ClickHouseConfig{Directory: folder})
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	if err := process.Start(ctx); err != nil {
		_ = os.RemoveAll(folder)
		return err
	}
	s.process, s.folder = process, folder
	return nil
}

func (s *sharedClickHouse) stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := s.process.Stop(ctx)
	s.process = nil
	_ = os.RemoveAll(s.folder)
	return err
}

// folderPattern names the data folders of shared servers.
const folderPattern = "logbatcher-test-clickhouse-*"

// abandonedAge is the age at which no test process uses its folder any more.
const abandonedAge = 6 * time.Hour

// removeAbandonedFolders removes what test processes left that were killed, or
// whose TestMain does not call Main.
func removeAbandonedFolders() {
	folders, _ := filepath.Glob(filepath.Join(os.TempDir(), folderPattern))
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil && time.Since(info.ModTime()) > abandonedAge {
			_ = os.RemoveAll(folder)
		}
	}
}
