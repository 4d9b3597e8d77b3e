package schema

import (
	"cmp"
	"strings"
)

// engineKind returns an engine's name without its arguments and without what says where replicas meet:
// "MergeTree" for ReplicatedMergeTree('/path', '{replica}') and for SharedMergeTree.
func EngineKind(engine string) string {
	name := EngineName(engine)
	for _, prefix := range []string{"Replicated", "Shared"} {
		if kind, found := strings.CutPrefix(name, prefix); found && strings.HasSuffix(kind, "MergeTree") {
			return kind
		}
	}
	return name
}

// UsableEngine reports whether a route's table may have the engine. MergeTree, ReplicatedMergeTree and SharedMergeTree
// keep every row as it was inserted and can tell whether a batch is there. ReplacingMergeTree and its replicated
// forms take rows out when parts are merged, so they are only used where the configuration names them.
func UsableEngine(engine string) bool {
	kind := EngineKind(engine)
	return engine == "" || kind == "MergeTree" || kind == "ReplacingMergeTree"
}

// HistoryEngine returns the engine of a history table where the other tables have this one: every row of it stays.
func HistoryEngine(engine string) string {
	if name := EngineName(engine); EngineKind(name) == "ReplacingMergeTree" {
		return strings.Replace(name, "Replacing", "", 1)
	}
	return cmp.Or(engine, "MergeTree")
}
