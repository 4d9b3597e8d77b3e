//go:build !linux

package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps the terminal's signals from the child. On this platform only the end of standard input tells the child
// that its parent has died.
func dieWithParent(command *exec.Cmd) { command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
