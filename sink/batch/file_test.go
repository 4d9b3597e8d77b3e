package batch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// memoryFile is a file of the log with a block.
type memoryFile struct {
	schema.LogFile // nil: what a block does not call
	body           []byte
	largest        int // of the reads
	mu             sync.Mutex
}

func (f *memoryFile) Size() int64 { return int64(len(f.body)) }

func (f *memoryFile) ReadAt(p []byte, offset int64) (int, error) {
	f.mu.Lock()
	f.largest = max(f.largest, len(p))
	f.mu.Unlock()
	return bytes.NewReader(f.body).ReadAt(p, offset)
}

func (f *memoryFile) Note(context.Context, []byte) error { return errors.New("a block notes nothing") }

// fileOf returns a file with the block's frames.
func fileOf(t *testing.T, b *Block) *memoryFile {
	t.Helper()
	var body bytes.Buffer
	if n, err := b.WriteTo(&body); err != nil || n != int64(body.Len()) {
		t.Fatalf("write a block: %d bytes of %d, %v", n, body.Len(), err)
	}
	return &memoryFile{body: body.Bytes()}
}

// largeBatch returns a batch of the layout whose block is larger than a window.
func largeBatch(t *testing.T, layout *Layout) *Batch {
	t.Helper()
	batch := layout.NewBatch("instance-7", &Partition{ID: "20260101", Condition: "toYYYYMMDD(ts) = 20260101"})
	for i := range 3000 {
		e := withAttributes()
		for n := range 40 {
			e.Body += fmt.Sprint(uint32(i*n) * 2654435761)
		}
		batch.Begin(Origin{Tenant: "t", Producer: fmt.Sprint("p", i/700), Epoch: 3, Sequence: uint64(i / 100), ShardID: fmt.Sprint("EWR-", i/1000)}, time.Unix(5, 0))
		mustAppend(t, batch, e)
	}
	return batch
}

// TestBlocksInFiles reads and cuts a block that is in memory, evicted, and opened by another process.
func TestBlocksInFiles(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body", "id|LowCardinality(String)|batch_id"))
	for _, compression := range Compressions() {
		block := largeBatch(t, layout).Seal(compression)
		want, wantCut := native(t, block), native(t, mustCut(t, block, "cut", RowSet{{1, 5}, {2000, 2900}}))
		file := fileOf(t, block)
		origins := append([]Origin(nil), block.Origins()...)
		opened, err := OpenBlock(layout, block.Head(), file)
		if err != nil {
			t.Fatal(err)
		}
		freed, before := 0, block.Bytes()
		block.Evict()
		if block.Bytes() != before {
			t.Error("a block without a file is evicted")
		}
		block.Keep(file, func() { freed++ })
		half := block.Frames()
		first := make([]byte, 100_000)
		if _, err := io.ReadFull(half, first); err != nil {
			t.Fatal(err)
		}
		block.Evict()
		block.Evict()
		if freed != 1 || block.Bytes() >= before || block.frames != nil || block.Recovered() {
			t.Errorf("%s: freed %d times, %d bytes of %d", compression, freed, block.Bytes(), before)
		}
		rest, err := io.ReadAll(half)
		if err != nil || !bytes.Equal(append(first, rest...), file.body) {
			t.Errorf("%s: a reader does not go on in the file: %v", compression, err)
		}
		for name, b := range map[string]*Block{"evicted": block, "opened": opened} {
			if !bytes.Equal(native(t, b), want) || !bytes.Equal(native(t, mustCut(t, b, "cut", RowSet{{1, 5}, {2000, 2900}})), wantCut) {
				t.Errorf("%s, %s: other bytes", compression, name)
			}
			if again := fileOf(t, b); !bytes.Equal(again.body, file.body) {
				t.Errorf("%s, %s: other frames", compression, name)
			}
			b.Release()
			if _, err := io.ReadAll(b.Native()); err == nil {
				t.Errorf("%s, %s: it can be read after its release", compression, name)
			}
		}
		if file.largest > windowBytes {
			t.Errorf("%d bytes were read at once", file.largest)
		}
		if opened.ID() != "instance-7" || opened.Rows() != 3000 || opened.Compression() != compression || !opened.Recovered() ||
			*opened.Partition() != *block.Partition() || !reflect.DeepEqual(opened.Origins(), origins) {
			t.Errorf("%s: another block: %+v", compression, opened)
		}
	}
}

// TestEvictionWhileRead evicts a block whose columns are its memory while it is read, and reuses these.
func TestEvictionWhileRead(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body"))
	for range 10 {
		block := largeBatch(t, layout).Seal(Uncompressed)
		file := fileOf(t, block)
		block.Keep(file, nil)
		var readers sync.WaitGroup
		for range 3 {
			readers.Go(func() {
				frames := struct{ io.Reader }{block.Frames()}
				if got, err := io.ReadAll(frames); err != nil || !bytes.Equal(got, file.body) {
					t.Errorf("other bytes, %v", err)
				}
			})
		}
		block.Evict()
		largeBatch(t, layout).Release()
		readers.Wait()
		block.Release()
	}
}

// FuzzOpenBlock opens blocks with any head: there is an error or a block with as many rows as its origins.
func FuzzOpenBlock(f *testing.F) {
	layout := mustLayout(f, tableOf(f, "body|String|body"))
	for _, b := range []*Batch{layout.NewBatch("b", &Partition{ID: "all"}), randomBatch(f, mustLayout(f, firehose(f)), "c", 3, 50)} {
		f.Add(b.Seal(LZ4).Head())
	}
	f.Add([]byte{headVersion})
	f.Fuzz(func(t *testing.T, head []byte) {
		b, err := OpenBlock(layout, head, &memoryFile{})
		if err != nil {
			return
		}
		rows := 0
		for _, o := range b.Origins() {
			rows += o.Rows
		}
		if rows != b.Rows() || b.ID() == "" {
			t.Fatalf("%d rows with origins of %d", b.Rows(), rows)
		}
		again, err := OpenBlock(layout, b.Head(), &memoryFile{})
		if err != nil || !reflect.DeepEqual(again.Origins(), b.Origins()) || *again.Partition() != *b.Partition() || again.plainBytes != b.plainBytes {
			t.Fatalf("written again it is another: %v", err)
		}
	})
}
