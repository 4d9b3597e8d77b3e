package batch

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/logbatcher/logbatcher/schema"
)

// Partition is one partition of a table. A Partitioner returns the same pointer for the same partition, so that it
// can be the key of a map.
type Partition struct {
	// ID is ClickHouse's partition_id, for people. If that is a hash, ID is the values of the keys instead.
	ID string
	// Condition is the SQL condition for exactly the partition's rows.
	Condition string
}

// newPartition returns the partition of the keys' values.
func newPartition(keys []partitionKey) *Partition {
	if len(keys) == 0 {
		return &Partition{ID: "all", Condition: "_partition_id = 'all'"}
	}
	ids, conditions := make([]string, len(keys)), make([]string, len(keys))
	for i := range keys {
		ids[i], conditions[i] = keys[i].id(), keys[i].condition()
	}
	return &Partition{ID: strings.Join(ids, "-"), Condition: strings.Join(conditions, " AND ")}
}

// keyValue is the value of a partition key, as in value.
type keyValue struct {
	text       string
	bits, high uint64
}

// partitionKey is one key with its last value.
type partitionKey struct {
	schema.PartitionKey
	projection *projection
	// kind is the value's.
	kind  schema.Kind
	value keyValue
	// span is the span in which a function of a time has the value.
	span schema.Span
	// fast is true for a function of the entry's time in a DateTime or DateTime64: inside the span nothing has to be evaluated.
	fast bool
}

func (l *Layout) newPartitionKey(key schema.PartitionKey) partitionKey {
	p := &l.projections[key.Column]
	return partitionKey{
		PartitionKey: key, projection: p, kind: key.Function.Result(p.target.Kind),
		fast: key.Function != schema.PartitionValue && p.target.Kind != schema.KindDate && p.Source.Field == schema.FieldTime,
	}
}

// update computes the key's value from the column's, and reports whether it changed. The error is for times that a DateTime64 can hold
// and the function can't.
func (k *partitionKey) update(r *row, v *value) (changed bool, err *RowError) {
	now := keyValue{text: v.text, bits: v.bits, high: v.high}
	switch t := &k.projection.target; {
	case t.Kind == schema.KindDate:
		now.bits = k.Function.OfDay(int64(v.bits))
	case k.Function != schema.PartitionValue:
		seconds := int64(v.bits)
		if t.Kind == schema.KindDateTime64 {
			seconds = schema.FloorDivide(seconds, int64(time.Second)/t.tick)
		}
		if !k.span.Contains(seconds) {
			var ok bool
			if k.span, ok = t.calendar().Span(k.Function, seconds); !ok {
				return false, k.rowError(r)
			}
		}
		now = keyValue{bits: k.span.Value}
	}
	if now == k.value {
		return false, nil
	}
	k.value = now
	k.value.text = strings.Clone(now.text)
	return true, nil
}

func (k *partitionKey) rowError(r *row) *RowError {
	in := "the column's default"
	if source := k.projection.read(r); source != nil {
		in = source.String()
	}
	e := &RowError{
		Field: k.projection.Source.String(), Reason: schema.OutOfRange, Column: k.projection.Name,
		Message: in + " is out of range of the partition key " + k.String() + "; it has to be 1970 to 2105",
	}
	if k.projection.OnError == schema.DeadLetter { // UseDefault is about the column, so here it refuses
		e.Action = schema.DeadLetter
	}
	return e
}

// id returns the value in the form of ClickHouse's partition ids.
func (k *partitionKey) id() string {
	if k.kind == schema.KindDate {
		return k.day().Format("20060102")
	}
	return k.text()
}

func (k *partitionKey) day() time.Time { return time.Unix(0, 0).UTC().AddDate(0, 0, int(k.value.bits)) }

// text returns the value of any type but Date.
func (k *partitionKey) text() string {
	switch low, _ := k.kind.Range(); {
	case k.kind == schema.KindString || k.kind == schema.KindFixedString:
		return k.value.text
	case k.kind == schema.KindUUID:
		half := binary.BigEndian.AppendUint64(nil, k.value.bits)
		return uuid.UUID(binary.BigEndian.AppendUint64(half, k.value.high)).String()
	case k.kind == schema.KindIPv6:
		half := binary.LittleEndian.AppendUint64(nil, k.value.bits)
		return netip.AddrFrom16([16]byte(binary.LittleEndian.AppendUint64(half, k.value.high))).String()
	case low < 0:
		return strconv.FormatInt(int64(k.value.bits), 10)
	}
	return strconv.FormatUint(k.value.bits, 10)
}

// condition returns the SQL condition for the value.
func (k *partitionKey) condition() string {
	key := k.String()
	switch k.kind {
	case schema.KindDate:
		return fmt.Sprintf("%s = toDate('%s')", key, k.day().Format(time.DateOnly))
	case schema.KindDateTime:
		return fmt.Sprintf("%s = toDateTime(%d)", key, k.value.bits)
	case schema.KindString, schema.KindFixedString:
		return key + " = " + schema.QuoteString(k.value.text)
	case schema.KindUUID:
		return fmt.Sprintf("%s = toUUID('%s')", key, k.text())
	case schema.KindIPv4:
		address := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(k.value.bits))))
		return fmt.Sprintf("%s = toIPv4('%s')", key, address)
	case schema.KindIPv6:
		return fmt.Sprintf("%s = toIPv6('%s')", key, k.text())
	case schema.KindEnum8, schema.KindEnum16: // an Enum itself is compared with a name
		return fmt.Sprintf("toInt16(%s) = %d", key, int64(k.value.bits))
	}
	return key + " = " + k.text()
}
