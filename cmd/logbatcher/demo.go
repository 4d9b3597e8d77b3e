package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
)

const (
	// demoRequests is the number of requests in the made-up web shop's log, demoRate the number per second.
	demoRequests, demoRate = 200_000, 40
	// demoFiles and demoBytes bound the machine's own logs.
	demoFiles, demoBytes = 40, 64 << 20
	// demoLimit is when the demo gives up.
	demoLimit = 2 * time.Minute
	// demoLetters is the number of dead letters that are shown.
	demoLetters = 5
)

//go:embed demo.yaml
var demoConfiguration []byte

func newDemoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Run the whole job on real logs, show the result, and exit",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), demoLimit)
			defer cancel()
			return (&demo{out: command.OutOrStdout()}).run(ctx, command.ErrOrStderr())
		},
	}
}

// demo is one run of the demo.
type demo struct {
	out       io.Writer
	directory string
	stack     *stack
	gateway   *gateway
	summary   strings.Builder // how long each step took
}

// step runs one step under a heading.
func (d *demo) step(name string, do func() error) error {
	fmt.Fprintf(d.out, "\n== %s\n", name)
	begun := time.Now()
	err := do()
	fmt.Fprintf(&d.summary, "%8.2f s  %s\n", time.Since(begun).Seconds(), name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (d *demo) run(ctx context.Context, errs io.Writer) (err error) {
	if d.directory, err = os.MkdirTemp("", "logbatcher-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(d.directory)
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := d.step("start ClickHouse and Redis", func() error {
		d.stack, err = startStack(ctx, d.directory, "", log)
		return err
	}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stack.stop(ctx)) }()

	serving, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	ended := make(chan error, 1)
	if err := d.step("start LogBatcher, which creates its tables", func() error { return d.start(serving, ended) }); err != nil {
		return err
	}
	err = d.show(ctx)
	err = errors.Join(err, d.step("shut down", func() error {
		stop(&signalError{signal: os.Interrupt})
		return <-ended
	}))
	fmt.Fprintf(d.out, "\n== how long it took\n%s", &d.summary)
	return err
}

// start starts the gateway in this process. It runs until ctx ends, and then sends its error to ended.
func (d *demo) start(ctx context.Context, ended chan<- error) error {
	file := filepath.Join(d.directory, "demo.yaml")
	if err := os.WriteFile(file, demoConfiguration, 0o600); err != nil {
		return err
	}
	load := func(ctx context.Context) (*config.Config, error) {
		cfg, err := config.Load(ctx, file, nil, nil)
		if err != nil {
			return nil, err
		}
		return cfg, d.stack.configure(cfg)
	}
	started, failed := make(chan *gateway, 1), make(chan error, 1)
	go func() {
		err := serve(ctx, load, nil, d.out, func(g *gateway) { started <- g })
		failed <- err
		ended <- err
	}()
	select {
	case d.gateway = <-started:
		return nil
	case err := <-failed:
		return errors.Join(errors.New("the service ended"), err)
	}
}

// show sends logs and shows what became of them.
func (d *demo) show(ctx context.Context) error {
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
			if err := d.send(ctx, nil, files...); err != nil {
				fmt.Fprintln(d.out, err) // the demo goes on whatever is in /var/log
			}
			return nil
		}},
		{"make up the log of a web shop, " + comma(demoRequests) + " requests", func() error { return writeShopLog(shop) }},
		{"send it", func() error { return d.send(ctx, nil, shop) }},
		{"send 1,000 entries, three of which ClickHouse rejects, and one that does not fit its column", func() error { return d.poison(ctx) }},
		{"the tables", func() error {
			return d.query(ctx, `SELECT table, sum(rows) AS rows, count() AS parts, formatReadableSize(sum(bytes_on_disk)) AS on_disk
FROM system.parts WHERE active AND database = currentDatabase() AND NOT startsWith(table, '_') GROUP BY table ORDER BY table`, tableFormat)
		}},
		{"a sample query: which paths fail most?", func() error {
			return d.query(ctx, `SELECT Path, count() AS requests, countIf(Status >= 500) AS failed, round(100 * failed / requests, 2) AS percent
FROM access GROUP BY Path ORDER BY failed DESC LIMIT 5`, tableFormat)
		}},
		{"the dead letters", func() error { return d.showLetters(ctx) }},
	} {
		if err := d.step(s.name, s.do); err != nil {
			return err
		}
	}
	return nil
}

