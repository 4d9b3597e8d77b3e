package server

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// The bounds of responses about dead letters.
const (
	letterPage, maxLetterPage = 100, 1000
	letterRows, maxLetterRows = 10, 1000
	maxLetterOrigins          = 100
	// maxValueBytes bounds a value; maxRowsBytes is the size of the values after which no row is added.
	maxValueBytes = 64 << 10
	maxRowsBytes  = 1 << 20
	// exportBytes is the size of a piece of an export.
	exportBytes = 256 << 10
	// maxOperatorBytes bounds the operator's name.
	maxOperatorBytes = 128
)

// ListDeadLetters returns a page of dead letters.
func (s *adminService) ListDeadLetters(ctx context.Context, r *pb.ListDeadLettersRequest) (*pb.ListDeadLettersResponse, error) {
	if r.PageSize > maxLetterPage {
		return nil, statusInvalidLetters(violation{"page_size", "it can be at most " + strconv.Itoa(maxLetterPage)})
	}
	selection := letterSelection(r.Selection)
	page, next, err := s.admin.ListDeadLetters(ctx, &selection, r.PageToken, int(cmp.Or(r.PageSize, letterPage)))
	if err != nil {
		return nil, statusOfAdmin(err, "")
	}
	response := &pb.ListDeadLettersResponse{NextPageToken: next}
	for i := range page {
		response.Letters = append(response.Letters, deadLetter(&page[i]))
	}
	return response, nil
}

// GetDeadLetter returns a dead letter with its rows.
func (s *adminService) GetDeadLetter(ctx context.Context, r *pb.GetDeadLetterRequest) (*pb.GetDeadLetterResponse, error) {
	switch {
	case r.Id == "":
		return nil, statusInvalidLetters(violation{"id", "it is empty; ListDeadLetters returns the ids"})
	case r.MaxRows > maxLetterRows:
		return nil, statusInvalidLetters(violation{"max_rows", "it can be at most " + strconv.Itoa(maxLetterRows)})
	}
	l, err := s.admin.ShowDeadLetter(ctx, r.Id)
	if err != nil {
		return nil, statusOfAdmin(err, "")
	}
	response := &pb.GetDeadLetterResponse{Letter: deadLetter(l), Unreadable: longText(l.Unreadable)}
	bytes := 0
	rows := max(len(l.Values), len(l.Entries))
	for i := int(r.FirstRow); i < rows && len(response.Rows) < int(cmp.Or(r.MaxRows, letterRows)) && bytes < maxRowsBytes; i++ {
		row := &pb.DeadLetterRow{}
		if i < len(l.Entries) {
			row.Entry = longText(schema.Short(l.Entries[i], maxRowsBytes))
			bytes += len(row.Entry)
		} else {
			for c, value := range l.Values[i] {
				v := &pb.DeadLetterValue{
					Column: longText(l.Columns[c].Name), Type: longText(l.Columns[c].Type.String()),
					Text: longText(schema.Short(value.Text, maxValueBytes)), Null: value.Null,
				}
				bytes += v.SizeVT()
				row.Values = append(row.Values, v)
			}
		}
		response.Rows = append(response.Rows, row)
	}
	return response, nil
}

// ReplayDeadLetters replays dead letters, and reports each.
func (s *adminService) ReplayDeadLetters(r *pb.ReplayDeadLettersRequest, stream grpc.ServerStreamingServer[pb.ReplayDeadLettersResponse]) error {
	work := &schema.LetterWork{LetterSelection: letterSelection(r.Selection), Execute: r.Execute, RowsPerSecond: int(r.RowsPerSecond)}
	var problems []violation
	for i, e := range r.Edits {
		field := "edits[" + strconv.Itoa(i) + "]"
		switch {
		case e.Column == "":
			problems = append(problems, violation{field + ".column", "it is empty"})
		case e.Omit && (e.Null || e.Text != "") || e.Null && e.Text != "":
			problems = append(problems, violation{field, "only one of text, null and omit can be set"})
		}
		work.Edits = append(work.Edits, schema.Edit{Column: e.Column, Value: schema.Value{Text: e.Text, Null: e.Null}, Omit: e.Omit})
		for _, other := range r.Edits[:i] {
			if other.Column == e.Column {
				problems = append(problems, violation{field + ".column", "the column is changed twice"})
			}
		}
	}
	return s.work(stream.Context(), r.Selection, work, r.Operator, problems, s.admin.ReplayDeadLetters, func(report *pb.DeadLetterReport) error {
		return stream.Send(&pb.ReplayDeadLettersResponse{Report: report})
	})
}

// DropDeadLetters deletes dead letters, and reports each.
func (s *adminService) DropDeadLetters(r *pb.DropDeadLettersRequest, stream grpc.ServerStreamingServer[pb.DropDeadLettersResponse]) error {
	work := &schema.LetterWork{LetterSelection: letterSelection(r.Selection), Execute: r.Execute}
	return s.work(stream.Context(), r.Selection, work, r.Operator, nil, s.admin.DropDeadLetters, func(report *pb.DeadLetterReport) error {
		return stream.Send(&pb.DropDeadLettersResponse{Report: report})
	})
}

