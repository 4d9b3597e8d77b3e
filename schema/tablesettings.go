package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// How many tokens a table remembers per partition, and for how long. By default ClickHouse remembers none in a table that
// is not replicated, and 10 000 for an hour in a replicated one. A retry may come a week later, after a long outage.
const (
	DeduplicationWindow        = "10000"
	deduplicationWindowSeconds = "604800"
)

// DeduplicationSettings are the settings with which a table remembers no tokens if they are 0.
var DeduplicationSettings = []string{
	"non_replicated_deduplication_window", "replicated_deduplication_window", "replicated_deduplication_window_seconds",
}

// ForgetsTokens reports whether a table with the setting remembers no deduplication tokens, so that a repeated insert would
// be stored twice.
func ForgetsTokens(setting, value string) bool {
	window, err := strconv.ParseUint(value, 10, 64)
	return slices.Contains(DeduplicationSettings, setting) && (err != nil || window == 0)
}

// SettingsFor returns the settings that the table should have on an engine. Those of the route override the gateway's.
func (t *Table) SettingsFor(engine string) map[string]string {
	settings := map[string]string{"index_granularity": "8192"}
	if IsReplicated(engine) {
		settings["replicated_deduplication_window"] = DeduplicationWindow
		settings["replicated_deduplication_window_seconds"] = deduplicationWindowSeconds
	} else {
		settings["non_replicated_deduplication_window"] = DeduplicationWindow
	}
	if t.Fsync {
		settings["fsync_after_insert"] = "1"
		settings["fsync_part_directory"] = "1"
	}
	if t.TTL != "" {
		settings["ttl_only_drop_parts"] = "1" // a part is dropped when all of it has expired, and never rewritten
	}
	maps.Copy(settings, t.Settings)
	return settings
}

// SettingList returns settings as in a SETTINGS clause, sorted by name.
func SettingList(settings map[string]string) string {
	parts := make([]string, 0, len(settings))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		if _, err := strconv.ParseFloat(value, 64); err != nil {
			value = QuoteString(value)
		}
		parts = append(parts, name+" = "+value)
	}
	return strings.Join(parts, ", ")
}
