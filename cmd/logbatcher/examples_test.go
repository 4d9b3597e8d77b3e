package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/embedded/embeddedtest"
)

// examples is the folder of the examples.
const examples = "../../examples"

// compile compiles the example in TypeScript, once, beside its sources, where Node finds node_modules.
var compile = sync.OnceValue(func() error {
	folder := filepath.Join(examples, "typescript")
	if out, err := exec.Command("node", filepath.Join(folder, "node_modules", "typescript", "bin", "tsc"), "--project", folder).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})

// needNode skips the test where the packages of an example for Node are missing.
func needNode(t *testing.T, example string) {
	t.Helper()
	_, missing := os.Stat(filepath.Join(examples, example, "node_modules"))
	if _, err := exec.LookPath("node"); err != nil || missing != nil {
		t.Skipf("needs node, and npm ci in examples/%s", example)
	}
}

// needPython skips the test where Python's gRPC is missing.
func needPython(t *testing.T) {
	t.Helper()
	if exec.Command(python3, "-c", "import grpc, google.protobuf").Run() != nil {
		t.Skip("needs python3-grpcio and python3-protobuf")
	}
}

// python3 is Debian's, which has Debian's packages.
const python3 = "/usr/bin/python3"

// typescript returns the example in TypeScript as a command.
func typescript(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	needNode(t, "typescript")
	if err := compile(); err != nil {
		t.Fatalf("compile: %v", err)
	}
	return exec.Command("node", append([]string{filepath.Join(examples, "typescript", "dist", "src", "main.js")}, arguments...)...)
}

// python returns the example in Python as a command.
func python(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	needPython(t)
	return exec.Command(python3, append([]string{filepath.Join(examples, "python", "main.py")}, arguments...)...)
}

// TestExamples runs a client in another language while its service is killed, started again at the same address, and then replaced
// by one with smaller limits.
func TestExamples(t *testing.T) {
	t.Parallel() // for most of the time it waits
	for _, language := range []struct {
		name    string
		command func(t *testing.T, arguments ...string) *exec.Cmd
		address string
	}{
		{"TypeScript", typescript, "http://%s"},
		{"Python", python, "%s"},
	} {
		t.Run(language.name, func(t *testing.T) {
			t.Parallel()
			const config = "columns:\n  - {name: Sequence, type: UInt64, source: sequence}\n" +
				"routes:\n  - {name: firehose, table: otel_logs, columns: [otel_logs, Sequence]}\n"
			b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), config)
			s := &service{bench: b, clickhouse: newCutter(t, strings.TrimPrefix(b.clickhouse.Address, "http://")), redis: newCutter(t, b.redis.Address())}
			start := func() {
				s.process = startProcess(t, append(s.arguments(), "--set", "listen.grpc="+b.address)...)
				b.address = s.logged(t, `msg=serving .*grpc=(\S+)`)
			}
			start()
			p := startCommand(t, language.command(t, "--address", fmt.Sprintf(language.address, b.address), "--producer", "example/0", "--service", "example"))
			written := 0
			write := func(count int) {
				t.Helper()
				for range count {
					if _, err := fmt.Fprintf(p.in, "line %d\n", written); err != nil {
						t.Fatal(err)
					}
					written++
				}
			}
			count := func(query string) int {
				t.Helper()
				n, err := strconv.Atoi(b.clickhouse.Query(t, query))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			stored := func() int { return count("SELECT uniqExact(Body) FROM otel_logs") }

			old := time.Now().AddDate(0, 0, -20).UTC().Format(time.RFC3339)
			for _, bad := range []string{old + " this is old", strings.Repeat("x", 300<<10)} {
				if _, err := fmt.Fprintln(p.in, bad); err != nil {
					t.Fatal(err)
				}
			}
			write(500)
			eventually(t, "entries are stored", func() bool { return stored() > 0 })
			s.signal(t, syscall.SIGKILL)
			write(500) // while nobody listens
			s.wait(t)
			start()
			eventually(t, "the entries are stored", func() bool { return stored() == written })

			// This one asks its streams to move before it ends.
			s.signal(t, syscall.SIGTERM)
			if status, last := s.wait(t); status != exitOK {
				t.Fatalf("the service has ended with %d: %s", status, last)
			}
			write(500)
			b.write(t, "server: {limits: {max_request_entries: 100}}\n"+config)
			start()
			write(500)
			if err := p.in.Close(); err != nil {
				t.Fatal(err)
			}
			if status, last := p.wait(t); status != 0 {
				t.Fatalf("exit status %d, %s", status, last)
			}
			if out, want := strings.TrimSpace(p.out.String()), fmt.Sprintf("%d entries: %d committed, 2 refused", written+2, written); out != want {
				t.Errorf("printed %q, want %q", out, want)
			}
			if got := stored(); got != written {
				t.Errorf("%d different lines are stored, want %d", got, written)
			}
			for _, want := range []string{"refused: " + old + " this is old: firehose: .*in the past", "refused: xxx.*: it has 3"} {
				if !regexp.MustCompile(want).MatchString(p.errs.String()) {
					t.Errorf("complained %q, without %q", p.errs, want)
				}
			}
			if opened := regexp.MustCompile(`(?m)^welcome to epoch \d+, resumed: true, committed: \d+$`).FindAllString(p.errs.String(), -1); len(opened) < 2 {
				t.Errorf("complained %q, and did not resume twice", p.errs)
			}
			if doubles := count("SELECT count() - uniqExact(Body) FROM otel_logs"); doubles != 0 {
				t.Errorf("%d entries are stored twice", doubles)
			}
		})
	}
}

