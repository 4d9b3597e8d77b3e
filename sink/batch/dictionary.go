package batch

import (
	"strings"
	"unsafe"
)

// The bounds of what a dictionary keeps from batch to batch.
const (
	warmTexts = 8192
	warmBytes = 1 << 20
)

// dictionary numbers the distinct texts of a batch in the order in which they come. It copies new texts, because an entry's alias
// the receive buffer, and keeps them for the next batches, where they cost a comparison and no copy. ch-go's dictionaries keep the
// texts they are given.
type dictionary struct {
	// ids maps each known text to its place in texts.
	ids   map[string]uint32
	texts []knownText
	// generation is the batch's. A text of another generation is known but not in the batch.
	generation uint32
	// recent has the last texts by length and last byte. The few values that a column alternates between are found here without
	// being hashed.
	recent [16]uint32
	// base is 1 if index 0 is NULL.
	base uint32
	// used are the ids of the batch's texts in the order of their indexes, from base on.
	used []uint32
	// bytes are the batch's texts as the data of a String column.
	bytes []byte
	// copied counts the bytes of texts that were new since the last reset, kept those of all.
	copied, kept int
	block        []byte
	// markedUsed and markedBytes are where the last row began.
	markedUsed, markedBytes int
}

// knownText is a text that the dictionary has copied.
type knownText struct {
	text string
	// index is the text's index in the batch of that generation.
	generation, index uint32
}

func (d *dictionary) init(nullable bool) {
	d.ids = make(map[string]uint32)
	d.generation = 1
	if nullable {
		d.base = 1
	}
	d.begin()
}

// begin starts an empty batch.
func (d *dictionary) begin() {
	d.used, d.bytes = d.used[:0], d.bytes[:0]
	if d.base == 1 {
		d.bytes = append(d.bytes, 0)
	}
	d.mark()
}

// mark begins a row.
func (d *dictionary) mark() { d.markedUsed, d.markedBytes = len(d.used), len(d.bytes) }

// undo removes what came since mark from the batch.
func (d *dictionary) undo() {
	for _, id := range d.used[d.markedUsed:] {
		d.texts[id].generation = 0
	}
	d.used, d.bytes = d.used[:d.markedUsed], d.bytes[:d.markedBytes]
}

// index returns the text's index in the batch, and adds it if it is new.
func (d *dictionary) index(text string) uint32 {
	place := len(text)
	if place > 0 {
		place += int(text[place-1])
	}
	recent := &d.recent[place%len(d.recent)]
	if int(*recent) < len(d.texts) {
		if t := &d.texts[*recent]; t.generation == d.generation && t.text == text {
			return t.index
		}
	}
	*recent = d.id(text)
	return d.use(*recent)
}

// id returns the text's place in texts, and copies it there if it is not known.
func (d *dictionary) id(text string) uint32 {
	id, known := d.ids[text]
	if !known {
		id = uint32(len(d.texts))
		own := d.copy(text)
		d.ids[own] = id
		d.texts = append(d.texts, knownText{text: own})
	}
	return id
}

// use returns a known text's index in the batch, and adds it if it is new.
func (d *dictionary) use(id uint32) uint32 {
	t := &d.texts[id]
	if t.generation != d.generation {
		t.generation, t.index = d.generation, d.base+uint32(len(d.used))
		d.used = append(d.used, id)
		d.bytes = appendString(d.bytes, t.text)
	}
	return t.index
}

// text returns the text with that index in the batch, which must not be NULL's.
func (d *dictionary) text(index uint32) string { return d.texts[d.used[index-d.base]].text }

// size is the number of indexes in the batch.
func (d *dictionary) size() int { return int(d.base) + len(d.used) }

// Short texts are copied into blocks, because an allocation each would cost more than the copy. The first block is small, because
// many batches have few texts.
const (
	copyBlock      = 8 << 10
	firstCopyBlock = 128
)

func (d *dictionary) copy(text string) string {
	d.copied += len(text)
	d.kept += len(text)
	if len(text) > copyBlock/8 {
		return strings.Clone(text)
	}
	if len(text) > cap(d.block)-len(d.block) {
		size := min(max(2*cap(d.block), firstCopyBlock), copyBlock)
		d.block = make([]byte, 0, max(size, len(text))) // the texts keep the old one alive
	}
	start := len(d.block)
	d.block = append(d.block, text...)
	own := d.block[start:]
	return unsafe.String(unsafe.SliceData(own), len(own))
}

func (d *dictionary) memory() int {
	return len(d.bytes) + d.copied + len(d.used)*int(unsafe.Sizeof(knownText{}))
}

// reset starts an empty batch. It reports whether the known texts were too many and were forgotten.
func (d *dictionary) reset() (forgotten bool) {
	d.used, d.bytes = emptied(d.used), emptied(d.bytes)
	d.generation++
	d.copied = 0
	if len(d.texts) > warmTexts || d.kept > warmBytes || d.generation == 0 {
		forgotten = true
		d.ids, d.texts, d.block, d.kept = make(map[string]uint32), nil, nil, 0
		d.generation = 1
	}
	d.begin()
	return forgotten
}
