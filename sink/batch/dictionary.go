package batch

import (
	"strings"
	"unsafe"
)

// The bounds of what a dictionary remembers from one batch to the next.
const (
	warmTexts = 8192
	warmBytes = 1 << 20
)

// dictionary numbers the distinct texts of a batch, in the order in which they come. It copies the texts
// that it has not seen, because those of entries alias a buffer that goes back, and it
// remembers them for the next batch: there they cost a comparison, not a copy.
type dictionary struct {
	// ids has the place in texts of every text that is known.
	ids   map[string]uint32
	texts []knownText
	// generation is the batch's. A text with another one is known, but not in the batch.
	generation uint32
	// recent has texts that were asked for lately, by their length and last byte. The few values that a column
	// alternates between are found there without hashing them.
	recent [16]uint32
	// base is 1 where index 0 is taken, by the NULL of a Nullable.
	base uint32
	// used has the batch's texts by their index, without the one that base stands for.
	used []uint32
	// bytes are the batch's texts as the data of a String column.
	bytes []byte
	// copied counts the bytes that were copied for new texts since the last reset, kept those of all.
	copied, kept int
	block        []byte
	// markedUsed and markedBytes are where the row that may be undone began.
	markedUsed, markedBytes int
}

// knownText is a text of a dictionary's own.
type knownText struct {
	text string
	// index is the text's in the batch of that generation.
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

// mark remembers the batch's state for undo.
func (d *dictionary) mark() { d.markedUsed, d.markedBytes = len(d.used), len(d.bytes) }

// undo takes out of the batch what came since mark.
func (d *dictionary) undo() {
	for _, id := range d.used[d.markedUsed:] {
		d.texts[id].generation = 0
	}
	d.used, d.bytes = d.used[:d.markedUsed], d.bytes[:d.markedBytes]
}

// index returns the text's index in the batch, and takes it in where it is new.
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

// id returns the text's place in texts, and copies it where it is not known.
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

// use returns the index in the batch of a known text, and takes it in where it is new.
func (d *dictionary) use(id uint32) uint32 {
	t := &d.texts[id]
	if t.generation != d.generation {
		t.generation, t.index = d.generation, d.base+uint32(len(d.used))
		d.used = append(d.used, id)
		d.bytes = appendString(d.bytes, t.text)
	}
	return t.index
}

// text returns the text with that index in the batch. It is not for the index of NULL.
func (d *dictionary) text(index uint32) string { return d.texts[d.used[index-d.base]].text }

// size is the number of indexes in the batch.
func (d *dictionary) size() int { return int(d.base) + len(d.used) }

// copyBlock is what short texts are copied into together: an allocation each would cost more than they do. The first block is small and the
// next ones larger, because many batches have few texts.
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
		d.block = make([]byte, 0, max(size, len(text))) // the old one stays as long as its texts do
	}
	start := len(d.block)
	d.block = append(d.block, text...)
	own := d.block[start:]
	return unsafe.String(unsafe.SliceData(own), len(own))
}

func (d *dictionary) memory() int {
	return len(d.bytes) + d.copied + len(d.used)*int(unsafe.Sizeof(knownText{}))
}

// reset starts an empty batch. It returns true where the known texts were too many, and are forgotten.
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
