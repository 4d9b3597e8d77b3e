//go:build linux

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Names of the runs that aims are about.
const (
	gatewayPlain = "gateway, none"
	gatewayLZ4   = "gateway, lz4"
	directByRow  = "direct, row by row"
)

// A result is what a run has used. The writer is the gateway, or this process where it inserts directly.
type result struct {
	name                            string
	rows                            int
	wall                            time.Duration
	writerCPU, engineCPU, mergedCPU time.Duration
	memory                          int64 // of the gateway; 0 for direct insertion
	p50, p99                        time.Duration
	batches                         float64
	others                          float64 // processors that everybody else kept busy
}

func (r result) rate() float64 { return float64(r.rows) / r.wall.Seconds() }

// perRow returns microseconds a row.
func (r result) perRow(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(r.rows)
}

// String is the run in one line.
func (r result) String() string {
	return fmt.Sprintf("%s: %d rows, %.0f rows/s, writer %.2f µs/row, ClickHouse %.2f µs/row, %d MiB; others kept %.1f cores busy",
		r.name, r.rows, r.rate(), r.perRow(r.writerCPU), r.perRow(r.engineCPU), r.memory>>20, r.others)
}

// median returns the median of each figure.
func median(results []result) result {
	m := results[0]
	m.wall = middle(results, func(r result) time.Duration { return r.wall })
	m.writerCPU = middle(results, func(r result) time.Duration { return r.writerCPU })
	m.engineCPU = middle(results, func(r result) time.Duration { return r.engineCPU })
	m.mergedCPU = middle(results, func(r result) time.Duration { return r.mergedCPU })
	m.memory = middle(results, func(r result) int64 { return r.memory })
	m.p50 = middle(results, func(r result) time.Duration { return r.p50 })
	m.p99 = middle(results, func(r result) time.Duration { return r.p99 })
	m.others = middle(results, func(r result) float64 { return r.others })
	m.batches = middle(results, func(r result) float64 { return r.batches })
	return m
}

func middle[T cmp.Ordered](results []result, figure func(result) T) T {
	figures := make([]T, len(results))
	for i, r := range results {
		figures[i] = figure(r)
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}

func printTable(out io.Writer, results []result) {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "run\trows/s\twriter µs/row\tof the first\tof ClickHouse\tClickHouse µs/row\twith merges\twriter MiB\tp50\tp99\trows/insert\tcores of others\t")
	first := results[0].perRow(results[0].writerCPU)
	for _, r := range results {
		writer, engine := r.perRow(r.writerCPU), r.perRow(r.engineCPU)
		memory, p50, p99 := "–", "–", "–"
		if r.memory > 0 {
			memory, p50, p99 = fmt.Sprint(r.memory>>20), r.p50.Round(time.Millisecond).String(), r.p99.Round(time.Millisecond).String()
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t%.0f\t%.1f\t\n", r.name, r.rate(), writer, writer/first, writer/engine,
			engine, r.perRow(r.mergedCPU), memory, p50, p99, float64(r.rows)/max(1, r.batches), r.others)
	}
	_ = t.Flush() // to standard output
	fmt.Fprint(out, "all rows were counted: lost 0, doubled 0\n\n")
}

// printAims compares the runs, where the ones concerned were made.
func printAims(out io.Writer, results []result) {
	named := map[string]result{}
	for _, r := range results {
		named[r.name] = r
	}
	plain, lz4, direct := named[gatewayPlain], named[gatewayLZ4], named[directByRow]
	if plain.rows == 0 || direct.rows == 0 {
		return
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "aim\tis\twanted\t\t")
	aim := func(name string, is, wanted float64, atLeast bool) {
		sign, verdict := "≤", "not met"
		if atLeast {
			sign = "≥"
		}
		if is == wanted || (is > wanted) == atLeast {
			verdict = "met"
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s %.2f\t%s\t\n", name, is, sign, wanted, verdict)
	}
	aim("gateway CPU / ClickHouse CPU, none", plain.perRow(plain.writerCPU)/plain.perRow(plain.engineCPU), 0.25, false)
	aim("gateway CPU / ClickHouse CPU, lz4", lz4.perRow(lz4.writerCPU)/lz4.perRow(lz4.engineCPU), 0.33, false)
	aim("gateway CPU / client CPU of direct, row by row", plain.perRow(plain.writerCPU)/direct.perRow(direct.writerCPU), 0.5, false)
	aim("gateway rows/s / direct rows/s, row by row", plain.rate()/direct.rate(), 1.3, true)
	aim("gateway memory, MiB", float64(max(plain.memory, lz4.memory))/(1<<20), 150, false)
	_ = t.Flush() // to standard output
}
