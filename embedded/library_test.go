//go:build unix

package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/logbatcher/logbatcher/embedded"
)

// fakeNpm puts a script named npm in front of everything else, and an empty
// cache folder in place of the user's.
func fakeNpm(t *testing.T, script string) (cache string) {
	t.Helper()
	bin, cache := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("HOME", cache)
	t.Setenv(embedded.LibraryVariable, "")
	return cache
}

const installScript = `
echo "$1" >> "$XDG_CACHE_HOME/calls"
sleep 0.2
for package in lib-linux-x64-gnu lib-linux-arm64-gnu lib-darwin-arm64 lib-darwin-x64; do
	mkdir -p node_modules/@chdb/$package && echo library > node_modules/@chdb/$package/libchdb.so
done
`

func TestLibraryIsInstalledOnce(t *testing.T) {
	cache := fakeNpm(t, installScript)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			path, err := embedded.Library(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "library\n" {
				t.Errorf("%s: %q, %v", path, content, err)
			}
		})
	}
	wait.Wait()
	calls, err := os.ReadFile(filepath.Join(cache, "calls"))
	if err != nil || strings.Count(string(calls), "\n") != 1 {
		t.Fatalf("npm was called with %q, %v", calls, err)
	}
	left, err := filepath.Glob(filepath.Join(cache, "logbatcher", "engine", "*-installing-*"))
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
}

func TestLibraryThatCannotBeInstalled(t *testing.T) {
	fakeNpm(t, "echo no network >&2; exit 1")
	_, err := embedded.Library(t.Context(), nil)
	var missing *embedded.UnavailableError
	if !errors.As(err, &missing) || !strings.Contains(err.Error(), "no network") || !strings.Contains(err.Error(), embedded.LibraryVariable) {
		t.Fatalf("got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err = embedded.Library(t.Context(), nil); !errors.As(err, &missing) || missing.What != "npm" {
		t.Fatalf("without npm: %v", err)
	}
}

func TestInstallationCanBeGivenUp(t *testing.T) {
	fakeNpm(t, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := embedded.Library(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}
