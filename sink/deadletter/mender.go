package deadletter

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
)

const (
	// workPage is how many letters are read at a time where their rows are needed.
	workPage = 2
	// claimSlack is for how long a claim that can't be renewed is still used.
	claimSlack = 30 * time.Second
	// claimRenewal is the time between two renewals of a claim.
	claimRenewal = claimSlack / 4
	// grace is for how long a letter is worked on after its replay was interrupted, so that its fate is known.
	grace = 10 * time.Second
	// maxDivisions bounds how often a letter is divided in one replay because its bad rows are not told apart.
	maxDivisions = 16
	// recordPause is the time between two attempts to record what became of a letter.
	recordPause = 200 * time.Millisecond
)

// errUncompared is for letters of older versions, which do not say under which ids their rows may be stored.
var errUncompared = errors.New("its rows may be in the table, and the letter does not say under which id: compare, then drop it, or replay it by its id")

// Redeliverer stores the rows of letters. It is implemented by sink.Delivery.
type Redeliverer interface {
	Redeliver(ctx context.Context, b *batch.Block, tried []*batch.Block, last time.Time) (sink.Redelivery, error)
	Forecast(ctx context.Context, b *batch.Block, tried []*batch.Block) (sink.Forecast, error)
	AttemptEnds() time.Duration
}

// Mender shows operators the letters in a queue, and replays or drops them.
//
// A letter is replayed under a claim, a key in Redis that one replay holds at a time. Its rows are asked for under the letter's id and
// inserted under it if they are absent; only then is the letter deleted. The claim of a replay that has died ends when none of its
// attempts can be under way any more. So whatever dies, and whenever: the next replay finds the letter, asks, and is right to believe
// the answer. A letter whose rows have different fates is first replaced by letters that do not, in one step.
type Mender struct {
	queue    *Queue
	delivery Redeliverer
	routing  func() ([]*schema.Route, *time.Location)
	log      *slog.Logger
}

// NewMender returns a Mender of the queue. routing returns the routes in force and ClickHouse's time zone; log gets a line for each
// letter that is replayed or dropped, with who did it.
func NewMender(queue *Queue, delivery Redeliverer, routing func() ([]*schema.Route, *time.Location), log *slog.Logger) *Mender {
	return &Mender{queue: queue, delivery: delivery, routing: routing, log: log}
}

func (m *Mender) now() *routing {
	routes, zone := m.routing()
	return &routing{routes: routes, zone: cmp.Or(zone, time.UTC)}
}

// Drop deletes the letters of the selection for good, or reports which it would delete. The error is that of report or ctx, or why the
// queue can't be read.
func (m *Mender) Drop(ctx context.Context, w *schema.LetterWork, report func(*schema.LetterReport) error) error {
	return m.queue.each(ctx, &w.LetterSelection, pageEntries, func(s *Stored) error {
		r := reportOf(s, schema.LetterDropped, "")
		if w.Execute {
			holder, err := m.queue.remove(ctx, s, "", false)
			switch {
			case err != nil:
				return err
			case holder == gone:
				r.Outcome = schema.LetterGone
			case holder != "":
				r.Outcome, r.Message = schema.LetterClaimed, claimedBy(holder)
			default:
				m.queue.metrics.dropped.WithLabelValues(s.Letter.Table).Inc()
				m.queue.metrics.droppedRows.WithLabelValues(s.Letter.Table).Add(float64(s.Letter.Rows))
			}
			m.audit("dead letter dropped", w, s, r)
		}
		return report(r)
	})
}

// Replay stores the rows of the selection's letters, or reports what would become of them. The error is that of report or ctx, or why
// the queue can't be read.
func (m *Mender) Replay(ctx context.Context, w *schema.LetterWork, report func(*schema.LetterReport) error) error {
	token := w.Operator + " " + rand.Text()
	begun, rows := time.Now(), 0
	return m.queue.each(ctx, &w.LetterSelection, workPage, func(s *Stored) error {
		if !w.Execute {
			return report(m.forecast(ctx, s, w))
		}
		divisions := 0
		for queue := []*Stored{s}; len(queue) > 0; {
			if err := pause(ctx, begun, rows, w.RowsPerSecond); err != nil {
				return err
			}
			reports, parts, err := m.replay(ctx, queue[0], w, token, &divisions)
			if err != nil {
				return err
			}
			for _, r := range reports { // before any is sent: sending may fail
				m.queue.metrics.replayed.WithLabelValues(r.Table, r.Outcome.String()).Inc()
				m.queue.metrics.replayedRows.WithLabelValues(r.Table, r.Outcome.String()).Add(float64(r.Rows))
				m.audit("dead letter replayed", w, queue[0], r)
			}
			for _, r := range reports {
				if err := report(r); err != nil {
					return err
				}
				if r.Outcome == schema.LetterCommitted {
					rows += r.Rows
				}
			}
			queue = append(parts, queue[1:]...)
		}
		return ctx.Err()
	})
}

