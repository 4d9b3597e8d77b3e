package schema

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The tokens that a table remembers, per partition. ClickHouse's own default for a table that is not replicated
// is none at all; 10 000 is what it takes for replicated ones, where it forgets them after an hour. A retry
// may come a week later, after a long outage.
const (
	DeduplicationWindow        = "10000"
	deduplicationWindowSeconds = "604800"
)

// deduplicationSettings are the settings with which a table remembers no tokens when they are 0.
var DeduplicationSettings = []string{
	"non_replicated_deduplication_window", "replicated_deduplication_window", "replicated_deduplication_window_seconds",
}

// ForgetsTokens reports whether a table with the setting remembers no deduplication tokens, so that a repeated insert would
// be stored twice.
func ForgetsTokens(setting, value string) bool {
	window, err := strconv.ParseUint(value, 10, 64)
	return slices.Contains(DeduplicationSettings, setting) && (err != nil || window == 0)
}

func EngineOf(t *Table) string {
	if t.Engine == "" {
		return "MergeTree"
	}
	return t.Engine
}

// engineName returns an engine without its arguments.
func EngineName(engine string) string {
	name, _, _ := strings.Cut(engine, "(")
	return strings.TrimSpace(name)
}

// keepsTokensInKeeper tells which of ClickHouse's two windows holds for an engine.
func KeepsTokensInKeeper(engine string) bool {
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
}

// tableSettings returns the settings that the table should have on an engine. What the
// operator sets wins.
func TableSettings(t *Table, engine string) map[string]string {
	settings := map[string]string{"index_granularity": "8192"}
	if KeepsTokensInKeeper(engine) {
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
		// A part goes when all of it has expired: nothing is rewritten.
		settings["ttl_only_drop_parts"] = "1"
	}
	maps.Copy(settings, t.Settings)
	return settings
}

// settingList returns settings as a SETTINGS clause takes them, in the order of their names.
func SettingList(settings map[string]string) string {
	parts := make([]string, 0, len(settings))
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		parts = append(parts, name+" = "+settingValue(settings[name]))
	}
	return strings.Join(parts, ", ")
}

func settingValue(value string) string {
	if _, err := strconv.ParseFloat(value, 64); err == nil {
		return value
	}
	return QuoteString(value)
}
