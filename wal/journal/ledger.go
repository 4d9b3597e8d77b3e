package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/wal"
)

// ledgerDir is the folder with the lists of settled batches, one file a day.
const ledgerDir = "ledger"

// maxLines bounds what is kept of the list while it can't be written.
const maxLines = 16 << 20

// SettledBatch is a line of the list of settled batches.
type SettledBatch struct {
	// At is when it was settled.
	At time.Time
	// ID is the batch's or letter's, Table "database.table"; empty for entries that matched no route.
	ID, Table string
	// Committed rows are in the table, DeadLettered ones in the dead-letter queue.
	Committed, DeadLettered int
}

// putLine appends a line. Ids and names of tables have no tabs and no ends of lines.
func putLine(b []byte, r *settledRecord) []byte {
	b = r.at.UTC().AppendFormat(b, time.RFC3339)
	b = append(append(b, '\t'), clean(r.contents.Table)...)
	b = append(append(b, '\t'), clean(r.id)...)
	b = strconv.AppendInt(append(b, '\t'), int64(r.committed), 10)
	b = strconv.AppendInt(append(b, '\t'), int64(r.deadLettered), 10)
	return append(b, '\n')
}

var cleaner = strings.NewReplacer("\t", "?", "\n", "?")

func clean(text string) string {
	if strings.ContainsAny(text, "\t\n") {
		return cleaner.Replace(text)
	}
	return text
}

func parseLine(line string) (b SettledBatch, err error) {
	fields := strings.Split(line, "\t")
	if len(fields) != 5 {
		return b, errDamaged
	}
	if b.At, err = time.Parse(time.RFC3339, fields[0]); err != nil {
		return b, err
	}
	b.Table, b.ID = fields[1], fields[2]
	if b.Committed, err = strconv.Atoi(fields[3]); err != nil {
		return b, err
	}
	b.DeadLettered, err = strconv.Atoi(fields[4])
	return b, err
}

// appendLines appends lines to the list of today, makes them durable, and removes lists that are too old.
func (j *Journal) appendLines(lines []byte) error {
	if len(lines) == 0 || j.config.AuditFor <= 0 {
		return nil
	}
	dir := filepath.Join(j.config.Dir, ledgerDir)
	if err := j.fs().MkdirAll(dir); err != nil {
		return err
	}
	names, err := j.fs().List(dir)
	if err != nil {
		return err
	}
	today := time.Now().UTC().Format(time.DateOnly)
	var problem error
	for _, name := range names {
		day, err := time.Parse(time.DateOnly, name)
		if err != nil || time.Since(day) > j.config.AuditFor+24*time.Hour {
			problem = errors.Join(problem, j.fs().Remove(filepath.Join(dir, name)))
		}
	}
	return errors.Join(problem, j.appendTo(filepath.Join(dir, today), lines))
}

func (j *Journal) appendTo(name string, lines []byte) error {
	made := false
	handle, err := j.fs().Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		made = true
		handle, err = j.fs().Create(name)
	}
	if err != nil {
		return err
	}
	defer handle.Close()
	size, err := handle.Size()
	if err != nil {
		return err
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := handle.ReadAt(last, size-1); err != nil {
			return err
		}
	}
	if last[0] != '\n' { // a line that was being written; its last number may lack digits
		lines = append([]byte("?\n"), lines...)
	}
	if _, err := handle.WriteAt(lines, size); err != nil {
		return err
	}
	if err := handle.Sync(); err != nil || !made {
		return err
	}
	return j.fs().SyncDir(filepath.Dir(name))
}

// SettledBatches gives the function the batches and letters that were settled, oldest first, as far as the lists in the folder of a log go back.
// It can be called while the log is in use. A batch may come twice, after a crash; those of the last seconds may be missing.
func SettledBatches(system wal.FS, dir string, each func(SettledBatch) error) error {
	dir = filepath.Join(dir, ledgerDir)
	names, err := system.List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := readLines(system, filepath.Join(dir, name), each); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read the list of settled batches of %s: %w", name, err)
		}
	}
	return nil
}

func readLines(system wal.FS, name string, each func(SettledBatch) error) error {
	handle, err := system.Open(name)
	if err != nil {
		return err
	}
	defer handle.Close()
	size, err := handle.Size()
	if err != nil {
		return err
	}
	lines := bufio.NewReader(io.NewSectionReader(handle, 0, size))
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil // what has no end is being written, or a crash has cut it off
		}
		if err != nil {
			return err
		}
		b, err := parseLine(line[:len(line)-1])
		if err != nil {
			continue // one that a crash has cut off
		}
		if err := each(b); err != nil {
			return err
		}
	}
}

// Entries returns the accounts of producers' entries. Those of anonymous and forgotten producers are together, under the tenant and no id.
func (j *Journal) Entries() map[schema.ProducerName]schema.EntryLedger {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make(map[schema.ProducerName]schema.EntryLedger, len(j.state.producers))
	for key, p := range j.state.producers {
		if p.known {
			all[schema.ProducerName{Tenant: key.tenant, Producer: key.id}] = *p.ledger
		}
	}
	for tenant, ledger := range j.state.others {
		all[schema.ProducerName{Tenant: tenant}] = *ledger
	}
	return all
}

// Rows returns the accounts of tables' rows, by "database.table". Entries that matched no route, and are dead letters, are under no name.
func (j *Journal) Rows() map[string]schema.RowLedger {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make(map[string]schema.RowLedger, len(j.state.tables))
	for name, ledger := range j.state.tables {
		all[name] = *ledger
	}
	return all
}
