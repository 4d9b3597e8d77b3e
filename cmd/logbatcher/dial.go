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

// dial returns a connection to a LogBatcher without waiting for it; the first call does.
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
	// By default gRPC retries only every two minutes, and never notices a server that vanishes.
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

// checkAddress returns an error for an address that can never work. gRPC would accept it and retry forever.
func checkAddress(address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if strings.Trim(path, "/") == "" {
			return fmt.Errorf("it has no path; want unix:PATH")
		}
		return nil
	}
	if scheme, rest, ok := strings.Cut(address, "://"); ok {
		advice := "want HOST:PORT, such as " + defaultGRPCAddress
		if u, err := url.Parse("http://" + rest); err == nil && u.Hostname() != "" {
			port := u.Port()
			if port == "" {
				_, port, _ = net.SplitHostPort(defaultGRPCAddress)
			}
			advice = "want " + net.JoinHostPort(u.Hostname(), port)
			if scheme == "https" {
				advice += ", with --tls"
			}
		}
		return fmt.Errorf("%q is a URL; %s", address, advice)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("want HOST:PORT, such as %s, with IPv6 addresses in brackets, such as [::1]:4320", defaultGRPCAddress)
	}
	notInHost := func(r rune) bool {
		return r == utf8.RuneError || unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`/\@?#"'<>,;`, r)
	}
	if strings.ContainsFunc(host, notInHost) {
		return fmt.Errorf("%q is not a host; want HOST:PORT, such as %s", host, defaultGRPCAddress)
	}
	if number, err := net.LookupPort("tcp", port); err != nil || number == 0 {
		return fmt.Errorf("%q is not a port; want a number from 1 to 65535, as in %s", port, defaultGRPCAddress)
	}
	return nil
}
