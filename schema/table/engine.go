package table

import (
	"strings"

	"github.com/logbatcher/logbatcher/schema"
)

// engineFits reports whether a table that has one engine serves a route that wants another.
func engineFits(want, have string) bool {
	if !schema.UsableEngine(have) || schema.EngineKind(have) != schema.EngineKind(want) {
		return false
	}
	// Rows in a replicated table are as safe as in one that is not, or safer. The reverse is not true.
	return !schema.IsReplicated(want) || schema.IsReplicated(have)
}

// engineEffects say what becomes of rows in the engines that are refused, by kind.
var engineEffects = map[string]string{
	"Null":                         "it keeps no row",
	"Memory":                       "it loses its rows when the server stops",
	"Buffer":                       "it acknowledges rows before they are stored; name the table behind it",
	"Distributed":                  "it acknowledges rows before they are stored; name the table behind it",
	"Log":                          logEffect,
	"TinyLog":                      logEffect,
	"StripeLog":                    logEffect,
	"ReplacingMergeTree":           "merges keep one row of those that have the same sorting key; if that is wanted, name this engine in the route's setting engine",
	"SummingMergeTree":             "merges add up the rows that have the same sorting key",
	"AggregatingMergeTree":         foldEffect,
	"CoalescingMergeTree":          foldEffect,
	"CollapsingMergeTree":          "merges take out rows of opposite signs",
	"VersionedCollapsingMergeTree": "merges take out rows of opposite signs",
	"GraphiteMergeTree":            "merges roll rows up",
	"View":                         viewEffect,
	"MaterializedView":             viewEffect,
	"LiveView":                     viewEffect,
	"WindowView":                   viewEffect,
	"Alias":                        "it is another table's second name; name that table",
	"Merge":                        "it only reads other tables; name one of them",
	"Dictionary":                   "it takes no rows",
	"GenerateRandom":               "it takes no rows",
	"Join":                         keyEffect,
	"Set":                          keyEffect,
	"EmbeddedRocksDB":              keyEffect,
	"KeeperMap":                    keyEffect,
	"Redis":                        keyEffect,
	"Kafka":                        queueEffect,
	"NATS":                         queueEffect,
	"RabbitMQ":                     queueEffect,
}

const (
	logEffect   = "it can store a part of a batch, and stores a repeated one twice"
	foldEffect  = "merges fold the rows that have the same sorting key into one"
	viewEffect  = "it is a view; name a table"
	keyEffect   = "it keeps one row for each key"
	queueEffect = "it passes rows on and keeps none; name the table that they end in"
)

// engineEffect says what becomes of rows in an engine that is refused.
func engineEffect(engine string) string {
	if effect := engineEffects[schema.EngineKind(engine)]; effect != "" {
		return effect
	}
	return "it is not known to keep every row as it is and to tell whether a batch is there; name a MergeTree table"
}

// canBeCopied reports whether what the engine holds are rows that a new table can take over.
func canBeCopied(engine string) bool {
	switch kind := schema.EngineKind(engine); kind {
	case "Log", "TinyLog", "StripeLog", "Memory":
		return true
	default:
		return strings.HasSuffix(kind, "MergeTree")
	}
}
