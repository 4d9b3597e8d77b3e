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
	// A replicated table keeps rows at least as safe. The reverse is not true.
	return !schema.IsReplicated(want) || schema.IsReplicated(have)
}

// engineEffects are what the refused engines do to rows, by kind.
var engineEffects = map[string]string{
	"Null":                         "it keeps no rows",
	"Memory":                       "it loses its rows when the server stops",
	"Buffer":                       "it acknowledges rows before they are stored; name the table behind it",
	"Distributed":                  "it acknowledges rows before they are stored; name the table behind it",
	"Log":                          logEffect,
	"TinyLog":                      logEffect,
	"StripeLog":                    logEffect,
	"ReplacingMergeTree":           "merges keep one of the rows with the same sorting key; if you want that, name this engine in the route's setting engine",
	"SummingMergeTree":             "merges add up the rows with the same sorting key",
	"AggregatingMergeTree":         foldEffect,
	"CoalescingMergeTree":          foldEffect,
	"CollapsingMergeTree":          "merges remove rows of opposite signs",
	"VersionedCollapsingMergeTree": "merges remove rows of opposite signs",
	"GraphiteMergeTree":            "merges roll rows up",
	"View":                         viewEffect,
	"MaterializedView":             viewEffect,
	"LiveView":                     viewEffect,
	"WindowView":                   viewEffect,
	"Alias":                        "it is another name of a table; name that table",
	"Merge":                        "it only reads other tables; name one of them",
	"Dictionary":                   "rows can't be inserted",
	"GenerateRandom":               "rows can't be inserted",
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
	logEffect   = "it can store part of a batch, and stores a repeated batch twice"
	foldEffect  = "merges combine the rows with the same sorting key"
	viewEffect  = "it is a view; name a table"
	keyEffect   = "it keeps one row for each key"
	queueEffect = "it passes rows on and keeps none; name the table where they end up"
)

// engineEffect returns what a refused engine does to rows.
func engineEffect(engine string) string {
	if effect := engineEffects[schema.EngineKind(engine)]; effect != "" {
		return effect
	}
	return "it may not keep every row as it was inserted, or can't be asked for a batch; name a MergeTree table"
}

// canBeCopied reports whether the rows of a table with the engine can be copied into a new table.
func canBeCopied(engine string) bool {
	switch kind := schema.EngineKind(engine); kind {
	case "Log", "TinyLog", "StripeLog", "Memory":
		return true
	default:
		return strings.HasSuffix(kind, "MergeTree")
	}
}
