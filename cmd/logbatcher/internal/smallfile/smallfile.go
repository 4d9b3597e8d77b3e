// Package smallfile reads files that are small by nature: configurations, passwords, certificates.
//
// A path in an operator's configuration can name anything: an endless device, a pipe without a writer, a directory. Read
// never holds more than its limit, and returns when its context ends.
package smallfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Read returns the contents of a regular file, of a pipe until its writers have closed it, or of a device. A directory and more
// than limit bytes are errors.
func Read(ctx context.Context, path string, limit int64) ([]byte, error) {
	// Without O_NONBLOCK, opening a pipe blocks until it has a writer, and reads have no deadline.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err // names the path
	}
	defer file.Close()
	data, err := read(ctx, file, limit)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("read %s: %w", path, context.Cause(ctx))
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}

func read(ctx context.Context, file *os.File, limit int64) ([]byte, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	tooLarge := func(size string) error { return fmt.Errorf("it has %s bytes, at most %d are allowed", size, limit) }
	switch mode := info.Mode(); {
	case mode.IsDir():
		return nil, errors.New("it is a directory, want a file")
	case mode.IsRegular() && info.Size() > limit:
		return nil, tooLarge(fmt.Sprint(info.Size()))
	case mode&os.ModeNamedPipe != 0:
		defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })()
		if err := awaitWriter(file); err != nil {
			return nil, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(contextReader{ctx, file}, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = tooLarge("more")
	}
	return data, err
}

// contextReader stops reading when ctx ends, even from a device that never blocks and never ends.
type contextReader struct {
	ctx  context.Context
	file *os.File
}

// Read implements io.Reader.
func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.file.Read(p)
}

// awaitWriter blocks until the pipe is readable or its last writer has closed it. Until a writer opens it, a pipe opened with
// O_NONBLOCK reads as empty, which would look like an empty configuration.
func awaitWriter(pipe *os.File) error {
	raw, err := pipe.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(descriptor uintptr) (done bool) {
		// The kernel reports a hang-up only once there has been a writer.
		polled := []unix.PollFd{{Fd: int32(descriptor), Events: unix.POLLIN}}
		for {
			ready, err := unix.Poll(polled, 0)
			if !errors.Is(err, unix.EINTR) {
				return ready > 0 || err != nil // which reading then returns
			}
		}
	})
}
