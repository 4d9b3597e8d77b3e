package embedded

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// awaitStopped blocks until a child that was sent SIGSTOP has stopped: its threads do so one by one.
func awaitStopped(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WNOWAIT, nil)
		if err == nil {
			return nil
		}
		if err != unix.EINTR {
			return fmt.Errorf("await stop of process %d: %w", pid, err)
		}
	}
}
