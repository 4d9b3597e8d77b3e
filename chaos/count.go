//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/deadletter"
)

// A count is what a run has found in the end.
type count struct {
	seed          uint64
	rows, letters uint64 // found
	lost, doubled uint64
	misplaced     uint64 // where they should not be
	disordered    uint64 // rows of a producer before an earlier one in the same batch
	details       []string
}

func (c *count) wrong() bool { return c.lost+c.doubled+c.misplaced+c.disordered > 0 }

// note keeps a detail, unless there are many.
func (c *count) note(format string, values ...any) {
	if len(c.details) < 50 {
		c.details = append(c.details, fmt.Sprintf(format, values...))
	}
}

// tally tells sets of numbers apart without listing them.
type tally struct{ count, distinct, sum, squares uint64 }

// count counts all tables and dead letters.
func (r *run) count(ctx context.Context) (*count, error) {
	c := &count{seed: r.plan.seed}
	tables := []struct {
		name string
		has  func(producer int, n uint64) bool
	}{
		{"numbered", func(producer int, n uint64) bool { return r.plan.fate(producer, n) == stored }},
		{"tenth", r.plan.inTenth},
	}
	for _, t := range tables {
		if err := r.countTable(ctx, c, t.name, t.has); err != nil {
			return c, err
		}
	}
	for _, route := range r.routes {
		if err := r.countLater(ctx, c, &route); err != nil {
			return c, err
		}
	}
	return c, r.countLetters(ctx, c)
}

// inTenth reports whether a number must be in the table tenth. It has no constraint.
func (p *plan) inTenth(producer int, n uint64) bool {
	if n%10 != 0 {
		return false
	}
	f := p.fate(producer, n)
	return f == stored || f == poisoned
}

// countTable compares a table with what must be in it.
func (r *run) countTable(ctx context.Context, c *count, table string, has func(int, uint64) bool) error {
	found := make([]tally, r.plan.producers)
	rows, err := query(ctx, r.clickhouse.Address(),
		"SELECT p, count(), uniqExact(n), sum(n), sum(n * n) FROM "+database+"."+table+" GROUP BY p SETTINGS max_bytes_before_external_group_by = 500000000")
	if err != nil {
		return err
	}
	for _, row := range rows {
		var v [5]uint64
		for i, text := range row {
			if v[i], err = strconv.ParseUint(text, 10, 64); err != nil {
				return err
			}
		}
		c.rows += v[1]
		if v[0] >= uint64(r.plan.producers) {
			c.misplaced += v[1]
			c.note("%s has %d rows of producer %d, which there is not", table, v[1], v[0])
			continue
		}
		found[v[0]] = tally{v[1], v[2], v[3], v[4]}
	}
	for p := range r.plan.producers {
		var want tally
		for n := range r.plan.entries {
			if has(p, n) {
				want.count++
				want.sum += n
				want.squares += n * n
			}
		}
		want.distinct = want.count
		if found[p] != want {
			if err := r.compare(ctx, c, table, p, has); err != nil {
				return err
			}
		}
		if err := r.countDisorder(ctx, c, table, p); err != nil {
			return err
		}
	}
	return nil
}

