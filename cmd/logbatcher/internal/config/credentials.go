package config

import (
	"bytes"
	"context"
	"crypto/tls"
)

// Credentials are what the files say that secure our ports.
type Credentials struct {
	// GRPC and HTTP are the TLS of the two kinds of ports, which differ in their protocols. Nil: none.
	GRPC, HTTP *tls.Config

	files credentialFiles
}

// credentialFiles are the bytes of the files, to notice that they have changed. Nil: there is no such file.
type credentialFiles struct{ certificate, key, clientCA []byte }

func (a *credentialFiles) equal(b *credentialFiles) bool {
	return bytes.Equal(a.certificate, b.certificate) && bytes.Equal(a.key, b.key) && bytes.Equal(a.clientCA, b.clientCA)
}

// Credentials returns the credentials that the configuration was loaded with.
func (c *Config) Credentials() *Credentials { return c.credentials }

// ReadCredentials reads the files again. If nothing in them has changed it returns known itself.
func (c *Config) ReadCredentials(ctx context.Context, known *Credentials) (*Credentials, error) {
	f := &fileReader{ctx: ctx, origins: c.origins}
	found := f.credentials(c, known)
	return found, joined(f.problems)
}

// credentials reads the files that secure our ports. It returns known if they are as they were then.
func (f *fileReader) credentials(c *Config, known *Credentials) *Credentials {
	t := &c.Server.TLS
	found := &Credentials{}
	if t.CertFile == "" || t.KeyFile == "" { // one of the two is reported by Validate
		return found
	}
	files := &found.files
	files.certificate = f.read("server.tls.cert_file", t.CertFile, maxCertificateBytes)
	files.key = f.read("server.tls.key_file", t.KeyFile, maxCertificateBytes)
	if t.ClientCAFile != "" {
		files.clientCA = f.read("server.tls.client_ca_file", t.ClientCAFile, maxCertificateBytes)
	}
	if known != nil && files.equal(&known.files) {
		return known
	}
	pair := f.pair("server.tls", t.CertFile, t.KeyFile, files.certificate, files.key)
	if pair == nil {
		return found
	}
	found.GRPC = &tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2"}}
	if files.clientCA != nil {
		pool, err := poolOf(t.ClientCAFile, files.clientCA)
		if err != nil {
			f.report("server.tls.client_ca_file", err.Error())
		}
		// Probes have no certificate; who needs one is decided call by call.
		found.GRPC.ClientCAs, found.GRPC.ClientAuth = pool, tls.VerifyClientCertIfGiven
	}
	found.HTTP = found.GRPC.Clone()
	found.HTTP.NextProtos = []string{"http/1.1"}
	return found
}
