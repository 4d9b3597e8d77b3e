package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
	"github.com/logbatcher/logbatcher/wal/journal"
)

// bytesBody is the body of a batch file.
type bytesBody string

func (b bytesBody) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(b))
	return int64(n), err
}

// writeLog makes a log with some records and a file.
func writeLog(t *testing.T, dir string) *wal.Log {
	t.Helper()
	c := wal.DefaultConfig()
	c.Dir, c.ReserveBytes = dir, 0
	l, err := wal.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Scan(func(wal.Record) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Files(); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []uint8{1, 3, 3, 3} {
		lsn, err := l.Append(kind, []byte(strings.Repeat("x", 100)))
		if err == nil {
			err = l.Sync(t.Context(), lsn)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// TestWALCommands looks at a log that is in use, damages it, and repairs it.
func TestWALCommands(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := writeLog(t, dir)
	file, err := l.Create(t.Context(), "batch/1", []byte("head"), bytesBody(strings.Repeat("x", 2048)))
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Note(t.Context(), []byte("note")); err != nil {
		t.Fatal(err)
	}
	if err := l.PutConfig("hash", []byte("configuration")); err != nil {
		t.Fatal(err)
	}
	status, out, errs := command(t, "", "wal", "inspect", dir)
	want := "log " + l.ID() + " in " + dir + `
no checkpoint
4 records that are needed, 544 B; the next one is 5
  0000000000000001.log     608 B  from record 1 on: 1 opening, 3 request
1 files of batches and dead letters, 2.0 KiB
  batch/1   2.0 KiB  1 notes
1 configurations of routing
  hash
`
	if status != exitOK || out != want || errs != "" {
		t.Errorf("inspect: %d\n%s\n%s\nwant\n%s", status, out, errs, want)
	}
	if status, out, errs := command(t, "", "wal", "verify", dir); status != exitOK || out != "read 4 records and 1 files of log "+l.ID()+"\n" {
		t.Errorf("verify: %d\n%s\n%s", status, out, errs)
	}
	if status, out, errs := command(t, "", "wal", "repair", dir); status != exitError || !strings.Contains(errs, "another process uses this log") {
		t.Errorf("repair of a log in use: %d\n%s\n%s", status, out, errs)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	flip(t, filepath.Join(dir, "0000000000000001.log"), 64+136+50)
	flip(t, filepath.Join(dir, "config", "hash"), 7)
	flip(t, filepath.Join(dir, "ID"), 0)
	before := names(t, dir)
	status, out, errs = command(t, "", "wal", "verify", dir)
	for _, want := range []string{
		"damaged: ID: the id in it can't be read\n", "damaged: config/hash: ", "lost: 1 records that were durable\n",
		"damaged: 0000000000000001.log, bytes 200 to 336: the checksum of the record is wrong\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("verify does not print %q:\n%s", want, out)
		}
	}
	if status != exitError || !strings.Contains(errs, "the write-ahead log is damaged in 3 places; 1 records are lost") || names(t, dir) != before {
		t.Errorf("verify of a damaged log: %d\n%s\n%s", status, errs, names(t, dir))
	}
	status, out, errs = command(t, "", "wal", "repair", dir)
	if status != exitOK || errs != "" || !strings.Contains(out, "3 records and 1 files of log "+l.ID()+" are good\n") ||
		!strings.Contains(out, "kept as damaged/0000000000000001.log\n") || !strings.Contains(out, "damaged: ID: the id in it can't be read; kept as damaged/ID\n") {
		t.Errorf("repair: %d\n%s\n%s", status, out, errs)
	}

	// A segment of another log keeps the service from starting until it is set aside.
	other := filepath.Join(t.TempDir(), "other")
	for range 2 {
		if err := writeLog(t, other).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Rename(filepath.Join(other, "0000000000000002.log"), filepath.Join(dir, "0000000000000002.log")); err != nil {
		t.Fatal(err)
	}
	if status, _, errs := command(t, "", "wal", "verify", dir); status != exitError || !strings.Contains(errs, "segment 0000000000000002.log is of log ") {
		t.Errorf("verify of two logs in one: %d, %s", status, errs)
	}
	if status, out, errs := command(t, "", "wal", "repair", dir); status != exitOK || !strings.Contains(out, "kept as damaged/0000000000000002.log\n") {
		t.Errorf("repair of two logs in one: %d\n%s\n%s", status, out, errs)
	}
	if err := writeLog(t, dir).Close(); err != nil {
		t.Error(err)
	}
	if status, _, errs := command(t, "", "wal", "inspect", filepath.Join(dir, "nowhere")); status != exitError || !strings.Contains(errs, "no such file") {
		t.Errorf("inspect of no folder: %d, %s", status, errs)
	}
}

// flip damages a byte of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[at] ^= 0x55
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// names lists all files below a folder.
func names(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, _ os.DirEntry, err error) error {
		all = append(all, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, "\n")
}

// TestWALInspectRecords prints the records of a log as the service writes it.
func TestWALInspectRecords(t *testing.T) {
	c := journal.DefaultConfig()
	c.Dir, c.ReserveBytes = filepath.Join(t.TempDir(), "log"), 0
	j, err := journal.Open(t.Context(), c)
	if err == nil {
		err = j.Start(t.Context())
	}
	if err == nil {
		err = j.Begin(t.Context(), "", "billing", 7, 3)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	r := &schema.LoggedRequest{Producer: "billing", Epoch: 7, Sequence: 4, Received: time.Unix(1, 0), Protocol: "protobuf", Entries: 2, Data: []byte("data")}
	lsn, err := j.Request(r, func() {}).Append("hash")
	if err != nil {
		t.Fatal(err)
	}
	contents := &schema.Contents{Routing: "hash", Route: "logs", Table: "db.logs", Parts: []schema.Part{
		{LSN: lsn, Producer: "billing", Epoch: 7, Sequence: 4, Places: []schema.PlaceRange{{From: 0, To: 2}}},
	}}
	if _, err := j.Seal(t.Context(), "batch", contents, nil, bytesBody("body")); err != nil {
		t.Fatal(err)
	}
	_, out, errs := command(t, "", "wal", "inspect", "--records", c.Dir)
	for _, want := range []string{
		"  record 1, begin: producer \"billing\" begins epoch 7 after request 3\n",
		"  record 2, request: producer \"billing\", epoch 7, request 4: 2 entries in 4 bytes of protobuf, received 1970-01-01T00:00:01Z, routing hash, opening in record 0\n",
		"    2 rows of 1 requests for db.logs, route \"logs\", routing hash\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("inspect does not print %q:\n%s%s", want, out, errs)
		}
	}
}
