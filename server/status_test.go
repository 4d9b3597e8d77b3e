package server

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/server/access"
)

// allStatuses has the statuses of status.go, and an example of each function that makes one.
var allStatuses = map[string]struct {
	code codes.Code
	err  error
}{
	"statusInvalid":           {codes.InvalidArgument, statusInvalid("X", violation{"a\xff", "b\xff"}, violation{"c", "d"})},
	"statusInvalidOpening":    {codes.InvalidArgument, statusInvalidOpening(violation{"a", "b"})},
	"errNotOpened":            {codes.InvalidArgument, errNotOpened},
	"errOpenedTwice":          {codes.InvalidArgument, errOpenedTwice},
	"errOpeningNotAlone":      {codes.InvalidArgument, errOpeningNotAlone},
	"errZeroSequence":         {codes.InvalidArgument, errZeroSequence},
	"errAnonymousSequence":    {codes.InvalidArgument, errAnonymousSequence},
	"errSequenceWithoutEpoch": {codes.InvalidArgument, errSequenceWithoutEpoch},
	"statusMalformed":         {codes.InvalidArgument, statusMalformed(problemNoMessage)},
	"statusUnknownField":      {codes.InvalidArgument, statusUnknownField("17", "no")},
	"statusGap":               {codes.OutOfRange, statusGap(4, 9)},
	"statusAltered":           {codes.FailedPrecondition, statusAltered(4)},
	"statusForgotten":         {codes.FailedPrecondition, statusForgotten(4, 9)},
	"errNoLog":                {codes.FailedPrecondition, errNoLog},
	"statusOldEpoch":          {codes.Aborted, statusOldEpoch(1, 2)},
	"errSuperseded":           {codes.Aborted, errSuperseded},
	"statusTooLarge":          {codes.ResourceExhausted, statusTooLarge("max_request_entries", 1, 2)},
	"statusUnavailable":       {codes.Unavailable, statusUnavailable("X", "y\xff", metadata{"k": "v\xff"})},
	"statusAway":              {codes.Unavailable, statusAway("x\xff")},
	"statusTooManyStreams":    {codes.Unavailable, statusTooManyStreams("max_streams", 3)},
	"statusUnknownEncoding":   {codes.Unimplemented, statusUnknownEncoding("br")},
	"statusUnknownMediaType":  {codes.Unimplemented, statusUnknownMediaType("a/b", "c/d")},
	"statusBodyTimeout":       {codes.DeadlineExceeded, statusBodyTimeout(time.Second)},
	"errNoJSONLine":           {codes.InvalidArgument, errNoJSONLine},
	"errNotReady":             {codes.Unavailable, errNotReady},
	"statusOwned":             {codes.Unavailable, statusOwned(&schema.OwnedError{Instance: "gw", Address: "x\xff", Log: "l"})},
	"statusOwnerUnknown":      {codes.Unavailable, statusOwnerUnknown(errOwner)},
	"statusTooManyProducers":  {codes.Unavailable, statusTooManyProducers(3)},
	"errShutdown":             {codes.Unavailable, errShutdown},
	"drains":                  {codes.Unavailable, drains[pb.DrainReason_DRAIN_REASON_CREDENTIALS].err},
	"statusTenantLimit":       {codes.Unavailable, statusTenantLimit("a", time.Second)},
	"statusUnauthenticated":   {codes.Unauthenticated, statusUnauthenticated(&access.RefusedError{Reason: "X", Message: "y"})},
	"statusNotAllowed":        {codes.PermissionDenied, statusNotAllowed("token x", access.Admin)},
	"statusNotFinished":       {codes.Unavailable, statusNotFinished(2, pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED)},
	"errResponsesUnread":      {codes.Unavailable, errResponsesUnread},
	"errOlderNotFinished":     {codes.Unavailable, errOlderNotFinished},
	"errRouterClosed":         {codes.Unavailable, errRouterClosed},
	"statusOpenTimeout":       {codes.DeadlineExceeded, statusOpenTimeout(time.Second)},
	"statusUnaryDeadline":     {codes.DeadlineExceeded, statusUnaryDeadline(metadata{"state": "accepted"}, pb.Acknowledgement_ACKNOWLEDGEMENT_COMMITTED)},
	"statusUnaryShutdown":     {codes.Unavailable, statusUnaryShutdown(metadata{"state": "accepted"})},
	"statusUnknownTable":      {codes.NotFound, statusUnknownTable("a\xff")},
	"statusInvalidLetters":    {codes.InvalidArgument, statusInvalidLetters(violation{"a", "b"})},
	"errInternal":             {codes.Internal, errInternal},
	"statusOfContext":         {codes.Canceled, statusOfContext(context.Canceled)},
	"statusOfAdmin":           {codes.Unavailable, statusOfAdmin(errors.New("x\xff"), "")},
}

