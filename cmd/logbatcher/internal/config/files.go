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

// transports are the TLS configurations towards other servers. Nil is no TLS.
type transports struct{ clickhouse, redis *tls.Config }

// ClickHouseTLS returns the TLS to ClickHouse; nil if there is none.
func (c *Config) ClickHouseTLS() *tls.Config { return c.transports.clickhouse }

// RedisTLS returns the TLS to Redis; nil if there is none.
func (c *Config) RedisTLS() *tls.Config { return c.transports.redis }

// readFiles reads the files that the settings name, each once. What is missing beside them is reported by Validate.
func (c *Config) readFiles(ctx context.Context) []Problem {
	f := &fileReader{ctx: ctx, origins: c.origins}
	f.password("clickhouse", c.ClickHouse.PasswordFile, &c.ClickHouse.Password)
	f.password("redis", c.Redis.PasswordFile, &c.Redis.Password)
	c.credentials = f.credentials(c, nil)
	c.transports.clickhouse = f.clientTLS("clickhouse.tls", &c.ClickHouse.TLS)
	c.transports.redis = f.clientTLS("redis.tls", &c.Redis.TLS)
	return f.problems
}

// fileReader reads the files of a configuration and collects what is wrong with them.
type fileReader struct {
	ctx      context.Context
	origins  origins
	problems []Problem
}

func (f *fileReader) report(path, message string) {
	f.problems = append(f.problems, Problem{origin: f.origins.of(path), Path: path, Message: message})
}

// read returns a file's bytes, not nil; nil if it can't be read, which is reported.
func (f *fileReader) read(path, file string, limit int64) []byte {
	data, err := smallfile.Read(f.ctx, file, limit)
	if err != nil {
		f.report(path, err.Error())
		return nil
	}
	return data
}

// password sets a password from its file. One that overrides the file (a variable over the configuration file) stays.
func (f *fileReader) password(section, file string, secret *settings.Secret) {
	path := section + ".password_file"
	switch {
	case file == "":
	case *secret == "":
		data := f.read(path, file, maxPasswordBytes)
		text := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
		switch {
		case data == nil:
		case text == "":
			f.report(path, file+" is empty; write the password into it, or leave password_file out if there is none")
		case strings.ContainsAny(text, "\r\n\x00"):
			f.report(path, file+" has more than one line, or a NUL byte; a password is one line")
		}
		*secret = settings.Secret(text)
	case f.origins.of(section+".password").kind <= f.origins.of(path).kind:
		f.report(path, "password is set too; leave one of the two out")
	}
}

// clientTLS returns how a connection is secured.
func (f *fileReader) clientTLS(path string, t *ClientTLS) *tls.Config {
	if !t.Enabled {
		return nil
	}
	result := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify}
	if t.CertFile != "" && t.KeyFile != "" {
		certificate, key := f.read(path+".cert_file", t.CertFile, maxCertificateBytes), f.read(path+".key_file", t.KeyFile, maxCertificateBytes)
		if pair := f.pair(path, t.CertFile, t.KeyFile, certificate, key); pair != nil {
			result.Certificates = []tls.Certificate{*pair}
		}
	}
	if t.CAFile != "" {
		pool, err := CertificatePool(f.ctx, t.CAFile)
		if err != nil {
			f.report(path+".ca_file", err.Error())
		}
		result.RootCAs = pool
	}
	return result
}

// pair returns a certificate with its key from the bytes of their files. It returns nil if either is nil, which is reported already.
func (f *fileReader) pair(path, certFile, keyFile string, certificate, key []byte) *tls.Certificate {
	if certificate == nil || key == nil {
		return nil
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		f.report(path+".cert_file", fmt.Sprintf("%s and %s are not a certificate and its key in PEM form: %v", certFile, keyFile, err))
		return nil
	}
	return &pair
}

// CertificatePool reads the certificates of a PEM file.
func CertificatePool(ctx context.Context, file string) (*x509.CertPool, error) {
	text, err := smallfile.Read(ctx, file, maxCertificateBytes)
	if err != nil {
		return nil, err
	}
	return poolOf(file, text)
}

func poolOf(file string, text []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(file + " has no certificate in PEM form")
	}
	return pool, nil
}
