//go:build !unix

package embedded

import "os"

// The signals that servers are sent; a platform without them can only kill.
var (
	signalStop   os.Signal = os.Kill
	signalPause  os.Signal = os.Interrupt
	signalResume os.Signal = os.Interrupt
)
