package clickhouse

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/logbatcher/logbatcher/schema"
)

// awayFor is how long an address that could not be reached is tried only after the others.
const awayFor = 5 * time.Second

// answerTimeout bounds waiting for an answer in the driver. It is longer than any statement, which is bounded by its context.
const answerTimeout = 24 * time.Hour

// writeBufferBytes is the buffer between a request and its connection; larger frames bypass it.
const writeBufferBytes = 64 << 10

// maxStatements bounds the statements that run on one server at a time beside the inserts.
const maxStatements = 32

// address is one server.
type address struct {
	name string
	conn driver.Conn
	// statements holds a token for each statement that runs beside the inserts. Others wait here until their context ends: the
	// driver would give up after DialTimeout when all of its connections are taken.
	statements chan struct{}
	awayUntil  atomic.Int64                    // Unix ns; tried after other addresses until then
	settings   atomic.Pointer[map[string]bool] // those of ours that the server knows; nil until asked
}

func openAddress(c *Config, name string) (*address, error) {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol:     clickhouse.HTTP,
		Addr:         []string{name},
		Auth:         clickhouse.Auth{Database: c.Database, Username: c.User, Password: string(c.Password)},
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

// setAway records whether the server could be reached.
func (a *address) setAway(away bool) {
	var until int64
	if away {
		until = time.Now().Add(awayFor).UnixNano()
	}
	a.awayUntil.Store(until)
}

func (a *address) isAway() bool { return time.Now().UnixNano() < a.awayUntil.Load() }

// inOrder returns the addresses from the numbered one on, those that are away last.
func (s *Sink) inOrder(first int) []*address {
	var here, away []*address
	for _, a := range slices.Concat(s.addresses[first:], s.addresses[:first]) {
		if a.isAway() {
			away = append(away, a)
		} else {
			here = append(here, a)
		}
	}
	return append(here, away...)
}

// choose returns the address for an attempt: the same for all attempts of a batch while it can be reached, different for
// different batches.
func (s *Sink) choose(batch string) *address {
	if len(s.addresses) == 1 {
		return s.addresses[0]
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(batch))
	return s.inOrder(int(hash.Sum32() % uint32(len(s.addresses))))[0]
}

// known returns which of our settings the server knows. It asks once.
func (a *address) known(ctx context.Context) (map[string]bool, error) {
	if settings := a.settings.Load(); settings != nil {
		return *settings, nil
	}
	var names []string
	for _, setting := range slices.Concat(insertSettings, querySettings) {
		names = append(names, schema.QuoteString(setting.name))
	}
	rows, err := a.rows(ctx, querySettingsFor(nil), "SELECT name FROM system.settings WHERE name IN ("+strings.Join(names, ", ")+")")
	if err != nil {
		return nil, err
	}
	settings := map[string]bool{}
	for _, row := range rows {
		settings[row[0]] = true
	}
	a.settings.Store(&settings)
	return settings, nil
}

// forgetSettings has the server asked again.
func (a *address) forgetSettings() { a.settings.Store(nil) }
