package owner

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/logbatcher/logbatcher/schema"
)

// scanCount is how many records are read from Redis at a time.
const scanCount = 1000

// lookForOrphans looks for producers of other logs whose instances had this one's name: their folder may be gone.
func (o *Owners) lookForOrphans(ctx context.Context) error {
	states, err := o.List(ctx)
	if err != nil {
		return err
	}
	producers, logs := 0, map[string]bool{}
	for i := range states {
		if s := &states[i]; s.Log != "" && s.Log != o.id && s.Instance == o.self.Name {
			producers++
			logs[s.Log] = true
		}
	}
	text := ""
	if producers > 0 {
		names := make([]string, 0, len(logs))
		for log := range logs {
			names = append(names, log)
		}
		slices.Sort(names)
		text = fmt.Sprintf("owners of producers: %d belong to another log of an instance that is named %s like this one (%s). If that log's folder is gone for good, what was in it is lost: release them with `logbatcher producers release --log`",
			producers, o.self.Name, strings.Join(names, ", "))
		o.log.Warn(text)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.orphans = text
	return nil
}

// List returns the producers that have an owner, or were released, in the order of their names.
func (o *Owners) List(ctx context.Context) ([]schema.ProducerState, error) {
	var states []schema.ProducerState
	instances := map[string]instance{}
	var cursor uint64
	for {
		pairs, next, err := o.scan(ctx, cursor)
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			field, text := pairs[i], pairs[i+1]
			if log, ok := strings.CutPrefix(field, instancePrefix); ok && !strings.Contains(field, " ") {
				instances[log] = parseInstance(text)
				continue
			}
			p, ok := parseField(field)
			if !ok {
				continue // the mark
			}
			r, err := parseRecord(text)
			if err != nil {
				return nil, fmt.Errorf("producer %s: %w", field, err)
			}
			states = append(states, schema.ProducerState{
				Tenant: p.tenant, Producer: p.id, Log: r.Log, Epoch: r.From.Epoch, From: r.From.Sequence, Since: time.UnixMilli(r.Time), Released: r.Released,
			})
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	for i := range states {
		owner := instances[cmp.Or(states[i].Log, states[i].Released)]
		states[i].Instance, states[i].Address = owner.Name, owner.Address
		states[i].Away = max(0, instances[o.id].seen.Sub(owner.seen)) // by the clock of Redis, as this instance saw it last
	}
	slices.SortFunc(states, func(a, b schema.ProducerState) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Producer, b.Producer))
	})
	// A scan may return a field twice.
	return slices.CompactFunc(states, func(a, b schema.ProducerState) bool { return a.Tenant == b.Tenant && a.Producer == b.Producer }), nil
}

func (o *Owners) scan(ctx context.Context, cursor uint64) ([]string, uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pairs, next, err := o.books.client.HScan(ctx, o.books.owned(), cursor, "", scanCount).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("list owners in Redis: %w", err)
	}
	return pairs, next, nil
}

// Release releases producers, and reports each.
func (o *Owners) Release(ctx context.Context, work *schema.ProducerWork, report func(p *schema.ProducerState, released bool, message string) error) error {
	states, err := o.List(ctx)
	if err != nil {
		return err
	}
	for i := range states {
		s := &states[i]
		if !work.Selects(s) {
			continue
		}
		done, message := true, ""
		switch {
		case s.Log == "":
			done, message = false, "nobody owns it: it was released already"
		case s.Instance != "" && s.Away < living:
			message = "its owner lives, and gives it up by itself when a client opens elsewhere and everything is committed"
		}
		if done && work.Execute {
			if done, err = o.release(ctx, s, work.Operator); err != nil {
				return err
			}
			if !done {
				message = "its owner has changed meanwhile"
			}
		}
		if err := report(s, done, message); err != nil {
			return err
		}
	}
	return nil
}

// living is how long ago an instance may have been there last to count as living.
const living = 10 * time.Second

// release takes a producer from a log that does not give it up. The next instance that is asked for it owns it, from where its client says; the
// log hears of it when its instance returns. It reports false if another instance than the log's has it by now.
func (o *Owners) release(ctx context.Context, s *schema.ProducerState, operator string) (bool, error) {
	p := producer{s.Tenant, s.Producer}
	unlock, err := o.lock(ctx, p)
	if err != nil {
		return false, err
	}
	defer unlock()
	r, _, err := o.books.read(ctx, p)
	if err != nil {
		return false, err
	}
	if r.Log == "" || r.Log != s.Log {
		return false, nil
	}
	next := &record{From: r.From, First: r.First, Released: r.Log}
	if err := o.books.write(ctx, p, r, next, true, r.Log, released); err != nil {
		return false, err
	}
	o.log.Warn("owners of producers: one was released", "tenant", s.Tenant, "producer", s.Producer, "from", s.Instance, "log", s.Log, "operator", operator)
	return true, nil
}
