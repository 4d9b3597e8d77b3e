package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// errLettersLeft makes the exit status 3: letters of the selection are in the queue still, or would be.
var errLettersLeft = errors.New("some dead letters stay in the queue")

// silence is how long a replay may say nothing before the command says that it waits.
const silence = 10 * time.Second

// maxListedMessage bounds the messages of a list.
const maxListedMessage = 120

func newDLQCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "dlq",
		Short: "List, show, replay, drop and export dead letters, through a running LogBatcher",
	}
	command.AddCommand(newDLQListCommand(), newDLQShowCommand(), newDLQReplayCommand(), newDLQDropCommand(), newDLQExportCommand())
	return command
}

// withAdmin has the command connect to the admin service and run.
func withAdmin(command *cobra.Command, run func(ctx context.Context, admin logbatcherv1.AdminServiceClient, words []string, out io.Writer) error) *cobra.Command {
	var to target
	to.addFlags(command.Flags())
	command.RunE = func(command *cobra.Command, words []string) error {
		conn, err := to.dial(command.Context())
		if err != nil {
			return err
		}
		defer conn.Close()
		err = run(command.Context(), logbatcherv1.NewAdminServiceClient(conn), words, command.OutOrStdout())
		if st, ok := grpcstatus.FromError(err); ok && err != nil {
			if command.Context().Err() != nil {
				return context.Cause(command.Context())
			}
			if st.Code() == codes.Unimplemented {
				return fmt.Errorf("%s: this server does not have the command: %s", to.address, st.Message())
			}
			return fmt.Errorf("%s: %s", to.address, st.Message())
		}
		return err
	}
	return command
}

// letterFlags are the flags that select letters.
type letterFlags struct {
	table, class, reason string
	codes                []int32
	since, until         string
	all                  bool
}

func (f *letterFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.table, "table", "", "only letters of this table (database.table, or just the table's name)")
	flags.StringVar(&f.class, "class", "", "only letters whose last error has this class: transient, ambiguous, hold, schema, shape, row or unclassified")
	flags.Int32SliceVar(&f.codes, "code", nil, "only letters whose last error has this code of ClickHouse; 0 is LogBatcher's own (repeatable)")
	flags.StringVar(&f.reason, "reason", "", "only letters whose reason or message contains this text")
	flags.StringVar(&f.since, "since", "", "only letters whose rows were first tried at this time or later: 2026-11-25T10:00:00Z, 2026-11-25 (UTC), or 2h for two hours ago")
	flags.StringVar(&f.until, "until", "", "only letters whose rows were first tried before this time")
}

// addAll adds --all, which a command that changes letters wants if nothing else selects them.
func (f *letterFlags) addAll(command *cobra.Command) {
	command.Flags().BoolVar(&f.all, "all", false, "every letter in the queue")
}

// selection returns the selection of the flags and of the ids given as words.
func (f *letterFlags) selection(ids []string, now time.Time) (*logbatcherv1.DeadLetterSelection, error) {
	s := &logbatcherv1.DeadLetterSelection{Ids: ids, Table: f.table, Class: f.class, Codes: f.codes, Reason: f.reason, All: f.all}
	for _, bound := range []struct {
		flag, text string
		into       *uint64
	}{{"since", f.since, &s.SinceUnixNano}, {"until", f.until, &s.UntilUnixNano}} {
		if bound.text == "" {
			continue
		}
		at, err := parseMoment(bound.text, now)
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", bound.flag, err)
		}
		*bound.into = uint64(at.UnixNano())
	}
	if f.class != "" && !isClass(f.class) {
		return nil, fmt.Errorf("--class: %s", schema.UnknownName("class", f.class, letterClasses))
	}
	return s, nil
}

// letterClasses are the classes that a letter's error can have.
var letterClasses = []string{"transient", "ambiguous", "hold", "schema", "shape", "row", "unclassified"}

