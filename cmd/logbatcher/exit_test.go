package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// commandVariable makes this test binary the program: its arguments are the command's.
const commandVariable = "LOGBATCHER_TEST_COMMAND"

// process is a command in a process of its own, which can be signalled and has an exit status.
type process struct {
	command *exec.Cmd
	out     *logBuffer
	errs    *logBuffer
	in      io.WriteCloser
	ended   chan struct{}
}

// startProcess starts a command in a process of its own. It is killed when the test ends.
func startProcess(t *testing.T, arguments ...string) *process {
	t.Helper()
	command := exec.Command(os.Args[0], arguments...)
	command.Env = append(os.Environ(), commandVariable+"=1", "LOGBATCHER_WAL_DIR="+filepath.Join(t.TempDir(), "wal"))
	return startCommand(t, command)
}

// startCommand starts another program. It is killed when the test ends.
func startCommand(t *testing.T, command *exec.Cmd) *process {
	t.Helper()
	p := &process{command: command, out: &logBuffer{}, errs: &logBuffer{}, ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = p.out, p.errs
	var err error
	if p.in, err = p.command.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.command.Wait() // the status is in ProcessState
	}()
	t.Cleanup(func() {
		_ = p.command.Process.Kill()
		<-p.ended
		p.errs.showIfFailed(t)
	})
	return p
}

// signal sends a signal.
func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// signalUntilEnded sends the signal again and again: one that follows the first at once is taken for its echo.
func (p *process) signalUntilEnded(t *testing.T, s syscall.Signal) {
	t.Helper()
	eventually(t, "the process ends", func() bool {
		_ = p.command.Process.Signal(s) // it may have ended
		select {
		case <-p.ended:
			return true
		default:
			return false
		}
	})
}

// wait returns the exit status and the last line of standard error, once the process has ended.
func (p *process) wait(t *testing.T) (status int, last string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	lines := strings.Split(strings.TrimSpace(p.errs.String()), "\n")
	return p.command.ProcessState.ExitCode(), lines[len(lines)-1]
}

// logged waits until standard error matches and returns what the first group stands for.
func (p *process) logged(t *testing.T, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	eventually(t, "the process says "+pattern, func() bool {
		found = re.FindStringSubmatch(p.errs.String())
		select {
		case <-p.ended:
			if found == nil {
				t.Fatalf("the process has ended with status %d", p.command.ProcessState.ExitCode())
			}
		default:
		}
		return found != nil
	})
	return found[len(found)-1]
}

// service is a `logbatcher serve` in a process of its own, between which and its servers the links can be cut.
type service struct {
	*process
	bench             *bench
	clickhouse, redis *cutter
	http              string
}

// newService starts a service with the numbered table and waits until it serves.
func newService(t *testing.T, text string) *service {
	t.Helper()
	return newLimitedService(t, "2GiB", text)
}

// newLimitedService is newService with a memory limit.
func newLimitedService(t *testing.T, limit, text string) *service {
	t.Helper()
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "memory: {limit: "+limit+"}\n"+text+"columns:"+numberedColumns+"routes:"+numberedRoute)
	s := &service{bench: b, clickhouse: newCutter(t, strings.TrimPrefix(b.clickhouse.Address, "http://")), redis: newCutter(t, b.redis.Address())}
	s.process = startProcess(t, s.arguments()...)
	b.address = s.logged(t, `msg=serving .*grpc=(\S+)`)
	s.http = s.logged(t, `msg=serving .*http=(\S+)`)
	return s
}

