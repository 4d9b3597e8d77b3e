package sink

import (
	"context"
	"time"
)

// migrate runs the migrator for the piece, once. It reports whether the piece is to be tried again at once.
func (v *delivery) migrate(ctx context.Context, p *piece) (again bool, err error) {
	s := &p.settling
	if v.config.Migrator == nil || s.migrated {
		return false, nil
	}
	if current, ok := v.config.Migrator.(CurrentTables); ok && v.block.Recovered() && !current.HasRoute(p.block.Layout().Table()) {
		return false, nil
	}
	migrationErr := v.table.migration.run(ctx, s.last, func() error {
		return v.config.Migrator.Migrate(ctx, p.block.Layout().Table())
	})
	if err := ctx.Err(); err != nil {
		return false, err
	}
	s.migrated = migrationErr == nil // the migrator logs its error; it runs again after the next attempt, as the cause may pass
	return s.migrated, nil
}

// migrationGate lets one migration of a table run at a time.
type migrationGate struct {
	turn  chan struct{} // holds one token while a migration runs
	begun time.Time     // when the last successful one began; guarded by turn
}

// run calls migrate, unless a successful migration has begun since failed, the time of the failure that asks for it: that one is
// just as good.
func (g *migrationGate) run(ctx context.Context, failed time.Time, migrate func() error) error {
	select {
	case g.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-g.turn }()
	if g.begun.After(failed) {
		return nil
	}
	begun := time.Now()
	if err := migrate(); err != nil {
		return err
	}
	g.begun = begun
	return nil
}
