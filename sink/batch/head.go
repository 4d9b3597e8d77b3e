package batch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/logbatcher/logbatcher/schema"
)

// headVersion is the version of the form that follows it in a head: the id, rows, bytes of the Native block, compression, id and condition
// of the partition; then the distinct texts of the origins and the origins, whose texts are indexes. Numbers are uvarints, a text follows its length.
const headVersion = 1

// Head returns what OpenBlock needs of the block besides its frames and layout.
func (b *Block) Head() []byte {
	head := []byte{headVersion}
	head = appendString(head, b.id)
	head = binary.AppendUvarint(head, uint64(b.rows))
	head = binary.AppendUvarint(head, uint64(b.plainBytes))
	head = appendString(head, string(b.compression))
	var partition Partition
	if b.partition != nil {
		partition = *b.partition
	}
	head = appendString(head, partition.ID)
	head = appendString(head, partition.Condition)

	known := map[string]int{}
	var texts []string
	index := func(text string) uint64 {
		at, there := known[text]
		if !there {
			at = len(texts)
			known[text] = at
			texts = append(texts, text)
		}
		return uint64(at)
	}
	var origins []byte
	for i := range b.origins {
		o := &b.origins[i]
		for _, number := range []uint64{index(o.Tenant), index(o.Producer), index(o.ShardID), o.Epoch, o.Sequence, uint64(o.Rows)} {
			origins = binary.AppendUvarint(origins, number)
		}
	}
	head = binary.AppendUvarint(head, uint64(len(texts)))
	for _, text := range texts {
		head = appendString(head, text)
	}
	head = binary.AppendUvarint(head, uint64(len(b.origins)))
	return append(head, origins...)
}

var errHead = errors.New("the head of the batch is damaged")

// OpenBlock returns the block that an earlier process has put into the file, with that head. layout is the route's, as it was then. The block's rows
// stay in the file. Origin.Request is not known any more.
func OpenBlock(layout *Layout, head []byte, file schema.LogFile) (*Block, error) {
	if len(head) > 0 && head[0] != headVersion {
		return nil, fmt.Errorf("open a batch: its head has version %d, this program knows %d", head[0], headVersion)
	}
	r := headReader{rest: head[min(1, len(head)):], failed: len(head) == 0}
	b := &Block{layout: layout, file: file, recovered: true}
	b.id = r.text()
	b.rows = r.number()
	b.plainBytes = r.number()
	b.compression = Compression(r.text())
	b.partition = &Partition{ID: r.text(), Condition: r.text()}
	texts := make([]string, r.count(1))
	for i := range texts {
		texts[i] = r.text()
	}
	text := func() string {
		at := r.number()
		if at >= len(texts) {
			r.failed = true
			return ""
		}
		return texts[at]
	}
	b.origins = make([]Origin, r.count(6))
	rows := 0
	for i := range b.origins {
		b.origins[i] = Origin{Tenant: text(), Producer: text(), ShardID: text(), Epoch: r.uint64(), Sequence: r.uint64(), Rows: r.number()}
		if n := b.origins[i].Rows; n == 0 || n > b.rows-rows {
			r.failed = true
			break
		}
		rows += b.origins[i].Rows
	}
	if r.failed || len(r.rest) > 0 || b.id == "" || rows != b.rows || b.compression.Validate() != nil {
		return nil, errHead
	}
	return b, nil
}

// headReader reads a head. After something that can't be there it has failed, and everything else is zero.
type headReader struct {
	rest   []byte
	failed bool
}

func (r *headReader) uint64() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *headReader) number() int {
	n := r.uint64()
	if n > math.MaxInt {
		r.failed = true
		return 0
	}
	return int(n)
}

// count reads how many things follow, of at least size bytes each.
func (r *headReader) count(size int) int {
	n := r.number()
	if n > len(r.rest)/size {
		r.failed = true
		return 0
	}
	return n
}

func (r *headReader) text() string {
	n := r.count(1)
	if r.failed {
		return ""
	}
	text := string(r.rest[:n])
	r.rest = r.rest[n:]
	return text
}
