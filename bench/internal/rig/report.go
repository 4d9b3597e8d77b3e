//go:build linux

package rig

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// A Result is what a run has used. The writer is a server, or this process where it inserts directly.
type Result struct {
	Name string
	Rows int
	// Wall is the time from the first request until the last row is committed.
	Wall time.Duration
	// WriterCPU and EngineCPU are used in that time, MergedCPU by ClickHouse until it merges nothing more.
	WriterCPU, EngineCPU, MergedCPU time.Duration
	// Memory is the server's at its peak; 0 for direct insertion.
	Memory int64
	// P50 and P99 are times from sending to being committed; 0 if they are not known.
	P50, P99 time.Duration
	// LoggedP50 and LoggedP99 are times from sending to being in the write-ahead log; 0 if there is none.
	LoggedP50, LoggedP99 time.Duration
	// Batches is how many were inserted; 0 if that is not known.
	Batches float64
	// Others is how many processors everybody else kept busy.
	Others float64
}

// Rate returns rows a second.
func (r Result) Rate() float64 { return float64(r.Rows) / r.Wall.Seconds() }

// PerRow returns microseconds a row.
func (r Result) PerRow(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(r.Rows)
}

// String is the run in one line.
func (r Result) String() string {
	return fmt.Sprintf("%s: %d rows, %.0f rows/s, writer %.2f µs/row, ClickHouse %.2f µs/row, %d MiB; others kept %.1f cores busy",
		r.Name, r.Rows, r.Rate(), r.PerRow(r.WriterCPU), r.PerRow(r.EngineCPU), r.Memory>>20, r.Others)
}

// Median returns the median of each figure.
func Median(results []Result) Result {
	m := results[0]
	m.Wall = middle(results, func(r Result) time.Duration { return r.Wall })
	m.WriterCPU = middle(results, func(r Result) time.Duration { return r.WriterCPU })
	m.EngineCPU = middle(results, func(r Result) time.Duration { return r.EngineCPU })
	m.MergedCPU = middle(results, func(r Result) time.Duration { return r.MergedCPU })
	m.Memory = middle(results, func(r Result) int64 { return r.Memory })
	m.P50 = middle(results, func(r Result) time.Duration { return r.P50 })
	m.P99 = middle(results, func(r Result) time.Duration { return r.P99 })
	m.LoggedP50 = middle(results, func(r Result) time.Duration { return r.LoggedP50 })
	m.LoggedP99 = middle(results, func(r Result) time.Duration { return r.LoggedP99 })
	m.Others = middle(results, func(r Result) float64 { return r.Others })
	m.Batches = middle(results, func(r Result) float64 { return r.Batches })
	return m
}

func middle[T cmp.Ordered](results []Result, figure func(Result) T) T {
	figures := make([]T, len(results))
	for i, r := range results {
		figures[i] = figure(r)
	}
	slices.Sort(figures)
	return figures[len(figures)/2]
}

// PrintTable prints the results as a table. Each compares with the first of them.
func PrintTable(out io.Writer, results []Result) {
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "run\trows/s\twriter µs/row\tof the first\tof ClickHouse\tClickHouse µs/row\twith merges\twriter MiB\tp50\tp99\tlogged p50\tlogged p99\trows/insert\tcores of others\t")
	first := results[0].PerRow(results[0].WriterCPU)
	for _, r := range results {
		writer, engine := r.PerRow(r.WriterCPU), r.PerRow(r.EngineCPU)
		memory, p50, p99, logged50, logged99, size := "–", "–", "–", "–", "–", "–"
		if r.Memory > 0 {
			memory = fmt.Sprint(r.Memory >> 20)
		}
		if r.P50 > 0 {
			p50, p99 = r.P50.Round(time.Millisecond).String(), r.P99.Round(time.Millisecond).String()
		}
		if r.LoggedP99 > 0 {
			logged50, logged99 = r.LoggedP50.Round(10*time.Microsecond).String(), r.LoggedP99.Round(10*time.Microsecond).String()
		}
		if r.Batches > 0 {
			size = fmt.Sprintf("%.0f", float64(r.Rows)/r.Batches)
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.2f\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f\t\n", r.Name, r.Rate(), writer, writer/first, writer/engine,
			engine, r.PerRow(r.MergedCPU), memory, p50, p99, logged50, logged99, size, r.Others)
	}
	_ = t.Flush() // to standard output
	fmt.Fprint(out, "all rows were counted: lost 0, doubled 0\n\n")
}

// An Aim is a figure that is wanted to be at least, or at most, a number.
type Aim struct {
	Name       string
	Is, Wanted float64
	AtLeast    bool
}

// PrintAims prints which aims are met.
func PrintAims(out io.Writer, aims ...Aim) {
	if len(aims) == 0 {
		return
	}
	t := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "aim\tis\twanted\t\t")
	for _, a := range aims {
		sign, verdict := "≤", "not met"
		if a.AtLeast {
			sign = "≥"
		}
		if a.Is == a.Wanted || (a.Is > a.Wanted) == a.AtLeast {
			verdict = "met"
		}
		fmt.Fprintf(t, "%s\t%.2f\t%s %.2f\t%s\t\n", a.Name, a.Is, sign, a.Wanted, verdict)
	}
	_ = t.Flush() // to standard output
}
