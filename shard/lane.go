package shard

import "sync"

// lane does jobs in their order, at most width at a time, in goroutines of its callers. With a log, the blocks of one table go through one: while a
// table takes no inserts, any number of them may wait, and a goroutine for each would take more memory than they do.
type lane struct {
	width int

	mu      sync.Mutex
	running int
	waiting []func()
}

// The widths of lanes: for the blocks of a table, whose inserts in flight the delivery bounds further, and for dead letters, which are in
// memory while they are written.
const (
	tableLane  = 64
	letterLane = 8
)

// add leaves the job to those that are running, after a call of aside; or, if there is room for one more, returns a function that the caller must
// run: it does the job, and then others until none waits.
func (l *lane) add(job, aside func()) (run func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.running < l.width {
		l.running++
		return func() { l.run(job) }
	}
	aside()
	l.waiting = append(l.waiting, job)
	return nil
}

func (l *lane) run(job func()) {
	for job != nil {
		job()
		job = l.next()
	}
}

// next removes and returns the job that has waited longest. If there is none the caller has to stop.
func (l *lane) next() (job func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		l.running--
		l.waiting = nil
		return nil
	}
	job, l.waiting[0] = l.waiting[0], nil
	l.waiting = l.waiting[1:]
	return job
}
