// Command logbatcher-engine is ClickHouse for development and tests: the engine of libchdb.so in a process of its own, behind
// ClickHouse's HTTP interface on a loopback address.
//
// Statements and the data of inserts flow in over HTTP; results flow out. The tables are in one folder. Once it accepts
// connections it prints "ready" and its URL on standard output. On SIGTERM, SIGINT, or (with --exit-with-parent) the end of
// standard input, it finishes the running statements and exits.
//
// Always: an insert answered with 200 is in the folder, so SIGKILL does not lose it; up to --max-connections statements run
// without waiting for each other; what a statement sets ends with it.
//
// It is not part of the logbatcher binary, because loading a shared library makes a binary dynamic, and because a database must
// be killed, stopped and measured apart from the program that writes to it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long statements get to finish when the program stops.
const stopTimeout = 10 * time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "logbatcher-engine:", err)
		os.Exit(1)
	}
	// The library's threads and exit handlers are left behind on purpose: what
	// was acknowledged is on disk, and they have been seen to hang.
	os.Exit(0)
}

// options are the command line.
type options struct {
	library        string
	path           string
	listen         string
	maxConnections int
	exitWithParent bool
}

func readOptions(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("logbatcher-engine", flag.ContinueOnError)
	flags.StringVar(&o.library, "library", "", "the `file` libchdb.so")
	flags.StringVar(&o.path, "path", "", "the data `folder`")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:0", "the loopback `address` to serve on; port 0 takes a free one")
	flags.IntVar(&o.maxConnections, "max-connections", 100, "how many statements run at a time")
	flags.BoolVar(&o.exitWithParent, "exit-with-parent", false, "stop when standard input ends")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.library == "":
		return o, errors.New("--library is missing")
	case o.path == "":
		return o, errors.New("--path is missing")
	case o.maxConnections < 1:
		return o, errors.New("--max-connections must be at least 1")
	}
	return o, checkLoopback(o.listen)
}

// checkLoopback refuses addresses that other machines can reach: the engine has no passwords.
func checkLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return fmt.Errorf("--listen %s: only loopback addresses are served", address)
	}
	return nil
}

// run serves until ctx ends or, if asked for, the input does.
func run(ctx context.Context, arguments []string, input io.Reader, output io.Writer) error {
	o, err := readOptions(arguments)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if o.exitWithParent {
		go func() { // lives as long as the process: a read of a pipe cannot be given up
			_, _ = io.Copy(io.Discard, input)
			cancel()
		}()
	}

	listener, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	lib, err := openLibrary(o.library)
	if err != nil {
		return err
	}
	e := newEngine(lib, o.path, o.maxConnections)
	if err := e.start(); err != nil {
		return err
	}
	s := newServer(e)
	if s.timezone, err = e.timezone(ctx); err != nil {
		return fmt.Errorf("ask time zone: %w", err)
	}
	if _, err := fmt.Fprintf(output, "ready http://%s\n", listener.Addr()); err != nil {
		return fmt.Errorf("report address: %w", err)
	}
	return serve(ctx, listener, s, e)
}

// serve answers requests until ctx ends, then lets the running ones finish and
// closes the engine.
func serve(ctx context.Context, listener net.Listener, s *server, e *engine) error {
	httpServer := &http.Server{Handler: s}
	failed := make(chan error, 1)
	go func() { failed <- httpServer.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	timeout, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	err := httpServer.Shutdown(timeout)
	<-failed
	if err != nil {
		return fmt.Errorf("finish statements: %w", err)
	}
	e.stop()
	return nil
}

// timezone asks the engine for its time zone.
func (e *engine) timezone(ctx context.Context) (string, error) {
	c, err := e.connect(ctx, "", nil)
	if err != nil {
		return "", err
	}
	defer c.close()
	output, _, err := c.query("SELECT timezone()", "TabSeparatedRaw", nil)
	return strings.TrimSpace(string(output)), err
}
