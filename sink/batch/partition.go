package batch

import (
	"strconv"
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// Partition is one partition of a table. A Partitioner gives the same pointer for the same partition, so that it
// can be the key of a map.
type Partition struct {
	// ID is ClickHouse's partition_id. Where one of the keys is a text or another kind that ClickHouse hashes,
	// it is the values instead, for people to read.
	ID string
	// Condition selects in SQL exactly the partition's rows of the table.
	Condition string
}

// Partitioner tells which partition an entry's row belongs to. It remembers what it computed last, so
// each goroutine needs its own.
type Partitioner struct {
	layout *Layout
	keys   []partitionKey
	row    row
	// origin is a copy, made only where a key reads it: a pointer to the caller's would put each one on the heap.
	origin      Origin
	readsOrigin bool
	value       value
	// last is the partition of the last entry.
	last *Partition
	// known has the partitions by the values of their keys.
	known map[string]*Partition
	name  []byte
}

// partitionKey is one key with the value that it had last.
type partitionKey struct {
	schema.PartitionKey
	projection *projection
	calendar   calendar
	// fast says that the key is a function of the entry's time in a DateTime or DateTime64, which needs no
	// evaluation while the time stays inside the period.
	fast bool
	// first and next bound the Unix seconds for which bits is right.
	first, next int64
	bits        uint64
	wide        [16]byte
	text        string
}

// maxKnown bounds the partitions that a partitioner remembers. Beyond, it forgets them all: an open batch of one of
// them then gets no more rows, and the next row of its partition begins another.
const maxKnown = 4096

// NewPartitioner returns a partitioner. It is not safe for concurrent use.
func (l *Layout) NewPartitioner() *Partitioner {
	p := &Partitioner{layout: l, known: make(map[string]*Partition)}
	p.row.origin = &p.origin
	for _, key := range l.partition.Keys {
		projection := &l.projections[key.Column]
		switch projection.source.Field {
		case schema.FieldProducer, schema.FieldSequence, schema.FieldShardID:
			p.readsOrigin = true
		}
		p.keys = append(p.keys, partitionKey{
			PartitionKey: key,
			projection:   projection,
			calendar:     calendar{location: projection.target.location},
			fast: key.Function != schema.PartitionValue && projection.source.Field == schema.FieldTime &&
				(projection.target.kind == schema.KindDateTime || projection.target.kind == schema.KindDateTime64),
		})
	}
	return p
}

// Of returns the partition of the entry's row, or the error that Append would return for the column that decides
// about it. o is what Begin will be told for the row.
func (p *Partitioner) Of(e *schema.Entry, o *Origin) (*Partition, *RowError) {
	changed := p.last == nil
	p.row.entry = e
	if p.readsOrigin {
		p.origin = *o
	}
	for i := range p.keys {
		key := &p.keys[i]
		if key.fast && e.Time > 0 {
			if seconds := e.Time / 1e9; seconds >= key.first && seconds < key.next {
				continue
			}
		}
		if err := key.projection.evaluate(&p.row, &p.value); err != nil {
			p.last = nil
			return nil, err
		}
		different, reason := key.take(&p.value)
		if reason != schema.NoReason {
			p.last = nil
			return nil, key.rowError(&p.row)
		}
		changed = changed || different
	}
	if changed {
		p.last = p.find()
	}
	return p.last, nil
}

// rowError is for a time that the column can hold, but whose partition can't be computed: DateTime64 reaches
// further than the functions do.
func (k *partitionKey) rowError(r *row) *RowError {
	in := k.projection.read(r)
	if in == nil {
		in = &schema.Attribute{Text: "the column's default", Type: ofString}
	}
	e := k.projection.rowError(in, schema.OutOfRange)
	e.Message = describe(in) + " is out of range of the partition key " + k.String() + "; it has to be 1970 to 2105"
	if e.Action == schema.UseDefault {
		e.Action = schema.Refuse // the default is in the column's range, but it was not asked for here
	}
	return e
}

// take notes the column's value and says whether the key's value is another than before.
func (k *partitionKey) take(v *value) (changed bool, reason schema.Reason) {
	if k.Function != schema.PartitionValue {
		return k.takeTime(v)
	}
	switch k.projection.target.kind {
	case schema.KindString, schema.KindFixedString:
		if changed = v.text != k.text; changed {
			k.text = strings.Clone(v.text)
		}
	case schema.KindUUID, schema.KindIPv6:
		changed = v.wide != k.wide
		k.wide = v.wide
	default:
		changed = v.bits != k.bits
		k.bits = v.bits
	}
	return changed, schema.NoReason
}

// takeTime applies the key's function.
func (k *partitionKey) takeTime(v *value) (changed bool, reason schema.Reason) {
	before := k.bits
	if k.projection.target.kind == schema.KindDate {
		k.bits = dayFunction(k.Function, int64(v.bits))
		return k.bits != before, schema.NoReason
	}
	seconds := int64(v.bits)
	if k.projection.target.kind == schema.KindDateTime64 {
		seconds = floorDivide(seconds, 1e9/k.projection.target.tick)
	}
	if seconds >= k.first && seconds < k.next {
		return false, schema.NoReason
	}
	period, ok := k.calendar.period(k.Function, seconds)
	if !ok {
		return false, schema.OutOfRange
	}
	k.first, k.next, k.bits = period.first, period.next, period.value
	return k.bits != before, schema.NoReason
}

// find returns the partition of the keys' present values.
func (p *Partitioner) find() *Partition {
	p.name = p.name[:0]
	for i := range p.keys {
		k := &p.keys[i]
		p.name = strconv.AppendUint(p.name, k.bits, 36)
		p.name = append(p.name, '/')
		p.name = append(p.name, k.wide[:]...)
		p.name = strconv.AppendInt(p.name, int64(len(k.text)), 10)
		p.name = append(p.name, '/')
		p.name = append(p.name, k.text...)
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
