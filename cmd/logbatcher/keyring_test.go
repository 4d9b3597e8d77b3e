package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
)

// authority is a certificate authority of a test.
type authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	a.certificate, a.key = a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign})
	return a
}

// sign signs a certificate with a new key, by the authority or, before that exists, by itself.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber, template.NotBefore = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, key
}

// server returns a new certificate for 127.0.0.1 and its key, in PEM form.
func (a *authority) server(name string) (certificate, key []byte) {
	return a.pem(a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}))
}

// client returns a new certificate of a client and its key, in PEM form.
func (a *authority) client(names ...string) (certificate, key []byte) {
	return a.pem(a.sign(&x509.Certificate{DNSNames: names, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}))
}

func (a *authority) pem(certificate *x509.Certificate, key *ecdsa.PrivateKey) (certificatePEM, keyPEM []byte) {
	a.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// pool returns the authority's own certificate, in PEM form and as those to trust.
func (a *authority) pool() ([]byte, *x509.CertPool) {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw}), pool
}

// writeFile writes a file of a test and returns its path.
func writeFile(t *testing.T, folder, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestCertificatesAreReloaded replaces the certificate's files: what can be used is used for the next connection, what can't be used
// changes nothing and is reported.
func TestCertificatesAreReloaded(t *testing.T) {
	folder, a := t.TempDir(), newAuthority(t)
	certificate, key := a.server("one")
	certFile, keyFile := writeFile(t, folder, "cert.pem", certificate), writeFile(t, folder, "key.pem", key)
	cfg, err := config.Load(t.Context(), "", nil, []string{"server.tls.cert_file=" + certFile, "server.tls.key_file=" + keyFile})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	k := newKeyring(cfg, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())
	listener, err := tls.Listen("tcp", "127.0.0.1:0", k.tls())
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, trusted := a.pool()
	served := func() string {
		t.Helper()
		go func() {
			if conn, err := listener.Accept(); err == nil {
				_ = conn.(*tls.Conn).Handshake()
				_ = conn.Close()
			}
		}()
		conn, err := tls.Dial("tcp", listener.Addr().String(), &tls.Config{RootCAs: trusted, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	check := func(step, name string, refused bool) {
		t.Helper()
		k.look(t.Context())
		k.look(t.Context()) // the first time it may be half written
		if got := served(); got != name {
			t.Errorf("%s: the certificate is %s, want %s", step, got, name)
		}
		var metric dto.Metric
		if err := k.refused.Write(&metric); err != nil {
			t.Fatal(err)
		}
		if degraded := k.degraded(); refused != (len(degraded) == 1) || refused != (metric.Gauge.GetValue() == 1) {
			t.Errorf("%s: degraded: %q, metric %v", step, degraded, metric.Gauge.GetValue())
		}
	}
	check("unchanged", "one", false)
	certificate, key = a.server("two")
	writeFile(t, folder, "cert.pem", certificate)
	check("a certificate without its key", "one", true)
	check("still", "one", true)
	if lines := strings.Count(log.String(), "refused"); lines != 1 {
		t.Errorf("%d lines about one problem:\n%s", lines, log.String())
	}
	writeFile(t, folder, "key.pem", key)
	check("its key", "two", false)
	writeFile(t, folder, "key.pem", []byte("nonsense"))
	check("no key", "two", true)
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	check("no certificate", "two", true)
	certificate, key = a.pem(a.sign(&x509.Certificate{Subject: pkix.Name{CommonName: "three"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Now().Add(2 * time.Hour)}))
	writeFile(t, folder, "cert.pem", certificate)
	writeFile(t, folder, "key.pem", key)
	check("both", "three", false)
	if strings.Contains(log.String(), strings.TrimSpace(strings.Split(string(key), "\n")[1])) {
		t.Error("the log has the key")
	}
}
