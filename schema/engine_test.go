package schema_test

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

// engineConn is a schema.Conn over the test's server, and keeps what it was asked to execute.
type engineConn struct {
	server *embeddedtest.Server

	mu       sync.Mutex
	executed []string
	// now is the server's clock where a test needs another than the engine's.
	now func() time.Time
	// refuse answers a statement in the engine's place where it returns an error.
	refuse func(statement string) error
}

func openEngine(t testing.TB) *engineConn {
	t.Helper()
	return &engineConn{server: embeddedtest.ClickHouse(t)}
}

func (c *engineConn) Exec(ctx context.Context, statement string) error {
	c.mu.Lock()
	refuse := c.refuse
	c.executed = append(c.executed, statement)
	c.mu.Unlock()
	if refuse != nil {
		if err := refuse(statement); err != nil {
			return err
		}
	}
	_, err := c.server.Try(ctx, statement, nil)
	return err
}

func (c *engineConn) Query(ctx context.Context, statement string) ([][]string, error) {
	if c.now != nil && statement == "SELECT toUnixTimestamp64Milli(now64(3))" {
		return [][]string{{strconv.FormatInt(c.now().UnixMilli(), 10)}}, nil
	}
	text, err := c.server.Try(ctx, statement, nil)
	if err != nil || text == "" {
		return nil, err
	}
	var rows [][]string
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		fields := strings.Split(line, "\t")
		for i, f := range fields {
			fields[i] = unescapeTSV(f)
		}
		rows = append(rows, fields)
	}
	return rows, nil
}

// statements returns what was executed and begins with the prefix.
func (c *engineConn) statements(prefix string) []string {
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

func (c *engineConn) exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := c.Exec(t.Context(), s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

func (c *engineConn) query(t testing.TB, statement string) string {
	t.Helper()
	text, err := c.server.Try(t.Context(), statement, nil)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return strings.TrimSuffix(text, "\n")
}

var tsvEscapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\'`, "'", `\b`, "\b", `\f`, "\f")

func unescapeTSV(field string) string {
	if field == `\N` {
		return ""
	}
	return tsvEscapes.Replace(field)
}

// memoryLocker is a Locker for the instances of one test.
type memoryLocker struct {
	mu    sync.Mutex
	held  map[string]chan struct{}
	err   error // answered in place of a lease
	taken int
}

func (l *memoryLocker) TryAcquire(_ context.Context, name string, _ time.Duration) (schema.Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return nil, l.err
	}
	if l.held == nil {
		l.held = make(map[string]chan struct{})
	}
	if l.held[name] != nil {
		return nil, schema.ErrLeaseHeld
	}
	l.held[name] = make(chan struct{})
	l.taken++
	ctx, cancel := context.WithCancel(context.Background())
	return &memoryLease{locker: l, name: name, ctx: ctx, cancel: cancel}, nil
}

func (l *memoryLocker) Acquire(ctx context.Context, name string, ttl time.Duration) (schema.Lease, error) {
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

type memoryLease struct {
	locker *memoryLocker
	name   string
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once
}

func (l *memoryLease) Context() context.Context { return l.ctx }

func (l *memoryLease) Release(context.Context) error {
	l.once.Do(func() {
		l.locker.mu.Lock()
		close(l.locker.held[l.name])
		delete(l.locker.held, l.name)
		l.locker.mu.Unlock()
		l.cancel()
	})
	return nil
}