func isClass(name string) bool {
	for _, class := range letterClasses {
		if class == name {
			return true
		}
	}
	return false
}

// parseMoment parses a time, a day, or how long ago something was.
func parseMoment(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			if at.Unix() <= 0 {
				return at, fmt.Errorf("%s is before 1970", text)
			}
			return at, nil
		}
	}
	if ago, err := settings.ParseDuration(text); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; want 2026-11-25T10:00:00Z, 2026-11-25, or 2h for two hours ago", text)
}

func newDLQListCommand() *cobra.Command {
	var f letterFlags
	var limit int
	command := &cobra.Command{
		Use:     "list [ID…]",
		Short:   "List dead letters, the oldest first",
		Example: "  logbatcher dlq list\n  logbatcher dlq list --table otel_logs --code 469 --since 2h",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(command)
	command.Flags().IntVar(&limit, "limit", 100, "the most letters to list; 0 lists all")
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		if limit < 0 {
			return fmt.Errorf("--limit %d: it can't be negative; 0 lists all", limit)
		}
		selection, err := f.selection(ids, time.Now())
		if err != nil {
			return err
		}
		return listLetters(ctx, admin, selection, limit, out)
	})
}

// listLetters prints the letters page by page.
func listLetters(ctx context.Context, admin logbatcherv1.AdminServiceClient, selection *logbatcherv1.DeadLetterSelection, limit int, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	letters, rows := 0, uint64(0)
	request := &logbatcherv1.ListDeadLettersRequest{Selection: selection}
	more := false
	for {
		request.PageSize = 100
		if limit > 0 {
			request.PageSize = uint32(min(100, limit-letters))
		}
		page, err := admin.ListDeadLetters(ctx, request)
		if err != nil {
			_ = table.Flush() // the error that ends the list is worth more
			return err
		}
		for _, l := range page.Letters {
			if letters == 0 {
				fmt.Fprintln(table, "ID\tFIRST TRIED\tTABLE\tROWS\tCLASS\tCODE\tREASON\tTRIES\tMESSAGE")
			}
			letters, rows = letters+1, rows+l.Rows
			id, message := l.Id, l.Message
			if l.Problem != "" {
				message = "DAMAGED: " + l.Problem
			}
			if id == "" {
				id = l.StreamId
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%d\t%s\t%d\t%s\n", oneLine(id, 1<<10), moment(l.FirstUnixNano), orNone(l.Table), l.Rows, l.Class, l.Code,
				l.Reason, l.Attempts, oneLine(message, maxListedMessage))
		}
		if request.PageToken = page.NextPageToken; request.PageToken == "" {
			break
		}
		if limit > 0 && letters >= limit {
			more = true
			break
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	switch {
	case letters == 0:
		fmt.Fprintln(out, "no dead letters")
	case more:
		fmt.Fprintf(out, "%s, %s; there may be more: see --limit\n", count(letters, "letter"), count(int(rows), "row"))
	default:
		fmt.Fprintf(out, "%s, %s\n", count(letters, "letter"), count(int(rows), "row"))
	}
	return nil
}

func newDLQShowCommand() *cobra.Command {
	var first, rows uint32
	command := &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter: why its rows were rejected, where they came from, and what each column has",
		Args:  cobra.ExactArgs(1),
	}
	command.Flags().Uint32Var(&first, "first-row", 0, "the first row to show, from 0")
	command.Flags().Uint32Var(&rows, "rows", 10, "the most rows to show; at most 1000")
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		shown, err := admin.GetDeadLetter(ctx, &logbatcherv1.GetDeadLetterRequest{Id: ids[0], FirstRow: first, MaxRows: rows})
		if err != nil {
			return err
		}
		return printLetter(out, shown, int(first))
	})
}

