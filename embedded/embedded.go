// Package embedded runs ClickHouse and Redis for development and tests, on machines that have no such servers.
//
// ClickHouse is the engine of libchdb.so, fetched from the npm registry with a pinned checksum into the user's cache folder and
// hosted by the program logbatcher-engine. Redis is the installed redis-server, or else an in-process stand-in that keeps
// nothing. A configuration with a data folder flows in; a loopback address flows out, which the ordinary clients understand.
//
// Always: a server is a child process that its Server owns and joins, and that dies with its parent, however that ends.
// Killed and restarted, it comes back on the same folder and port. Nothing starts before Start. Where something is missing on
// this machine, the error is an *UnavailableError, which says what to do.
package embedded

import (
	"errors"
	"fmt"
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

// ErrNotRunning is returned by methods that need a running server.
var ErrNotRunning = errors.New("not running")

// An UnavailableError reports that something a server needs is not on this machine and can't be fetched.
type UnavailableError struct {
	What   string // what is missing
	Remedy string // what to install or set
	Err    error  // why it could not be had; may be nil
}

// Error names what is missing, why, and the remedy.
func (e *UnavailableError) Error() string {
	text := e.What + " is not available"
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text + " (" + e.Remedy + ")"
}

// Unwrap returns the cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// cacheFolder creates and returns the folder for downloads and builds.
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