// pause blocks until so many rows are within the rate. The error is that of ctx.
func pause(ctx context.Context, begun time.Time, rows, perSecond int) error {
	if perSecond <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(time.Until(begun.Add(time.Duration(float64(rows) / float64(perSecond) * float64(time.Second))))):
	case <-ctx.Done():
	}
	return ctx.Err()
}

// audit logs what was done to a letter, and by whom.
func (m *Mender) audit(message string, w *schema.LetterWork, s *Stored, r *schema.LetterReport) {
	edited := make([]string, len(w.Edits))
	for i, edit := range w.Edits {
		edited[i] = edit.Column
	}
	m.log.Info(message, "operator", w.Operator, "dead_letter", r.ID, "stream_id", s.StreamID, "table", r.Table, "rows", r.Rows,
		"outcome", r.Outcome.String(), "edited", strings.Join(edited, ","), "message", r.Message)
}

func reportOf(s *Stored, outcome schema.LetterOutcome, message string) *schema.LetterReport {
	return &schema.LetterReport{
		ID: cmp.Or(s.Letter.ID, s.StreamID), Table: s.Letter.Table, Rows: s.Letter.Rows, Outcome: outcome, Message: message,
	}
}

func claimedBy(holder string) string {
	operator := holder[:max(0, strings.LastIndexByte(holder, ' '))]
	return "it is being replayed by " + operator + ", or was until that replay died; its claim ends by itself"
}

// blocks returns the letter's plan and the blocks as which its rows may have been stored by earlier attempts.
func (m *Mender) blocks(s *Stored, w *schema.LetterWork) (p plan, tried []*batch.Block, err error) {
	if s.Problem != nil {
		return plan{}, nil, fmt.Errorf("the letter is damaged: %w", s.Problem)
	}
	if s.Letter.Reason == sink.ReasonFateUnknown && len(s.Letter.Tried) == 0 && len(w.IDs) == 0 {
		return plan{}, nil, errUncompared
	}
	if p, err = m.now().plan(&s.Letter, w.Edits); err != nil || p.block == nil {
		return p, nil, err
	}
	for _, id := range s.Letter.Tried {
		tried = append(tried, p.block.Anywhere(id))
	}
	if p.moved = p.moved && !slices.Contains(s.Letter.Tried, s.Letter.ID); p.moved {
		tried = append(tried, p.block.Anywhere(s.Letter.ID))
	}
	return p, tried, nil
}

// forecast reports what a replay would make of the letter.
func (m *Mender) forecast(ctx context.Context, s *Stored, w *schema.LetterWork) *schema.LetterReport {
	p, tried, err := m.blocks(s, w)
	if err != nil {
		return reportOf(s, schema.LetterRefused, err.Error())
	}
	if p.block == nil {
		return reportOf(s, schema.LetterDivided, describe(&s.Letter, p.parts))
	}
	defer p.block.Release()
	forecast, err := m.delivery.Forecast(ctx, p.block, tried)
	switch {
	case err != nil:
		return reportOf(s, schema.LetterOpen, err.Error())
	case forecast.Found:
		return reportOf(s, schema.LetterPresent, "")
	case len(forecast.Problems) > 0:
		return reportOf(s, schema.LetterRefused, strings.Join(forecast.Problems, "; "))
	}
	return reportOf(s, schema.LetterCommitted, "")
}

// describe says what the parts of a letter are.
func describe(l *sink.DeadLetter, parts []part) string {
	texts := make([]string, len(parts))
	for i, p := range parts {
		switch {
		case p.problem != nil:
			texts[i] = fmt.Sprintf("%d rows are refused: %s", p.rows.Size(), explain(p.problem))
		case p.route != nil:
			texts[i] = fmt.Sprintf("%d rows for %s", p.rows.Size(), p.route.Table.FullName())
		default:
			texts[i] = fmt.Sprintf("%d rows for %s", p.rows.Size(), l.Table)
		}
	}
	return strings.Join(texts, "; ")
}

