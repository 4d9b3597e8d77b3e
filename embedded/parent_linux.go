package embedded

import (
	"os/exec"
	"syscall"
)

// dieWithParent lets the kernel kill the child when the thread that started it
// ends. The process type keeps that thread for as long as the child lives.
func dieWithParent(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