// arguments are those of the service.
func (s *service) arguments() []string {
	b := s.bench
	arguments := []string{
		"serve", "--config", b.file, "--set", "listen.grpc=127.0.0.1:0", "--set", "listen.http=127.0.0.1:0", "--set", "instance.id=test",
		"--set", "clickhouse.addresses=" + s.clickhouse.listener.Addr().String(), "--set", "clickhouse.database=" + b.clickhouse.Database,
		"--set", "redis.addresses=" + s.redis.listener.Addr().String(), "--set", "shards.linger=10ms",
		"--set", "producers.owners=none", // a Redis that has just started keeps owners waiting
		"--set", "wal.dir=" + filepath.Join(filepath.Dir(b.file), "wal"),
	}
	if b.clickhouse.Username != "" {
		arguments = append(arguments, "--set", "clickhouse.user="+b.clickhouse.Username, "--set", "clickhouse.password="+b.clickhouse.Password)
	}
	return arguments
}

// send sends entries without waiting until they are committed, and returns once all of them are rows.
func (s *service) send(t *testing.T, entries int, bad bool) {
	t.Helper()
	tr := s.bench.traffic(t)
	tr.isBad = func(int) bool { return bad }
	first, list := tr.entries(entries)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	answered := make(chan struct{})
	conn := tr.connect(t)
	go func() {
		defer close(answered)
		// It waits for the commit and is cut off when the service ends.
		_, _ = logbatcherv1.NewIngestServiceClient(conn).Ingest(ctx, &logbatcherv1.IngestRequest{Entries: list})
	}()
	t.Cleanup(func() { cancel(); <-answered })
	eventually(t, "the entries are rows", func() bool { return s.routed(t) >= first+entries })
}

// routed is how many rows the service has made, by its own books.
func (s *service) routed(t *testing.T) (rows int) {
	t.Helper()
	response, err := http.Get("http://" + s.http + "/metrics")
	if err != nil {
		return 0 // while it starts or ends
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0
	}
	for _, line := range bytes.Split(text, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("logbatcher_rows_routed_total{")) {
			var n float64
			_, _ = fmt.Sscan(string(line[bytes.LastIndexByte(line, ' ')+1:]), &n)
			rows += int(n)
		}
	}
	return rows
}

// TestServeExitStatus ends the service in every way and looks at what an orchestrator sees: the exit status and the last line.
func TestServeExitStatus(t *testing.T) {
	const short = "shutdown: {timeout: 1s}\n"
	const left = `logbatcher: .*\b(\d+) batch(es)? .*\b%d rows.*\bnumbered\b`
	check := func(t *testing.T, p *process, status int, last string) {
		t.Helper()
		got, line := p.wait(t)
		if got != status || !regexp.MustCompile(last).MatchString(line) {
			t.Errorf("exit status %d, last line %q; want %d and %q", got, line, status, last)
		}
	}
	t.Run("SIGTERM", func(t *testing.T) {
		s := newService(t, "")
		s.send(t, 5, false)
		s.signal(t, syscall.SIGTERM)
		check(t, s.process, exitOK, "everything that was received is settled")
		if rows := s.bench.numbers(t, "numbered"); len(rows) != 5 {
			t.Errorf("%d rows are stored, want 5", len(rows))
		}
	})
	t.Run("SIGINT", func(t *testing.T) {
		s := newService(t, "")
		s.signal(t, syscall.SIGINT)
		check(t, s.process, exitOK, "everything that was received is settled")
	})
	t.Run("SIGTERM after a reload that was refused", func(t *testing.T) {
		s := newService(t, "")
		s.bench.write(t, "colour: red\n")
		s.signal(t, syscall.SIGHUP)
		s.logged(t, "configuration refused")
		s.signal(t, syscall.SIGTERM)
		check(t, s.process, exitOK, "everything that was received is settled")
	})
	t.Run("SIGTERM without ClickHouse", func(t *testing.T) {
		s := newService(t, short)
		s.clickhouse.close()
		s.send(t, 7, false)
		s.signal(t, syscall.SIGTERM)
		check(t, s.process, exitOK, `stay in the log until the next start" number=\d+ rows=7`)
	})
	t.Run("SIGTERM without ClickHouse and without a log", func(t *testing.T) {
		s := newService(t, short+"wal: {enabled: false}\n")
		s.clickhouse.close()
		s.send(t, 7, false)
		s.signal(t, syscall.SIGTERM)
		check(t, s.process, exitRowsLeft, fmt.Sprintf(left, 7))
	})
	t.Run("SIGTERM without Redis and without a log", func(t *testing.T) {
		s := newService(t, short+"wal: {enabled: false}\n")
		s.bench.clickhouse.Exec(t, "ALTER TABLE numbered ADD CONSTRAINT only_good CHECK bad = 0")
		s.redis.close()
		s.send(t, 3, true)
		s.signal(t, syscall.SIGTERM)
		check(t, s.process, exitRowsLeft, fmt.Sprintf(left, 3))
	})
	t.Run("second signal", func(t *testing.T) {
		s := newService(t, "shutdown: {timeout: 1h}\n")
		s.clickhouse.close()
		s.send(t, 1, false)
		s.signal(t, syscall.SIGTERM)
		s.logged(t, "shutting down")
		s.signalUntilEnded(t, syscall.SIGTERM)
		check(t, s.process, exitInterrupted, "second terminated")
	})
	t.Run("SIGTERM before ClickHouse has answered", func(t *testing.T) {
		p := startProcess(t, "serve", "--set", "listen.grpc=127.0.0.1:0", "--set", "listen.http=", "--set", "clickhouse.addresses="+closedAddress(t),
			"--set", "redis.addresses="+closedAddress(t))
		p.logged(t, "ClickHouse does not answer")
		p.signal(t, syscall.SIGTERM)
		check(t, p, exitOK, "ended before anything was accepted")
	})
	t.Run("wrong configuration", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "wrong.yaml")
		if err := os.WriteFile(file, []byte("colour: red\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		check(t, startProcess(t, "serve", "--config", file), exitError, "wrong.yaml:1:1")
	})
}

