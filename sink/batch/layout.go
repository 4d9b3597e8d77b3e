package batch

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// Layout is a compiled projection of entries onto a table's columns. It is immutable and safe for concurrent use.
type Layout struct {
	table       *schema.Table
	route       string
	projections []projection
	partition   []schema.PartitionKey
	hash        string
	// attributes, resource and scope map the keys that have a column of their own to their slots.
	attributes, resource, scope map[string]int32
	// pool holds the *columns of released batches.
	pool sync.Pool
	// lastBytes is the size of each projection's texts in the last released batch.
	lastBytes []atomic.Int64
}

// NewLayout compiles the layout of a route's table. server is the time zone of the ClickHouse server, which applies to columns
// without one; nil is UTC. The error joins all problems, each on a line of its own.
func NewLayout(table *schema.Table, route string, server *time.Location) (*Layout, error) {
	if server == nil {
		server = time.UTC
	}
	l := &Layout{
		table: table, route: route, hash: table.Hash(), lastBytes: make([]atomic.Int64, len(table.Columns)),
		attributes: make(map[string]int32), resource: make(map[string]int32), scope: make(map[string]int32),
	}
	var problems []error
	report := func(format string, arguments ...any) { problems = append(problems, fmt.Errorf(format, arguments...)) }
	if len(table.Columns) == 0 {
		report("there are no columns")
	}
	names := make(map[string]bool)
	maps := make(map[schema.Field]string)
	for i := range table.Columns {
		c := &table.Columns[i]
		p, wrong := newProjection(c, server)
		for _, err := range wrong {
			report("column %q: %w", c.Name, err)
		}
		if names[c.Name] || c.Name == "" {
			report("column %d: the name %q is empty or there twice", i+1, c.Name)
		}
		names[c.Name] = true
		if field := c.Source.Field; field.IsMap() {
			if other := maps[field]; other != "" {
				report("column %q: %s go to column %q already", c.Name, c.Source, other)
			}
			maps[field] = c.Name
		}
		l.claim(&p)
		l.projections = append(l.projections, p)
	}
	by, err := schema.ParsePartitionBy(table.PartitionBy, table.Columns)
	if err != nil {
		report("%w", err)
	}
	for _, key := range by {
		switch source := table.Columns[key.Column].Source; source.Field {
		case schema.FieldReceivedTime, schema.FieldBatchID:
			report("partition by %q: column %q comes from %s, which an entry does not have until it is in a batch", table.PartitionBy, key.Name, source)
		}
	}
	l.partition = by
	return l, errors.Join(problems...)
}

// claim gives the attribute that the projection reads a slot, so that maps leave it out.
func (l *Layout) claim(p *projection) {
	keys := l.attributes
	switch p.Source.Field {
	case schema.FieldAttribute:
	case schema.FieldResourceAttribute:
		keys = l.resource
	case schema.FieldScopeAttribute:
		keys = l.scope
	default:
		return
	}
	slot, known := keys[p.Source.Key]
	if !known {
		slot = int32(len(keys))
		keys[p.Source.Key] = slot
	}
	p.slot = slot
}

// Table returns the table.
func (l *Layout) Table() *schema.Table { return l.table }

// Route returns the name of the route.
func (l *Layout) Route() string { return l.route }

// SchemaHash returns the table's hash, as in the history of migrations.
func (l *Layout) SchemaHash() string { return l.hash }
