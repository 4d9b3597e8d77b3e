package server

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// fakeBooks is the part of fakeAdmin that is about books.
type fakeBooks struct {
	schema.Books
	batches []schema.SettledBatch
	since   time.Time
}

func (a *fakeAdmin) Books() (*schema.Books, error) { return &a.books.Books, a.err }

func (a *fakeAdmin) SettledBatches(since time.Time, each func(*schema.SettledBatch) error) error {
	a.books.since = since
	for i := range a.books.batches {
		if err := each(&a.books.batches[i]); err != nil {
			return err
		}
	}
	return nil
}

func TestBooks(t *testing.T) {
	f := newFixture(t, nil)
	client := pb.NewAdminServiceClient(f.conn)
	b := &f.admin.books
	b.Log = "a log"
	b.Tables = map[string]schema.RowLedger{"a.b": {Routed: 4, Committed: 1, DeadLettered: 1, InFlight: 2}, "": {Routed: 1, DeadLettered: 1}}
	b.Producers = map[schema.ProducerName]schema.EntryLedger{}
	for i := range 2500 {
		b.Producers[schema.ProducerName{Tenant: "t", Producer: fmt.Sprintf("p%04d", i)}] = schema.EntryLedger{Received: 6, Refused: 1, Unmatched: 1, Settled: 1, Dropped: 1, InFlight: 2}
		b.batches = append(b.batches, schema.SettledBatch{ID: fmt.Sprint("b-", i), Table: "a.b", Committed: i, DeadLettered: 1, At: time.Unix(int64(i), 0)})
	}
	stream, err := client.GetBooks(t.Context(), &pb.GetBooksRequest{SinceUnixNano: 5})
	if err != nil {
		t.Fatal(err)
	}
	var all pb.GetBooksResponse
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		all.Log += part.Log
		all.Tables, all.Producers, all.Batches = append(all.Tables, part.Tables...), append(all.Producers, part.Producers...), append(all.Batches, part.Batches...)
	}
	if all.Log != "a log" || len(all.Tables) != 2 || all.Tables[1].Table != "a.b" || all.Tables[1].RowsInFlight != 2 || len(all.Producers) != 2500 ||
		all.Producers[7].Producer != "p0007" || all.Producers[7].EntriesInFlight != 2 || len(all.Batches) != 2500 || all.Batches[2400].BatchId != "b-2400" ||
		all.Batches[2400].RowsCommitted != 2400 || all.Batches[3].SettledUnixNano != 3e9 || !b.since.Equal(time.Unix(0, 5)) {
		t.Errorf("%s, %d tables, %d producers, %d batches", all.Log, len(all.Tables), len(all.Producers), len(all.Batches))
	}
	f.admin.err = errors.New("no log")
	stream, err = client.GetBooks(t.Context(), &pb.GetBooksRequest{})
	if err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("error %v", err)
	}
}
