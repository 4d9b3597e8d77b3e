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

// newPartition names the partition of the keys' values.
func newPartition(keys []partitionKey) *Partition {
	if len(keys) == 0 {
		return &Partition{ID: "all", Condition: "_partition_id = 'all'"}
	}
	names := make([]string, len(keys))
	hashed := false
	for i := range keys {
		names[i] = keys[i].id()
		hashed = hashed || keys[i].hashed()
	}
	id := strings.Join(names, "-")
	if !hashed {
		return &Partition{ID: id, Condition: "_partition_id = " + schema.QuoteString(id)}
	}
	conditions := make([]string, len(keys))
	for i := range keys {
		conditions[i] = keys[i].condition()
	}
	return &Partition{ID: id, Condition: strings.Join(conditions, " AND ")}
}

// hashed says that ClickHouse makes a hash the id of the whole key: where not all of its values are integers.
func (k *partitionKey) hashed() bool {
	switch k.projection.target.kind {
	case schema.KindString, schema.KindFixedString, schema.KindUUID, schema.KindIPv6:
		return true
	}
	return false
}

// id is the value as ClickHouse writes it in a partition's id.
func (k *partitionKey) id() string {
	switch kind := k.projection.target.kind; {
	case k.isDate():
		return time.Unix(int64(k.bits)*secondsPerDay, 0).UTC().Format("20060102")
	case k.Function != schema.PartitionValue:
		return strconv.FormatUint(k.bits, 10)
	case kind == schema.KindString || kind == schema.KindFixedString:
		return k.text
	case kind == schema.KindUUID:
		return k.uuid()
	case kind == schema.KindIPv6:
		return netip.AddrFrom16(k.wide).String()
	case k.projection.target.low < 0 || kind == schema.KindEnum8 || kind == schema.KindEnum16:
		return strconv.FormatInt(int64(k.bits), 10)
	}
	return strconv.FormatUint(k.bits, 10)
}

// isDate says that the key's value is a Date, in bits as a number of days.
func (k *partitionKey) isDate() bool {
	switch k.Function {
	case schema.PartitionToDate, schema.PartitionToMonday:
		return true
	}
	return k.Function == schema.PartitionValue && k.projection.target.kind == schema.KindDate
}

func (k *partitionKey) uuid() string {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], binary.LittleEndian.Uint64(k.wide[:8]))
	binary.BigEndian.PutUint64(id[8:], binary.LittleEndian.Uint64(k.wide[8:]))
	return id.String()
}

// condition selects the key's value where it can't be asked for by the partition's id.
func (k *partitionKey) condition() string {
	expression := k.String()
	switch {
	case k.isDate():
		day := time.Unix(int64(k.bits)*secondsPerDay, 0).UTC().Format(time.DateOnly)
		return fmt.Sprintf("%s = toDate('%s')", expression, day)
	case k.Function == schema.PartitionToYYYYMM:
		return fmt.Sprintf("%s = %d", expression, k.bits)
	case k.Function != schema.PartitionValue || k.projection.target.kind == schema.KindDateTime:
		return fmt.Sprintf("%s = toDateTime(%d)", expression, k.bits)
	}
	switch k.projection.target.kind {
	case schema.KindString, schema.KindFixedString:
		return expression + " = " + schema.QuoteString(k.text)
	case schema.KindUUID:
		return fmt.Sprintf("%s = toUUID('%s')", expression, k.id())
	case schema.KindIPv4:
		return fmt.Sprintf("%s = toIPv4('%s')", expression, netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(k.bits)))))
	case schema.KindIPv6:
		return fmt.Sprintf("%s = toIPv6('%s')", expression, k.id())
	case schema.KindEnum8, schema.KindEnum16:
		// An Enum is compared with a name. Its value goes through the number behind it.
		return fmt.Sprintf("toInt16(%s) = %s", expression, k.id())
	}
	return expression + " = " + k.id()
}
