package schema

import (
	"cmp"
	"strings"
)

// FullEngine returns the table's engine with its arguments; without one it is MergeTree.
func (t *Table) FullEngine() string { return cmp.Or(t.Engine, "MergeTree") }

// EngineName returns an engine without its arguments.
func EngineName(engine string) string {
	name, _, _ := strings.Cut(engine, "(")
	return strings.TrimSpace(name)
}

// IsReplicated reports whether the replicas of a table with this engine share rows and deduplication tokens.
func IsReplicated(engine string) bool {
	return strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared")
}

// EngineKind returns an engine's name without its arguments and without what makes it replicated: "MergeTree" for
// ReplicatedMergeTree('/path', '{replica}') and for SharedMergeTree.
func EngineKind(engine string) string {
	name := EngineName(engine)
	for _, prefix := range []string{"Replicated", "Shared"} {
		if kind, found := strings.CutPrefix(name, prefix); found && strings.HasSuffix(kind, "MergeTree") {
			return kind
		}
	}
	return name
}

// UsableEngine reports whether a route's table may have the engine. MergeTree, ReplicatedMergeTree and SharedMergeTree keep
// every row as it was inserted and can be asked for a batch. ReplacingMergeTree and its replicated forms remove rows in
// merges, so they are used only if the configuration names them.
func UsableEngine(engine string) bool {
	kind := EngineKind(engine)
	return engine == "" || kind == "MergeTree" || kind == "ReplacingMergeTree"
}

// HistoryEngine returns the engine for a history table, which keeps every row, where other tables have this engine.
func HistoryEngine(engine string) string {
	if name := EngineName(engine); EngineKind(name) == "ReplacingMergeTree" {
		return strings.Replace(name, "Replacing", "", 1)
	}
	return cmp.Or(engine, "MergeTree")
}
