//go:build linux

package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// A Run is something that is measured.
type Run struct {
	// Name is the run's in tables.
	Name string
	// Rows is how many rows it writes, numbered from 0.
	Rows int
	// Open starts the writer. The tables exist in the database, otel_logs or several whose names begin so, when it returns.
	Open func(ctx context.Context, database string) (Writer, error)
}

// Measure runs something in a database of its own and counts its rows there.
func (s *Rig) Measure(ctx context.Context, run Run) (r Result, err error) {
	database := s.newDatabase()
	w, err := run.Open(ctx, database)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()

	before, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := w.Write(ctx); err != nil {
		return r, err
	}
	r.Wall = time.Since(began)
	after, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	r.Name, r.Rows = run.Name, run.Rows
	r.EngineCPU, r.WriterCPU = after.engine-before.engine, after.writer-before.writer
	others := after.machine - before.machine - r.EngineCPU - (after.self - before.self)
	if w.PID() != os.Getpid() {
		others -= r.WriterCPU
		if r.Memory, err = memory(w.PID(), "VmHWM"); err != nil {
			return r, err
		}
	}
	r.Others = max(0, others.Seconds()/r.Wall.Seconds())
	if err := w.Report(ctx, &r); err != nil {
		return r, err
	}
	if err := s.settle(ctx); err != nil {
		return r, err
	}
	settled, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	r.MergedCPU = settled.engine - before.engine
	if err := s.counted(ctx, database, run.Rows); err != nil {
		return r, err
	}
	return r, s.drop(ctx, database)
}

// A Writer writes the rows of a run.
type Writer interface {
	// Write returns once all rows are committed.
	Write(context.Context) error
	// Report adds what only the writer knows: latencies and batches.
	Report(context.Context, *Result) error
	// PID is the process whose CPU and memory count: a server's, or this one where it inserts directly.
	PID() int
	// Close stops the writer.
	Close() error
}

// accounts are the CPU times of ClickHouse, the writer, this process, and the whole machine.
type accounts struct{ engine, writer, self, machine time.Duration }

func (s *Rig) accounts(w Writer) (a accounts, err error) {
	for pid, time := range map[int]*time.Duration{s.enginePID: &a.engine, w.PID(): &a.writer} {
		if *time, err = cpuTime(pid); err != nil {
			return a, err
		}
	}
	if a.self, err = cpuTime(os.Getpid()); err != nil {
		return a, err
	}
	a.machine, err = machineTime()
	return a, err
}

// clockTick is the unit of the accounts in /proc: hundredths of a second on every Linux.
const clockTick = time.Second / 100

// cpuTime returns the user and system time of a process, all of its threads.
func cpuTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	return sumTicks(fields[11:13]) // utime and stime
}

// machineTime returns the time that all processors have been busy.
func machineTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text)) // cpu user nice system idle iowait irq softirq steal
	return sumTicks(append(fields[1:4:4], fields[6:9]...))
}

func sumTicks(fields []string) (sum time.Duration, err error) {
	for _, field := range fields {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * clockTick
	}
	return sum, nil
}

// memory returns a figure of a process's memory, in bytes.
func memory(pid int, figure string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), figure+":")
	line, _, _ := strings.Cut(rest, " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10, err
}