// TestExamplesWithTokens runs the examples against a service that asks for TLS and tokens, as docs/ways-in.md says, with a good token
// and with a wrong one.
func TestExamplesWithTokens(t *testing.T) {
	t.Parallel()
	folder, a := t.TempDir(), newAuthority(t)
	caPEM, _ := a.pool()
	ca, certificate, key := filepath.Join(folder, "ca.pem"), filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	certificatePEM, keyPEM := a.server("server")
	status, line, errs := command(t, "", "token", "new", "--tenant", "shop")
	token := regexp.MustCompile(`lb_\S+`).FindString(errs)
	if status != 0 || token == "" {
		t.Fatal(errs)
	}
	writeFile(t, folder, "ca.pem", caPEM)
	writeFile(t, folder, "cert.pem", certificatePEM)
	writeFile(t, folder, "key.pem", keyPEM)
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), fmt.Sprintf(
		"server: {tls: {cert_file: %s, key_file: %s}, tokens_file: %s}\ntenants: [{name: shop}]\n", certificate, key, writeFile(t, folder, "tokens", []byte(line))))
	b.change = func(c *config.Config) { c.Listen.HTTP = "127.0.0.1:0" }
	i := b.start(t)

	exporting := func(address, token string, words ...string) *exec.Cmd {
		command := exec.Command(words[0], words[1:]...)
		command.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT=https://"+address, "OTEL_EXPORTER_OTLP_CERTIFICATE="+ca,
			"OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20"+token)
		return command
	}
	for _, example := range []struct {
		name    string
		command func(t *testing.T, token string) *exec.Cmd
	}{
		{"TypeScript", func(t *testing.T, token string) *exec.Cmd {
			command := typescript(t, "--address", "https://"+b.address)
			command.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca, "LOGBATCHER_TOKEN="+token)
			return command
		}},
		{"Python", func(t *testing.T, token string) *exec.Cmd {
			command := python(t, "--address", b.address, "--ca", ca)
			command.Env = append(os.Environ(), "LOGBATCHER_TOKEN="+token)
			return command
		}},
		{"OpenTelemetry SDK in Go", func(t *testing.T, token string) *exec.Cmd {
			return exporting(b.address, token, "go", "-C", filepath.Join(examples, "otel", "go"), "run", ".")
		}},
		{"OpenTelemetry SDK in Node", func(t *testing.T, token string) *exec.Cmd {
			needNode(t, "otel/node")
			return exporting(i.httpListener.Addr().String(), token, "node", filepath.Join(examples, "otel", "node", "main.mjs"))
		}},
	} {
		t.Run(example.name, func(t *testing.T) {
			stored := func() string { return b.clickhouse.Query(t, "SELECT count() FROM otel_logs") }
			before := stored()
			for _, token := range []string{"wrong", token} {
				command := example.command(t, token)
				command.Stdin = strings.NewReader("hello\n")
				out, err := command.CombinedOutput()
				switch changed := stored() != before; {
				case token == "wrong" && (changed || !regexp.MustCompile("(?i)unauthenticated|unauthorized").Match(out)):
					t.Errorf("with a wrong token: %v, stored: %v, printed %s", err, changed, out)
				case token != "wrong" && (!changed || err != nil):
					t.Errorf("%v, stored: %v, printed %s", err, changed, out)
				}
			}
		})
	}
}

// TestWaysIn pastes every command of docs/ways-in.md into a shell in the checkout, as the page says, and looks for its "hello".
func TestWaysIn(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/ways-in.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, embeddedtest.ClickHouse(t), embeddedtest.Redis(t), "")
	s := &service{bench: b, clickhouse: newCutter(t, strings.TrimPrefix(b.clickhouse.Address, "http://")), redis: newCutter(t, b.redis.Address())}
	s.process = startProcess(t, s.arguments()...)
	here := strings.NewReplacer(
		"localhost:4320", s.logged(t, `msg=serving .*grpc=(\S+)`), "localhost:4321", s.logged(t, `msg=serving .*http=(\S+)`),
		"/tmp/logbatcher-hello", t.TempDir(), "npm ci ", "true ", "npm run ", "true ", // they are there, and compiled
	)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		text := block[1]
		if strings.HasPrefix(text, "bin/logbatcher query") {
			continue
		}
		hello := regexp.MustCompile("hello[a-zA-Z ]{2,}").FindString(text)
		t.Run(hello, func(t *testing.T) {
			switch {
			case strings.Contains(text, "examples/typescript"):
				typescript(t)
			case strings.Contains(text, "examples/otel/node"):
				needNode(t, "otel/node")
			case strings.Contains(text, python3):
				needPython(t)
			}
			for _, tool := range []string{"curl", "jq"} {
				if _, err := exec.LookPath(tool); err != nil && regexp.MustCompile(`(?m)^ *`+tool+" ").MatchString(text) {
					t.Skip("needs " + tool)
				}
			}
			shell := exec.Command("bash", "-euo", "pipefail", "-c", here.Replace(text))
			shell.Dir = "../.."
			out, err := shell.CombinedOutput()
			if stored := b.clickhouse.Query(t, "SELECT count() FROM otel_logs WHERE Body = '"+hello+"'"); err != nil || stored != "1" {
				t.Errorf("%v, %s rows; it printed\n%s", err, stored, out)
			}
		})
	}
}
