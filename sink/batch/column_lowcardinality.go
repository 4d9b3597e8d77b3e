package batch

import (
	"encoding/binary"
	"math"

	"github.com/ClickHouse/ch-go/proto"
)

// keyColumn stores indexes of a dictionary in as few bytes each as the greatest one needs. Nearly all batches stay with
// one byte.
type keyColumn struct {
	bytes []byte
	width proto.CardinalityKey // the binary logarithm of the bytes of a key
}

func (k *keyColumn) append(index uint32) {
	if k.width == proto.KeyUInt8 && index <= math.MaxUint8 {
		k.bytes = append(k.bytes, byte(index))
		return
	}
	k.appendWide(index)
}

func (k *keyColumn) appendWide(index uint32) {
	for uint64(index) >= 1<<(8<<k.width) {
		wider := keyColumn{width: k.width + 1}
		for i := range k.len() {
			wider.appendWide(k.at(i))
		}
		*k = wider
	}
	switch k.width {
	case proto.KeyUInt8:
		k.bytes = append(k.bytes, byte(index))
	case proto.KeyUInt16:
		k.bytes = binary.LittleEndian.AppendUint16(k.bytes, uint16(index))
	default:
		k.bytes = binary.LittleEndian.AppendUint32(k.bytes, index)
	}
}

func (k *keyColumn) len() int { return len(k.bytes) >> k.width }

func (k *keyColumn) at(i int) uint32 {
	switch k.width {
	case proto.KeyUInt8:
		return uint32(k.bytes[i])
	case proto.KeyUInt16:
		return uint32(binary.LittleEndian.Uint16(k.bytes[2*i:]))
	}
	return binary.LittleEndian.Uint32(k.bytes[4*i:])
}

func (k *keyColumn) truncate(length int) { k.bytes = k.bytes[:length<<k.width] }

func (k *keyColumn) memory() int { return len(k.bytes) }

func (k *keyColumn) reset() { k.width, k.bytes = proto.KeyUInt8, emptied(k.bytes) }

// What the data of a LowCardinality column begins with; ch-go does not export these values.
const (
	// dictionaryVersion means that dictionaries travel with the block that needs them.
	dictionaryVersion = 1
	// ownDictionary means that the block brings the whole dictionary; the keys' width is added.
	ownDictionary = 1<<9 | 1<<10
)

// writeDictionary writes the data of a LowCardinality column, which is empty without keys.
func writeDictionary(w *blockWriter, texts *dictionary, keys *keyColumn) {
	if keys.len() == 0 {
		return
	}
	w.buffer.PutInt64(ownDictionary | int64(keys.width))
	w.buffer.PutInt64(int64(texts.size()))
	w.write(texts.bytes)
	w.buffer.PutInt64(int64(keys.len()))
	w.write(keys.bytes)
}

// lowCardinalityColumn stores LowCardinality(String) and LowCardinality(Nullable(String)). In the second, index 0 is NULL.
type lowCardinalityColumn struct {
	texts dictionary
	keys  keyColumn
}

func newLowCardinalityColumn(nullable bool) *lowCardinalityColumn {
	c := &lowCardinalityColumn{}
	c.texts.init(nullable)
	return c
}

func (c *lowCardinalityColumn) appendText(text string) {
	c.texts.mark()
	c.keys.append(c.texts.index(text))
}

func (c *lowCardinalityColumn) append(v *value) {
	if v.null {
		c.texts.mark()
		c.keys.append(0)
		return
	}
	c.appendText(v.text)
}

func (c *lowCardinalityColumn) undo() {
	c.texts.undo()
	c.keys.truncate(c.keys.len() - 1)
}

func (c *lowCardinalityColumn) write(w *blockWriter) {
	w.buffer.PutInt64(dictionaryVersion)
	writeDictionary(w, &c.texts, &c.keys)
}

func (c *lowCardinalityColumn) memory() int { return c.texts.memory() + c.keys.memory() }

func (c *lowCardinalityColumn) reset() {
	c.texts.reset()
	c.keys.reset()
}