func printLetter(out io.Writer, shown *logbatcherv1.GetDeadLetterResponse, first int) error {
	l := shown.Letter
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "id\t%s\nstream id\t%s\ntable\t%s\nroute\t%s\nrows\t%d (%s, %d bytes)\n",
		oneLine(l.Id, 1<<10), l.StreamId, orNone(l.Table), orNone(l.Route), l.Rows, l.Format, l.PayloadBytes)
	fmt.Fprintf(table, "error\tclass %s, code %d, reason %s, column %s\n\t%s\n", l.Class, l.Code, l.Reason, orNone(l.Column), oneLine(l.Message, 8<<10))
	fmt.Fprintf(table, "tried\t%s, first %s, last %s\n", count(int(l.Attempts), "time"), moment(l.FirstUnixNano), moment(l.LastUnixNano))
	if l.Problem != "" {
		fmt.Fprintf(table, "DAMAGED\t%s\n", oneLine(l.Problem, 8<<10))
	}
	for _, f := range l.History {
		fmt.Fprintf(table, "before\t%s: class %s, code %d, reason %s: %s\n", moment(f.TimeUnixNano), f.Class, f.Code, f.Reason, oneLine(f.Message, 8<<10))
	}
	for _, o := range l.Origins {
		tenant := ""
		if o.Tenant != "" {
			tenant = "tenant " + o.Tenant + ", "
		}
		fmt.Fprintf(table, "from\t%sproducer %s, epoch %d, sequence %d: %s\n", tenant, oneLine(o.Producer, 1<<10), o.Epoch, o.Sequence, count(int(o.Rows), "row"))
	}
	if shown.Unreadable != "" {
		fmt.Fprintf(table, "UNREADABLE\t%s\n", oneLine(shown.Unreadable, 8<<10))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i, row := range shown.Rows {
		fmt.Fprintf(out, "\nrow %d\n", first+i)
		if row.Entry != "" {
			fmt.Fprintln(out, "  "+oneLine(row.Entry, 1<<20))
			continue
		}
		for _, v := range row.Values {
			value := oneLine(v.Text, 1<<20)
			if v.Null {
				value = "NULL"
			}
			mark := " "
			if v.Column == l.Column {
				mark = ">" // the column that the error names
			}
			fmt.Fprintf(table, "%s %s\t%s\t%s\n", mark, v.Column, value, v.Type)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	if left := int(l.Rows) - first - len(shown.Rows); left > 0 && shown.Unreadable == "" {
		fmt.Fprintf(out, "\n%s more: see --first-row and --rows\n", count(left, "row"))
	}
	return nil
}

func newDLQReplayCommand() *cobra.Command {
	var f letterFlags
	var set, null, omit []string
	var rate uint32
	var yes, quiet bool
	command := &cobra.Command{
		Use:   "replay [ID…]",
		Short: "Store the rows of dead letters in their tables, each once",
		Long: `Replay stores the rows of dead letters in their tables, once the cause is fixed or with a small change, and deletes the letters.
Without --yes it changes nothing and prints what would become of each letter, as far as that can be known without an insert.

A letter's rows are looked up first and inserted only if they are not in the table, so a replay may be interrupted at any
place, and several may run at once. A letter that fails again stays in the queue, with its earlier failures. One that
somebody else is replaying is left alone.

Exit status: 0 when the rows of all letters are in their tables, 3 when letters stay in the queue or would, 1 otherwise.`,
		Example: `  logbatcher dlq replay --table http_errors
  logbatcher dlq replay --table http_errors --code 469 --set Status=0 --yes
  logbatcher dlq replay --all --rate 5000 --yes`,
		Args: cobra.ArbitraryArgs,
	}
	f.add(command)
	f.addAll(command)
	flags := command.Flags()
	flags.StringArrayVar(&set, "set", nil, "change a column in all rows, as in --set Status=404 (repeatable)")
	flags.StringArrayVar(&null, "null", nil, "make a column NULL in all rows (repeatable)")
	flags.StringArrayVar(&omit, "omit", nil, "leave a column out, so that the rows get the table's default (repeatable)")
	flags.Uint32Var(&rate, "rate", 0, "the most rows to store in a second (default: no limit)")
	flags.BoolVar(&yes, "yes", false, "do it")
	flags.BoolVarP(&quiet, "quiet", "q", false, "print only letters that stay in the queue, and the summary")
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		request := &logbatcherv1.ReplayDeadLettersRequest{Execute: yes, RowsPerSecond: rate, Operator: operator()}
		var err error
		if request.Selection, err = f.changing(ids); err != nil {
			return err
		}
		for _, assignment := range set {
			column, text, ok := strings.Cut(assignment, "=")
			if !ok || column == "" {
				return fmt.Errorf("--set %s: want COLUMN=VALUE", assignment)
			}
			request.Edits = append(request.Edits, &logbatcherv1.DeadLetterEdit{Column: column, Text: text})
		}
		for _, column := range null {
			request.Edits = append(request.Edits, &logbatcherv1.DeadLetterEdit{Column: column, Null: true})
		}
		for _, column := range omit {
			request.Edits = append(request.Edits, &logbatcherv1.DeadLetterEdit{Column: column, Omit: true})
		}
		calls, err := admin.ReplayDeadLetters(ctx, request)
		if err != nil {
			return err
		}
		return followLetters(out, command.ErrOrStderr(), "replay", yes, quiet, func() (*logbatcherv1.DeadLetterReport, error) {
			response, err := calls.Recv()
			return response.GetReport(), err
		})
	})
}

