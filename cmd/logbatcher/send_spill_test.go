package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
