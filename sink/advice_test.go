package sink_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/logbatcher/logbatcher/sink"
	"github.com/logbatcher/logbatcher/sink/batch"
	"github.com/logbatcher/logbatcher/sink/sinktest"
)

// The advice names what the server's message names, which need not be the batch's table.
func TestAdviceFollowsTheMessage(t *testing.T) {
	for _, test := range []struct {
		class   sink.Class
		code    int
		message string
		want    string
	}{
		{sink.Hold, 497, "default: Not enough privileges. To execute this query, it's necessary to have the grant INSERT(Body) ON logs.numbered. (ACCESS_DENIED)", "grant the ClickHouse user INSERT(Body) ON logs.numbered"},
		{sink.Hold, 497, "To execute this query, it's necessary to have the grant SELECT(query_id, user) ON system.processes. (ACCESS_DENIED)", "grant the ClickHouse user SELECT(query_id, user) ON system.processes"},
		{sink.Hold, 497, "To execute this query, it's necessary to have the grant SYSTEM SYNC REPLICA ON logs.numbered. (ACCESS_DENIED)", "grant the ClickHouse user SYSTEM SYNC REPLICA ON logs.numbered"},
		{sink.Hold, 497, "not enough", "grant the ClickHouse user INSERT and SELECT on logs.numbered"},
		{sink.Hold, 81, "Database logs does not exist", "create the database of logs.numbered, or correct the route's"},
		{sink.Hold, 81, "Database `totals` doesn't exist", "create the database totals, or correct what names it"},
		{sink.Schema, 60, "Table logs.numbered does not exist", "create logs.numbered, or let the gateway migrate it"},
		{sink.Schema, 60, "Table logs.numbered (16edd099-058d-42c1-aff1-22e74deed040) does not exist", "create logs.numbered, or let the gateway migrate it"},
		{sink.Schema, 60, "Target table 'logs.totals' of view 'logs.numbered' doesn't exists. (UNKNOWN_TABLE)", "create logs.totals, or mend or drop the view that names it"},
		{sink.Schema, 60, "Table `logs`.`a b` doesn't exist", "create logs.a b, or mend or drop the view that names it"},
		{sink.Schema, 60, "Unknown table expression identifier 'logs.other' in scope SELECT 1", "create logs.other, or mend or drop the view that names it"},
		{sink.Schema, 47, "Missing columns: 'x': while pushing to view logs.daily. (UNKNOWN_IDENTIFIER)", "mend the materialized view logs.daily on logs.numbered, or drop it"},
		{sink.Schema, 53, "Cannot convert: while pushing to view logs.`per day` (16edd099). (TYPE_MISMATCH)", "mend the materialized view logs.`per day` on logs.numbered, or drop it"},
		{sink.Schema, 16, "No such column Body", "make the columns of logs.numbered fit its route"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			start := time.Now()
			b.memory.Decide = func(*batch.Block, sink.Attempt) sinktest.Step {
				if time.Since(start) > time.Minute {
					return sinktest.Step{}
				}
				return sinktest.Step{Err: &sink.Error{Class: test.class, Code: test.code, Err: errors.New(test.message)}}
			}
			done := make(chan struct{})
			go func() { defer close(done); b.deliver(t, 10) }()
			time.Sleep(30 * time.Second)
			if reason := b.delivery.TableState("logs.numbered").HeldReason; !strings.Contains(reason, "to do: "+test.want) {
				t.Errorf("%s\nto do: %s", reason, test.want)
			}
			<-done
		})
	}
}

// A view that throws is named, whether or not the batch is stored.
func TestFailingViewIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		failure := errors.New("throwIf: while pushing to view logs.daily. (FUNCTION_THROW_IF_VALUE_IS_NON_ZERO)")
		b.memory.Script(sinktest.Step{Err: &sink.Error{Class: sink.Row, Code: 395, Err: failure}, Stored: true})
		b.settles(t)
		degraded := b.delivery.Degraded()
		if len(degraded) != 1 || !strings.HasPrefix(degraded[0], "view logs.daily fails on inserts into logs.numbered") {
			t.Errorf("degraded %q, want the view", degraded)
		}
		time.Sleep(5 * time.Minute)
		if degraded := b.delivery.Degraded(); len(degraded) != 0 {
			t.Errorf("degraded %q five minutes later", degraded)
		}
	})
}
