package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	grpcstatus "google.golang.org/grpc/status"

	logbatcherv1 "github.com/logbatcher/logbatcher/api/logbatcher/v1"
	"github.com/logbatcher/logbatcher/client"
	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// TestSecuredService runs the service with TLS, tokens and tenants, and sends as each of them.
func TestSecuredService(t *testing.T) {
	folder, a := t.TempDir(), newAuthority(t)
	caPEM, trusted := a.pool()
	ca := writeFile(t, folder, "ca.pem", caPEM)
	certificate, key := a.server("server")
	lines := ""
	for _, tenant := range []string{"shop", "bank"} {
		status, line, errs := command(t, "", "token", "new", "--tenant", tenant, "--token-file", filepath.Join(folder, tenant))
		if status != 0 {
			t.Fatal(errs)
		}
		lines += line
	}
	tokens := writeFile(t, folder, "tokens", []byte(lines))
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), fmt.Sprintf(`
server:
  tls: {cert_file: %s, key_file: %s, client_ca_file: %s}
  tokens_file: %s
tenants:
  - {name: shop, routes: [own]}
  - {name: bank, routes: [own, all]}
  - {name: ops, rights: [admin, metrics], certificates: [ops.example.com]}
columns:
  - {name: tenant, type: LowCardinality(String), source: tenant}
  - {name: time, type: DateTime64(9), source: time}
  - {name: body, type: String, source: body}
routes:
  - {name: all, table: everything, order_by: time}
  - {name: own, table: own, order_by: time}
`, writeFile(t, folder, "cert.pem", certificate), writeFile(t, folder, "key.pem", key), ca, tokens))
	b.change = func(c *config.Config) { c.Listen.HTTP = "127.0.0.1:0" }
	i := b.start(t)

	send := func(arguments ...string) (int, string) {
		t.Helper()
		status, _, errs := command(t, "one\ntwo\n", append([]string{"send", "-q", "--address", b.address, "--ca-file", ca, "-"}, arguments...)...)
		return status, errs
	}
	for _, tenant := range []string{"shop", "bank"} {
		if status, errs := send("--token-file", filepath.Join(folder, tenant), "--producer", "same"); status != 0 {
			t.Errorf("as %s: %d %s", tenant, status, errs)
		}
	}
	if status, errs := send(); status != exitError || !strings.Contains(errs, "who calls is not known") {
		t.Errorf("as nobody: %d %s", status, errs)
	}
	rows := b.clickhouse.Query(t, "SELECT tenant, count() FROM own GROUP BY tenant ORDER BY tenant FORMAT TSV") + "\n" + b.clickhouse.Query(t, "SELECT tenant, count() FROM everything GROUP BY tenant FORMAT TSV")
	if got := strings.Fields(rows); strings.Join(got, " ") != "bank 2 shop 2 bank 2" {
		t.Errorf("rows: %q", rows)
	}

	// A certificate, for operators.
	clientPEM, clientKey := a.client("ops.example.com")
	pair, err := tls.X509KeyPair(clientPEM, clientKey)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := writeFile(t, folder, "ops.pem", clientPEM), writeFile(t, folder, "ops.key", clientKey)
	if status, errs := send("--cert", certFile, "--key", keyFile); status != exitError || !strings.Contains(errs, "PermissionDenied") {
		t.Errorf("as an operator: %d %s", status, errs)
	}
	if status, errs := send("--cert", certFile); status != exitError || !strings.Contains(errs, "--cert and --key go together") {
		t.Errorf("without a key: %d %s", status, errs)
	}
	if status, errs := send("--cert", certFile, "--key", certFile); status != exitError || !strings.Contains(errs, "--key "+certFile) {
		t.Errorf("with a key that is none: %d %s", status, errs)
	}
	secure := &tls.Config{RootCAs: trusted, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	conn, err := grpc.NewClient(b.address, grpc.WithTransportCredentials(credentials.NewTLS(secure.Clone())))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if routes, err := logbatcherv1.NewAdminServiceClient(conn).ListRoutes(t.Context(), &logbatcherv1.ListRoutesRequest{}); err != nil || len(routes.Routes) != 2 {
		t.Errorf("routes: %v, %v", routes, err)
	}
	if _, err := logbatcherv1.NewIngestServiceClient(conn).Ingest(t.Context(), &logbatcherv1.IngestRequest{}); grpcstatus.Code(err) != codes.PermissionDenied {
		t.Errorf("an operator sends: %v", err)
	}
	https := &http.Client{Transport: &http.Transport{TLSClientConfig: secure, ForceAttemptHTTP2: true}}
	defer https.CloseIdleConnections()
	get := func(c *http.Client, path string) (int, string) {
		t.Helper()
		r, err := c.Get("https://" + i.httpListener.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(body)
	}
	if code, body := get(https, "/metrics"); code != http.StatusOK || !strings.Contains(body, `logbatcher_tenant_entries_received_total{tenant="bank"} 2`) {
		t.Errorf("metrics: %d %s", code, body)
	}

	// Tokens are removed while a stream is open: the producer is told to move, what it sent is safe, and it can't come back.
	producerConfig := client.DefaultConfig("stays")
	committed := make(chan client.Progress, 100)
	producerConfig.OnProgress = func(c client.Progress) { committed <- c }
	denied := make(chan error, 100)
	producerConfig.OnError = func(err error) {
		if grpcstatus.Code(err) == codes.Unauthenticated {
			denied <- err
		}
	}
	withToken, err := grpc.NewClient(b.address, grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(trusted, "")),
		grpc.WithPerRPCCredentials(client.Token{File: filepath.Join(folder, "shop")}))
	if err != nil {
		t.Fatal(err)
	}
	defer withToken.Close()
	producerConfig.Conns = []grpc.ClientConnInterface{withToken}
	producer, err := client.Open(producerConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close(t.Context())
	if err := producer.Send(t.Context(), &logbatcherv1.Entry{Body: "three"}); err != nil {
		t.Fatal(err)
	}
	<-committed
	// What can't be used changes nothing and is told to operators.
	replace := func(text string) {
		writeFile(t, folder, "tokens", []byte(text))
		i.keyring.look(t.Context())
		i.keyring.look(t.Context())
	}
	replace(lines + "nonsense\n")
	if code, body := get(https, "/readyz"); code != http.StatusOK || !strings.Contains(body, "line 3:") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if status, errs := send("--token-file", filepath.Join(folder, "shop")); status != 0 {
		t.Errorf("with a wrong file: %d %s", status, errs)
	}
	replace("")
	select {
	case <-denied:
	case <-time.After(patience):
		t.Fatal("a stream outlives its token")
	}
	if status, errs := send("--token-file", filepath.Join(folder, "bank")); status != exitError || !strings.Contains(errs, "the token is not one of the server's") {
		t.Errorf("with a removed token: %d %s", status, errs)
	}
}

// TestSecretsStaySecret puts a secret wherever one can be, and looks for them in all that is written.
func TestSecretsStaySecret(t *testing.T) {
	folder, a := t.TempDir(), newAuthority(t)
	certificate, key := a.server("server")
	status, line, errs := command(t, "", "token", "new", "--tenant", "shop", "--token-file", filepath.Join(folder, "token"))
	if status != 0 {
		t.Fatal(errs)
	}
	token, err := os.ReadFile(filepath.Join(folder, "token"))
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"password of ClickHouse": "secret-of-clickhouse", "password of Redis": "secret-of-redis", "token": strings.TrimSpace(string(token)),
		"wrong token": "lb_aaaaaaaa_secretwrongtoken", "what is in the file of tokens": "secret-in-the-file", "key": strings.Split(string(key), "\n")[1],
		"hash": strings.Fields(line)[1][7:],
	}
	clickhouse, redis := embeddedtest.ClickHouse(t), embeddedtest.Redis(t)
	tokens := writeFile(t, folder, "tokens", []byte(line))
	file := writeFile(t, folder, "logbatcher.yaml", []byte(fmt.Sprintf(`
log: {level: debug}
server:
  tls: {cert_file: %s, key_file: %s}
  tokens_file: %s
tenants: [{name: shop}]
clickhouse: {addresses: [%q], password_file: %s}
`, writeFile(t, folder, "cert.pem", certificate), writeFile(t, folder, "key.pem", key), tokens,
		strings.TrimPrefix(clickhouse.Address, "http://"), writeFile(t, folder, "password", []byte(secrets["password of ClickHouse"]+"\n")))))
	t.Setenv("LOGBATCHER_REDIS_PASSWORD", secrets["password of Redis"])
	t.Setenv("LOGBATCHER_REDIS_ADDRESSES", redis.Address())
	t.Setenv("LOGBATCHER_CLICKHOUSE_DATABASE", clickhouse.Database)
	t.Setenv("LOGBATCHER_LISTEN_GRPC", "127.0.0.1:0")
	t.Setenv("LOGBATCHER_LISTEN_HTTP", "127.0.0.1:0")

	var written bytes.Buffer
	for _, arguments := range [][]string{
		{"config", "show", file}, {"config", "check", file}, {"schema", "plan", "-c", file}, {"query", "-c", file, "SELECT currentUser()"},
		{"config", "show", "--set", "clickhouse.password=" + secrets["password of ClickHouse"]},
		{"config", "check", file, "--set", "redis.password_file=" + filepath.Join(folder, "password")},
		{"query", "-c", file, "--set", "clickhouse.addresses=" + closedAddress(t), "SELECT 1"},
		{"token", "check", "-c", file, filepath.Join(folder, "token")},
	} {
		status, out, errs := command(t, "", arguments...)
		fmt.Fprintln(&written, arguments[0], arguments[1], status, out, errs)
	}
	process := startCommand(t, func() *exec.Cmd {
		c := exec.Command(os.Args[0], "serve", "-c", file)
		c.Env = append(os.Environ(), commandVariable+"=1")
		return c
	}())
	serving := regexp.MustCompile(`msg=serving .* http=(\S+)`)
	eventually(t, "the service serves", func() bool { return serving.MatchString(process.errs.String()) })
	writeFile(t, folder, "tokens", []byte(line+secrets["what is in the file of tokens"]+" tenant=shop\n"+secrets["token"]+"\n"))
	process.signal(t, syscall.SIGHUP)
	eventually(t, "the wrong file is refused", func() bool { return process.errs.count("configuration refused") > 0 })
	_, trusted := a.pool()
	https := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
	defer https.CloseIdleConnections()
	for _, path := range []string{"/metrics", "/readyz", "/v1/ingest"} {
		for _, shown := range []string{"token", "wrong token"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+serving.FindStringSubmatch(process.errs.String())[1]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+secrets[shown])
			response, err := https.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = written.ReadFrom(response.Body)
			_ = response.Body.Close()
		}
	}
	process.signalUntilEnded(t, syscall.SIGTERM)
	written.WriteString(process.out.String() + process.errs.String())
	for name, secret := range secrets {
		if at := strings.Index(written.String(), secret); at >= 0 {
			t.Errorf("the %s is written: …%.300s", name, written.String()[max(0, at-200):])
		}
	}
	if written.Len() < 5000 {
		t.Errorf("hardly anything is written: %s", written.String())
	}
}
