//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"os"
)

// growthLimit is how much dearer a row may be at any point of an axis than at its smallest.
const growthLimit = 1.3

// An axis is a figure that grows while the others stay.
type axis struct {
	name string
	runs []gatewayRun
}

// growthAxes are the runs along each axis, from its smallest point on.
func growthAxes(o options) []axis {
	base := o.gatewayRun("none")
	base.rows = o.axisRows
	growing := func(name string, values []int, set func(*gatewayRun, int)) axis {
		a := axis{name: name}
		for _, n := range values {
			run := base
			set(&run, n)
			run.name = fmt.Sprintf("%d %s", n, name)
			a.runs = append(a.runs, run)
		}
		return a
	}
	return []axis{
		// A thousand streams have a few hundred rows each, so requests are smaller, at all points.
		growing("streams", []int{1, 10, 100, 1000}, func(r *gatewayRun, n int) { r.streams, r.entries = n, min(r.entries, 100) }),
		growing("routes", []int{1, 10, 50}, func(r *gatewayRun, n int) { r.routes = n }),
		growing("colos", []int{1, 16, 64}, func(r *gatewayRun, n int) { r.colos = n }),
	}
}

// measureAxis runs all points of an axis.
func measureAxis(ctx context.Context, s *stack, o options, a axis) ([]result, error) {
	var results []result
	for _, run := range a.runs {
		var points []result
		for range o.rounds {
			if err := rest(ctx, o.rest); err != nil {
				return nil, err
			}
			r, err := measureGateway(ctx, s, run)
			if err != nil {
				return nil, err
			}
			fmt.Fprintln(os.Stderr, r)
			points = append(points, r)
		}
		results = append(results, median(points))
	}
	return results, nil
}

func printAxis(out io.Writer, name string, results []result) {
	t := table(out)
	fmt.Fprintf(t, "%s\trows/s\tgateway µs/row\tof the smallest\tClickHouse µs/row\tMiB\tp99\tinserts/s a table\tand shard\tcores of others\t\t\n", name)
	for _, r := range results {
		cost := r.perRow(r.writerCPU) / results[0].perRow(results[0].writerCPU)
		verdict := "met"
		if cost > growthLimit {
			verdict = "not met"
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%d\t%s\t%.2f\t%.2f\t%.1f\t%s\t\n", r.name, r.rate(), r.perRow(r.writerCPU), cost,
			r.perRow(r.engineCPU), r.memory>>20, r.p99.Round(1e6), r.insertsPerSecond(), r.insertsPerSecond()/float64(min(cores(), 4)), r.others, verdict)
	}
	_ = t.Flush() // to standard output
	fmt.Fprintln(out)
}
