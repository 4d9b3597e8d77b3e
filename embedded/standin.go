package embedded

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// ErrInProcess is returned by methods that need a process, where the server has none of its own.
var ErrInProcess = errors.New("the server runs in this process")

// A standIn is the in-process Redis. miniredis has a clock that stands still, so no key would ever expire; a goroutine of each
// instance moves it.
type standIn struct{ redis *miniredis.Miniredis }

func newStandIn() *standIn { return &standIn{miniredis.NewMiniRedis()} }

// clockStep is how finely keys expire.
const clockStep = 100 * time.Millisecond

// start serves at the address, or at a free port if it is empty.
func (s *standIn) start(address string) (instance, string, error) {
	if err := s.redis.StartAddr(cmp.Or(address, "127.0.0.1:0")); err != nil {
		return nil, "", fmt.Errorf("start in-process Redis: %w", err)
	}
	started := &standInInstance{redis: s.redis, quit: make(chan struct{}), done: make(chan struct{})}
	go started.runClock()
	return started, s.redis.Addr(), nil
}

// A standInInstance is the stand-in from a start to its end.
type standInInstance struct {
	redis *miniredis.Miniredis
	quit  chan struct{} // closed by kill
	done  chan struct{} // closed by the goroutine
}

func (s *standInInstance) runClock() {
	defer close(s.done)
	ticker := time.NewTicker(clockStep)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-s.quit:
			return
		case now := <-ticker.C:
			s.redis.FastForward(now.Sub(last))
			last = now
		}
	}
}

func (s *standInInstance) ended() <-chan struct{} { return s.done }

func (s *standInInstance) signal(os.Signal) error { return ErrInProcess }

func (s *standInInstance) stop(context.Context) error {
	s.kill()
	return nil
}

// kill is called once, by the server's change lock.
func (s *standInInstance) kill() {
	close(s.quit)
	<-s.done
	s.redis.Close()
}