// compare finds which numbers of a producer are wrong.
func (r *run) compare(ctx context.Context, c *count, table string, producer int, has func(int, uint64) bool) error {
	rows, err := query(ctx, r.clickhouse.Address(), fmt.Sprintf("SELECT n, count(), arrayStringConcat(groupArray(4)(_batch_id), ' ') FROM %s.%s WHERE p = %d GROUP BY n", database, table, producer))
	if err != nil {
		return err
	}
	times, batches := make(map[uint64]uint64, len(rows)), map[uint64]string{}
	for _, row := range rows {
		n, err := strconv.ParseUint(row[0], 10, 64)
		k, err2 := strconv.ParseUint(row[1], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return err
		}
		if times[n] = k; k > 1 {
			batches[n] = row[2]
		}
	}
	var lost, doubled, misplaced []uint64
	for n := range r.plan.entries {
		k := times[n]
		delete(times, n)
		switch {
		case has(producer, n) && k == 0:
			lost = append(lost, n)
		case has(producer, n) && k > 1:
			doubled = append(doubled, n)
			c.doubled += k - 1
		case !has(producer, n) && k > 0:
			misplaced = append(misplaced, n)
		}
	}
	for n := range times {
		misplaced = append(misplaced, n)
	}
	c.lost += uint64(len(lost))
	c.misplaced += uint64(len(misplaced))
	for what, numbers := range map[string][]uint64{"lost": lost, "doubled": doubled, "misplaced": misplaced} {
		if len(numbers) > 0 {
			c.note("%s, producer %d: %d numbers are %s: %s", table, producer, len(numbers), what, ranges(numbers))
		}
	}
	if len(doubled) > 0 {
		c.note("%s, producer %d: %d is in the batches %s", table, producer, doubled[0], batches[doubled[0]])
	}
	return nil
}

// countDisorder counts rows before which the same batch has a later one of the same producer. The rows of a batch are in one part, in
// the order in which they were inserted. Rows of one colo are in order; those of several come from different shards.
func (r *run) countDisorder(ctx context.Context, c *count, table string, producer int) error {
	rows, err := query(ctx, r.clickhouse.Address(), fmt.Sprintf(`
		SELECT countIf(previous >= toInt64(n)) FROM (
			SELECT n, lagInFrame(toInt64(n), 1, -1) OVER (PARTITION BY _batch_id, colo, part ORDER BY place ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous
			FROM (SELECT n, _batch_id, colo, _part AS part, _part_offset AS place FROM %s.%s WHERE p = %d))`, database, table, producer))
	if err != nil {
		return err
	}
	wrong, err := strconv.ParseUint(rows[0][0], 10, 64)
	if c.disordered += wrong; wrong > 0 {
		c.note("%s, producer %d: %d rows are before an earlier one", table, producer, wrong)
	}
	return err
}

// countLater compares the table of a route that was added while entries came. Which of the entries of that moment it has is not known.
func (r *run) countLater(ctx context.Context, c *count, route *laterRoute) error {
	var from []string
	for _, n := range route.from {
		from = append(from, strconv.FormatUint(n, 10))
	}
	rows, err := query(ctx, r.clickhouse.Address(), fmt.Sprintf("SELECT p, count(), uniqExact(n), countIf(n >= [%s][p + 1]) FROM %s.%s GROUP BY p",
		strings.Join(from, ","), database, route.name))
	if err != nil {
		return err
	}
	var found = make([]uint64, r.plan.producers)
	for _, row := range rows {
		var v [4]uint64
		for i, text := range row {
			if v[i], err = strconv.ParseUint(text, 10, 64); err != nil {
				return err
			}
		}
		c.rows += v[1]
		if c.doubled += v[1] - v[2]; v[1] != v[2] {
			c.note("%s, producer %d: %d rows are doubled", route.name, v[0], v[1]-v[2])
		}
		found[v[0]] = v[3]
	}
	for p, have := range found {
		var want uint64
		for n := route.from[p]; n < r.plan.entries; n++ {
			if r.plan.inTenth(p, n) {
				want++
			}
		}
		switch {
		case have < want:
			c.lost += want - have
			c.note("%s, producer %d: of the numbers from %d on, %d are lost", route.name, p, route.from[p], want-have)
		case have > want:
			c.note("%s, producer %d: of the numbers from %d on, %d are too many", route.name, p, route.from[p], have-want)
		}
	}
	return nil
}

// number is one of a producer.
type number struct {
	producer int
	n        uint64
}

