// Package embedded runs ClickHouse and Redis for development and tests, where
// no server is at hand.
//
// ClickHouse is the engine of libchdb.so, fetched from the npm registry with a
// pinned checksum into the user's cache folder, and hosted by the program
// logbatcher-engine. Redis is the redis-server that is installed, or else an
// in-process stand-in that keeps nothing. What flows in is a configuration with
// a data folder; what comes out is a loopback address that the ordinary clients
// speak to.
//
// Always: a server is a child process that the value owns and joins, and that
// dies with its parent, however that ends. Killed and restarted, it comes back
// on the same folder and the same port. Nothing starts before Start. Where
// something is missing on this machine the error is an *UnavailableError, which
// says what to do.
package embedded

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Environment variables that override what the package would find by itself.
const (
	// LibraryVariable names the file libchdb.so.
	LibraryVariable = "LOGBATCHER_CHDB_LIBRARY"
	// EngineVariable names the program logbatcher-engine.
	EngineVariable = "LOGBATCHER_ENGINE"
)

// ErrNotRunning is returned where a server would have to run and does not.
var ErrNotRunning = errors.New("not running")

// An UnavailableError says that something which a server needs is not on this
// machine and cannot be fetched.
type UnavailableError struct {
	What   string // what is missing
	Remedy string // what to install or set
	Err    error  // why it could not be had; may be nil
}

// Error says what is missing, why, and what to do.
func (e *UnavailableError) Error() string {
	text := e.What + " is not available"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + " (" + e.Remedy + ")"
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// cacheFolder returns the folder in which downloads and builds are kept, and
// makes it.
func cacheFolder() (string, error) {
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find cache folder: %w", err)
	}
	folder := filepath.Join(user, "logbatcher", "engine")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	return folder, nil
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
