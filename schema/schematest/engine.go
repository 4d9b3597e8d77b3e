// Package schematest has what the tests of schema's packages share: a connection to the test's ClickHouse, a Locker in memory, and
// columns written as text.
package schematest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema"
)

// Conn is a schema.Conn to the test's server. It records what it executes.
type Conn struct {
	// Server is the test's ClickHouse.
	Server *embeddedtest.Server

	mu       sync.Mutex
	executed []string
	// Now is the server's clock where a test needs another than the engine's.
	Now func() time.Time
	// Refuse answers a statement in the engine's place where it returns an error.
	Refuse func(statement string) error
}

// Open returns a connection to the test's ClickHouse.
func Open(t testing.TB) *Conn {
	t.Helper()
	return &Conn{Server: embeddedtest.ClickHouse(t)}
}

// Exec implements schema.Conn.
func (c *Conn) Exec(ctx context.Context, statement string) error {
	c.mu.Lock()
	refuse := c.Refuse
	c.executed = append(c.executed, statement)
	c.mu.Unlock()
	if refuse != nil {
		if err := refuse(statement); err != nil {
			return err
		}
	}
	_, err := c.Server.Try(ctx, statement, nil)
	return err
}

// Query implements schema.Conn.
func (c *Conn) Query(ctx context.Context, statement string) ([][]string, error) {
	if c.Now != nil && statement == "SELECT toUnixTimestamp64Milli(now64(3))" {
		return [][]string{{strconv.FormatInt(c.Now().UnixMilli(), 10)}}, nil
	}
	text, err := c.Server.Try(ctx, statement, nil)
	if err != nil || text == "" {
		return nil, err
	}
	var rows [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		fields := strings.Split(line, "\t")
		for i, f := range fields {
			fields[i] = UnescapeTSV(f)
		}
		rows = append(rows, fields)
	}
	return rows, nil
}

// Statements returns what was executed and begins with the prefix.
func (c *Conn) Statements(prefix string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []string
	for _, s := range c.executed {
		if strings.HasPrefix(s, prefix) {
			list = append(list, s)
		}
	}
	return list
}

// Run executes statements.
func (c *Conn) Run(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// Ask returns the answer to a query as text, without the last newline.
func (c *Conn) Ask(t testing.TB, statement string) string {
	t.Helper()
	text, err := c.Server.Try(t.Context(), statement, nil)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return strings.TrimSuffix(text, "\n")
}

var tsvEscapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\'`, "'", `\b`, "\b", `\f`, "\f")

// UnescapeTSV returns the value of a field of TabSeparated; NULL is empty.
func UnescapeTSV(field string) string {
	if field == `\N` {
		return ""
	}
	return tsvEscapes.Replace(field)
}

// Locker is a Locker for the instances of one test.
type Locker struct {
	mu   sync.Mutex
	held map[string]chan struct{}
	// Err is answered in place of a lease.
	Err error
	// Taken is how many leases were given.
	Taken int
}

// TryAcquire implements schema.Locker.
func (l *Locker) TryAcquire(_ context.Context, name string, _ time.Duration) (schema.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Err != nil {
		return nil, l.Err
	}
	if l.held == nil {
		l.held = make(map[string]chan struct{})
	}
	if l.held[name] != nil {
		return nil, schema.ErrLeaseHeld
	}
	l.held[name] = make(chan struct{})
	l.Taken++
	ctx, cancel := context.WithCancel(context.Background())
	return &lease{locker: l, name: name, ctx: ctx, cancel: cancel}, nil
}

// Acquire implements schema.Locker.
func (l *Locker) Acquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
	for {
		lease, err := l.TryAcquire(ctx, name, ttl)
		if !errors.Is(err, schema.ErrLeaseHeld) {
			return lease, err
		}
		l.mu.Lock()
		released := l.held[name]
		l.mu.Unlock()
		if released == nil {
			continue
		}
		select {
		case <-released:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

type lease struct {
	locker *Locker
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

func (l *lease) Context() context.Context { return l.ctx }

func (l *lease) Release(context.Context) error {
	l.once.Do(func() {
		l.locker.mu.Lock()
		close(l.locker.held[l.name])
		delete(l.locker.held, l.name)
		l.locker.mu.Unlock()
		l.cancel()
	})
	return nil
}

// Held returns how many leases are held.
func (l *Locker) Held() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}
