package batch

import (
	"math"

	"github.com/ClickHouse/ch-go/proto"
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

func (k *keyColumn) write(w *nativeWriter) {
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
func writeDictionaryHead(w *nativeWriter, width proto.CardinalityKey, size int) {
	w.ChainBuffer(func(b *proto.Buffer) {
		b.PutInt64(ownDictionary | int64(width))
		b.PutInt64(int64(size))
	})
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

func (c *lowCardinalityColumn) appendRows(from column, rows RowSet) {
	other := from.(*lowCardinalityColumn)
	for _, r := range rows {
		for i := r.From; i < r.To; i++ {
			index := other.keys.at(i)
			if index >= other.texts.base {
				index = c.texts.index(other.texts.text(index))
			}
			c.keys.append(index)
		}
	}
	c.texts.mark()
}

func (c *lowCardinalityColumn) writeState(b *proto.Buffer) { b.PutInt64(dictionaryVersion) }

func (c *lowCardinalityColumn) write(w *nativeWriter) error {
	writeDictionary(w, &c.texts, &c.keys)
	return nil
}

// writeDictionary writes a LowCardinality column's data; without keys there is none.
func writeDictionary(w *nativeWriter, texts *dictionary, keys *keyColumn) {
	if keys.len() == 0 {
		return
	}
	writeDictionaryHead(w, keys.width, texts.size())
	w.ChainWrite(texts.bytes)
	w.ChainBuffer(func(b *proto.Buffer) { b.PutInt64(int64(keys.len())) })
	keys.write(w)
}

// encodedDictionary is the number of bytes that writeDictionary writes.
func encodedDictionary(texts *dictionary, keys *keyColumn) int {
	if keys.len() == 0 {
		return 0
	}
	return 3*8 + len(texts.bytes) + keys.memory()
}

func (c *lowCardinalityColumn) memory() int { return c.texts.memory() + c.keys.memory() }

func (c *lowCardinalityColumn) encoded() int { return 8 + encodedDictionary(&c.texts, &c.keys) }

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

func (c *constantColumn) append(*value) { c.rows++ }

func (c *constantColumn) undo() { c.rows-- }

func (c *constantColumn) appendRows(_ column, rows RowSet) { c.rows += rows.Size() }

func (c *constantColumn) writeState(b *proto.Buffer) {
	if c.lowCardinality {
		b.PutInt64(dictionaryVersion)
	}
}

func (c *constantColumn) write(w *nativeWriter) error {
	if !c.lowCardinality {
		w.repeat(appendString(nil, c.text), c.rows)
		return nil
	}
	writeDictionaryHead(w, proto.KeyUInt8, 1)
	w.ChainBuffer(func(b *proto.Buffer) {
		b.PutString(c.text)
		b.PutInt64(int64(c.rows))
	})
	w.repeat([]byte{0}, c.rows)
	return nil
}

func (c *constantColumn) memory() int { return 0 }

func (c *constantColumn) encoded() int {
	text := len(appendString(nil, c.text))
	if !c.lowCardinality {
		return text * c.rows
	}
	return 4*8 + text + c.rows
}

func (c *constantColumn) reset() { c.text, c.rows = "", 0 }
