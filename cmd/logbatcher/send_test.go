package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// lines returns log lines of the present, numbered from first.
func lines(first, count int) []byte {
	var text bytes.Buffer
	now := time.Now().UTC().Format(time.RFC3339)
	for n := range count {
		fmt.Fprintf(&text, "%s INFO n=%d\n", now, first+n)
	}
	return text.Bytes()
}

// zipped returns data as gzip, without its last bytes.
func zipped(t *testing.T, data []byte, missing int) []byte {
	t.Helper()
	var text bytes.Buffer
	w := gzip.NewWriter(&text)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.Bytes()[:text.Len()-missing]
}

// entries returns the number of entries in the firehose, and fails if one is stored twice.
func (b *bench) entries(t *testing.T) int {
	t.Helper()
	counts := strings.Fields(b.clickhouse.Query(t, "SELECT count(), uniqExact(Body) FROM otel_logs"))
	if counts[0] != counts[1] {
		t.Errorf("%s entries with %s different bodies", counts[0], counts[1])
	}
	n, err := strconv.Atoi(counts[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// accounts checks that the entries in the summary of send add up, and returns how many were read.
func accounts(t *testing.T, out string) (read int) {
	t.Helper()
	number := func(text string) int {
		n, err := strconv.Atoi(strings.ReplaceAll(text, ",", ""))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	summary := regexp.MustCompile(`(?m)^committed +([\d,]+) of ([\d,]+) entries`).FindStringSubmatch(out)
	if summary == nil {
		t.Fatalf("no summary in %q", out)
	}
	committed, read := number(summary[1]), number(summary[2])
	total := regexp.MustCompile(`(?m)^total +([\d,]+) entries read = ([\d,]+) committed \+ (.*)$`).FindStringSubmatch(out)
	switch {
	case total == nil && committed != read:
		t.Errorf("%d of %d are committed, and the others are not accounted for: %q", committed, read, out)
	case total != nil:
		sum := committed
		for _, part := range strings.Split(total[3], " + ") {
			sum += number(strings.Fields(part)[0])
		}
		if number(total[1]) != read || number(total[2]) != committed || sum != read {
			t.Errorf("does not add up: %q", out)
		}
	}
	return read
}

// TestSendEnds sends inputs that fail in various ways, and checks the exit status, the summary and the table.
func TestSendEnds(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, content ...[]byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Join(content, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old := time.Now().AddDate(0, 0, -20).UTC().Format(time.RFC3339)
	good, second := file("good.log", lines(0, 40)), file("second.log", lines(40, 30))
	truncated := file("truncated.gz", zipped(t, lines(100, 20), 0), zipped(t, lines(200, 50), 8)) // only its checksum is missing
	directory, missing := filepath.Join(dir, "directory"), filepath.Join(dir, "missing.log")
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	bad := file("bad.log", lines(0, 3), []byte(old+" INFO too old\n"))
	odd := file("caf\xe9.log", lines(0, 2))
	for _, test := range []struct {
		name      string
		arguments []string
		in        string
		status    int
		stored    int
		out, errs []string
	}{
		{name: "good", arguments: []string{good, second}, stored: 70},
		{name: "truncated gzip between others", arguments: []string{good, truncated, second}, status: 1, stored: 140, errs: []string{"truncated.gz: gzip: unexpected EOF"}},
		{name: "missing file", arguments: []string{good, missing, second}, status: 1, stored: 70, errs: []string{"missing.log: no such file"}},
		{name: "directory", arguments: []string{directory, second}, status: 1, stored: 30, errs: []string{"is a directory"}},
		{name: "several that can't be read", arguments: []string{missing, good, directory}, status: 1, stored: 40, errs: []string{"no such file", "is a directory"}},
		{name: "unreadable contents", arguments: []string{good, file("image.png", []byte("\x89PNG\r\n\x1a\n....")), second}, status: 1, stored: 70, errs: []string{"PNG"}},
		{name: "refused", arguments: []string{bad}, status: 3, stored: 3, out: []string{"3 of 4", "too old", "+ 1 refused"}},
		{name: "refused, and one that can't be read", arguments: []string{bad, missing}, status: 1, stored: 3, out: []string{"+ 1 refused"}, errs: []string{"no such file"}},
		{name: "restamped", arguments: []string{"--restamp", bad}, stored: 4},
		{name: "nothing", arguments: []string{"-"}, out: []string{"0 of 0"}},
		{name: "empty file", arguments: []string{file("empty.log"), good}, stored: 40},
		{name: "NUL bytes", arguments: []string{file("nul.log", make([]byte, 100_000), lines(0, 2))}, stored: 2, out: []string{"NUL bytes"}},
		{name: "only NUL bytes", arguments: []string{file("nuls.log", make([]byte, 100_000))}, out: []string{"000 NUL bytes"}},
		{name: "bytes that are not UTF-8", arguments: []string{"-"}, in: "Gr\xfc\xdfe\n", stored: 1, out: []string{"not UTF-8"}},
		{name: "file name that is not UTF-8", arguments: []string{odd, second}, stored: 32, out: []string{`caf\xe9.log`, "caf\uFFFD.log"}},
		{name: "service that is not UTF-8", arguments: []string{"--service", "caf\xe9", good}, status: 1, errs: []string{`--service "caf\xe9"`}},
		{name: "attribute that is not UTF-8", arguments: []string{"--attribute", "k=caf\xe9", good}, status: 1, errs: []string{`--attribute "k=caf\xe9"`}},
		{name: "colo that is not UTF-8", arguments: []string{"--colo", "\xff", good}, status: 1, errs: []string{`--colo "\xff"`}},
		{name: "producer that is not UTF-8", arguments: []string{"--producer", "\xff", good}, status: 1, errs: []string{`--producer "\xff"`}},
		{name: "producer with a space", arguments: []string{"--producer", "a b", good}, status: 1, errs: []string{"a b", "ASCII"}},
		{name: "colo that the server refuses", arguments: []string{"--colo", "not a colo", good}, status: 1, errs: []string{"InvalidArgument", "colo"}},
		{name: "no entries in a request", arguments: []string{"--entries", "0", good}, status: 1, errs: []string{"--entries 0"}},
		{name: "more entries than the server accepts", arguments: []string{"--entries", "50000", file("many.log", lines(0, 17_000))}, stored: 17_000},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "colo: TST\n")
			b.start(t)
			status, out, errs := command(t, test.in, append([]string{"send", "-q", "--address", b.address}, test.arguments...)...)
			if status != test.status {
				t.Errorf("exit status %d, want %d", status, test.status)
			}
			for _, want := range test.out {
				if !strings.Contains(out, want) {
					t.Errorf("printed %q, want %q in it", out, want)
				}
			}
			for _, want := range test.errs {
				if !strings.Contains(errs, want) {
					t.Errorf("complained %q, want %q in it", errs, want)
				}
			}
			if out != "" {
				accounts(t, out)
			}
			if got := b.entries(t); got != test.stored {
				t.Errorf("%d entries are stored, want %d", got, test.stored)
			}
		})
	}
}

// TestSendDeadLetters has the table refuse one entry.
func TestSendDeadLetters(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.start(t)
	b.clickhouse.Exec(t, "ALTER TABLE otel_logs ADD CONSTRAINT small CHECK NOT match(Body, 'n=7$')")
	status, out, errs := command(t, string(lines(0, 10)), "send", "-q", "--address", b.address, "-")
	if status != exitNotAllStored || !strings.Contains(out, "10 entries read = 9 committed + 0 refused + 1 dead-lettered + 0 not sent") {
		t.Errorf("exit status %d, printed %q, complained %q", status, out, errs)
	}
	if accounts(t, out); b.entries(t) != 9 {
		t.Errorf("%d entries are stored", b.entries(t))
	}
}

// TestSendToSmallLimits sends to a server whose limits are smaller than the requests of send.
func TestSendToSmallLimits(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.change = func(c *config.Config) {
		c.Server.Limits.MaxRequestEntries, c.Server.Limits.MaxRequestBytes, c.Server.Limits.MaxEntryBytes = 500, 256*settings.KiB, 64*settings.KiB
	}
	b.start(t)
	long := strings.Repeat("x", 100<<10)
	in := string(lines(0, 3000)) + time.Now().UTC().Format(time.RFC3339) + " INFO " + long + "\n" + string(lines(3000, 2000))
	status, out, errs := command(t, in, "send", "-q", "--address", b.address, "--entries", "10000", "-")
	if status != exitNotAllStored || !strings.Contains(out, "max_entry_bytes") || !strings.Contains(out, "+ 1 refused") {
		t.Errorf("exit status %d, printed %q, complained %q", status, out, errs)
	}
	if accounts(t, out); b.entries(t) != 5000 {
		t.Errorf("%d entries are stored", b.entries(t))
	}
}

// TestSendAddresses has addresses that can never work.
func TestSendAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"":                         "HOST:PORT",
		"nonsense":                 "HOST:PORT",
		"http://localhost:4320":    "localhost:4320",
		"https://logs.example/x":   "logs.example:4320, with --tls",
		"grpc://[::1]:99":          "[::1]:99",
		"dns:///localhost:4320":    "localhost:4320",
		"localhost:99999":          "99999",
		"localhost:0":              `"0"`,
		"localhost:":               "port",
		"localhost:-1":             "-1",
		"localhost:4320/path":      "4320/path",
		"::1:4320":                 "[::1]:4320",
		"me@host:4320":             "me@host",
		"two words:4320":           "two words",
		"caf\xe9:4320":             `caf\xe9`,
		"unix:":                    "PATH",
		"localhost:4320,host:4320": "HOST:PORT",
	} {
		status, out, errs := command(t, "x\n", "send", "-q", "--address", address, "-")
		if status != exitError || !strings.Contains(errs, want) || !strings.Contains(errs, "--address") || out != "" {
			t.Errorf("%q: exit status %d, %q, want %q in it", address, status, errs, want)
		}
	}
	for _, address := range []string{"localhost:4320", "127.0.0.1:1", "[::1]:4320", "[fe80::1%eth0]:4320", ":4320", "logs.example:443", "unix:/run/x.sock", "unix:///run/x.sock"} {
		if err := checkAddress(address); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

// TestSendWithAnUnknownTZ has an environment that would make Go read time stamps as UTC.
func TestSendWithAnUnknownTZ(t *testing.T) {
	for _, zone := range []string{"Mars/Base", "<+03>-3", "caf\xe9"} {
		send := exec.Command(os.Args[0], "send", "-q", "--address", closedAddress(t), "-")
		send.Env = append(os.Environ(), commandVariable+"=1", "TZ="+zone)
		text, err := send.CombinedOutput()
		if send.ProcessState.ExitCode() != exitError || !strings.Contains(string(text), "TZ") {
			t.Errorf("%q: %v, %q", zone, err, text)
		}
	}
}

// TestSendFromClosedInput has a standard input that a shell closed, and one that is empty.
func TestSendFromClosedInput(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.start(t)
	for redirection, want := range map[string]int{"<&-": exitError, "</dev/null": exitOK} {
		shell := exec.Command("/bin/sh", "-c", `exec "$@" `+redirection, "sh", os.Args[0], "send", "-q", "--address", b.address, "-")
		shell.Env = append(os.Environ(), commandVariable+"=1")
		text, _ := shell.CombinedOutput() // the exit status is looked at
		if status := shell.ProcessState.ExitCode(); status != want || want != exitOK && !strings.Contains(string(text), "closed") {
			t.Errorf("%s: exit status %d, printed %q", redirection, status, text)
		}
	}
}

// TestSendStopsInALine stops send when it has read a line and the beginning of another.
func TestSendStopsInALine(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.start(t)
	for name, test := range map[string][]string{
		"text": {string(lines(0, 1)), strings.TrimSpace(string(lines(1, 1)))},
		"JSON": {`{"msg":"x"}` + "\n", `{"msg":"has not ended"`},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancelCause(t.Context())
			in, writer := io.Pipe()
			defer writer.Close()
			var out strings.Builder
			ended := make(chan error, 1)
			go func() {
				ended <- runSend(ctx, &sendOptions{target: target{address: b.address}, zone: "Local", entries: 1000, stopTimeout: patience, quiet: true}, []string{"-"}, in, &out, io.Discard)
			}()
			before := b.entries(t)
			for _, text := range test {
				if _, err := io.WriteString(writer, text); err != nil { // returns once it was read
					t.Fatal(err)
				}
			}
			stop(&signalError{signal: syscall.SIGTERM})
			if err := <-ended; err == nil || exitStatus(ctx, err, io.Discard) != exitError {
				t.Errorf("ended with %v", err)
			}
			if read := accounts(t, out.String()); read != 2 || b.entries(t)-before != 2 {
				t.Errorf("%d entries were read, %d are stored, want 2", read, b.entries(t)-before)
			}
		})
	}
}