func TestAllStatuses(t *testing.T) {
	for name, c := range allStatuses {
		st, ok := status.FromError(c.err)
		if !ok || st.Code() != c.code || st.Message() == "" || !utf8.ValidString(st.Message()) {
			t.Errorf("%s: %v, want %v", name, c.err, c.code)
		}
		var info *errdetails.ErrorInfo
		var retry *errdetails.RetryInfo
		var bad *errdetails.BadRequest
		for _, d := range st.Details() {
			switch d := d.(type) {
			case *errdetails.ErrorInfo:
				info = d
			case *errdetails.RetryInfo:
				retry = d
			case *errdetails.BadRequest:
				bad = d
			}
		}
		if info == nil || info.Domain != errorDomain || info.Reason == "" || info.Reason != strings.ToUpper(info.Reason) {
			t.Errorf("%s: ErrorInfo %v", name, info)
		}
		if (retry != nil) != (c.code == codes.Unavailable) {
			t.Errorf("%s: RetryInfo %v", name, retry)
		}
		if (bad != nil) != (c.code == codes.InvalidArgument) {
			t.Errorf("%s: BadRequest %v", name, bad)
		}
		if _, err := proto.Marshal(st.Proto()); err != nil {
			t.Errorf("%s can't be sent: %v", name, err)
		}
	}
}

// All statuses are made in status.go and are in the table above.
func TestAllStatusesAreListed(t *testing.T) {
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				made := strings.HasPrefix(n.Name.Name, "status") && n.Recv == nil && n.Name.Name != "statusOf"
				if _, listed := allStatuses[n.Name.Name]; made && !listed {
					t.Errorf("%s is not in allStatuses", n.Name.Name)
				}
			case *ast.ValueSpec:
				for i, value := range n.Values {
					_, listed := allStatuses[n.Names[i].Name]
					if _, made := value.(*ast.CallExpr); made && !listed && name == "status.go" {
						t.Errorf("%s is not in allStatuses", n.Names[i].Name)
					}
				}
			case *ast.SelectorExpr:
				x, _ := n.X.(*ast.Ident)
				if x != nil && x.Name == "status" && (n.Sel.Name == "Error" || n.Sel.Name == "Errorf" || n.Sel.Name == "New") && name != "status.go" {
					t.Errorf("%s makes a status", name)
				}
			}
			return true
		})
	}
}

// The tables of docs/protocol.md list exactly the reasons in status.go.
func TestReasonsAreDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "status.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	makers := []string{"statusOf", "statusInvalid", "statusUnavailable"}
	reason := regexp.MustCompile(`^"([A-Z]+(?:_[A-Z]+)*)"$`)
	given := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		call, _ := n.(*ast.CallExpr)
		if call == nil {
			return true
		}
		if name, _ := call.Fun.(*ast.Ident); name == nil || !slices.Contains(makers, name.Name) {
			return true
		}
		for _, argument := range call.Args {
			if literal, _ := argument.(*ast.BasicLit); literal != nil {
				if m := reason.FindStringSubmatch(literal.Value); m != nil {
					given[m[1]] = true
				}
			}
		}
		return true
	})
	if len(given) < 20 {
		t.Fatalf("status.go was read wrongly: %v", given)
	}
	page, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for row := range strings.Lines(string(page)) {
		if cells := strings.Split(row, "|"); len(cells) > 3 {
			for _, m := range regexp.MustCompile("`([A-Z]+(?:_[A-Z]+)*)`").FindAllStringSubmatch(cells[2], -1) {
				documented[m[1]] = true
			}
		}
	}
	if !maps.Equal(given, documented) {
		for name := range given {
			if !documented[name] {
				t.Errorf("%s is not in the tables of docs/protocol.md", name)
			}
		}
		for name := range documented {
			if !given[name] {
				t.Errorf("docs/protocol.md has %s, which no status has", name)
			}
		}
	}
}

func TestStatusOfErrors(t *testing.T) {
	wantStatus(t, statusOfContext(context.DeadlineExceeded), codes.DeadlineExceeded, "DEADLINE")
	wantStatus(t, statusOfAdmin(fmt.Errorf("flush: %w", schema.ErrUnknownTable), "t"), codes.NotFound, "UNKNOWN_TABLE")
	wantStatus(t, statusOfAdmin(context.Canceled, "t"), codes.Canceled, "CANCELED")
	c := testConfig()
	in := &ingest{config: &c}
	wantStatus(t, in.statusOf(errors.New("a bug")), codes.Internal, "INTERNAL")
	wantStatus(t, in.statusOf(fmt.Errorf("open: %w", errSuperseded)), codes.Aborted, "SUPERSEDED")
	wantStatus(t, in.statusOf(errShutdown), codes.Unavailable, "SHUTTING_DOWN")
	wantStatus(t, in.statusOf(context.Canceled), codes.Canceled, "CANCELED")
	if in.statusOf(nil) != nil {
		t.Error("nil has a status")
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"a\xffb":                       "a\uFFFDb",
		strings.Repeat("ä", 300):       strings.Repeat("ä", 256) + "…",
		"x" + strings.Repeat("ä", 300): "x" + strings.Repeat("ä", 255) + "…",
	} {
		if got := text(in); got != want {
			t.Errorf("text(%q) is %q", in, got)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	c := testConfig()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	bad := Config{Colo: "a-b", StreamAge: -1, Limits: Limits{MaxEntryBytes: 9}, Windows: Windows{StreamWindowBytes: 3}}
	err := bad.Validate()
	for _, name := range []string{
		"limits.max_request_bytes: must be above 0", "limits.max_entry_bytes: 9 is more than limits.max_request_bytes, 0", "stream_age: must not be negative",
		"Instance", "Colo", "windows.stream: 3 is more than", "Log and Registerer", "unary_timeout",
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q is not in %v", name, err)
		}
	}
	if c.connectionGrace() < c.StreamAge+c.StreamDrain+c.FinishTimeout {
		t.Error("a connection's grace ends before its streams do")
	}
}
