package batch

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/logbatcher/logbatcher/schema"
)

// keyColumn stores indexes of a dictionary in as few bytes as the greatest one needs. Nearly
// all batches stay with one byte.
type keyColumn struct {
	width  proto.CardinalityKey
	keys8  proto.ColUInt8
	keys16 proto.ColUInt16
	keys32 proto.ColUInt32
}

func (k *keyColumn) append(index uint32) {
	if k.width == proto.KeyUInt8 && index <= math.MaxUint8 {
		k.keys8 = append(k.keys8, uint8(index))
		return
	}
	k.appendWide(index)
}

func (k *keyColumn) appendWide(index uint32) {
	if k.width == proto.KeyUInt8 {
		k.width = proto.KeyUInt16
		for _, key := range k.keys8 {
			k.keys16 = append(k.keys16, uint16(key))
		}
		k.keys8 = emptied(k.keys8, 1)
	}
	if k.width == proto.KeyUInt16 {
		if index <= math.MaxUint16 {
			k.keys16 = append(k.keys16, uint16(index))
			return
		}
		k.width = proto.KeyUInt32
		for _, key := range k.keys16 {
			k.keys32 = append(k.keys32, uint32(key))
		}
		k.keys16 = emptied(k.keys16, 2)
	}
	k.keys32 = append(k.keys32, index)
}

func (k *keyColumn) len() int { return len(k.keys8) + len(k.keys16) + len(k.keys32) }

func (k *keyColumn) at(i int) uint32 {
	switch k.width {
	case proto.KeyUInt8:
		return uint32(k.keys8[i])
	case proto.KeyUInt16:
		return uint32(k.keys16[i])
	}
	return k.keys32[i]
}

func (k *keyColumn) truncate(length int) {
	switch k.width {
	case proto.KeyUInt8:
		k.keys8 = k.keys8[:length]
	case proto.KeyUInt16:
		k.keys16 = k.keys16[:length]
	default:
		k.keys32 = k.keys32[:length]
	}
}

func (k *keyColumn) write(w *blockWriter) {
	switch k.width {
	case proto.KeyUInt8:
		k.keys8.WriteColumn(w.Writer)
	case proto.KeyUInt16:
		k.keys16.WriteColumn(w.Writer)
	default:
		k.keys32.WriteColumn(w.Writer)
	}
}

func (k *keyColumn) memory() int { return len(k.keys8) + 2*len(k.keys16) + 4*len(k.keys32) }

func (k *keyColumn) reset() {
	k.width = proto.KeyUInt8
	k.keys8, k.keys16, k.keys32 = emptied(k.keys8, 1), emptied(k.keys16, 2), emptied(k.keys32, 4)
}

// What a LowCardinality column's data begins with; ch-go has these values, but keeps them to itself.
const (
	// dictionaryVersion is the state: dictionaries travel with the block that needs them.
	dictionaryVersion = 1
	// ownDictionary says that the block brings the whole dictionary; the keys' width is added.
	ownDictionary = 1<<9 | 1<<10
)

// writeDictionaryHead writes what stands before the dictionary's texts.
func writeDictionaryHead(w *blockWriter, width proto.CardinalityKey, size int) {
	w.buffer.PutInt64(ownDictionary | int64(width))
	w.buffer.PutInt64(int64(size))
}

// lowCardinalityColumn stores LowCardinality(String) and LowCardinality(Nullable(String)). Where the
// type is Nullable, index 0 stands for NULL.
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

// writeDictionary writes a LowCardinality column's data; without keys there is none.
func writeDictionary(w *blockWriter, texts *dictionary, keys *keyColumn) {
	if keys.len() == 0 {
		return
	}
	writeDictionaryHead(w, keys.width, texts.size())
	w.ChainWrite(texts.bytes)
	w.buffer.PutInt64(int64(keys.len()))
	keys.write(w)
}

func (c *lowCardinalityColumn) memory() int { return c.texts.memory() + c.keys.memory() }

func (c *lowCardinalityColumn) reset() {
	c.texts.reset()
	c.keys.reset()
}

// constantColumn is the batch's id in every row. A row costs nothing until the block is written.
type constantColumn struct {
	text           string
	rows           int
	lowCardinality bool
}

// fill is the column's fill function.
func (c *constantColumn) fill(*schema.Entry) *RowError {
	c.rows++
	return nil
}

func (c *constantColumn) append(*value) { c.rows++ }

func (c *constantColumn) undo() { c.rows-- }

func (c *constantColumn) write(w *blockWriter) {
	if !c.lowCardinality {
		w.repeat(appendString(nil, c.text), c.rows)
		return
	}
	w.buffer.PutInt64(dictionaryVersion)
	writeDictionaryHead(w, proto.KeyUInt8, 1)
	w.buffer.PutString(c.text)
	w.buffer.PutInt64(int64(c.rows))
	w.repeat([]byte{0}, c.rows)
}

// memory is what write writes, to the byte.
func (c *constantColumn) memory() int {
	text := len(appendString(nil, c.text))
	if !c.lowCardinality {
		return text * c.rows
	}
	return 4*8 + text + c.rows
}

func (c *constantColumn) reset() { c.text, c.rows = "", 0 }
