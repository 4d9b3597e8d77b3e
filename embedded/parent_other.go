//go:build !unix

package embedded

import "os/exec"

// dieWithParent does nothing: only the end of standard input tells the child
// that its parent has died.
func dieWithParent(*exec.Cmd) {}