func newDLQDropCommand() *cobra.Command {
	var f letterFlags
	var yes, quiet bool
	command := &cobra.Command{
		Use:   "drop [ID…]",
		Short: "Delete dead letters for good",
		Long: `Drop deletes dead letters and their rows for good. Without --yes it deletes nothing and prints which letters it would delete.
Letters that somebody is replaying stay.`,
		Example: "  logbatcher dlq drop --table debug_logs --until 2026-11-01\n  logbatcher dlq drop --table debug_logs --until 2026-11-01 --yes",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(command)
	f.addAll(command)
	command.Flags().BoolVar(&yes, "yes", false, "do it")
	command.Flags().BoolVarP(&quiet, "quiet", "q", false, "print only letters that stay in the queue, and the summary")
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		selection, err := f.changing(ids)
		if err != nil {
			return err
		}
		calls, err := admin.DropDeadLetters(ctx, &logbatcherv1.DropDeadLettersRequest{Selection: selection, Execute: yes, Operator: operator()})
		if err != nil {
			return err
		}
		return followLetters(out, command.ErrOrStderr(), "drop", yes, quiet, func() (*logbatcherv1.DeadLetterReport, error) {
			response, err := calls.Recv()
			return response.GetReport(), err
		})
	})
}

// changing is selection for a command that changes letters.
func (f *letterFlags) changing(ids []string) (*logbatcherv1.DeadLetterSelection, error) {
	s, err := f.selection(ids, time.Now())
	if err != nil {
		return nil, err
	}
	named := len(ids) > 0 || f.table != "" || f.class != "" || f.reason != "" || len(f.codes) > 0 || f.since != "" || f.until != ""
	if !named && !f.all {
		return nil, errors.New("which letters? Name their ids, select them with --table, --class, --code, --reason, --since or --until, or give --all")
	}
	return s, nil
}

// operator returns who runs the command, for the server's log.
func operator() string {
	host, _ := os.Hostname() // without it the name alone has to do
	if u, err := user.Current(); err == nil {
		return u.Username + "@" + host
	}
	return "unknown@" + host
}

