package server

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// booksAtOnce is how many accounts or batches one response has.
const booksAtOnce = 1000

// GetBooks returns the accounts of the write-ahead log, in pieces.
func (s *adminService) GetBooks(r *pb.GetBooksRequest, stream grpc.ServerStreamingServer[pb.GetBooksResponse]) error {
	books, err := s.admin.Books()
	if err != nil {
		return statusOfAdmin(err, "")
	}
	response := &pb.GetBooksResponse{Instance: text(s.config.Instance), Log: text(books.Log)}
	for _, name := range slices.Sorted(maps.Keys(books.Tables)) {
		response.Tables = append(response.Tables, tableBooks(name, books.Tables[name]))
	}
	names := slices.SortedFunc(maps.Keys(books.Producers), func(a, b schema.ProducerName) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Producer, b.Producer))
	})
	for part := range slices.Chunk(names, booksAtOnce) {
		for _, name := range part {
			response.Producers = append(response.Producers, producerBooks(name, books.Producers[name]))
		}
		if err := stream.Send(response); err != nil {
			return err
		}
		response = &pb.GetBooksResponse{}
	}
	var since time.Time
	if r.SinceUnixNano > 0 {
		since = time.Unix(0, int64(r.SinceUnixNano))
	}
	err = s.admin.SettledBatches(since, func(b *schema.SettledBatch) error {
		response.Batches = append(response.Batches, &pb.SettledBatch{
			BatchId: text(b.ID), Table: longText(b.Table), RowsCommitted: uint64(b.Committed), RowsDeadLettered: uint64(b.DeadLettered),
			SettledUnixNano: nanosecondsOf(b.At),
		})
		if len(response.Batches) < booksAtOnce {
			return nil
		}
		full := response
		response = &pb.GetBooksResponse{}
		return stream.Send(full)
	})
	if err != nil {
		return statusOfAdmin(err, "")
	}
	return stream.Send(response)
}

func tableBooks(name string, l schema.RowLedger) *pb.TableBooks {
	return &pb.TableBooks{
		Table: longText(name), RowsRouted: l.Routed, RowsCommitted: l.Committed, RowsDeadLettered: l.DeadLettered, RowsInFlight: l.InFlight,
	}
}

func producerBooks(name schema.ProducerName, l schema.EntryLedger) *pb.ProducerBooks {
	return &pb.ProducerBooks{
		Tenant: text(name.Tenant), Producer: text(name.Producer), EntriesReceived: l.Received, EntriesRefused: l.Refused,
		EntriesUnmatched: l.Unmatched, EntriesSettled: l.Settled, EntriesDropped: l.Dropped, EntriesInFlight: l.InFlight,
	}
}