// ExportDeadLetters returns dead letters as lines of JSON.
func (s *adminService) ExportDeadLetters(r *pb.ExportDeadLettersRequest, stream grpc.ServerStreamingServer[pb.ExportDeadLettersResponse]) error {
	ctx, cancel := s.untilDrained(stream.Context())
	defer cancel()
	selection := letterSelection(r.Selection)
	err := s.admin.ExportDeadLetters(ctx, &selection, func(line []byte) error {
		for len(line) > 0 {
			n := min(len(line), exportBytes)
			if err := stream.Send(&pb.ExportDeadLettersResponse{Data: line[:n]}); err != nil {
				return err
			}
			line = line[n:]
		}
		return nil
	})
	return s.workStatus(ctx, err)
}

// work has letters replayed or dropped, and sends a report of each.
func (s *adminService) work(ctx context.Context, m *pb.DeadLetterSelection, work *schema.LetterWork, operator string, problems []violation,
	run func(context.Context, *schema.LetterWork, func(*schema.LetterReport) error) error, send func(*pb.DeadLetterReport) error,
) error {
	if selectsAll(m) && !m.GetAll() {
		problems = append(problems, violation{"selection", "it is empty; set all to mean every letter in the queue"})
	}
	if len(problems) > 0 {
		return statusInvalidLetters(problems...)
	}
	work.Operator = operatorOf(ctx, operator)
	ctx, cancel := s.untilDrained(ctx)
	defer cancel()
	err := run(ctx, work, func(r *schema.LetterReport) error {
		return send(&pb.DeadLetterReport{
			Id: longText(r.ID), Table: longText(r.Table), Rows: uint64(r.Rows), Outcome: pb.DeadLetterOutcome(r.Outcome), Message: longText(r.Message),
		})
	})
	return s.workStatus(ctx, err)
}

// operatorOf returns who calls, for logs. What the client says of itself is not proven; the rest is.
func operatorOf(ctx context.Context, said string) string {
	proven := []string{}
	if name := callerOf(ctx).Name; name != "" {
		proven = append(proven, name)
	}
	if p, ok := peer.FromContext(ctx); ok {
		proven = append(proven, p.Addr.String())
	}
	return longText(schema.Short(said, maxOperatorBytes) + " (" + strings.Join(proven, ", ") + ")")
}

// untilDrained returns a context that also ends when the instance begins to shut down.
func (s *adminService) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cut := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.life.draining, func() { cut(errShutdown) })
	return ctx, func() {
		stop()
		cut(nil)
	}
}

func (s *adminService) workStatus(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case context.Cause(ctx) == errShutdown:
		return errShutdown
	}
	return statusOfAdmin(err, "")
}

// selectsAll reports whether the selection names nothing.
func selectsAll(m *pb.DeadLetterSelection) bool {
	return len(m.GetIds()) == 0 && m.GetTable() == "" && m.GetClass() == "" && len(m.GetCodes()) == 0 && m.GetReason() == "" &&
		m.GetSinceUnixNano() == 0 && m.GetUntilUnixNano() == 0
}

func letterSelection(m *pb.DeadLetterSelection) schema.LetterSelection {
	sel := schema.LetterSelection{
		IDs: m.GetIds(), Table: m.GetTable(), Class: m.GetClass(), Reason: m.GetReason(),
		Since: timeOf(m.GetSinceUnixNano()), Until: timeOf(m.GetUntilUnixNano()),
	}
	for _, code := range m.GetCodes() {
		sel.Codes = append(sel.Codes, int(code))
	}
	return sel
}

func timeOf(nanoseconds uint64) time.Time {
	if nanoseconds == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(nanoseconds))
}

func nanosecondsOf(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func deadLetter(l *schema.Letter) *pb.DeadLetter {
	m := &pb.DeadLetter{
		Id: longText(l.ID), StreamId: l.StreamID, Table: longText(l.Table), Route: longText(l.Route), Rows: uint64(max(0, l.Rows)), Class: l.Class,
		Code: int32(l.Code), Reason: longText(l.Reason), Column: longText(l.Column), Message: longText(l.Message), Attempts: uint32(max(0, l.Attempts)),
		FirstUnixNano: nanosecondsOf(l.First), LastUnixNano: nanosecondsOf(l.Last), SchemaHash: longText(l.SchemaHash), Format: longText(l.Format),
		PayloadBytes: uint64(l.PayloadBytes), Problem: longText(l.Problem),
	}
	for _, o := range l.Origins[:min(len(l.Origins), maxLetterOrigins)] {
		m.Origins = append(m.Origins, &pb.DeadLetterOrigin{Tenant: longText(o.Tenant), Producer: longText(o.Producer), Epoch: o.Epoch, Sequence: o.Sequence, Rows: uint64(max(0, o.Rows))})
	}
	for _, f := range l.History {
		m.History = append(m.History, &pb.DeadLetterFailure{
			TimeUnixNano: nanosecondsOf(f.Time), Class: longText(f.Class), Code: int32(f.Code), Reason: longText(f.Reason), Column: longText(f.Column),
			Message: longText(f.Message), Attempts: uint32(max(0, f.Attempts)),
		})
	}
	return m
}