// outcomes are the words for what became of a letter, done or in a dry run; left means that it stays in the queue.
var outcomes = map[logbatcherv1.DeadLetterOutcome]struct {
	done, would string
	left        bool
}{
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_COMMITTED: {done: "committed", would: "would be committed"},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_PRESENT:   {done: "was in the table already", would: "is in the table already"},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_REFUSED:   {done: "refused", would: "would be refused", left: true},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_DIVIDED:   {done: "divided", would: "would be divided"},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_CLAIMED:   {done: "claimed by somebody else", would: "claimed by somebody else", left: true},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_GONE:      {done: "gone", would: "gone"},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_OPEN:      {done: "open", would: "can't be told", left: true},
	logbatcherv1.DeadLetterOutcome_DEAD_LETTER_OUTCOME_DROPPED:   {done: "dropped", would: "would be dropped"},
}

// followLetters prints the reports of a replay or a drop and sums them up.
func followLetters(out, errs io.Writer, verb string, done, quiet bool, next func() (*logbatcherv1.DeadLetterReport, error)) error {
	letters, rows := map[string]int{}, map[string]uint64{}
	var order []string
	left := false
	for {
		waiting := time.AfterFunc(silence, func() {
			fmt.Fprintln(errs, "logbatcher: waiting for the next letter; see the server's /readyz for what it may be waiting for")
		})
		report, err := next()
		waiting.Stop()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			printTotals(out, order, letters, rows)
			return err
		}
		outcome := outcomes[report.Outcome]
		word := outcome.would
		if done {
			word = outcome.done
		}
		if word == "" {
			word = report.Outcome.String()
		}
		left = left || outcome.left
		if letters[word] == 0 {
			order = append(order, word)
		}
		letters[word]++
		rows[word] += report.Rows
		if quiet && !outcome.left {
			continue
		}
		line := fmt.Sprintf("%s: %s, %s, %s", word, oneLine(report.Id, 1<<10), orNone(report.Table), count(int(report.Rows), "row"))
		if report.Message != "" {
			line += ": " + oneLine(report.Message, 1<<10)
		}
		fmt.Fprintln(out, line)
	}
	if len(order) == 0 {
		fmt.Fprintln(out, "no dead letters")
	}
	printTotals(out, order, letters, rows)
	if !done && len(order) > 0 {
		fmt.Fprintf(out, "Nothing was changed. With --yes, %s does it.\n", verb)
	}
	if left {
		return errLettersLeft
	}
	return nil
}

func printTotals(out io.Writer, order []string, letters map[string]int, rows map[string]uint64) {
	for _, word := range order {
		fmt.Fprintf(out, "%s, %s: %s\n", count(letters[word], "letter"), count(int(rows[word]), "row"), word)
	}
}

func newDLQExportCommand() *cobra.Command {
	var f letterFlags
	command := &cobra.Command{
		Use:   "export [ID…]",
		Short: "Write dead letters as JSON lines, with their rows",
		Long: `Export writes each dead letter as one line of JSON to standard output: all fields of docs/dead-letters.md, the rows as text by column
(values) or as entries, and the payload in base64, which has their exact bytes. It changes nothing.`,
		Example: "  logbatcher dlq export --table otel_logs > letters.jsonl",
		Args:    cobra.ArbitraryArgs,
	}
	f.add(command)
	return withAdmin(command, func(ctx context.Context, admin logbatcherv1.AdminServiceClient, ids []string, out io.Writer) error {
		selection, err := f.selection(ids, time.Now())
		if err != nil {
			return err
		}
		pieces, err := admin.ExportDeadLetters(ctx, &logbatcherv1.ExportDeadLettersRequest{Selection: selection})
		if err != nil {
			return err
		}
		for {
			piece, err := pieces.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := out.Write(piece.Data); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
	})
}

// oneLine makes a text printable on one line of a terminal, and shortens it.
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0: // would control the terminal
			return '\uFFFD'
		}
		return r
	}, text)
	return schema.Short(text, limit)
}

func moment(nanoseconds uint64) string {
	if nanoseconds == 0 {
		return "-"
	}
	return time.Unix(0, int64(nanoseconds)).UTC().Format(time.RFC3339)
}

func orNone(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
