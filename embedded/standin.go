package embedded

import (
	"time"

	"github.com/alicebob/miniredis/v2"
)

// A standIn is the in-process Redis. By itself its clock stands still, so that
// no key would ever expire; a goroutine, owned by start and stop, moves it.
type standIn struct {
	server  *miniredis.Miniredis
	running bool
	quit    chan struct{} // closed by stop
	done    chan struct{} // closed by the goroutine
}

// clockStep is how finely keys expire.
const clockStep = 100 * time.Millisecond

func (s *standIn) start(address string) error {
	if err := s.server.StartAddr(address); err != nil {
		return err
	}
	s.running = true
	s.quit, s.done = make(chan struct{}), make(chan struct{})
	go s.runClock(s.quit, s.done)
	return nil
}

func (s *standIn) stop() {
	close(s.quit)
	<-s.done
	s.server.Close()
	s.running = false
}

func (s *standIn) runClock(quit <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	ticker := time.NewTicker(clockStep)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-quit:
			return
		case now := <-ticker.C:
			s.server.FastForward(now.Sub(last))
			last = now
		}
	}
}
