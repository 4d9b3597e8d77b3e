//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == childCommand {
		main()
		return
	}
	os.Exit(embeddedtest.Main(m))
}

// testRun does a run, which goes into the test's log.
func testRun(t *testing.T, arguments ...string) (*count, error) {
	t.Helper()
	o, err := readOptions(append(arguments, "-folder", t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := chaos(t.Context(), o, testLog{t})
	var missing *embedded.UnavailableError
	if errors.As(err, &missing) && os.Getenv(embeddedtest.RequireVariable) != "1" {
		t.Skipf("skipped, because there is no server: %v", err)
	}
	return c, err
}

// testLog is the log of a test.
type testLog struct{ t *testing.T }

func (l testLog) Write(text []byte) (int, error) {
	l.t.Logf("%s", text)
	return len(text), nil
}

// TestNothingIsLostOrDoubled is a short run of what `make chaos` does, with one gateway or two. Clocks are not stepped: for that the
// service and all it is made of would have to be compiled anew.
func TestNothingIsLostOrDoubled(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	for !killsAll(t, runOf(seed)) {
		seed++
	}
	if _, err := testRun(t, runOf(seed)...); err != nil {
		t.Error(err)
	}
}

// runOf returns the arguments of the short run with a seed.
func runOf(seed uint64) []string {
	return []string{"-seed", fmt.Sprint(seed), "-gateways", fmt.Sprint(1 + seed%2), "-faults", "20", "-entries", "60000", "-duration", "6s", "-only=-clock"}
}

// killsAll reports whether a gateway, ClickHouse and Redis are killed in a run, whether or not disks that fail can be had.
func killsAll(t *testing.T, arguments []string) bool {
	t.Helper()
	o, err := readOptions(arguments)
	if err != nil {
		t.Fatal(err)
	}
	for _, o.disks = range []bool{false, true} {
		p := newPlan(o, o.kinds())
		if len(p.faults) != 20 || !p.has("gateway.kill") || !p.has("clickhouse.kill") || !p.has("redis.kill") {
			return false
		}
	}
	return true
}

// TestWrongNumbersAreFound has producers that leave entries out and send others twice: the count must say which.
func TestWrongNumbersAreFound(t *testing.T) {
	const producers, entries = 4, 20_000
	c, err := testRun(t, "-faults", "0", "-producers", "4", "-entries", "20000", "-duration", "100ms", "-only=-clock", "-log=false", "-break", "skip,repeat")
	if !errors.Is(err, errWrong) {
		t.Fatalf("%v, want %v", err, errWrong)
	}
	p := newPlan(&options{seed: c.seed, producers: producers, entries: entries}, nil)
	var lost uint64
	for n := range p.entries {
		if skipped(n) && p.fate(0, n) != refused {
			lost++
		}
		if skipped(n) && p.inTenth(0, n) {
			lost++
		}
	}
	if c.lost != lost || c.doubled == 0 {
		t.Errorf("%d lost and %d doubled, want %d lost and some doubled", c.lost, c.doubled, lost)
	}
}

// TestPlan has the same seed mean the same, and faults of all kinds spread over the run.
func TestPlan(t *testing.T) {
	o := &options{seed: 7, faults: 200, producers: 8, entries: 1_000_000, gateways: 2, duration: 10 * time.Minute}
	p, again := newPlan(o, o.kinds()), newPlan(o, o.kinds())
	// Functions are never equal.
	for _, faults := range [][]fault{p.faults, again.faults} {
		for i := range faults {
			faults[i].kind = &kind{name: faults[i].kind.name}
		}
	}
	if !reflect.DeepEqual(p, again) {
		t.Error("two plans from one seed differ")
	}
	drawn := map[string]int{}
	for i, f := range p.faults {
		drawn[f.kind.name]++
		if slot := o.duration / 200; f.at < time.Duration(i)*slot || f.at >= time.Duration(i+1)*slot {
			t.Errorf("fault %d is at %v", i, f.at)
		}
	}
	for _, k := range o.kinds() {
		if drawn[k.name] == 0 {
			t.Errorf("there is no %s", k.name)
		}
	}
	fates := map[fate]int{}
	for n := range p.entries {
		for producer := range p.producers {
			fates[p.fate(producer, n)]++
		}
	}
	for _, f := range []fate{stored, poisoned, unmatched, refused} {
		if fates[f] == 0 {
			t.Errorf("no entry has fate %d", f)
		}
	}
}

// TestLink has a proxy pass data, fail as it is told to, and end.
func TestLink(t *testing.T) {
	target, err := newLink("nowhere", func() []string { return nil }) // a listener that closes each connection
	if err != nil {
		t.Fatal(err)
	}
	defer target.close()
	l, err := newLink("link", func() []string { return []string{"", target.address} })
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	conn, err := l.dial()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n := l.suffering(ctx, linkFault{stall: true}, time.Hour); n != 0 {
		t.Errorf("%d pieces of data were struck where there are none", n)
	}
}
