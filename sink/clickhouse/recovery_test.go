package clickhouse_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/clickhouse"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// mortal is a process's sink and dead-letter queue.
type mortal struct {
	*clickhouse.Sink
	letters *sinktest.Letters
	process *sinktest.Mortal
}

func (m *mortal) Insert(ctx context.Context, b *batch.Block, a sink.Attempt) error {
	return m.process.Step(func() error { return m.Sink.Insert(ctx, b, a) })
}

func (m *mortal) Write(ctx context.Context, letter *sink.DeadLetter) error {
	return m.process.Step(func() error { return m.letters.Write(ctx, letter) })
}

// TestEngineKilledBetweenInsertAndAnswer kills processes at their inserts and dead letters, and has others go on from the batches' files. Each row is
// once in the table or in the letters.
func TestEngineKilledBetweenInsertAndAnswer(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for _, test := range []struct {
		name  string
		bad   int // every so many rows
		kills []sinktest.Mortal
		found bool // by the question for all batches
	}{
		{"after the insert", 0, []sinktest.Mortal{{At: 1, After: true}}, true},
		{"before the insert, and after it", 0, []sinktest.Mortal{{At: 1}, {At: 1, After: true}}, true},
		{"before the insert", 0, []sinktest.Mortal{{At: 1}}, false},
		{"after the good rows' insert", 10, []sinktest.Mortal{{At: 2, After: true}}, false},
		{"after the letter", 10, []sinktest.Mortal{{At: 1}, {At: 3, After: true}, {At: 1, After: true}}, false},
	} {
		for _, compression := range []batch.Compression{batch.Uncompressed, batch.LZ4} {
			t.Run(test.name+", "+string(compression), func(t *testing.T) {
				table := createTable(t, server)
				maker := sinktest.NewMaker(t, table)
				maker.Compression = compression
				numbersOf := sinktest.Numbers(0, 1000)
				for i := range numbersOf {
					if test.bad > 0 && i%test.bad == 0 {
						numbersOf[i] += sinktest.Limit
					}
				}
				block := maker.Batch(t, table.Name, numbersOf...)
				file := sinktest.NewFile(t, block, nil)
				m := &mortal{Sink: open(t, server), letters: sinktest.NewLetters()}
				live := func(process *sinktest.Mortal, block *batch.Block) error {
					config := sink.DefaultDeliveryConfig()
					config.Sink, config.DeadLetters = m, m
					config.AttemptTimeout, config.LateAfter = time.Second, 0 // nothing arrives late
					delivery, err := sink.NewDelivery(config)
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					process.Cancel, m.process = cancel, process
					_, err = delivery.Deliver(ctx, block, file, sink.Limits{}, nil)
					return err
				}
				for i := range test.kills {
					process := &test.kills[i]
					if err := live(&sinktest.Mortal{At: process.At, After: process.After}, block); err == nil {
						t.Fatalf("process %d was not killed", i)
					}
					block = file.Open(t)
				}
				other := maker.Batch(t, table.Name+"-other", 1)
				if rows, err := m.Find(t.Context(), []*batch.Block{other, block}); err != nil || rows[other.ID()] != 0 || (rows[block.ID()] == 1000) != test.found {
					t.Errorf("found %v, %v", rows, err)
				}
				if err := live(&sinktest.Mortal{}, block); err != nil {
					t.Fatal(err)
				}
				all := numbers(t, server, table)
				for _, letter := range m.letters.All() {
					rows, err := sinktest.Decode(letter.Payload)
					if err != nil {
						t.Fatal(err)
					}
					for _, row := range rows {
						all = append(all, row.Number())
					}
				}
				slices.Sort(all)
				slices.Sort(numbersOf)
				if !slices.Equal(all, numbersOf) {
					t.Errorf("%d rows in the table and the letters, want %d, each once; notes: %s", len(all), len(numbersOf), file.Notes())
				}
			})
		}
	}
}

// TestEngineFindsManyBatches asks for many batches of several partitions by one statement.
func TestEngineFindsManyBatches(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	table := createTable(t, server)
	maker := sinktest.NewMaker(t, table)
	s := open(t, server)
	var blocks []*batch.Block
	for i := range 500 {
		b := maker.Batch(t, fmt.Sprintf("%s-%d", table.Name, i), uint64(i), uint64(1000+i))
		if i%50 == 0 {
			if err := s.Insert(t.Context(), b, attempt(b)); err != nil {
				t.Fatal(err)
			}
		}
		blocks = append(blocks, b)
	}
	found, err := s.Find(t.Context(), blocks)
	if err != nil || len(found) != 10 || found[blocks[50].ID()] != 2 {
		t.Errorf("found %v, %v", found, err)
	}
	server.Exec(t, "DROP TABLE "+table.Name)
	if found, err := s.Find(t.Context(), blocks); err != nil || len(found) > 0 {
		t.Errorf("without a table: %v, %v", found, err)
	}
}

// TestFindAsksAllAddresses: a batch that one replica lacks may be on another, and one that does not answer is left out.
func TestFindAsksAllAddresses(t *testing.T) {
	one, two := newFakeServer(t, false), newFakeServer(t, false)
	b := numbered(t, "batch", 7)
	two.Query("GROUP BY", "batch\t7\n")
	s := sinkOf(t, []string{one.Address(), two.Address()}, replicas)
	for _, away := range []bool{false, true} {
		if away {
			one.Close()
		}
		if found, err := s.Find(t.Context(), []*batch.Block{b}); err != nil || found["batch"] != 7 {
			t.Errorf("away %v: %v, %v", away, found, err)
		}
	}
	two.Close()
	if _, err := s.Find(t.Context(), []*batch.Block{b}); err == nil {
		t.Error("no error though no server answers")
	}
}

// TestUnreadableBatchesAreHeld inserts a batch whose file is damaged. An operator has to act; nothing is wrong with ClickHouse.
func TestUnreadableBatchesAreHeld(t *testing.T) {
	server := embeddedtest.ClickHouse(t)
	for _, at := range []int64{0, 300 << 10} { // the second one is met in the middle of the request
		for _, compression := range []batch.Compression{batch.Uncompressed, batch.LZ4} {
			table := createTable(t, server)
			maker := sinktest.NewMaker(t, table)
			maker.Compression = compression
			if compression == batch.Uncompressed {
				maker.Body = strings.Repeat("a longer body ", 10)
			}
			file := &damagedFile{File: sinktest.NewFile(t, maker.Batch(t, table.Name, sinktest.Numbers(0, 100_000)...), nil), from: at}
			if file.Size() <= at {
				t.Fatalf("%s: a file of %d bytes", compression, file.Size())
			}
			b, err := batch.OpenBlock(maker.Layout, file.Head(), file)
			if err != nil {
				t.Fatal(err)
			}
			s := open(t, server)
			err = s.Insert(t.Context(), b, attempt(b))
			var failure *sink.Error
			if !errors.As(err, &failure) || failure.Class != sink.Hold || !strings.Contains(err.Error(), "damaged by the test") {
				t.Errorf("%s: error %v", compression, err)
			}
			if found, err := s.Present(t.Context(), b); err != nil || found.Rows != 0 {
				t.Errorf("%s: found %+v, %v", compression, found, err)
			}
		}
	}
}

// damagedFile can't be read from some place on.
type damagedFile struct {
	*sinktest.File
	from int64
}

func (f *damagedFile) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > f.from {
		return 0, errors.New("damaged by the test")
	}
	return f.File.ReadAt(p, offset)
}
