package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// TestSendSpills sends a file while no server is there, then to one, then what was added to the file.
func TestSendSpills(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.start(t)
	dir := t.TempDir()
	file, folder := filepath.Join(dir, "app.log"), filepath.Join(dir, "spill")
	write := func(text []byte) {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	send := func(address string, status, stored int, want string, arguments ...string) {
		t.Helper()
		got, out, errs := command(t, "", append([]string{"send", "-q", "--address", address, "--spill", folder, file}, arguments...)...)
		if got != status || !strings.Contains(out+errs, want) {
			t.Errorf("exit status %d, printed %q, complained %q, want %d and %q", got, out, errs, status, want)
		}
		if n := b.entries(t); n != stored {
			t.Errorf("%d entries are stored, want %d", n, stored)
		}
	}
	text := lines(0, 40)
	write(text)
	send(closedAddress(t), exitError, 0, "40 entries are in "+folder, "--give-up-after", "1s")
	text = append(text, lines(40, 10)...)
	write(text)
	send(b.address, exitOK, 50, "spill      40 entries are of an earlier run")
	send(b.address, exitOK, 50, "skipped    50 entries")
	text = append(text, lines(50, 5)...)
	write(append(bytes.Clone(text), "  a line of the last entry"...))
	send(b.address, exitOK, 55, "skipped    50 entries")
	write(text[:200])
	send(b.address, exitError, 55, "it was cut, or is another file")
	write(nil)
	send(b.address, exitOK, 55, "0 of 0")
	write(lines(100, 3)) // another file of that name
	send(b.address, exitOK, 58, "3 of 3")
	send(b.address, exitError, 58, "belongs to producer", "--producer", "another")
	send(b.address, exitError, 58, "--acknowledgement", "--acknowledgement", "nonsense")
}

// TestSendIsKilled kills send again and again while it sends a file, and starts it again. Each line is stored once.
func TestSendIsKilled(t *testing.T) {
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	b.start(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "app.log")
	const count = 60_000
	if err := os.WriteFile(file, lines(0, count), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{"send", "-q", "--address", b.address, "--entries", "100", "--spill", filepath.Join(dir, "spill"), file}
	for k := range 4 {
		p := startProcess(t, arguments...)
		before := b.entries(t)
		eventually(t, "some more entries are stored", func() bool { return b.entries(t) > before || k == 0 })
		p.signal(t, syscall.SIGKILL)
		p.wait(t)
	}
	status, out, errs := command(t, "", arguments...)
	if status != exitOK {
		t.Errorf("exit status %d, printed %q, complained %q", status, out, errs)
	}
	if n := b.entries(t); n != count {
		t.Errorf("%d entries are stored, want %d", n, count)
	}
}

// TestSendUntilLogged sends while ClickHouse is away: the entries are safe once they are logged.
func TestSendUntilLogged(t *testing.T) {
	s := newService(t, "")
	s.clickhouse.close()
	text := fmt.Sprintf(`{"time":%q,"msg":"x","n":1}`+"\n", time.Now().UTC().Format(time.RFC3339))
	status, out, errs := command(t, text, "send", "-q", "--address", closedAddress(t), "--address", s.bench.address, "--acknowledgement", "logged", "-")
	if status != exitOK || !strings.Contains(out, "logged     1 of 1 entries") {
		t.Errorf("exit status %d, printed %q, complained %q", status, out, errs)
	}
}

// TestSendAndServiceAreKilled kills send, which waits for the log only, and the service, in turn. Each entry of the file is stored once.
func TestSendAndServiceAreKilled(t *testing.T) {
	kills, count := 2, 5000
	if !testing.Short() {
		kills, count = 8, 50_000
	}
	s := newService(t, "")
	dir := t.TempDir()
	file := filepath.Join(dir, "app.log")
	var text bytes.Buffer
	for n := range count {
		fmt.Fprintf(&text, `{"time":%q,"msg":"x","n":%d}`+"\n", time.Now().UTC().Format(time.RFC3339), n)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	arguments := []string{
		"send", "-q", "--address", s.bench.address, "--entries", "50", "--acknowledgement", "logged", "--spill", filepath.Join(dir, "spill"), file,
	}
	sending := startProcess(t, arguments...)
	for range kills {
		before := len(s.bench.numbers(t, "numbered"))
		eventually(t, "more entries are stored, or all", func() bool {
			n := len(s.bench.numbers(t, "numbered"))
			return n > before || n == count
		})
		s.signal(t, syscall.SIGKILL)
		s.wait(t)
		s.process = startProcess(t, append(s.arguments(), "--set", "listen.grpc="+s.bench.address)...)
		sending.signalUntilEnded(t, syscall.SIGKILL)
		sending.wait(t)
		s.logged(t, "msg=serving ")
		sending = startProcess(t, arguments...)
	}
	if status, _ := sending.wait(t); status != exitOK {
		t.Errorf("exit status %d, printed %q, complained %q", status, sending.out, sending.errs)
	}
	eventually(t, "all are stored", func() bool { return len(s.bench.numbers(t, "numbered")) >= count })
	for n, times := range s.bench.numbers(t, "numbered") {
		if times != 1 {
			t.Fatalf("entry %d is stored %d times", n, times)
		}
	}
}