// TestSendIsSignalled ends send in each thing that it may be waiting for.
func TestSendIsSignalled(t *testing.T) {
	// check waits for the end and returns the number of entries that were read.
	check := func(t *testing.T, p *process, status int, errs ...string) (read int) {
		t.Helper()
		if got, _ := p.wait(t); got != status {
			t.Errorf("exit status %d, want %d; printed %q, complained %q", got, status, p.out, p.errs)
		}
		for _, want := range errs {
			if !strings.Contains(p.errs.String(), want) {
				t.Errorf("complained %q, want %q in it", p.errs, want)
			}
		}
		if status == exitInterrupted {
			return 0
		}
		return accounts(t, p.out.String())
	}
	write := func(t *testing.T, p *process, text []byte) {
		t.Helper()
		if _, err := p.in.Write(text); err != nil {
			t.Fatal(err)
		}
	}
	serving := func(t *testing.T) *bench {
		b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
		b.start(t)
		return b
	}
	t.Run("quiet pipe", func(t *testing.T) {
		b := serving(t)
		p := startProcess(t, "send", "-q", "--address", b.address, "-")
		write(t, p, lines(0, 2))
		eventually(t, "the entries are stored", func() bool { return b.entries(t) == 2 })
		p.signal(t, syscall.SIGTERM)
		read := check(t, p, exitError, "standard input was not read to its end", "stopped: terminated")
		if got := b.entries(t); got != read {
			t.Errorf("%d entries are stored, %d were read", got, read)
		}
	})
	t.Run("busy pipe", func(t *testing.T) {
		b := serving(t)
		p := startProcess(t, "send", "-q", "--address", b.address, "-")
		written := make(chan int)
		go func() {
			defer close(written)
			for n := 0; ; n += 100 {
				if _, err := p.in.Write(lines(n, 100)); err != nil {
					return
				}
				select {
				case written <- n:
				default:
				}
			}
		}()
		for n := range written {
			if n > 20_000 {
				break
			}
		}
		p.signal(t, syscall.SIGINT)
		read := check(t, p, exitError, "stopped: interrupt")
		for range written {
		}
		if got := b.entries(t); got != read || read < 10_000 {
			t.Errorf("%d entries are stored, %d were read", got, read)
		}
		// What was read is the beginning of what was written; the last line may have been cut.
		if last := b.clickhouse.Query(t, "SELECT uniqExact(extract(Body, 'n=(\\\\d+)$')) = max(toUInt64OrZero(extract(Body, 'n=(\\\\d+)$'))) + 1 FROM otel_logs"); read > 0 && last != "1" {
			t.Errorf("lines are missing in the middle")
		}
	})
	t.Run("named pipe without a writer", func(t *testing.T) {
		b := serving(t)
		dir := t.TempDir()
		first, pipe := filepath.Join(dir, "first.log"), filepath.Join(dir, "pipe")
		if err := os.WriteFile(first, lines(0, 5), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, "send", "-q", "--address", b.address, first, pipe, first)
		eventually(t, "the first file is stored", func() bool { return b.entries(t) == 5 })
		p.signal(t, syscall.SIGTERM)
		if read := check(t, p, exitError, pipe+" was not read to its end", first+" was not read"); read != 5 {
			t.Errorf("%d entries were read", read)
		}
	})
	t.Run("end of a named pipe", func(t *testing.T) {
		b := serving(t)
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, "send", "-q", "--address", b.address, pipe)
		writer, err := os.OpenFile(pipe, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Write(lines(0, 3)); err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, p, exitOK)
		if !strings.Contains(p.out.String(), "last writer") || b.entries(t) != 3 {
			t.Errorf("printed %q, %d entries are stored", p.out, b.entries(t))
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		p := startProcess(t, "send", "-q", "--address", closedAddress(t), "-")
		write(t, p, lines(0, 3))
		p.logged(t, "connection refused")
		p.signal(t, syscall.SIGTERM)
		if read := check(t, p, exitError, "is not reachable", "not known to be safe"); read != 3 {
			t.Errorf("%d entries were read", read)
		}
	})
	t.Run("nobody listens, with a bound", func(t *testing.T) {
		p := startProcess(t, "send", "-q", "--address", closedAddress(t), "--give-up-after", "100ms", "-")
		write(t, p, lines(0, 3))
		check(t, p, exitError, "nothing was committed for 100ms", "connection refused", "3 of 3 entries are not known to be safe")
		if !strings.Contains(p.out.String(), "+ 3 not sent\n") {
			t.Errorf("printed %q", p.out)
		}
	})
	// waiting starts a send whose entry is a row that ClickHouse does not get.
	waiting := func(t *testing.T, arguments ...string) *process {
		s := newService(t, "")
		s.clickhouse.close()
		p := startProcess(t, append([]string{"send", "-q", "--address", s.bench.address, "-"}, arguments...)...)
		write(t, p, []byte(`{"time":"`+time.Now().UTC().Format(time.RFC3339)+`","msg":"x","n":1}`+"\n"))
		eventually(t, "the entry is a row", func() bool { return s.routed(t) == 1 })
		return p
	}
	t.Run("waiting for the commit", func(t *testing.T) {
		p := waiting(t, "--stop-timeout", "10ms")
		p.signal(t, syscall.SIGTERM)
		check(t, p, exitError, "1 of 1 entries are not known to be safe")
		if !strings.Contains(p.out.String(), "+ 0 not sent + 1 sent without an answer") {
			t.Errorf("printed %q", p.out)
		}
	})
	t.Run("second signal", func(t *testing.T) {
		p := waiting(t, "--stop-timeout", "1h")
		p.signal(t, syscall.SIGTERM)
		p.logged(t, "reading has ended")
		p.signalUntilEnded(t, syscall.SIGTERM)
		check(t, p, exitInterrupted, "second terminated")
	})
}

