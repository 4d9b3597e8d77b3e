package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	chbuffer "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/column"
	chproto "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/sink"
)

const (
	// demoRequests is how many requests the made-up web shop logs, and demoRate how many a second.
	demoRequests, demoRate = 200_000, 40
	// demoFiles and demoBytes bound the machine's own logs.
	demoFiles, demoBytes = 40, 64 << 20
	// demoLimit is when the demo gives up.
	demoLimit = 2 * time.Minute
	// demoLetters is how many dead letters are shown.
	demoLetters = 5
)

//go:embed demo.yaml
var demoConfiguration []byte

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Run the whole job on real logs, show what came of it, and end",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), demoLimit)
			defer cancel()
			d := &demo{out: command.OutOrStdout(), log: slog.New(slog.NewTextHandler(command.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
			return d.run(ctx)
		},
	}
}

// demo is one run of the demo.
type demo struct {
	out       io.Writer
	log       *slog.Logger
	directory string
	stack     *stack
	gateway   *gateway
	took      []stepTime
}

type stepTime struct {
	name string
	took time.Duration
}

// step runs one step under a heading and notes how long it took.
func (d *demo) step(name string, do func() error) error {
	fmt.Fprintf(d.out, "\n== %s\n", name)
	begun := time.Now()
	err := do()
	d.took = append(d.took, stepTime{name, time.Since(begun)})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.directory, err = os.MkdirTemp("", "logbatcher-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.directory)
	if err := d.step("start ClickHouse and Redis", func() error {
		d.stack, err = startStack(ctx, d.directory, "", d.log)
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stack.stop(ctx)) }()

	serving, stop, err := d.serve(ctx)
	if err != nil {
		return err
	}
	err = d.steps(ctx)
	return errors.Join(err, d.step("shut down", func() error {
		stop()
		return <-serving
	}), d.summary())
}

// serve starts the gateway in this process. What it returns ends it, and tells how it ended.
func (d *demo) serve(ctx context.Context) (ended chan error, stop func(), err error) {
	file := filepath.Join(d.directory, "demo.yaml")
	if err := os.WriteFile(file, demoConfiguration, 0o600); err != nil {
		return nil, nil, err
	}
	load := func(ctx context.Context) (*config.Config, error) {
		cfg, err := config.Load(ctx, file, nil, nil)
		if err != nil {
			return nil, err
		}
		return cfg, d.stack.configure(cfg)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	stop = func() { cancel(&signalError{signal: os.Interrupt}) }
	started, ended := make(chan *gateway, 1), make(chan error, 1)
	err = d.step("start LogBatcher, which creates its tables", func() error {
		go func() { ended <- serve(ctx, load, nil, d.out, func(g *gateway) { started <- g }) }()
		select {
		case d.gateway = <-started:
			return nil
		case err := <-ended:
			return errors.Join(errors.New("the service ended"), err)
		}
	})
	if err != nil {
		stop()
	}
	return ended, stop, err
}

// steps sends and shows.
func (d *demo) steps(ctx context.Context) error {
	shop := filepath.Join(d.directory, "shop.json")
	for _, s := range []struct {
		name string
		do   func() error
	}{
		{"send this machine's own logs", func() error {
			files := machineLogs()
			if len(files) == 0 {
				fmt.Fprintln(d.out, "there are none in /var/log that can be read")
				return nil
			}
			if err := d.send(ctx, &sendOptions{}, files...); err != nil {
				fmt.Fprintln(d.out, err) // whatever lies in /var/log is no fault of the demo's
			}
			return nil
		}},
		{fmt.Sprintf("make up the log of a web shop, %s requests", humanize.Comma(demoRequests)), func() error {
			return writeShopLog(shop)
		}},
		{"send it", func() error { return d.send(ctx, &sendOptions{}, shop) }},
		{"send 1,000 entries, three of which ClickHouse refuses, and one that does not fit its column", func() error { return d.poison(ctx) }},
		{"the tables", func() error {
			return d.query(ctx, `SELECT table, sum(rows) AS rows, count() AS parts, formatReadableSize(sum(bytes_on_disk)) AS on_disk
FROM system.parts WHERE active AND database = currentDatabase() AND NOT startsWith(table, '_') GROUP BY table ORDER BY table`)
		}},
		{"a sample query: which paths fail most?", func() error {
			return d.query(ctx, `SELECT Path, count() AS requests, countIf(Status >= 500) AS failed, round(100 * failed / requests, 2) AS percent
FROM access GROUP BY Path ORDER BY failed DESC LIMIT 5`)
		}},
		{"the dead letters", func() error { return d.showLetters(ctx) }},
	} {
		if err := d.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// send is `logbatcher send`. Refused and dead-lettered entries are shown, and no failure here.
func (d *demo) send(ctx context.Context, o *sendOptions, files ...string) error {
	o.address, o.zone, o.entries, o.quiet = d.gateway.grpcListener.Addr().String(), "Local", 1000, true
	o.stopTimeout = sendStopTimeout
	err := runSend(ctx, o, files, strings.NewReader(""), d.out, io.Discard)
	if errors.Is(err, errNotAllStored) {
		return nil
	}
	return err
}

func (d *demo) query(ctx context.Context, statement string) error {
	return query(ctx, d.gateway.config, statement, "PrettyCompactMonoBlock", d.out)
}

// poison has ClickHouse refuse rows for a reason that the gateway does not know: a constraint on the table.
func (d *demo) poison(ctx context.Context) error {
	constraint := "ALTER TABLE otel_logs ADD CONSTRAINT no_card_numbers CHECK NOT match(Body, 'card=[0-9]{16}')"
	if err := query(ctx, d.gateway.config, constraint, "", io.Discard); err != nil {
		return err
	}
	fmt.Fprintln(d.out, constraint)
	var lines bytes.Buffer
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range 1000 {
		body := fmt.Sprintf("order %d paid", i)
		if i%400 == 100 {
			body += " card=4111111111111111"
		}
		fmt.Fprintf(&lines, `{"time":%q,"level":"info","service":"checkout","msg":%q,"order":%d}`+"\n", now, body, i)
	}
	fmt.Fprintf(&lines, `{"time":%q,"msg":"GET /odd","service":"checkout","http.request.method":"GET","http.response.status_code":"teapot"}`+"\n", now)
	file := filepath.Join(d.directory, "poisoned.json")
	if err := os.WriteFile(file, lines.Bytes(), 0o600); err != nil {
		return err
	}
	return d.send(ctx, &sendOptions{}, file)
}

// showLetters prints what the dead-letter queue has.
func (d *demo) showLetters(ctx context.Context) error {
	letters, err := d.gateway.letters.List(ctx, "", demoLetters)
	if err != nil {
		return err
	}
	for _, stored := range letters {
		l := &stored.Letter
		fmt.Fprintf(d.out, "%s\n  table %s, route %s, %d row(s), code %d %s\n  %s\n", l.ID, l.Table, l.Route, l.Rows, l.Code, l.Reason, shortened(l.Message, 160))
		body, err := firstBody(l)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.out, "  the row: %s\n", shortened(body, 160))
	}
	return nil
}

// firstBody returns the message of a dead letter's first row, from the form in which it could be inserted again.
func firstBody(l *sink.DeadLetter) (string, error) {
	if l.Format != sink.FormatNative {
		line, _, _ := bytes.Cut(l.Payload, []byte("\n"))
		return string(line), nil
	}
	block := chproto.Block{ServerContext: &column.ServerContext{Timezone: time.UTC}}
	if err := block.Decode(chbuffer.NewReader(bytes.NewReader(l.Payload)), 0); err != nil {
		return "", fmt.Errorf("decode dead letter %s: %w", l.ID, err)
	}
	for i, name := range block.ColumnsNames() {
		if name == "Body" {
			return fmt.Sprint(block.Columns[i].Row(0, false)), nil
		}
	}
	return "", nil
}

// summary prints how long each step took.
func (d *demo) summary() error {
	fmt.Fprintln(d.out, "\n== how long it took")
	for _, s := range d.took {
		fmt.Fprintf(d.out, "%8.2f s  %s\n", s.took.Seconds(), s.name)
	}
	return nil
}

// machineLogs returns the text logs of this machine that can be read, the smallest folder first, within bounds.
func machineLogs() []string {
	var files []string
	var bytes int64
	_ = filepath.WalkDir("/var/log", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || len(files) == demoFiles {
			return nil // what can't be read is left out
		}
		name := entry.Name()
		if !strings.HasSuffix(name, ".log") && name != "syslog" && name != "messages" {
			return nil
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || bytes+info.Size() > demoBytes {
			return nil
		}
		if f, err := os.Open(path); err != nil || f.Close() != nil {
			return nil
		}
		files = append(files, path)
		bytes += info.Size()
		return nil
	})
	return files
}

// demoPages are what the shop's visitors ask for, and how many requests in a thousand fail.
var demoPages = []struct {
	method, path string
	failures     int
}{
	{"GET", "/", 1}, {"GET", "/products/17", 2}, {"GET", "/products/204", 2}, {"GET", "/categories/tents", 1},
	{"GET", "/search", 12}, {"GET", "/login", 3}, {"POST", "/cart", 4}, {"POST", "/checkout/payment", 25},
}

// writeShopLog writes JSON lines of requests, the last of which is of now.
func writeShopLog(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(file)
	random := rand.New(rand.NewPCG(1, 2))
	at := time.Now().UTC().Add(-demoRequests * time.Second / demoRate)
	for range demoRequests {
		at = at.Add(time.Second / demoRate)
		page, level, status := demoPages[random.IntN(len(demoPages))], "INFO", 200
		switch n := random.IntN(1000); {
		case n < page.failures:
			level, status = "ERROR", 500+n%4
		case n > 980:
			level, status = "WARN", 404
		case n > 800:
			status = 304
		}
		fmt.Fprintf(out, `{"time":%q,"level":%q,"msg":"%s %s: %d","http.request.method":%q,"url.path":%q,"http.response.status_code":%d,`+
			`"client.address":"192.0.2.%d","duration_ms":%.1f}`+"\n", at.Format(time.RFC3339Nano), level, page.method, page.path, status,
			page.method, page.path, status, 1+random.IntN(254), 2+20*random.ExpFloat64())
	}
	return errors.Join(out.Flush(), file.Close())
}

func shortened(text string, length int) string {
	runes := []rune(strings.ReplaceAll(text, "\n", " "))
	if len(runes) <= length {
		return string(runes)
	}
	return string(runes[:length]) + "…"
}
