package batch

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// randomBatch returns a batch of firehose to which that many random entries were appended, most of them successfully.
func randomBatch(tb testing.TB, layout *Layout, id string, seed uint64, entries int) *Batch {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, 7))
	streams := randomStreams(r)
	batch := layout.NewBatch(id, nil)
	for i := range entries {
		e := randomEntry(r, streams)
		batch.Begin(Origin{Producer: "p", Sequence: uint64(i / 10), ShardID: "EWR-1"}, time.Unix(5, 0))
		_ = batch.Append(&e)
	}
	return batch
}

// TestNativeBytes pins the bytes of blocks: a newer binary sends a stored block again under the same token.
func TestNativeBytes(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	for seed, want := range []struct {
		rows, bytes int
		sum         string
	}{
		{0, 725, "c997fc28c0898c9f4d48aa8801f242077a08f776ded6bd5940270b3841af0b5e"},
		{94, 36458, "15ee58328abad4aa48920c9471b0dc832c63e5f906d2856fd88d6ceb8390f36e"},
		{360, 129987, "af9e1051d64c0f73010fa4686ffb09615ecff7e33fb5b2c4273f25ab6161b62b"},
		{835, 303041, "2e0c813ff9221287ae193f888cc06bce0f0519dc2b116626871a189e1b9bacc3"},
		{1489, 530769, "7ce5231d27b209f2068917cc98619f6deccecab3bc9c4488770988376dd22267"},
		{2305, 837200, "c86f9983ab3aa565f70e9f8e8842b4d9d47d060dde72eeb90f90f6a754387cd9"},
	} {
		for _, compression := range Compressions() {
			block := randomBatch(t, layout, fmt.Sprint("instance-", seed), uint64(seed), 300*seed*seed).Seal(compression)
			got := native(t, block)
			if sum := fmt.Sprintf("%x", sha256.Sum256(got)); block.Rows() != want.rows || len(got) != want.bytes || sum != want.sum {
				t.Errorf("seed %d, %s: %d rows, %d bytes with sum %s, want %v", seed, compression, block.Rows(), len(got), sum, want)
			}
		}
	}
}

// TestBlocksAreReadTogether reads a block in several goroutines while the memory of its batch is in use again.
func TestBlocksAreReadTogether(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	for _, compression := range Compressions() {
		batch := randomBatch(t, layout, "b", 4, 3000)
		want := encode(t, batch)
		block := batch.Seal(compression)
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				got, err := io.ReadAll(block.Native())
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s: another block, %v", compression, err)
				}
				if _, err := block.Cut("s", RowSet{{10, 50}}); err != nil {
					t.Error(err)
				}
			})
		}
		randomBatch(t, layout, "c", 5, 3000).Release()
		readers.Wait()
	}
}

// TestLargeBlocks writes values that fill several frames.
func TestLargeBlocks(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body", "service|LowCardinality(String)|service"))
	for _, compression := range Compressions() {
		batch := layout.NewBatch("b", nil)
		for i := range 5 {
			e := withAttributes()
			e.Body, e.Service = strings.Repeat(fmt.Sprint(i), 1<<20+i), fmt.Sprint("service", i)
			mustAppend(t, batch, e)
		}
		want := encode(t, batch)
		block := batch.Seal(compression)
		if got := native(t, block); !bytes.Equal(got, want) || len(block.frames) < 2 {
			t.Fatalf("%s: another block, of %d frames", compression, len(block.frames))
		}
		rows := decode(t, native(t, mustCut(t, block, "c", RowSet{{1, 2}, {4, 5}})))
		if len(rows) != 2 || len(rows[0][0]) != 1<<20+1 || rows[1][0] != strings.Repeat("4", 1<<20+4) || rows[1][1] != "service4" {
			t.Fatalf("%s: the cut has other rows", compression)
		}
	}
}