// TestSendOutlivesTheService kills the service while entries stream to it, and starts another one at its address.
func TestSendOutlivesTheService(t *testing.T) {
	s := newService(t, "")
	p := startProcess(t, "send", "-q", "--address", s.bench.address, "-")
	numbered := func(n int) []byte {
		return fmt.Appendf(nil, `{"time":%q,"msg":"x","n":%d}`+"\n", time.Now().UTC().Format(time.RFC3339), n)
	}
	const kills, each = 3, 200
	for k := range kills {
		for n := range each {
			if _, err := p.in.Write(numbered(k*each + n)); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "some are stored", func() bool { return len(s.bench.numbers(t, "numbered")) > k*each })
		s.signal(t, syscall.SIGKILL)
		s.wait(t)
		s.process = startProcess(t, append(s.arguments(), "--set", "listen.grpc="+s.bench.address)...)
		s.logged(t, "msg=serving ")
	}
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.wait(t); status != exitOK || accounts(t, p.out.String()) != kills*each {
		t.Errorf("exit status %d, printed %q, complained %q", status, p.out, p.errs)
	}
	if got := len(s.bench.numbers(t, "numbered")); got != kills*each {
		t.Errorf("%d different entries are stored, want %d", got, kills*each)
	}
}

// TestSendToSmallerLimitsAfterRestart kills the service while a request that it took is not committed. The next one, at the same
// address, would not take that request.
func TestSendToSmallerLimitsAfterRestart(t *testing.T) {
	const entries = 1000
	s := newService(t, "wal: {enabled: false}\n") // with a log, what the first one took need not be sent again
	s.clickhouse.close()
	p := startProcess(t, "send", "-q", "--address", s.bench.address, "-")
	var text bytes.Buffer
	for n := range entries {
		fmt.Fprintf(&text, `{"time":%q,"msg":"x","n":%d}`+"\n", time.Now().UTC().Format(time.RFC3339), n)
	}
	if _, err := p.in.Write(text.Bytes()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the entries are rows", func() bool { return s.routed(t) == entries })
	s.signal(t, syscall.SIGKILL)
	s.wait(t)
	s.bench.write(t, "wal: {enabled: false}\nserver: {limits: {max_request_entries: 100}}\ncolumns:"+numberedColumns+"routes:"+numberedRoute)
	s.clickhouse = newCutter(t, strings.TrimPrefix(s.bench.clickhouse.Address, "http://"))
	s.process = startProcess(t, append(s.arguments(), "--set", "listen.grpc="+s.bench.address)...)
	if err := p.in.Close(); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.wait(t); status != exitOK || accounts(t, p.out.String()) != entries {
		t.Errorf("exit status %d, printed %q, complained %q", status, p.out, p.errs)
	}
	rows := s.bench.numbers(t, "numbered")
	for n := range entries {
		if rows[n] != 1 {
			t.Fatalf("entry %d is there %d times, of %d", n, rows[n], len(rows))
		}
	}
	if !strings.Contains(p.errs.String(), "beginning a new epoch") {
		t.Errorf("complained %q: the limits made no difference", p.errs)
	}
}
