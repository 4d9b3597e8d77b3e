package sink

import (
	"context"
	"fmt"
	"time"

	"github.com/logbatcher/logbatcher/sink/batch"
)

// Redelivery is what became of the rows of a dead letter that was tried again. Unless they are committed, none of them is in the
// table, and no attempt is under way that may still store them; except for those refused with an unknown fate, which the next attempt
// has to ask for under the same id.
type Redelivery struct {
	// Committed means that the rows are in the table; Found, that they had been before.
	Committed, Found bool
	// Refused are rows that the table rejects.
	Refused []RefusedRows
	// Rest are the rows that were not found to be bad.
	Rest batch.RowSet
	// Mixed means that the refused rows may have good ones among them, which were not told apart.
	Mixed bool
}

// RefusedRows are rows that the table rejects for the same reason.
type RefusedRows struct {
	// Rows are rows of the block.
	Rows batch.RowSet
	// Letter has the error, when the rows were tried and how often, but no rows, id or origins.
	Letter DeadLetter
}

// Redeliver tries to settle the rows of a dead letter as one block, once more. The block has no attempts of this process behind it,
// but perhaps one of another: so it is asked for first, and inserted under its own id as token if it is absent. tried are the same rows
// under other ids under which they may have been stored, by attempts that began at last or before.
//
// Redeliver waits for a ClickHouse that is away. It gives up soon if an operator has to act. It never divides the block,
// because the next attempt, perhaps of another process, must ask for the same rows. The error is that of ctx.
func (d *Delivery) Redeliver(ctx context.Context, b *batch.Block, tried []*batch.Block, last time.Time) (Redelivery, error) {
	// Any limit ends a hold after the least number of tries.
	v := &delivery{Delivery: d, block: b, table: d.watch(b.Layout().Table().FullName()), limits: Limits{HoldFor: time.Nanosecond}}
	all := batch.RowSet{{To: b.Rows()}}
	for _, earlier := range tried {
		p := &piece{rows: all, block: earlier, settling: settling{touched: true, uncertain: true, arrived: last}}
		found, err := v.askFinally(ctx, p)
		v.unhold(p)
		v.forget(p)
		switch {
		case err != nil:
			return Redelivery{}, err
		case found == present:
			return Redelivery{Committed: true, Found: true}, nil
		case found == unknowable:
			v.conclude(p, found, nil, "")
			return Redelivery{Refused: v.refusedRows()}, nil
		}
	}
	p := &piece{rows: all, block: b}
	p.settling = settling{
		touched: true, uncertain: true,
		migrated: true, // the block's columns are those of an earlier schema, which no table should be made to fit
	}
	verdict, err := v.settle(ctx, p)
	if err != nil {
		return Redelivery{}, err
	}
	if verdict == committed {
		return Redelivery{Committed: true, Found: p.settling.attempts == 0}, nil
	}
	outcome := Redelivery{}
	if verdict == divided {
		judged := false
		if outcome.Rest, judged, err = v.withoutViolations(ctx, p, p.settling.refusal); err != nil {
			return Redelivery{}, err
		}
		if !judged {
			reason := reasonRefused
			if outcome.Mixed = p.size() > 1; outcome.Mixed {
				reason = reasonNotIsolated
			}
			outcome.Rest = nil
			v.refuse(p, p.rows, p.settling.refusal, reason)
		}
	}
	outcome.Refused = v.refusedRows()
	return outcome, nil
}

func (v *delivery) refusedRows() []RefusedRows {
	var refused []RefusedRows
	for _, r := range v.refused {
		refused = append(refused, RefusedRows{Rows: r.rows, Letter: r.DeadLetter})
	}
	return refused
}

// Forecaster is a Sink that can tell without an insert whether a table takes a block.
type Forecaster interface {
	// Unfit returns why the table's columns can't take the block's, or nil if they can. Errors are *Error.
	Unfit(ctx context.Context, b *batch.Block) (problems []string, err error)
}

// Forecast is what is known of a block before it is inserted.
type Forecast struct {
	// Found means that its rows are in the table.
	Found bool
	// Problems are why the table would reject it.
	Problems []string
}

// Forecast asks the sink what would become of a block, and changes nothing. That there are no problems promises nothing: only an insert
// computes the table's defaults and runs its views. tried are as in Redeliver. The error is an *Error.
func (d *Delivery) Forecast(ctx context.Context, b *batch.Block, tried []*batch.Block) (Forecast, error) {
	ctx, cancel := context.WithTimeout(ctx, d.config.AttemptTimeout)
	defer cancel()
	for _, block := range append(tried, b) {
		found, err := d.config.Sink.Present(ctx, block)
		if err != nil || found.Rows > 0 {
			return Forecast{Found: err == nil}, err
		}
	}
	var forecast Forecast
	if sink, ok := d.config.Sink.(Forecaster); ok {
		problems, err := sink.Unfit(ctx, b)
		if err != nil || len(problems) > 0 {
			return Forecast{Problems: problems}, err
		}
	}
	if judge, ok := d.config.Sink.(Judge); ok {
		violations, err := judge.Violations(ctx, b)
		if err != nil {
			return forecast, err
		}
		for _, v := range violations {
			forecast.Problems = append(forecast.Problems, fmt.Sprintf("%d of %d rows: %s", v.Rows.Size(), b.Rows(), v.Message))
		}
	}
	return forecast, nil
}

// AttemptEnds returns how long after its beginning an attempt may still store rows, whatever has become of its process.
func (d *Delivery) AttemptEnds() time.Duration { return d.config.AttemptTimeout + d.config.LateAfter }