// TestExitStatusOfPart has a part die while the service runs.
func TestExitStatusOfPart(t *testing.T) {
	b := numbered(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t))
	i := b.start(t)
	if err := i.grpcListener.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-i.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not end")
	}
	var out strings.Builder
	if status := exitStatus(t.Context(), i.err, &out); status != exitError || !strings.Contains(out.String(), "serve gRPC") {
		t.Errorf("exit status %d, %q", status, out.String())
	}
	i.err = nil
}

// TestConfigurationsWithoutEnd gives the commands configurations and passwords that never end: they are refused, or a signal ends
// the command.
func TestConfigurationsWithoutEnd(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"configuration", "", "configuration: read /dev/zero: it has more bytes, at most 4194304"},
		{"password", "redis: {password_file: /dev/zero}\n", "password_file: read /dev/zero: it has more bytes"},
		{"certificates", "clickhouse: {tls: {enabled: true, ca_file: /dev/zero}}\n", "ca_file: read /dev/zero: it has more bytes"},
	} {
		t.Run("endless "+test.name, func(t *testing.T) {
			file := "/dev/zero"
			if test.text != "" {
				file = filepath.Join(t.TempDir(), "c.yaml")
				if err := os.WriteFile(file, []byte(test.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			status, _, errs := command(t, "", "config", "check", file)
			if status != exitError || !strings.Contains(errs, test.want) {
				t.Errorf("exit status %d, %q; want %d, %q", status, errs, exitError, test.want)
			}
		})
	}
	for _, name := range []string{"configuration", "password"} {
		t.Run("pipe for a "+name, func(t *testing.T) {
			folder := t.TempDir()
			pipe, file := filepath.Join(folder, "pipe"), filepath.Join(folder, "c.yaml")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte("redis: {password_file: "+pipe+"}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if name == "configuration" {
				file = pipe
			}
			p := startProcess(t, "config", "check", file)
			writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // blocks until the command reads
			if err != nil {
				t.Fatal(err)
			}
			defer writer.Close()
			p.signal(t, syscall.SIGTERM)
			if status, last := p.wait(t); status != exitInterrupted || last != "logbatcher: stopped: terminated" {
				t.Errorf("exit status %d, %q", status, last)
			}
		})
	}
}
