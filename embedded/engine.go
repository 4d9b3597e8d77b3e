package embedded

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// engineName is the program that hosts the library.
const engineName = "logbatcher-engine"

// enginePackage is its import path.
const enginePackage = "github.com/logbatcher/logbatcher/cmd/logbatcher-engine"

// Engine returns the path of the program logbatcher-engine: the one that
// EngineVariable names, else the one beside the running program, else one built
// from this module's source (tests, `go run`) and kept in the cache folder.
func Engine(ctx context.Context, log *slog.Logger) (string, error) {
	if path := os.Getenv(EngineVariable); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", &UnavailableError{"the program " + path, "correct " + EngineVariable, err}
		}
		return path, nil
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), engineName)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside, nil
		}
	}
	return buildEngine(ctx, cmp.Or(log, slog.New(slog.DiscardHandler)))
}

// buildEngine builds the program. If the last build is still up to date, this takes a fraction of a second.
func buildEngine(ctx context.Context, log *slog.Logger) (string, error) {
	const remedy = "put " + engineName + " beside this program, or set " + EngineVariable
	tool, err := exec.LookPath("go")
	if err != nil {
		return "", &UnavailableError{"the program " + engineName, remedy, err}
	}
	source := sourceFolder()
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(source))
	folder := filepath.Join(cache, "build-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make build folder: %w", err)
	}
	unlock, err := lockFile(ctx, filepath.Join(folder, "lock"))
	if err != nil {
		return "", fmt.Errorf("lock build folder: %w", err)
	}
	defer unlock()

	program := filepath.Join(folder, engineName)
	log.Debug("building the engine's host", "source", source, "program", program)
	command := exec.CommandContext(ctx, tool, "build", "-buildvcs=false", "-o", program, enginePackage)
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", &UnavailableError{"the program " + engineName, remedy,
			fmt.Errorf("go build: %w: %s", err, lastLines(output, 5))}
	}
	return program, nil
}

// sourceFolder returns the folder of this package's source if it is on this machine, else the current folder, which may be in
// the module too.
func sourceFolder() string {
	if _, file, _, ok := runtime.Caller(0); ok {
		folder := filepath.Dir(file)
		if _, err := os.Stat(filepath.Join(folder, "engine.go")); err == nil {
			return folder
		}
	}
	folder, err := os.Getwd()
	if err != nil {
		return "."
	}
	return folder
}
