package journal_test

import (
	"github.com/logbatcher/logbatcher/server"
	"github.com/logbatcher/logbatcher/shard"
	"github.com/logbatcher/logbatcher/wal/journal"
)

var (
	_ server.Log = (*journal.Journal)(nil)
	_ shard.Log  = (*journal.Journal)(nil)
)
