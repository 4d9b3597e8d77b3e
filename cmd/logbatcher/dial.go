package main

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// dial connects to a LogBatcher. It returns at once; the first call waits for the connection.
func dial(ctx context.Context, address string, useTLS bool, caFile string) (*grpc.ClientConn, error) {
	if err := checkAddress(address); err != nil {
		return nil, fmt.Errorf("--address %q: %w", address, err)
	}
	transport := insecure.NewCredentials()
	switch {
	case caFile != "":
		trusted, err := config.CertificatePool(ctx, caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		transport = credentials.NewClientTLSFromCert(trusted, "")
	case useTLS:
		transport = credentials.NewTLS(nil)
	}
	// gRPC would try a server that was away only every two minutes, and never notice one that vanished without a word.
	attempts := backoff.DefaultConfig
	attempts.MaxDelay = 5 * time.Second
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(transport),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: attempts, MinConnectTimeout: 10 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}))
	if err != nil {
		return nil, fmt.Errorf("--address %q: %w", address, err)
	}
	return conn, nil
}

// checkAddress returns what is wrong with an address that no network and no server could make right. gRPC would
// take it and try for ever.
func checkAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if strings.Trim(path, "/") == "" {
			return fmt.Errorf("it has no path; it should be unix:PATH")
		}
		return nil
	}
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		advice := "it should be HOST:PORT, as in " + defaultGRPCAddress
		if u, err := url.Parse("http://" + rest); err == nil && u.Hostname() != "" {
			port := u.Port()
			if port == "" {
				_, port, _ = net.SplitHostPort(defaultGRPCAddress)
			}
			advice = "it should be " + net.JoinHostPort(u.Hostname(), port)
			if scheme == "https" {
				advice += ", with --tls"
			}
		}
		return fmt.Errorf("%q is a URL; %s", address, advice)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("it should be HOST:PORT, as in %s, and an IPv6 address in brackets, as in [::1]:4320", defaultGRPCAddress)
	}
	notInHost := func(r rune) bool {
		return r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\@?#"'<>,;`, r)
	}
	if strings.ContainsFunc(host, notInHost) {
		return fmt.Errorf("%q is no host; it should be HOST:PORT, as in %s", host, defaultGRPCAddress)
	}
	if number, err := net.LookupPort("tcp", port); err != nil || number == 0 {
		return fmt.Errorf("%q is no port; it should be a number from 1 to 65535, as in %s", port, defaultGRPCAddress)
	}
	return nil
}
