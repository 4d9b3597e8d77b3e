package clickhouse

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/logbatcher/logbatcher/schema"
)

// awayFor is how long new batches leave out an address that could not be reached.
const awayFor = 5 * time.Second

// answerTimeout bounds waiting for an answer in the driver. It is longer than any statement: what bounds
// a statement is its context.
const answerTimeout = 24 * time.Hour

// writeBufferBytes is the buffer between a request and its connection; frames larger than it pass by.
const writeBufferBytes = 64 << 10

// maxStatements is how many statements run on one server at a time, inserts not counted.
const maxStatements = 32

// address is one server.
type address struct {
	name string
	conn driver.Conn
	// statements has room for those that are at work beside the inserts. The others wait here for as long as their context lasts: the driver gives up
	// after DialTimeout where all of its connections are taken.
	statements chan struct{}

	mu        sync.Mutex // guards what follows
	awayUntil time.Time
	settings  map[string]bool // those of ours that the server knows; nil: not asked yet
}

func openAddress(c *Config, name string) (*address, error) {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:     clickhouse.HTTP,
		Addr:         []string{name},
		Auth:         clickhouse.Auth{Database: c.Database, Username: c.User, Password: c.Password},
		TLS:          c.TLS,
		DialTimeout:  c.DialTimeout,
		ReadTimeout:  answerTimeout,
		MaxOpenConns: c.MaxInserts + maxStatements,
		MaxIdleConns: c.MaxInserts + maxStatements,
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "logbatcher", Version: "1"},
		}},
		TransportFunc: func(t *http.Transport) (http.RoundTripper, error) {
			t.WriteBufferSize = writeBufferBytes
			return &transport{t}, nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return &address{name: name, conn: conn, statements: make(chan struct{}, maxStatements)}, nil
}

// away notes that the server could not be reached, back that it could.
func (a *address) away() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awayUntil = time.Now().Add(awayFor)
}

func (a *address) back() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.awayUntil = time.Time{}
}

func (a *address) isAway() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Now().Before(a.awayUntil)
}

// known returns which of our settings the server knows. It asks once.
func (a *address) known(ctx context.Context) (map[string]bool, error) {
	a.mu.Lock()
	settings := a.settings
	a.mu.Unlock()
	if settings != nil {
		return settings, nil
	}
	var names []string
	for _, setting := range slices.Concat(insertSettings, questionSettings) {
		names = append(names, schema.QuoteString(setting.name))
	}
	rows, err := a.rows(ctx, answerSettings, "SELECT name FROM system.settings WHERE name IN ("+strings.Join(names, ", ")+")")
	if err != nil {
		return nil, err
	}
	settings = map[string]bool{}
	for _, row := range rows {
		settings[row[0]] = true
	}
	a.mu.Lock()
	a.settings = settings
	a.mu.Unlock()
	return settings, nil
}

// forgetSettings has the server asked again.
func (a *address) forgetSettings() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.settings = nil
}