// replay replays one letter. It returns what became of it and of letters that have taken its place, except for those that are still to
// be tried, which it returns too. The error is why the letter could not be claimed.
func (m *Mender) replay(ctx context.Context, s *Stored, w *schema.LetterWork, token string, divisions *int) ([]*schema.LetterReport, []*Stored, error) {
	ttl := m.delivery.AttemptEnds() + claimSlack
	holder, err := m.queue.claim(ctx, s, token, ttl)
	switch {
	case err != nil:
		return nil, nil, err
	case holder == gone:
		return one(s, schema.LetterGone, "somebody else has replayed or dropped it"), nil, nil
	case holder != "":
		return one(s, schema.LetterClaimed, claimedBy(holder)), nil, nil
	}
	ctx, done := m.underClaim(ctx, s, token, ttl)
	// A claim on a letter whose fate is open ends by itself, when no attempt can be under way any more. Others have ended with the letter.
	release := false
	defer func() { done(release) }()
	reports, parts := m.replayClaimed(ctx, s, w, token, divisions)
	release = len(reports) > 0 && reports[0].Outcome == schema.LetterRefused
	return reports, parts, nil
}

func one(s *Stored, outcome schema.LetterOutcome, message string) []*schema.LetterReport {
	return []*schema.LetterReport{reportOf(s, outcome, message)}
}

// underClaim renews the claim until done is called, which may release it. The context that it returns outlives ctx for a moment, and
// ends before the claim does.
func (m *Mender) underClaim(ctx context.Context, s *Stored, token string, ttl time.Duration) (_ context.Context, done func(release bool)) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var renewals sync.WaitGroup
	renewals.Go(func() {
		lost := time.NewTimer(claimSlack)
		defer lost.Stop()
		renew := time.NewTicker(claimRenewal)
		defer renew.Stop()
		var late <-chan time.Time
		ended := ctx.Done()
		for {
			select {
			case <-longer.Done():
				return
			case <-ended:
				ended, late = nil, time.After(grace)
			case <-late:
				cancel()
			case <-lost.C:
				cancel()
			case <-renew.C:
				asked := time.Now()
				asking, stop := context.WithTimeout(longer, claimRenewal)
				holder, err := m.queue.claim(asking, s, token, ttl)
				stop()
				if err == nil && holder == "" {
					lost.Reset(claimSlack - time.Since(asked))
				}
			}
		}
	})
	return longer, func(release bool) {
		cancel()
		renewals.Wait()
		if release {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), claimRenewal)
			defer cancel()
			if err := m.queue.release(ctx, s, token); err != nil {
				m.log.Warn("dead letter stays claimed for a while", "dead_letter", s.Letter.ID, "error", err)
			}
		}
	}
}

func (m *Mender) replayClaimed(ctx context.Context, s *Stored, w *schema.LetterWork, token string, divisions *int) ([]*schema.LetterReport, []*Stored) {
	p, tried, err := m.blocks(s, w)
	if err != nil {
		return one(s, schema.LetterRefused, err.Error()), nil
	}
	if p.block == nil {
		return m.divide(ctx, s, token, describe(&s.Letter, p.parts), p.parts, nil)
	}
	defer p.block.Release()
	if p.moved {
		return m.noteMoved(ctx, s, token)
	}
	var last time.Time
	if s.Letter.Reason == sink.ReasonFateUnknown {
		last = s.Letter.Last
	}
	outcome, err := m.delivery.Redeliver(ctx, p.block, tried, last)
	switch {
	case err != nil:
		return one(s, schema.LetterOpen, "interrupted before its fate was known; replay it again: "+err.Error()), nil
	case outcome.Committed:
		return m.settle(ctx, s, token, outcome.Found), nil
	}
	message := outcome.Refused[0].Letter.Message
	failures := map[int]*sink.DeadLetter{}
	var parts []part
	for i := range outcome.Refused {
		failure := &outcome.Refused[i].Letter
		failures[len(parts)] = failure
		parts = append(parts, part{rows: outcome.Refused[i].Rows, problem: &batch.RowError{Message: failure.Message}})
	}
	if len(outcome.Rest) > 0 {
		parts = append(parts, part{rows: outcome.Rest})
	}
	if outcome.Mixed && *divisions < maxDivisions {
		// Both halves are tried; neither has failed yet.
		*divisions++
		first, second := parts[0].rows.Halves()
		parts, failures = []part{{rows: first}, {rows: second}}, nil
	}
	return m.divide(ctx, s, token, message, parts, failures)
}