// countLetters compares the dead letters with what must be there.
func (r *run) countLetters(ctx context.Context, c *count) error {
	store := redis.NewClient(&redis.Options{Addr: r.redis.Address()})
	defer store.Close()
	queue, err := deadletter.New(store, deadletter.DefaultConfig(), prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	found := map[number]int{}
	for after := ""; ; {
		page, err := queue.List(ctx, after, 100)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].StreamID
		for _, l := range page {
			numbers, err := numbersOf(&l.Letter)
			if err = errors.Join(err, l.Problem); err != nil {
				return fmt.Errorf("dead letter %s: %w", l.Letter.ID, err)
			}
			for _, at := range numbers {
				found[at]++
				c.letters++
				want := poisoned
				if l.Letter.Route == "" {
					want = unmatched
				}
				if at.producer >= r.plan.producers || at.n >= r.plan.entries || r.plan.fate(at.producer, at.n) != want {
					c.misplaced++
					c.note("dead letter %s has %+v: %s", l.Letter.ID, at, l.Letter.Message)
				}
			}
		}
	}
	for p := range r.plan.producers {
		for n := range r.plan.entries {
			f := r.plan.fate(p, n)
			if f != poisoned && f != unmatched {
				continue
			}
			switch times := found[number{p, n}]; {
			case times == 0:
				c.lost++
				c.note("producer %d: %d is in no dead letter", p, n)
			case times > 1:
				c.doubled += uint64(times - 1)
				c.note("producer %d: %d is in %d dead letters", p, n, times)
			}
		}
	}
	return nil
}

// numbersOf returns the numbers in a dead letter.
func numbersOf(letter *sink.DeadLetter) (numbers []number, err error) {
	payload := letter.Payload
	format, compressed := strings.CutSuffix(letter.Format, sink.GzipSuffix)
	if compressed {
		reader, err := gzip.NewReader(bytes.NewReader(payload))
		if err != nil {
			return nil, err
		}
		if payload, err = io.ReadAll(reader); err != nil {
			return nil, err
		}
	}
	switch format {
	case sink.FormatNative:
		block := proto.NewBlock()
		if err := block.Decode(chproto.NewReader(bytes.NewReader(payload)), 0); err != nil {
			return nil, err
		}
		p, n := slices.Index(block.ColumnsNames(), "p"), slices.Index(block.ColumnsNames(), "n")
		for row := range block.Rows() {
			numbers = append(numbers, number{int(block.Columns[p].Row(row, false).(uint16)), block.Columns[n].Row(row, false).(uint64)})
		}
	case sink.FormatJSONEntries:
		for line := range bytes.Lines(payload) {
			var entry struct {
				Attributes []struct {
					Key   string
					Value json.RawMessage
				}
			}
			if err := json.Unmarshal(line, &entry); err != nil {
				return nil, err
			}
			var at number
			for _, a := range entry.Attributes {
				value, err := strconv.ParseUint(strings.Trim(string(a.Value), `"`), 10, 64)
				if err != nil {
					return nil, err
				}
				switch a.Key {
				case "p":
					at.producer = int(value)
				case "n":
					at.n = value
				}
			}
			numbers = append(numbers, at)
		}
	default:
		return nil, fmt.Errorf("a payload of format %q", letter.Format)
	}
	if len(numbers) != letter.Rows {
		err = fmt.Errorf("it says that it has %d rows, and has %d", letter.Rows, len(numbers))
	}
	return numbers, err
}

// ranges writes numbers, in order, for people to read.
func ranges(numbers []uint64) string {
	slices.Sort(numbers)
	var parts []string
	for i := 0; i < len(numbers); {
		k := i
		for k+1 < len(numbers) && numbers[k+1] == numbers[k]+1 {
			k++
		}
		part := strconv.FormatUint(numbers[i], 10)
		if k > i {
			part += "–" + strconv.FormatUint(numbers[k], 10)
		}
		if parts = append(parts, part); len(parts) == 12 {
			return strings.Join(append(parts, "…"), ", ")
		}
		i = k + 1
	}
	return strings.Join(parts, ", ")
}
