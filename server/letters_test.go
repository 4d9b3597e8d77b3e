package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
)

// fakeLetters answers with what it has, and keeps what it is asked.
type fakeLetters struct {
	page  []schema.Letter
	asked []any
	work  schema.LetterWork
	lines []string
}

func (l *fakeLetters) list(sel *schema.LetterSelection, token string, count int) ([]schema.Letter, string) {
	l.asked = []any{*sel, token, count}
	return l.page, "next"
}

func (a *fakeAdmin) ListDeadLetters(_ context.Context, sel *schema.LetterSelection, token string, count int) ([]schema.Letter, string, error) {
	page, next := a.letters.list(sel, token, count)
	return page, next, a.err
}

func (a *fakeAdmin) ShowDeadLetter(_ context.Context, id string) (*schema.Letter, error) {
	for i := range a.letters.page {
		if a.letters.page[i].ID == id {
			return &a.letters.page[i], nil
		}
	}
	return nil, fmt.Errorf("%w %q", schema.ErrUnknownLetter, id)
}

func (a *fakeAdmin) ReplayDeadLetters(ctx context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error {
	a.letters.work = *work
	if err := report(&schema.LetterReport{ID: "a", Table: "d.t", Rows: 3, Outcome: schema.LetterDivided, Message: "bad \xff"}); err != nil || a.err != nil {
		return errors.Join(err, a.err)
	}
	if work.RowsPerSecond == 0 {
		return nil
	}
	<-ctx.Done() // it waits for the rate
	return ctx.Err()
}

func (a *fakeAdmin) DropDeadLetters(_ context.Context, work *schema.LetterWork, report func(*schema.LetterReport) error) error {
	a.letters.work = *work
	return report(&schema.LetterReport{ID: "a", Outcome: schema.LetterDropped})
}

func (a *fakeAdmin) ExportDeadLetters(_ context.Context, _ *schema.LetterSelection, write func([]byte) error) error {
	for _, line := range a.letters.lines {
		if err := write([]byte(line)); err != nil {
			return err
		}
	}
	return a.err
}

func TestDeadLetterCalls(t *testing.T) {
	f := newFixture(t, nil)
	letters := &f.admin.letters
	client := pb.NewAdminServiceClient(f.conn)
	long := strings.Repeat("x", maxRowsBytes)
	letters.page = []schema.Letter{
		{DeadLettered: schema.DeadLettered{ID: "a", Rows: 2, Message: "bad \xff"}, First: time.Unix(1, 2), History: []schema.LetterFailure{{Reason: "before"}},
			Columns: []schema.Column{{Name: "c", Type: schema.Type{Kind: schema.KindString}}},
			Values:  [][]schema.Value{{{Text: "\xff"}}, {{Null: true}}}},
		{DeadLettered: schema.DeadLettered{ID: "lines", Rows: 3}, Entries: []string{"{}", long, long}},
		{DeadLettered: schema.DeadLettered{ID: "odd", Rows: -1, Code: 9}, Problem: "field rows: missing", Unreadable: "damaged"},
	}
	sel := &pb.DeadLetterSelection{Ids: []string{"a"}, Table: "t", Class: "row", Codes: []int32{0, 469}, Reason: "r", SinceUnixNano: 1, UntilUnixNano: 2}
	want := schema.LetterSelection{
		IDs: []string{"a"}, Table: "t", Class: "row", Codes: []int{0, 469}, Reason: "r", Since: time.Unix(0, 1), Until: time.Unix(0, 2),
	}
	list, err := client.ListDeadLetters(t.Context(), &pb.ListDeadLettersRequest{Selection: sel, PageToken: "1-0", PageSize: 7})
	if err != nil || len(list.Letters) != 3 || list.NextPageToken != "next" || list.Letters[0].FirstUnixNano != 1_000_000_002 || list.Letters[2].Rows != 0 {
		t.Fatalf("%v, %v", list, err)
	}
	if !reflect.DeepEqual(letters.asked, []any{want, "1-0", 7}) {
		t.Errorf("asked %+v", letters.asked)
	}
	if _, err := client.ListDeadLetters(t.Context(), &pb.ListDeadLettersRequest{}); err != nil || letters.asked[2] != letterPage {
		t.Errorf("%v, asked %+v", err, letters.asked)
	}
	_, err = client.ListDeadLetters(t.Context(), &pb.ListDeadLettersRequest{PageSize: maxLetterPage + 1})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_LETTERS")

	for _, c := range []struct {
		request *pb.GetDeadLetterRequest
		rows    int
	}{{&pb.GetDeadLetterRequest{Id: "a"}, 2}, {&pb.GetDeadLetterRequest{Id: "a", FirstRow: 1}, 1}, {&pb.GetDeadLetterRequest{Id: "a", FirstRow: 9}, 0},
		{&pb.GetDeadLetterRequest{Id: "a", MaxRows: 1}, 1}, {&pb.GetDeadLetterRequest{Id: "lines"}, 2}, {&pb.GetDeadLetterRequest{Id: "odd"}, 0}} {
		got, err := client.GetDeadLetter(t.Context(), c.request)
		if err != nil || len(got.Rows) != c.rows || got.Letter.Id != c.request.Id {
			t.Errorf("%v: %d rows, %v", c.request, len(got.GetRows()), err)
		}
	}
	_, err = client.GetDeadLetter(t.Context(), &pb.GetDeadLetterRequest{Id: "b"})
	wantStatus(t, err, codes.NotFound, "UNKNOWN_LETTER")
	_, err = client.GetDeadLetter(t.Context(), &pb.GetDeadLetterRequest{})
	wantStatus(t, err, codes.InvalidArgument, "INVALID_LETTERS")

	letters.lines = []string{strings.Repeat("x", 3*exportBytes+1) + "\n", "{}\n"}
	export, err := client.ExportDeadLetters(t.Context(), &pb.ExportDeadLettersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for {
		piece, err := export.Recv()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got += string(piece.Data)
	}
	if got != strings.Join(letters.lines, "") {
		t.Errorf("an export of %d bytes", len(got))
	}
}

// replayed makes a call and returns its reports.
func (f *fixture) replayed(request *pb.ReplayDeadLettersRequest) (reports []*pb.DeadLetterReport, err error) {
	f.t.Helper()
	calls, err := pb.NewAdminServiceClient(f.conn).ReplayDeadLetters(f.t.Context(), request)
	if err != nil {
		f.t.Fatal(err)
	}
	for {
		response, err := calls.Recv()
		if err != nil {
			return reports, err
		}
		reports = append(reports, response.Report)
	}
}

func TestReplayCalls(t *testing.T) {
	f := newFixture(t, nil)
	reports, err := f.replayed(&pb.ReplayDeadLettersRequest{
		Selection: &pb.DeadLetterSelection{All: true}, Execute: true, Operator: "ada",
		Edits: []*pb.DeadLetterEdit{{Column: "a", Text: "1"}, {Column: "b", Null: true}, {Column: "c", Omit: true}},
	})
	work := f.admin.letters.work
	if err != io.EOF || len(reports) != 1 || reports[0].Outcome != pb.DeadLetterOutcome_DEAD_LETTER_OUTCOME_DIVIDED {
		t.Errorf("%v, %v", reports, err)
	}
	if len(work.Edits) != 3 || !work.Execute || !strings.HasPrefix(work.Operator, "ada (127.0.0.1:") || !work.Edits[2].Omit || !work.Edits[1].Value.Null {
		t.Errorf("asked %+v", work)
	}
	for _, c := range []struct {
		request *pb.ReplayDeadLettersRequest
		field   string
	}{
		{&pb.ReplayDeadLettersRequest{}, "selection: it is empty"},
		{&pb.ReplayDeadLettersRequest{Selection: &pb.DeadLetterSelection{All: true}, Edits: []*pb.DeadLetterEdit{{Text: "1"}}}, "edits[0].column: it is empty"},
		{&pb.ReplayDeadLettersRequest{Selection: &pb.DeadLetterSelection{All: true}, Edits: []*pb.DeadLetterEdit{{Column: "a", Text: "1", Null: true}}}, "edits[0]: only one of"},
		{&pb.ReplayDeadLettersRequest{Selection: &pb.DeadLetterSelection{All: true}, Edits: []*pb.DeadLetterEdit{{Column: "a"}, {Column: "a"}}}, "edits[1].column: the column is changed twice"},
	} {
		_, err := f.replayed(c.request)
		wantStatus(t, err, codes.InvalidArgument, "INVALID_LETTERS")
		if !strings.Contains(err.Error(), c.field) {
			t.Errorf("%v, want %q", err, c.field)
		}
	}
	f.admin.err = errors.New("list: Redis is away")
	reports, err = f.replayed(&pb.ReplayDeadLettersRequest{Selection: &pb.DeadLetterSelection{Table: "t"}})
	wantStatus(t, err, codes.Unavailable, "ADMIN")
	if len(reports) != 1 {
		t.Errorf("%d reports before the error", len(reports))
	}
}

// A replay does not keep the instance from shutting down.
func TestReplayEndsWithTheInstance(t *testing.T) {
	f := newFixture(t, nil)
	calls, err := pb.NewAdminServiceClient(f.conn).ReplayDeadLetters(t.Context(), &pb.ReplayDeadLettersRequest{
		Selection: &pb.DeadLetterSelection{All: true}, RowsPerSecond: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := calls.Recv(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := f.server.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
	_, err = calls.Recv()
	wantStatus(t, err, codes.Unavailable, "SHUTTING_DOWN")
}

func TestOutcomesOfLettersHaveTheSameNumbers(t *testing.T) {
	for number, name := range pb.DeadLetterOutcome_name {
		want := strings.Replace(strings.ToLower(strings.TrimPrefix(name, "DEAD_LETTER_OUTCOME_")), "unspecified", "unknown", 1)
		if got := schema.LetterOutcome(number).String(); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
}