// noteMoved adds to the letter that its rows have to be looked up in all partitions from now on: replays with other edits may store
// them elsewhere. It returns the letter as one that is still to be tried.
func (m *Mender) noteMoved(ctx context.Context, s *Stored, token string) ([]*schema.LetterReport, []*Stored) {
	letter := s.Letter
	letter.Tried = append(slices.Clone(letter.Tried), letter.ID)
	reports, again := m.replaceBy(ctx, s, token, "it is to be looked up in all partitions", []*sink.DeadLetter{&letter})
	if reports != nil {
		return reports, nil
	}
	return nil, []*Stored{&again[0]}
}

// divide puts letters of the parts in the letter's place, those that have failed with their failures. It returns those that are still
// to be tried.
func (m *Mender) divide(ctx context.Context, s *Stored, token, message string, parts []part, failures map[int]*sink.DeadLetter) ([]*schema.LetterReport, []*Stored) {
	letters := make([]*sink.DeadLetter, len(parts))
	for i, p := range parts {
		letter, err := &s.Letter, error(nil)
		if len(parts) > 1 || p.route != nil {
			letter, err = letterOf(&s.Letter, p)
		}
		if err != nil {
			return one(s, schema.LetterRefused, err.Error()), nil
		}
		failure := failures[i]
		if failure == nil && p.problem != nil {
			failure = &sink.DeadLetter{Class: sink.Row, Reason: p.problem.Reason.String(), Column: p.problem.Column, Last: time.Now()}
			failure.Message = p.problem.Message
		}
		if failure != nil {
			letter = failedAgain(letter, failure)
		}
		letters[i] = letter
	}
	reports, replaced := m.replaceBy(ctx, s, token, message, letters)
	switch {
	case reports != nil:
		return reports, nil
	case len(parts) == 1 && parts[0].route == nil:
		return one(s, schema.LetterRefused, message), nil
	}
	reports = one(s, schema.LetterDivided, message)
	var again []*Stored
	for i := range replaced {
		if problem := parts[i].problem; problem != nil {
			reports = append(reports, reportOf(&replaced[i], schema.LetterRefused, problem.Message))
		} else {
			again = append(again, &replaced[i])
		}
	}
	return reports, again
}

// replaceBy puts letters in the letter's place, for the reason in message. It returns them as they are in the queue, or else a report of
// why it could not.
func (m *Mender) replaceBy(ctx context.Context, s *Stored, token, message string, letters []*sink.DeadLetter) ([]*schema.LetterReport, []Stored) {
	var replaced []Stored
	err := recorded(ctx, func() (err error) {
		replaced, err = m.queue.replace(ctx, s, token, letters)
		return err
	})
	switch {
	case err != nil && permanent(err):
		return one(s, schema.LetterRefused, message+"; this could not be added to the letter: "+err.Error()), nil
	case err != nil:
		return one(s, schema.LetterOpen, message+"; this could not be recorded: "+err.Error()), nil
	case replaced == nil:
		return one(s, schema.LetterGone, "somebody else has dropped it meanwhile, or Redis has lost its claim"), nil
	}
	return nil, replaced
}

// settle deletes a letter whose rows are in the table.
func (m *Mender) settle(ctx context.Context, s *Stored, token string, found bool) []*schema.LetterReport {
	err := recorded(ctx, func() error {
		_, err := m.queue.remove(ctx, s, token, true)
		return err
	})
	switch {
	case err != nil:
		return one(s, schema.LetterOpen, "its rows are in the table, but it could not be deleted; replay it again: "+err.Error())
	case found:
		return one(s, schema.LetterPresent, "")
	}
	return one(s, schema.LetterCommitted, "")
}

// recorded repeats a change of the queue while Redis is away, until ctx ends.
func recorded(ctx context.Context, change func() error) error {
	for {
		err := change()
		if err == nil || permanent(err) {
			return err
		}
		select {
		case <-time.After(recordPause):
		case <-ctx.Done():
			return err
		}
	}
}

func permanent(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Permanent()
}
