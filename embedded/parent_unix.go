//go:build unix && !linux

package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps the terminal's signals from the child. Here only the end
// of standard input tells it that its parent has died.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
