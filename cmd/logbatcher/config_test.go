package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runConfig runs the command config and returns what it printed.
func runConfig(t *testing.T, arguments ...string) (string, error) {
	t.Helper()
	var out strings.Builder
	command := newConfigCommand()
	command.SetOut(&out)
	command.SetErr(&out)
	command.SetArgs(arguments)
	command.SilenceErrors = true
	err := command.Execute()
	return out.String(), err
}

func TestConfigCommands(t *testing.T) {
	file := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(file, []byte("colo: AMS\nredis: {password: sesame}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("LOGBATCHER_PORT", "tcp://10.0.0.7:4320")
	out, err := runConfig(t, "check", file)
	want := "warning: these environment variables are Kubernetes' service links, not settings, and are ignored: LOGBATCHER_PORT\n" +
		file + ": no problem; 1 routes\n"
	if err != nil || out != want {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err = runConfig(t, "check", file, "--set", "shards.linger=5"); err == nil || !strings.HasPrefix(err.Error(), "--set shards.linger: shards.linger: a duration") {
		t.Errorf("got %v", err)
	}
	out, err = runConfig(t, "show", file, "--set", "shards.linger=2s")
	if err != nil || !strings.Contains(out, "colo: AMS # "+file+":1:7\n") || !strings.Contains(out, "linger: 2s # --set shards.linger\n") ||
		strings.Contains(out, "sesame") {
		t.Errorf("got %s, %v", out, err)
	}
	t.Setenv("LOGBATCHER_CONFIG", file)
	if out, err = runConfig(t, "show"); err != nil || !strings.Contains(out, "colo: AMS # "+file) {
		t.Errorf("show does not read the file that serve would: %s, %v", out, err)
	}
	t.Setenv("LOGBATCHER_SHARDS_LINGRE", "5s")
	if _, err = runConfig(t, "check", file); err == nil || !strings.Contains(err.Error(), "LOGBATCHER_SHARDS_LINGRE: unknown variable; did you mean LOGBATCHER_SHARDS_LINGER?") {
		t.Errorf("got %v", err)
	}
	if _, err = runConfig(t, "check"); err == nil {
		t.Error("check without a file")
	}
}
