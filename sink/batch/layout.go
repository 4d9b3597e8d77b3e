package batch

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Layout is the compiled projection of entries onto a table's columns. It is immutable and safe for concurrent use. It has no column
// that its source could never fill.
type Layout struct {
	table       *schema.Table
	route       string
	server      *time.Location
	projections []projection
	partition   []schema.PartitionKey
	hash        string
	// attributes, resource and scope map the keys that have columns of their own to their slots.
	attributes, resource, scope map[string]int32
	// pool has the *columns of released batches.
	pool sync.Pool
	// lastBytes has for each projection the size of the texts in the last released batch.
	lastBytes []atomic.Int64
}

// NewLayout compiles the layout of a route's table. server is the zone of the ClickHouse server, which applies to times without a zone;
// nil is UTC. The error joins all problems.
func NewLayout(table *schema.Table, route string, server *time.Location) (*Layout, error) {
	if server == nil {
		server = time.UTC
	}
	l := &Layout{
		table: table, route: route, server: server,
		attributes: make(map[string]int32), resource: make(map[string]int32), scope: make(map[string]int32),
	}
	var problems []error
	report := func(err error) {
		problems = append(problems, fmt.Errorf("route %q, table %s: %w", route, table.FullName(), err))
	}
	if len(table.Columns) == 0 {
		report(errors.New("there are no columns"))
	}
	names := make(map[string]bool)
	maps := make(map[schema.Field]string)
	for i := range table.Columns {
		c := &table.Columns[i]
		p, err := compileProjection(c, server)
		if err != nil {
			report(fmt.Errorf("column %q: %w", c.Name, err))
		}
		if names[c.Name] || c.Name == "" {
			report(fmt.Errorf("column %d: the name %q is empty or there twice", i+1, c.Name))
		}
		names[c.Name] = true
		if field := c.Source.Field; field.IsMap() {
			if other := maps[field]; other != "" {
				report(fmt.Errorf("column %q: %s go to column %q already", c.Name, c.Source, other))
			}
			maps[field] = c.Name
		}
		l.claim(&p)
		l.projections = append(l.projections, p)
	}
	l.lastBytes = make([]atomic.Int64, len(l.projections))
	by, err := schema.ParsePartitionBy(table.PartitionBy, table.Columns)
	if err != nil {
		report(err)
	}
	if err := l.checkPartition(by); err != nil {
		report(err)
	}
	l.partition = by
	l.hash = table.Hash()
	return l, errors.Join(problems...)
}

// claim gives the projection's attribute a slot, so that maps leave it out.
func (l *Layout) claim(p *projection) {
	keys := l.attributes
	switch p.source.Field {
	case schema.FieldAttribute:
	case schema.FieldResourceAttribute:
		keys = l.resource
	case schema.FieldScopeAttribute:
		keys = l.scope
	default:
		return
	}
	slot, known := keys[p.source.Key]
	if !known {
		slot = int32(len(keys))
		keys[p.source.Key] = slot
	}
	p.slot = slot
}

// checkPartition rejects partition keys that do not depend on the entry alone.
func (l *Layout) checkPartition(by []schema.PartitionKey) error {
	for _, key := range by {
		switch source := l.table.Columns[key.Column].Source; source.Field {
		case schema.FieldReceivedTime, schema.FieldBatchID:
			return fmt.Errorf("partition by %q: column %q comes from %s, which an entry does not have until it is in a batch",
				l.table.PartitionBy, key.Name, source)
		}
	}
	return nil
}

// Table returns the table.
func (l *Layout) Table() *schema.Table { return l.table }

// Route returns the name of the route.
func (l *Layout) Route() string { return l.route }

// SchemaHash returns the table's hash, as the history of migrations has it.
func (l *Layout) SchemaHash() string { return l.hash }