// send is `logbatcher send`. Refused and dead-lettered entries are shown and are no failure.
func (d *demo) send(ctx context.Context, in io.Reader, files ...string) error {
	o := &sendOptions{
		target: target{address: d.gateway.grpcListener.Addr().String()}, zone: "Local", entries: 1000, quiet: true, stopTimeout: sendStopTimeout,
	}
	err := runSend(ctx, o, files, in, d.out, io.Discard)
	if errors.Is(err, errNotAllStored) {
		return nil
	}
	return err
}

func (d *demo) query(ctx context.Context, statement, format string) error {
	return d.gateway.clickhouse.Conn().Copy(ctx, statement, format, d.out)
}

// poison has ClickHouse reject rows for a reason that the gateway can't check: a constraint of the table.
func (d *demo) poison(ctx context.Context) error {
	constraint := "ALTER TABLE otel_logs ADD CONSTRAINT no_card_numbers CHECK NOT match(Body, 'card=[0-9]{16}')"
	if err := d.gateway.clickhouse.Conn().Exec(ctx, constraint); err != nil {
		return err
	}
	fmt.Fprintln(d.out, constraint)
	var lines strings.Builder
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range 1000 {
		card := ""
		if i%400 == 100 {
			card = " card=4111111111111111"
		}
		fmt.Fprintf(&lines, `{"time":%q,"level":"info","service":"checkout","msg":"order %d paid%s","order":%d}`+"\n", now, i, card, i)
	}
	fmt.Fprintf(&lines, `{"time":%q,"msg":"GET /odd","service":"checkout","http.request.method":"GET","http.response.status_code":"teapot"}`+"\n", now)
	return d.send(ctx, strings.NewReader(lines.String()), "-")
}

// showLetters prints the dead-letter queue. ClickHouse itself reads the rows that it rejected.
func (d *demo) showLetters(ctx context.Context) error {
	letters, err := d.gateway.letters.List(ctx, "", demoLetters)
	if err != nil {
		return err
	}
	for _, stored := range letters {
		l := &stored.Letter
		fmt.Fprintf(d.out, "%s\n  table %s, route %s, %d row(s), code %d %s\n  %s\n  ", l.ID, l.Table, l.Route, l.Rows, l.Code, l.Reason, schema.Short(printable(l.Message), 160))
		if l.Format == sink.FormatNative {
			err = d.query(ctx, fmt.Sprintf("SELECT ServiceName, Body FROM format(Native, unhex('%x')) LIMIT 1", l.Payload), "JSONEachRow")
		} else {
			row, _, _ := strings.Cut(string(l.Payload), "\n")
			fmt.Fprintln(d.out, schema.Short(row, 160))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// machineLogs returns the readable text logs of this machine, within bounds.
func machineLogs() (files []string) {
	var bytes int64
	for _, pattern := range []string{"*.log", "*/*.log", "syslog", "messages"} {
		found, _ := filepath.Glob("/var/log/" + pattern) // the pattern is valid
		for _, path := range found {
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || bytes+info.Size() > demoBytes || len(files) == demoFiles {
				continue
			}
			if file, err := os.Open(path); err == nil && file.Close() == nil {
				files = append(files, path)
				bytes += info.Size()
			}
		}
	}
	return files
}

// demoPages are what the shop's visitors request, and how many requests in a thousand fail.
var demoPages = []struct {
	method, path string
	failures     int
}{
	{"GET", "/", 1}, {"GET", "/products/17", 2}, {"GET", "/products/204", 2}, {"GET", "/categories/tents", 1},
	{"GET", "/search", 12}, {"GET", "/login", 3}, {"POST", "/cart", 4}, {"POST", "/checkout/payment", 25},
}

// writeShopLog writes JSON lines of requests up to the present.
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
