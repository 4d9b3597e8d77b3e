package embedded

import (
	"bytes"
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// LibraryVersion is the version of the npm packages that hold libchdb.
const LibraryVersion = "26.7.3-stable.1"

// npmFiles pin the library: `npm ci` fetches what the lock file names and
// refuses other bytes.
//
//go:embed npm/package.json npm/package-lock.json
var npmFiles embed.FS

// libraryPackages are the npm packages that hold the library, by platform.
var libraryPackages = map[string]string{
	"linux/amd64":  "@chdb/lib-linux-x64-gnu",
	"linux/arm64":  "@chdb/lib-linux-arm64-gnu",
	"darwin/arm64": "@chdb/lib-darwin-arm64",
	"darwin/amd64": "@chdb/lib-darwin-x64",
}

// Library returns the path of libchdb.so. It installs the library into the
// user's cache folder when it is not there yet: 180 MB to fetch and 570 MB on
// disk, once a machine. Processes that install at the same time wait for the
// first one.
func Library(ctx context.Context, log *slog.Logger) (string, error) {
	log = cmp.Or(log, slog.New(slog.DiscardHandler))
	if path := os.Getenv(LibraryVariable); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", &UnavailableError{"the library " + path, "correct " + LibraryVariable, err}
		}
		return path, nil
	}
	name, ok := libraryPackages[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return "", &UnavailableError{What: "the embedded ClickHouse", Err: errors.ErrUnsupported,
			Remedy: "it exists for Linux and macOS on amd64 and arm64; use the address of a ClickHouse server"}
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(cache, LibraryVersion)
	library := filepath.Join(folder, "node_modules", filepath.FromSlash(name), "libchdb.so")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}

	unlock, err := lockFile(ctx, folder+".lock")
	if err != nil {
		return "", fmt.Errorf("lock cache folder: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(library); err == nil {
		return library, nil // another process was first
	}
	log.Info("installing the embedded ClickHouse", "package", name, "version", LibraryVersion, "folder", folder)
	if err := installLibrary(ctx, folder, name); err != nil {
		return "", err
	}
	return library, nil
}

// installLibrary lets npm install into a folder beside the wanted one and
// renames it when it is whole.
func installLibrary(ctx context.Context, folder, name string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return &UnavailableError{"npm", libraryRemedy, err}
	}
	temporary, err := os.MkdirTemp(filepath.Dir(folder), filepath.Base(folder)+"-installing-*")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(temporary)
	arguments, err := writeNpmFiles(temporary, name)
	if err != nil {
		return err
	}

	command := exec.CommandContext(ctx, npm, append(arguments, "--ignore-scripts", "--no-audit", "--no-fund")...)
	command.Dir = temporary
	if output, err := command.CombinedOutput(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &UnavailableError{"the package " + name, libraryRemedy,
			fmt.Errorf("npm %s: %w: %s", arguments[0], err, lastLines(output, 5))}
	}
	if _, err := os.Stat(filepath.Join(temporary, "node_modules", filepath.FromSlash(name), "libchdb.so")); err != nil {
		return &UnavailableError{"the package " + name, libraryRemedy, err}
	}
	if err := os.RemoveAll(folder); err != nil {
		return fmt.Errorf("remove old installation: %w", err)
	}
	if err := os.Rename(temporary, folder); err != nil {
		return fmt.Errorf("move installation: %w", err)
	}
	return nil
}

const libraryRemedy = "install npm and let it reach its registry, or set " + LibraryVariable +
	" to a libchdb.so, or use the address of a ClickHouse server"

// writeNpmFiles prepares a folder for npm and returns npm's arguments. Where
// the lock file knows the platform's package the checksum is ours; elsewhere
// the version is, and npm checks the registry's checksum.
func writeNpmFiles(folder, name string) ([]string, error) {
	lock, err := fs.ReadFile(npmFiles, "npm/package-lock.json")
	if err != nil {
		return nil, err
	}
	if !bytes.Contains(lock, []byte(`"node_modules/`+name+`"`)) {
		return []string{"install", "--no-save", name + "@" + LibraryVersion}, nil
	}
	manifest, err := fs.ReadFile(npmFiles, "npm/package.json")
	if err != nil {
		return nil, err
	}
	for file, content := range map[string][]byte{"package.json": manifest, "package-lock.json": lock} {
		if err := os.WriteFile(filepath.Join(folder, file), content, 0o644); err != nil {
			return nil, fmt.Errorf("write %s: %w", file, err)
		}
	}
	return []string{"ci"}, nil
}

func lastLines(output []byte, count int) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(lines[max(0, len(lines)-count):], "; ")
}
