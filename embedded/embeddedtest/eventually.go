package embeddedtest

import (
	"testing"
	"time"
)

// patience bounds Eventually. It ends a test that would hang; it is far beyond what a busy machine needs.
const patience = 2 * time.Minute

// Eventually blocks until the condition holds: for what other processes do, which can be asked about and
// not waited on. What happens inside one process is waited for by channels or under testing/synctest.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !holds() {
		select {
		case <-poll.C:
		case <-timeout.C:
			t.Fatalf("waited %v in vain until %s", patience, what)
		}
	}
}
