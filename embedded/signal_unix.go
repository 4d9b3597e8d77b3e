//go:build unix

package embedded

import (
	"os"
	"syscall"
)

// The signals that servers are sent.
var (
	signalStop   os.Signal = syscall.SIGTERM
	signalPause  os.Signal = syscall.SIGSTOP
	signalResume os.Signal = syscall.SIGCONT
)
