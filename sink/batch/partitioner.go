package batch

import (
	"encoding/binary"

	"github.com/logbatcher/logbatcher/schema"
)

// Partitioner computes the partition of an entry's row. It keeps what it computed last, so each goroutine needs its own.
type Partitioner struct {
	keys []partitionKey
	row  row
	// origin is a copy, and only made if a key reads it: keeping the caller's pointer would put every origin on the heap.
	origin      Origin
	readsOrigin bool
	value       value
	// last is the partition of the last entry.
	last *Partition
	// known maps the keys' values to their partition.
	known map[string]*Partition
	name  []byte
}

// maxKnown bounds known, which is then cleared. The open batches of its partitions get no more rows after that; the next row of such
// a partition begins a batch.
const maxKnown = 4096

// NewPartitioner returns a partitioner. It is not safe for concurrent use.
func (l *Layout) NewPartitioner() *Partitioner {
	p := &Partitioner{known: make(map[string]*Partition)}
	p.row.origin = &p.origin
	for _, key := range l.partition {
		p.readsOrigin = p.readsOrigin || l.projections[key.Column].Source.Field > schema.FieldReceivedTime
		p.keys = append(p.keys, l.newPartitionKey(key))
	}
	return p
}

// Of returns the partition of the entry's row, or the error that Append would return for a key's column. o is the row's origin,
// as given to Begin.
func (p *Partitioner) Of(e *schema.Entry, o *Origin) (*Partition, *RowError) {
	p.row.entry = e
	if p.readsOrigin {
		p.origin = *o
	}
	changed := p.last == nil
	for i := range p.keys {
		key := &p.keys[i]
		if key.fast && e.Time > 0 && key.span.Contains(e.Time/1e9) {
			continue
		}
		err := key.projection.evaluate(&p.row, &p.value)
		different := false
		if err == nil {
			different, err = key.update(&p.row, &p.value)
		}
		if err != nil {
			p.last = nil
			return nil, err
		}
		changed = changed || different
	}
	if changed {
		p.last = p.find()
	}
	return p.last, nil
}

// find returns the partition of the keys' values.
func (p *Partitioner) find() *Partition {
	p.name = p.name[:0]
	for i := range p.keys {
		v := &p.keys[i].value
		p.name = binary.LittleEndian.AppendUint64(p.name, v.bits)
		p.name = binary.LittleEndian.AppendUint64(p.name, v.high)
		p.name = appendString(p.name, v.text)
	}
	known := p.known[string(p.name)]
	if known == nil {
		if len(p.known) >= maxKnown {
			clear(p.known)
		}
		known = newPartition(p.keys)
		p.known[string(p.name)] = known
	}
	return known
}
