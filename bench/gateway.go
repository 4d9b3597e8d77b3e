//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A gatewayRun says what one run through the gateway does.
type gatewayRun struct {
	name, compression             string
	rows, streams, entries        int
	batch, inserts, routes, colos int
}

// cores is how many processors there are, and so how many shards the gateway has.
func cores() int { return runtime.NumCPU() }

// A gateway is a running process and its addresses.
type gateway struct {
	*child
	grpc, http string
}

// served finds the addresses in the line that the gateway logs when it is ready.
var served = regexp.MustCompile(`msg=serving .*grpc=(\S+) http=(\S+)`)

// configuration is the gateway's: what a run needs, the defaults for the rest.
func (s *stack) configuration(run *gatewayRun, database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `listen: {grpc: "127.0.0.1:0", http: "127.0.0.1:0"}
server: {limits: {max_request_bytes: 1MiB, max_streams: %d}}
memory: {table_share: 1}
shards: {count: %d, max_batch_rows: %d}
clickhouse: {addresses: [%q], database: %s, compression: %s, inserts_per_table: %d}
redis: {addresses: [%q]}
retention: {enabled: false}
log: {level: info}
routes:
`, run.streams+4, min(cores(), 4), run.batch, s.address, database, run.compression, run.inserts, s.redis.Address())
	if run.routes == 1 {
		b.WriteString("  - {name: firehose, table: otel_logs, indexes: none}\n")
		return b.String()
	}
	for i := range run.routes {
		fmt.Fprintf(&b, "  - {name: route_%d, table: otel_logs_%d, indexes: none, filter: {service: {equals: %s}}}\n", i, i, serviceOf(i))
	}
	return b.String()
}

// writeConfiguration writes a run's configuration and returns the file's name.
func (s *stack) writeConfiguration(run *gatewayRun, database string) (string, error) {
	name := filepath.Join(s.folder, database+".yaml")
	return name, os.WriteFile(name, []byte(s.configuration(run, database)), 0o600)
}

// startGateway starts the gateway and returns when it serves; its tables are there then.
func (s *stack) startGateway(ctx context.Context, run *gatewayRun, database string) (*gateway, error) {
	file, err := s.writeConfiguration(run, database)
	if err != nil {
		return nil, err
	}
	process, err := startChild(s.binary, "serve", "--config", file)
	if err != nil {
		return nil, err
	}
	line, err := process.await(ctx, "msg=serving")
	if err != nil {
		return nil, errors.Join(err, process.stop())
	}
	found := served.FindStringSubmatch(line)
	if found == nil {
		return nil, errors.Join(fmt.Errorf("no addresses in %q", line), process.stop())
	}
	return &gateway{process, found[1], found[2]}, nil
}

// inserts returns how many batches the gateway has sealed, over all tables, and how many tables have some.
func (g *gateway) inserts(ctx context.Context) (batches float64, tables int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.http+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	return countSeries(response.Body, "logbatcher_batches_sealed_total{")
}

// measureGateway runs rows through a gateway of their own and counts them in ClickHouse.
func measureGateway(ctx context.Context, s *stack, run gatewayRun) (r result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", run.name, err)
		}
	}()
	messages, err := encodeMessages(&run)
	if err != nil {
		return r, err
	}
	database := s.newDatabase()
	g, err := s.startGateway(ctx, &run, database)
	if err != nil {
		return r, err
	}
	stopped := false
	defer func() {
		if !stopped {
			err = errors.Join(err, g.stop())
		}
	}()
	load, err := openLoad(ctx, g.grpc, &run, messages)
	if err != nil {
		return r, err
	}
	defer load.close()
	m, err := beginMeasurement(s.enginePID, g.pid())
	if err != nil {
		return r, err
	}
	if err := load.send(ctx); err != nil {
		return r, g.failure(err)
	}
	r = result{name: run.name, rows: load.rows, p50: load.quantile(0.5), p99: load.quantile(0.99)}
	if err := m.end(&r); err != nil {
		return r, err
	}
	if r.batches, r.tables, err = g.inserts(ctx); err != nil {
		return r, err
	}
	if err := load.finish(); err != nil {
		return r, g.failure(err)
	}
	if err := s.settle(ctx); err != nil {
		return r, err
	}
	if err := m.settled(&r); err != nil {
		return r, err
	}
	stopped = true
	if err := g.stop(); err != nil {
		return r, err
	}
	if err := s.counted(ctx, database, load.rows); err != nil {
		return r, err
	}
	return r, s.drop(ctx, database)
}

// A measurement is the accounts at the start of a run: of ClickHouse, of the process that writes to it, of this one, and
// of the whole machine.
type measurement struct {
	pids    [3]int // ClickHouse, the writer, this process
	cpu     [3]time.Duration
	machine time.Duration
	began   time.Time
}

func beginMeasurement(engine, writer int) (*measurement, error) {
	m := &measurement{pids: [3]int{engine, writer, os.Getpid()}}
	var err error
	if m.cpu, m.machine, err = m.read(); err != nil {
		return nil, err
	}
	m.began = time.Now()
	return m, nil
}

// read reads the accounts.
func (m *measurement) read() (cpu [3]time.Duration, machine time.Duration, err error) {
	for i, pid := range m.pids {
		if cpu[i], err = cpuTime(pid); err != nil {
			return cpu, 0, err
		}
	}
	machine, err = machineTime()
	return cpu, machine, err
}

// end notes what was used until the last row was committed.
func (m *measurement) end(r *result) error {
	r.wall = time.Since(m.began)
	cpu, machine, err := m.read()
	if err != nil {
		return err
	}
	others := machine - m.machine
	for i := range cpu {
		cpu[i] -= m.cpu[i]
		others -= cpu[i]
	}
	r.engineCPU, r.writerCPU, r.others = cpu[0], cpu[1], max(0, others.Seconds()/r.wall.Seconds())
	r.memory, err = peakMemory(m.pids[1])
	return err
}

// settled notes what ClickHouse has used when its merges are over.
func (m *measurement) settled(r *result) error {
	engineCPU, err := cpuTime(m.pids[0])
	r.mergedCPU = engineCPU - m.cpu[0]
	return err
}

// sample reads the number in a line of a metrics page.
func sample(line string) (float64, error) {
	return strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
}
