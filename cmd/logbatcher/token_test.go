package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secured writes a configuration with tokens, and returns its path and the path of the tokens.
func secured(t *testing.T, folder, tokens string) (file, tokensFile string) {
	t.Helper()
	tokensFile = writeFile(t, folder, "tokens", []byte(tokens))
	file = writeFile(t, folder, "logbatcher.yaml", []byte("server: {tokens_file: "+tokensFile+"}\n"+
		"tenants:\n- {name: shop, routes: [firehose], max_streams: 3, max_bytes_per_second: 2MiB}\n- {name: ops, rights: [admin, metrics]}\n"))
	return file, tokensFile
}

func TestTokens(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "shop.token")
	status, line, errs := command(t, "", "token", "new", "--tenant", "shop", "--expires", "90d", "--right", "ingest", "--right", "metrics", "--token-file", path)
	if status != 0 || errs != "" || !regexp.MustCompile(`^[a-z0-9]{8} sha256:[0-9a-f]{64} tenant=shop expires=\S+Z rights=ingest,metrics\n$`).MatchString(line) {
		t.Fatalf("status %d, line %q, %s", status, line, errs)
	}
	token, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if status, _, errs := command(t, "", "token", "new", "--tenant", "shop", "--token-file", path); status != exitError || !strings.Contains(errs, "file exists") {
		t.Errorf("a token is overwritten: %d %s", status, errs)
	}
	status, opsLine, errs := command(t, "", "token", "new", "--tenant", "ops")
	shown := regexp.MustCompile(`lb_[a-z0-9]{8}_[a-z0-9]{26}`).FindString(errs)
	if status != 0 || shown == "" || strings.Contains(opsLine, "lb_") {
		t.Fatalf("status %d, %q, %s", status, opsLine, errs)
	}
	file, _ := secured(t, folder, "# ours\n"+line+opsLine)
	status, out, errs := command(t, "", "token", "check", "--config", file, path)
	if status != 0 || errs != "" || !regexp.MustCompile(`(?s)^token \w+ is good\.\n.*shop\n.*ingest, metrics\n.*firehose\n.*at most 3 at a time\n.*no bound.*2MiB a second\n$`).MatchString(out) ||
		strings.Contains(out, strings.TrimSpace(string(token))) {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	if status, out, errs := command(t, shown+"\r\n", "token", "check", "--config", file, "-"); status != 0 || !strings.Contains(out, "admin, metrics") {
		t.Errorf("status %d, %s%s", status, out, errs)
	}
	for _, wrong := range []struct {
		arguments []string
		in, want  string
	}{
		{[]string{"check", "--config", file, "-"}, shown + "x", "the token is not one of the server's"},
		{[]string{"check", "-"}, shown, "nobody is asked for a token"},
		{[]string{"new"}, "", `required flag(s) "tenant" not set`},
		{[]string{"new", "--tenant", "a b"}, "", "--tenant: the name of a tenant is"},
		{[]string{"new", "--tenant", "a", "--expires", "soon"}, "", "--expires: want a time as in 2027-01-31T00:00:00Z or a duration as in 90d"},
		{[]string{"new", "--tenant", "a", "--expires", "2020-01-31T00:00:00Z"}, "", "--expires: 2020-01-31T00:00:00Z is over"},
		{[]string{"new", "--tenant", "a", "--right", "ingets"}, "", "--right: unknown right \"ingets\"; did you mean ingest?"},
	} {
		if status, out, errs := command(t, wrong.in, append([]string{"token"}, wrong.arguments...)...); status != exitError || !strings.Contains(errs, wrong.want) || out != "" {
			t.Errorf("%q: status %d, %s%s", wrong.arguments, status, out, errs)
		}
	}
	file, _ = secured(t, folder, line+"# "+opsLine+shown+"\n"+strings.ReplaceAll(opsLine, "tenant=ops", "tenant=pos"))
	status, _, errs = command(t, "", "config", "check", file)
	if status != exitError || !strings.Contains(errs, "line 3: it must begin with the id of the token") || !strings.Contains(errs, `unknown tenant "pos"`) || strings.Contains(errs, shown) {
		t.Errorf("status %d, %s", status, errs)
	}
}

// TestTokensAreNotSentInPlainText calls another machine without TLS.
func TestTokensAreNotSentInPlainText(t *testing.T) {
	path := writeFile(t, t.TempDir(), "token", []byte("lb_secret\n"))
	for _, test := range []struct {
		target target
		want   string
	}{
		{target{address: "192.0.2.1:1", tokenFile: path}, "--token-file: the token would go to 192.0.2.1:1 in plain text; connect with --tls or --ca-file"},
		{target{address: "192.0.2.1:1", tokenFile: path, tls: true}, ""},
		{target{address: "127.0.0.1:1", tokenFile: path}, ""},
		{target{address: "127.0.0.1:1", tokenFile: path + "x"}, "no such file"},
		{target{address: "127.0.0.1:1", tokenFile: os.DevNull}, "is empty"},
	} {
		conn, err := test.target.dial(t.Context())
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: %v", test.target, err)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	t.Setenv(tokenVariable, "lb_secret")
	if _, err := (&target{address: "192.0.2.1:1"}).dial(t.Context()); err == nil || !strings.Contains(err.Error(), "LOGBATCHER_TOKEN: the token would go") || strings.Contains(err.Error(), "lb_secret") {
		t.Errorf("%v", err)
	}
}
