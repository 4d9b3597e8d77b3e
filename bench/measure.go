//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// measure runs a variant in a database of its own and counts its rows there.
func (s *stack) measure(ctx context.Context, v variant) (r result, err error) {
	database := s.newDatabase()
	w, err := s.open(ctx, v, database)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, w.close()) }()

	before, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	began := time.Now()
	if err := w.write(ctx); err != nil {
		return r, err
	}
	r.wall = time.Since(began)
	after, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	r.name, r.rows = v.name, v.rows
	r.engineCPU, r.writerCPU = after.engine-before.engine, after.writer-before.writer
	others := after.machine - before.machine - r.engineCPU - (after.self - before.self)
	if v.direct == "" {
		others -= r.writerCPU
		if r.memory, err = peakMemory(w.pid()); err != nil {
			return r, err
		}
	}
	r.others = max(0, others.Seconds()/r.wall.Seconds())
	if err := w.report(ctx, &r); err != nil {
		return r, err
	}
	if err := s.settle(ctx); err != nil {
		return r, err
	}
	settled, err := s.accounts(w)
	if err != nil {
		return r, err
	}
	r.mergedCPU = settled.engine - before.engine
	if err := s.counted(ctx, database, v.rows); err != nil {
		return r, err
	}
	return r, s.drop(ctx, database)
}

// A writer inserts a variant's rows.
type writer interface {
	// write returns once all rows are committed.
	write(context.Context) error
	// report adds what only the writer knows: latencies and batches.
	report(context.Context, *result) error
	pid() int
	close() error
}

// accounts are the CPU times of ClickHouse, the writer, this process, and the whole machine.
type accounts struct{ engine, writer, self, machine time.Duration }

func (s *stack) accounts(w writer) (a accounts, err error) {
	for pid, time := range map[int]*time.Duration{s.enginePID: &a.engine, w.pid(): &a.writer} {
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

// peakMemory returns the largest resident set that a process has had, in bytes.
func peakMemory(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	line, _, _ := strings.Cut(rest, " kB")
	n, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return n << 10, err
}
