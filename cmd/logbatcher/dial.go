package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/smallfile"
)

// maxPEMBytes bounds the files of a certificate and its key.
const maxPEMBytes = 1 << 20

// target is the LogBatcher that a command calls.
type target struct {
	address           string
	tls               bool
	caFile, tokenFile string
	certFile, keyFile string
}

// addFlags adds the flags that set it.
func (t *target) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&t.address, "address", defaultGRPCAddress, "gRPC address of the server")
	t.addSecurityFlags(flags)
}

// addSecurityFlags adds the flags that set everything but the address.
func (t *target) addSecurityFlags(flags *pflag.FlagSet) {
	flags.BoolVar(&t.tls, "tls", false, "connect with TLS")
	flags.StringVar(&t.caFile, "ca-file", "", "PEM file of certificates to trust instead of the system's; implies --tls")
	flags.StringVar(&t.certFile, "cert", "", "PEM file of the certificate to show, read again for each connection; implies --tls")
	flags.StringVar(&t.keyFile, "key", "", "PEM file of the certificate's key")
	flags.StringVar(&t.tokenFile, "token-file", "", "file with the token to show, read again for each stream (default: the variable "+tokenVariable+")")
}

// dial returns a connection without waiting for it; the first call does.
func (t *target) dial(ctx context.Context) (*grpc.ClientConn, error) {
	options, err := t.options(ctx)
	if err != nil {
		return nil, err
	}
	// By default gRPC retries only every two minutes, and never notices a server that vanishes.
	attempts := backoff.DefaultConfig
	attempts.MaxDelay = 5 * time.Second
	conn, err := grpc.NewClient(t.address, append(options,
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: attempts, MinConnectTimeout: 10 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second, Timeout: 20 * time.Second}))...)
	if err != nil {
		return nil, fmt.Errorf("--address %q: %w", t.address, err)
	}
	return conn, nil
}

// options checks the address, and returns what a connection to it needs of TLS and tokens.
func (t *target) options(ctx context.Context) ([]grpc.DialOption, error) {
	if err := checkAddress(t.address); err != nil {
		return nil, fmt.Errorf("--address %q: %w", t.address, err)
	}
	transport, err := t.transport(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := t.token(ctx)
	if err != nil {
		return nil, err
	}
	return append(shown, grpc.WithTransportCredentials(transport)), nil
}

// encrypted reports whether connections have TLS.
func (t *target) encrypted() bool { return t.tls || t.caFile != "" || t.certFile != "" }

// transport returns plain text or TLS, as the flags say.
func (t *target) transport(ctx context.Context) (credentials.TransportCredentials, error) {
	if (t.certFile == "") != (t.keyFile == "") {
		return nil, errors.New("--cert and --key go together")
	}
	if !t.encrypted() {
		return insecure.NewCredentials(), nil
	}
	var settings tls.Config
	if t.caFile != "" {
		trusted, err := config.CertificatePool(ctx, t.caFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		settings.RootCAs = trusted
	}
	if t.certFile != "" {
		read := func(ctx context.Context) (*tls.Certificate, error) {
			certificate, err := smallfile.Read(ctx, t.certFile, maxPEMBytes)
			if err != nil {
				return nil, fmt.Errorf("--cert: %w", err)
			}
			key, err := smallfile.Read(ctx, t.keyFile, maxPEMBytes)
			if err != nil {
				return nil, fmt.Errorf("--key: %w", err)
			}
			pair, err := tls.X509KeyPair(certificate, key)
			if err != nil {
				return nil, fmt.Errorf("--cert %s, --key %s: %w", t.certFile, t.keyFile, err)
			}
			return &pair, nil
		}
		if _, err := read(ctx); err != nil {
			return nil, err
		}
		settings.GetClientCertificate = func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) { return read(request.Context()) }
	}
	return credentials.NewTLS(&settings), nil
}

// token returns the option that shows the token, none without one.
func (t *target) token(ctx context.Context) ([]grpc.DialOption, error) {
	shown := client.Token{Value: strings.TrimSpace(os.Getenv(tokenVariable)), AllowPlain: !t.encrypted()}
	from := tokenVariable
	if t.tokenFile != "" {
		from = "--token-file"
		data, err := smallfile.Read(ctx, t.tokenFile, maxTokenFileBytes)
		switch {
		case err != nil:
			return nil, fmt.Errorf("--token-file: %w", err)
		case strings.TrimSpace(string(data)) == "":
			return nil, fmt.Errorf("--token-file: %s is empty", t.tokenFile)
		}
		shown.Value, shown.File = "", t.tokenFile
	}
	if shown.Value == "" && shown.File == "" {
		return nil, nil
	}
	if host, _, err := net.SplitHostPort(t.address); shown.AllowPlain && err == nil && !config.IsLoopback(host) {
		return nil, fmt.Errorf("%s: the token would go to %s in plain text; connect with --tls or --ca-file", from, t.address)
	}
	return []grpc.DialOption{grpc.WithPerRPCCredentials(shown)}, nil
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
