package config

import (
	"bytes"
	"context"
	"crypto/tls"

	"github.com/logbatcher/logbatcher/server/access"
)

// maxTokensBytes bounds the file of tokens: some 30 000 of them.
const maxTokensBytes = 4 << 20

// Credentials are what the files say that secure our ports.
type Credentials struct {
	// TLS is the TLS of all ports. Nil: none.
	TLS *tls.Config
	// Policy is who may call. Nil: nobody is asked who they are.
	Policy *access.Policy

	files credentialFiles
}

// credentialFiles are the bytes of the files. Nil: there is no such file.
type credentialFiles struct{ certificate, key, clientCA, tokens []byte }

// SameFiles reports whether both were made of files with the same bytes.
func (c *Credentials) SameFiles(other *Credentials) bool {
	a, b := &c.files, &other.files
	return bytes.Equal(a.certificate, b.certificate) && bytes.Equal(a.key, b.key) && bytes.Equal(a.clientCA, b.clientCA) && bytes.Equal(a.tokens, b.tokens)
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
	t, found := &c.Server.TLS, &Credentials{}
	read := func(path, file string, limit int64) []byte {
		if file == "" {
			return nil
		}
		return f.read(path, file, limit)
	}
	files := &found.files
	if t.CertFile != "" && t.KeyFile != "" { // one without the other is reported by Validate
		files.certificate = read("server.tls.cert_file", t.CertFile, maxCertificateBytes)
		files.key = read("server.tls.key_file", t.KeyFile, maxCertificateBytes)
		files.clientCA = read("server.tls.client_ca_file", t.ClientCAFile, maxCertificateBytes)
	}
	files.tokens = read("server.tokens_file", c.Server.TokensFile, maxTokensBytes)
	if known != nil && len(f.problems) == 0 && found.SameFiles(known) {
		return known
	}
	if pair := f.pair("server.tls", t.CertFile, t.KeyFile, files.certificate, files.key); pair != nil {
		found.TLS = &tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
		if files.clientCA != nil {
			pool, err := poolOf(t.ClientCAFile, files.clientCA)
			if err != nil {
				f.report("server.tls.client_ca_file", err.Error())
			}
			// Probes have no certificate; who needs one is decided call by call.
			found.TLS.ClientCAs, found.TLS.ClientAuth = pool, tls.VerifyClientCertIfGiven
		}
	}
	if c.Server.asks() {
		tokens, problems := access.ParseTokens(files.tokens)
		policy, unknown := access.NewPolicy(c.Tenants, tokens)
		for _, problem := range append(problems, unknown...) {
			f.report("server.tokens_file", c.Server.TokensFile+": "+problem)
		}
		found.Policy = policy
	}
	return found
}
