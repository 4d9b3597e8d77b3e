package sink

import (
	"context"
	"time"
)

// migrate lets the migrator run for the piece, once. It says whether the piece is to be tried again at once.
func (v *delivery) migrate(ctx context.Context, p *piece) (again bool, err error) {
	s := &p.settling
	if v.config.Migrator == nil || s.migration > 0 {
		return false, nil
	}
	count, migrationErr := v.table.migration.run(ctx, s.last, func() error {
		return v.config.Migrator.Migrate(ctx, p.block.Layout().Table())
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if migrationErr != nil {
		return false, nil // the migrator tells of it; it runs again after the next attempt, since what stopped it may pass
	}
	s.migration = count
	return true, nil
}

// migrationGate lets one migration of a table run at a time.
type migrationGate struct {
	turn  chan struct{} // holds one token while a migration runs
	count int           // of migrations that have succeeded; guarded by turn
	begun time.Time     // when the last of them began; guarded by turn
}

// run calls migrate, unless one has begun after failed, the time of the failure that asks for it: that one is as
// good. It returns how many have succeeded, at least 1 without an error.
func (g *migrationGate) run(ctx context.Context, failed time.Time, migrate func() error) (int, error) {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-g.turn }()
	if g.count > 0 && g.begun.After(failed) {
		return g.count, nil
	}
	begun := time.Now()
	if err := migrate(); err != nil {
		return 0, err
	}
	g.count++
	g.begun = begun
	return g.count, nil
}
