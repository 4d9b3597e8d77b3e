package config

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/smallfile"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// The bounds of the files that a configuration names.
const (
	maxPasswordBytes    = 64 << 10
	maxCertificateBytes = 4 << 20
)

// transports are the TLS configurations that the certificates' files make. Nil is no TLS.
type transports struct{ server, clickhouse, redis *tls.Config }

// ServerTLS returns the TLS of the gRPC services. Nil: none.
func (c *Config) ServerTLS() *tls.Config { return c.transports.server }

// ClickHouseTLS returns the TLS to ClickHouse. Nil: none.
func (c *Config) ClickHouseTLS() *tls.Config { return c.transports.clickhouse }

// RedisTLS returns the TLS to Redis. Nil: none.
func (c *Config) RedisTLS() *tls.Config { return c.transports.redis }

// readFiles reads the files that the settings name, each once. A password that comes from nearer (a variable,
// where the file is named in the configuration) wins over its file.
func (c *Config) readFiles(ctx context.Context) []Problem {
	f := &fileReader{ctx: ctx, config: c}
	f.password("clickhouse", c.ClickHouse.PasswordFile, &c.ClickHouse.Password)
	f.password("redis", c.Redis.PasswordFile, &c.Redis.Password)
	f.config.transports = transports{
		server:     f.serverTLS("server.tls", &c.Server.TLS),
		clickhouse: f.clientTLS("clickhouse.tls", &c.ClickHouse.TLS),
		redis:      f.clientTLS("redis.tls", &c.Redis.TLS),
	}
	return f.problems
}

// fileReader reads the files of a configuration and collects what is wrong with them.
type fileReader struct {
	ctx      context.Context
	config   *Config
	problems []Problem
}

func (f *fileReader) report(path, message string) {
	f.problems = append(f.problems, Problem{origin: f.config.origins.of(path), Path: path, Message: message})
}

// read returns a file's bytes; ok is false where it could not be read, which is reported.
func (f *fileReader) read(path, file string, limit int64) (data []byte, ok bool) {
	data, err := smallfile.Read(f.ctx, file, limit)
	if err != nil {
		f.report(path, err.Error())
	}
	return data, err == nil
}

func (f *fileReader) password(section, file string, secret *settings.Secret) {
	if file == "" {
		return
	}
	path := section + ".password_file"
	if *secret != "" {
		if f.config.origins.of(section+".password").kind <= f.config.origins.of(path).kind {
			f.report(path, "password is set too; leave one of the two out")
		}
		return
	}
	data, ok := f.read(path, file, maxPasswordBytes)
	if !ok {
		return
	}
	text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	switch {
	case text == "":
		f.report(path, file+" is empty; write the password into it, or leave password_file out where there is none")
	case strings.ContainsAny(text, "\r\n\x00"):
		f.report(path, file+" has more than one line, or a NUL byte; a password is one line")
	default:
		*secret = settings.Secret(text)
	}
}

func (f *fileReader) serverTLS(path string, t *ServerTLS) *tls.Config {
	if t.CertFile == "" || t.KeyFile == "" {
		return nil // one without the other is reported by Validate
	}
	pair, ok := f.keyPair(path, t.CertFile, t.KeyFile)
	if !ok {
		return nil
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
}

func (f *fileReader) clientTLS(path string, t *ClientTLS) *tls.Config {
	if !t.Enabled {
		return nil
	}
	result := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CAFile != "" {
		pool, err := CertificatePool(f.ctx, t.CAFile)
		if err != nil {
			f.report(path+".ca_file", err.Error())
		}
		result.RootCAs = pool
	}
	if t.CertFile != "" && t.KeyFile != "" {
		if pair, ok := f.keyPair(path, t.CertFile, t.KeyFile); ok {
			result.Certificates = []tls.Certificate{pair}
		}
	}
	return result
}

// keyPair reads a certificate and its key.
func (f *fileReader) keyPair(path, certFile, keyFile string) (pair tls.Certificate, ok bool) {
	certificate, certificateRead := f.read(path+".cert_file", certFile, maxCertificateBytes)
	key, keyRead := f.read(path+".key_file", keyFile, maxCertificateBytes)
	if !certificateRead || !keyRead {
		return pair, false
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		f.report(path+".cert_file", fmt.Sprintf("%s and %s are no certificate and its key in PEM form: %v", certFile, keyFile, err))
	}
	return pair, err == nil
}

// CertificatePool reads the certificates of a PEM file.
func CertificatePool(ctx context.Context, file string) (*x509.CertPool, error) {
	text, err := smallfile.Read(ctx, file, maxCertificateBytes)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificate in PEM form")
	}
	return pool, nil
}
