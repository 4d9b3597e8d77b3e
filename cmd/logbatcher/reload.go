package main

import (
	"context"
	"reflect"
	"slices"

	"github.com/logbatcher/logbatcher/cmd/logbatcher/internal/config"
	"github.com/logbatcher/logbatcher/schema"
	"github.com/logbatcher/logbatcher/schema/settings"
)

// reload loads the configuration again and routes by it from then on. A bad one is refused as a whole and the old one stays.
// What was routed before ends as it began, so no entry is lost.
func (g *gateway) reload(ctx context.Context, load loader) {
	cfg, err := load(ctx)
	var routes []*schema.Route
	if err == nil {
		routes, err = routesOf(cfg)
	}
	if err != nil {
		g.log.Error("configuration refused, keeping the old one", "error", err)
		return
	}
	for _, section := range fixedSections(g.config, cfg) {
		g.log.Warn("a changed section takes effect only after a restart", "section", section)
	}
	before := g.migrations.inForce()
	if err := g.migrations.migrateAll(ctx, routes); err != nil {
		return // the service ends
	}
	if err := g.router.Reload(routes, g.zone.Load()); err != nil {
		g.migrations.use(before)
		g.log.Error("configuration refused, keeping the old one", "error", err)
		return
	}
	if err := g.keyring.use(ctx, cfg); err != nil {
		g.log.Error("changed files of certificates and tokens refused, keeping tenants, tokens and certificates", "error", err)
	}
	if g.config.Retention.Enabled {
		g.scheduler.Use(routes)
	}
	g.log.Info("configuration reloaded", "routes", len(routes))
}

// fixedSections returns the sections that differ and can't change while the service runs: all but columns, routes and tenants.
func fixedSections(old, new *config.Config) []string {
	var changed []string
	after := settings.Fields(reflect.ValueOf(new).Elem(), "")
	for i, before := range settings.Fields(reflect.ValueOf(old).Elem(), "") {
		if !slices.Contains([]string{"columns", "routes", "tenants"}, before.Key) && !reflect.DeepEqual(before.Value.Interface(), after[i].Value.Interface()) {
			changed = append(changed, before.Key)
		}
	}
	return changed
}