// TestSharedAttributesDoNotBurst seals a batch whose block is much larger than its columns.
func TestSharedAttributesDoNotBurst(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body", "resource|Map(LowCardinality(String), String)|resource_attributes"))
	batch := layout.NewBatch("b", nil)
	stream := &schema.Stream{ResourceAttributes: []schema.Attribute{named("all", text(strings.Repeat("0123456789abcdef", 3<<10)))}}
	const rows = 500
	for i := range rows {
		e := withAttributes()
		e.Body, e.Stream = fmt.Sprint(i), stream
		mustAppend(t, batch, e)
	}
	if bytes := batch.Bytes(); bytes < rows*48<<10 {
		t.Errorf("the batch counts as %d bytes", bytes)
	}
	block := batch.Seal(Uncompressed)
	if block.Compression() == Uncompressed || block.Bytes() > 1<<20 {
		t.Errorf("%d bytes, compression %s", block.Bytes(), block.Compression())
	}
	if got := decode(t, native(t, block)); len(got) != rows || got[rows-1][0] != fmt.Sprint(rows-1) {
		t.Error("other rows")
	}
}

// TestDamagedBlocksAreNotCut damages a block in many places. Checksums show it; without them a cut must at least not panic.
func TestDamagedBlocksAreNotCut(t *testing.T) {
	layout := mustLayout(t, firehose(t))
	for _, compression := range Compressions() {
		block := randomBatch(t, layout, "b", 6, 1000).Seal(compression)
		for _, frame := range block.frames {
			for at := 0; at < len(frame); at += 1 + len(frame)/300 {
				for _, damage := range []byte{0x10, 0xff} {
					frame[at] ^= damage
					if _, err := block.Cut("c", RowSet{{3, 9}, {20, 400}}); err == nil && compression != Uncompressed {
						t.Errorf("%s: byte %d is damaged, and there is no error", compression, at)
					}
					frame[at] ^= damage
				}
			}
		}
	}
}

// TestBlocksKeepColumns seals a small and a large batch, and a compressed one.
func TestBlocksKeepColumns(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body"))
	for _, c := range []struct {
		body        string
		compression Compression
		keeps       bool
	}{
		{"x", Uncompressed, false}, {strings.Repeat("x", leastLent), Uncompressed, false}, {strings.Repeat("x", leastKept), Uncompressed, true}, {strings.Repeat("x", leastKept), LZ4, false},
	} {
		batch := layout.NewBatch("b", nil)
		e := withAttributes()
		e.Body = c.body
		mustAppend(t, batch, e)
		columns := batch.columns
		block := batch.Seal(c.compression)
		if kept := block.columns == columns; kept != c.keeps {
			t.Errorf("%d bytes, %s: columns kept: %t", len(c.body), c.compression, kept)
		}
		if block.Compression() == Uncompressed && block.Bytes() < len(c.body) {
			t.Errorf("a block of %d bytes counts as %d", len(c.body), block.Bytes())
		}
		block.Release()
		if block.columns != nil {
			t.Error("columns are kept after the release")
		}
	}
}

// TestReleasedBlocks reads a released block while its memory is reused: each reader gets the block's own bytes or an error.
func TestReleasedBlocks(t *testing.T) {
	layout := mustLayout(t, tableOf(t, "body|String|body"))
	seal := func(letter string) *Block {
		batch := layout.NewBatch(letter, nil)
		for range 40 {
			e := withAttributes()
			e.Body = strings.Repeat(letter, 100_000)
			mustAppend(t, batch, e)
		}
		return batch.Seal(Uncompressed)
	}
	for range 20 {
		block := seal("x")
		begun := make(chan struct{})
		var readers sync.WaitGroup
		for i := range 4 {
			readers.Go(func() {
				frames := block.Frames()
				buffer := make([]byte, 1000)
				for first := true; ; first = false {
					n, err := frames.Read(buffer)
					if first && i == 0 {
						close(begun)
					}
					if bytes.ContainsRune(buffer[:n], 'z') {
						t.Error("a reader has another block's bytes")
					}
					if err != nil {
						return
					}
				}
			})
		}
		<-begun
		block.Release()
		seal("z").Release()
		readers.Wait()
		if _, err := io.ReadAll(block.Native()); err == nil {
			t.Error("a released block can be read")
		}
		if _, err := block.Cut("c", RowSet{{0, 1}}); err == nil {
			t.Error("a released block can be cut")
		}
	}
}
