package config

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFiles names files that are not there or are not what they should be: each is told at its setting.
func TestFiles(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	authority := write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	text, empty := write("text", "hello"), write("empty", "\n")
	none := filepath.Join(folder, "none")
	for _, test := range []struct{ text, want string }{
		{"redis: {tls: {enabled: true, ca_file: " + authority + "}}", ""},
		{"clickhouse: {tls: {enabled: true, ca_file: " + none + "}}", "f:1:44: clickhouse.tls.ca_file: open " + none + ": no such file or directory"},
		{"clickhouse: {tls: {enabled: true, ca_file: " + text + "}}", "f:1:44: clickhouse.tls.ca_file: " + text + " has no certificate in PEM form"},
		{"redis: {tls: {enabled: true, cert_file: " + authority + ", key_file: " + folder + "}}", "redis.tls.key_file: read " + folder + ": it is a directory"},
		{"redis: {tls: {enabled: true, cert_file: " + authority + ", key_file: " + text + "}}", "redis.tls.cert_file: " + authority + " and " + text + " are not a certificate and its key"},
		{"server: {tls: {cert_file: " + none + ", key_file: " + text + "}}", "f:1:27: server.tls.cert_file: open " + none},
		{"redis: {password_file: " + empty + "}", "f:1:24: redis.password_file: " + empty + " is empty"},
		{"redis: {password_file: " + write("lines", "a\nb\n") + "}", "has more than one line"},
		{"redis: {password_file: " + write("long", strings.Repeat("a", maxPasswordBytes+1)) + "}", "at most 65536 are allowed"},
	} {
		_, err := parse(t.Context(), "f", []byte(test.text), nil, nil)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}
